"""Scores by region of the prior, by noise level and by what can be seen at all, so that no average hides a corner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.metrics.aggregate import aggregate
from exobench.metrics.catalogue import METRICS
from exobench.metrics.metric import Metric
from exobench.metrics.score import Score

Array = NDArray[np.float64]

N_QUANTILES = 5
"""Regions of equal numbers of spectra along a parameter, or along the noise level."""

DETECTABLE_FROM = 3.0
"""Natural log of the Bayes factor, with the gas over without it, above which a gas is detectable."""

ALL, NOISE = "all", "noise_ppm"
NOT_KNOWN = "not known for these spectra"
NOISE_KEY, BAYES_KEY = "noise_ppm", "log_bayes_factor"
"""Per-spectrum arrays that regions are made from where they are there: ``noise_ppm``, and for each gas
``log_bayes_factor.<parameter>``, (obs,) each; one array ``log_bayes_factor`` (obs, param) says the same."""


@dataclass(frozen=True, eq=False)
class Region:
    """Some of the spectra.

    Attributes:
        group: what divides them: a parameter's name, ``"noise_ppm"``, ``"detectable <parameter>"``, or ``"all"``.
        label: the part, in words.
        low: lowest value of the quantity in it; None where it is no number.
        high: highest value.
        members: spectra in it, (obs,).
    """

    group: str
    label: str
    low: float | None
    high: float | None
    members: NDArray[np.bool_]


@dataclass(frozen=True)
class RegionScore:
    """One score over one region; attributes as of `Region`."""

    group: str
    label: str
    low: float | None
    high: float | None
    score: Score

    def to_dict(self) -> dict[str, object]:
        """One row of a tidy table: the region's columns, then the score's."""
        place = {"group": self.group, "region": self.label, "low": self.low, "high": self.high}
        return {**place, **self.score.to_dict()}


def noise_level_ppm(sigma: Array) -> Array:
    """The constant noise that would carry as much information as each spectrum's own, in ppm.

    1e6 (mean over bins of sigma^-2)^(-1/2): a bin without data, sigma = inf, adds nothing, so gaps raise the level.

    Args:
        sigma: standard deviations, depth fractions, (obs, bin).

    Returns:
        Levels, (obs,); inf for a spectrum without data.

    Raises:
        ExobenchError: if the shape is another or a sigma is not positive.
    """
    sigma = np.asarray(sigma, dtype=np.float64)
    if sigma.ndim != 2 or not (sigma > 0.0).all():
        raise ExobenchError(f"sigma must be positive, with shape (obs, bin); got shape {sigma.shape}.")
    with np.errstate(divide="ignore"):
        return 1e6 / np.sqrt(np.mean(sigma**-2.0, axis=1))


def find_regions(
    theta_true: Array,
    names: Sequence[str],
    *,
    noise_ppm: Array | None = None,
    log_bayes_factor: Array | None = None,
) -> list[Region]:
    """Divides spectra by truth, noise and detectability; the first region is all of them.

    Args:
        theta_true: truths, (obs, param).
        names: parameter names.
        noise_ppm: noise level of each spectrum, (obs,); gives regions only where it varies.
        log_bayes_factor: exact natural log of the evidence with a gas over that without it, (obs, param); NaN where it
            is not known, or the parameter is no gas. Spectra that have none are a region of their own, "not known".

    Raises:
        ExobenchError: if shapes do not fit, or a truth or noise level is NaN.
    """
    n_obs, n_param = theta_true.shape
    if len(names) != n_param:
        raise ExobenchError(f"{len(names)} names for {n_param} parameters.")
    found = [Region(ALL, "all spectra", None, None, np.ones(n_obs, dtype=np.bool_))]
    for name, truth in zip(names, theta_true.T, strict=True):
        found += _quantile_regions(name, truth)
    if noise_ppm is not None:
        _check_shape(NOISE_KEY, noise_ppm, (n_obs,))
        # Levels that agree to six digits are one: a constant may differ by rounding between spectra.
        found += _quantile_regions(NOISE, np.array([float(f"{level:.6g}") for level in noise_ppm]))
    if log_bayes_factor is not None:
        _check_shape(BAYES_KEY, log_bayes_factor, (n_obs, n_param))
        for name, factor in zip(names, log_bayes_factor.T, strict=True):
            found += _detectable_regions(name, factor)
    return found


def scores_by_region(
    per_spectrum: Mapping[str, Array],
    names: Sequence[str],
    low: Array,
    high: Array,
    *,
    n_obs: int | None = None,
    metrics: Sequence[Metric] = METRICS,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> list[RegionScore]:
    """The same scores in every region of `find_regions`.

    Where ``noise_ppm`` and ``log_bayes_factor.<parameter>`` are among the arrays, (obs,) each, noise and detectability
    give regions as well; `exobench.metrics.bayes_factor` makes the latter from exact posteriors. Three warnings. In a
    region of the truth even the exact posterior does not cover at its level, as calibration holds over the prior and
    for any choice made from the spectrum or its noise, not for one made from the truth: read coverage there beside the
    exact posterior's. Skill is against the best constant of the region itself, which knows more than the prior. And the
    worst of many regions looks worse than it is: read it with its error.

    Args:
        per_spectrum: arrays of `exobench.metrics.per_spectrum`.
        names: parameter names.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        n_obs: use the first n_obs spectra only; all by default.
        metrics: the scores wanted.
        n_bootstrap: resamples behind each standard error, of a region's own spectra.
        seed: of the resamples.

    Returns:
        Scores in the order of the regions, then of the metrics; a region without spectra is left out.

    Raises:
        ExobenchError: as `find_regions` and `exobench.metrics.aggregate`.
    """
    if "theta_true" not in per_spectrum:
        raise ExobenchError("per-spectrum arrays lack 'theta_true'.")
    total = len(per_spectrum["theta_true"])
    if n_obs is not None and not 1 <= n_obs <= total:
        raise ExobenchError(f"n_obs={n_obs}: there are {total} spectra.")
    used = {key: values[:n_obs] for key, values in per_spectrum.items()}
    regions = find_regions(
        used["theta_true"], names, noise_ppm=used.get(NOISE_KEY), log_bayes_factor=_bayes_factors(used, names)
    )
    return list(_scored(regions, used, names, (low, high), metrics, n_bootstrap, seed))


def _bayes_factors(per_spectrum: Mapping[str, Array], names: Sequence[str]) -> Array | None:
    """Columns of the gases that have one as (obs, param), NaN elsewhere; None where no gas has any."""
    if BAYES_KEY in per_spectrum:
        return per_spectrum[BAYES_KEY]
    shape = (len(per_spectrum["theta_true"]),)
    found: dict[str, Array] = {}
    for key, values in per_spectrum.items():
        if key.startswith(f"{BAYES_KEY}."):
            name = key.removeprefix(f"{BAYES_KEY}.")
            if name not in names:
                raise unknown_name("parameter of a Bayes factor", name, names)
            _check_shape(key, values, shape)
            found[name] = values
    return np.stack([found.get(name, np.full(shape, np.nan)) for name in names], axis=1) if found else None


def _scored(
    regions: Sequence[Region],
    per_spectrum: Mapping[str, Array],
    names: Sequence[str],
    box: tuple[Array, Array],
    metrics: Sequence[Metric],
    n_bootstrap: int,
    seed: int,
) -> Iterator[RegionScore]:
    for region in regions:
        members = {key: values[region.members] for key, values in per_spectrum.items()}
        for score in aggregate(members, names, *box, n_bootstrap=n_bootstrap, seed=seed, metrics=metrics):
            yield RegionScore(region.group, region.label, region.low, region.high, score)


def _quantile_regions(group: str, value: Array) -> list[Region]:
    """Parts of equal number along a quantity; one for each value where it takes few, none where it takes one."""
    if np.isnan(value).any():
        raise ExobenchError(f"{group} is NaN for {int(np.isnan(value).sum())} of {len(value)} spectra.")
    levels = np.unique(value)
    if len(levels) == 1:
        return []
    if len(levels) <= N_QUANTILES:
        return [Region(group, f"{level:.4g}", float(level), float(level), value == level) for level in levels]
    # By rank, so that the parts are of equal number whatever the distribution; equal values stay together.
    edges = np.sort(value)[[len(value) * part // N_QUANTILES for part in range(1, N_QUANTILES)]]
    index = np.searchsorted(edges, value, side="right")
    parts = (value[index == part] for part in range(N_QUANTILES))
    return [
        Region(group, f"{part.min():.4g} to {part.max():.4g}", float(part.min()), float(part.max()), index == place)
        for place, part in enumerate(parts)
        if len(part)
    ]


def _detectable_regions(name: str, log_bayes_factor: Array) -> list[Region]:
    """Where a gas shows, where it does not, and where that is not known; none where it is known of no spectrum."""
    seen = log_bayes_factor > DETECTABLE_FROM
    unseen = log_bayes_factor <= DETECTABLE_FROM
    if not (seen | unseen).any():
        return []
    return [
        Region(f"detectable {name}", label, None, None, members)
        for label, members in (("yes", seen), ("no", unseen), (NOT_KNOWN, ~(seen | unseen)))
        if members.any()
    ]


def _check_shape(key: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise ExobenchError(f"{key} has shape {values.shape}; these spectra ask for {shape}.")
