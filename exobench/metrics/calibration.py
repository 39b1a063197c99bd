"""Calibration from randomised ranks: coverage curve, simulation-based calibration, and the badge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.per_spectrum import WHY_NO_RANK

Array = NDArray[np.float64]

MISSING_SHARE = 0.01
"""Spectra without a rank are left out up to this share, which can move a coverage by no more than itself; beyond it
calibration is undefined, since the spectra that lack a rank are the hard ones."""

MIN_OBS_VERDICT = 100
"""Below this number of spectra there is no badge: even gross faults would pass."""

FAIL_BELOW, WARN_BELOW = 1e-3, 1e-2
"""Family-wise p-values below which the badge is fail, or warn."""

VERDICT_LEVELS = (0.68, 0.95)

_MAX_BINS = 20


def coverage_curve(ranks: Array, levels: Array) -> Array:
    """Share of spectra whose truth lies in the central interval of each level.

    Args:
        ranks: randomised ranks, (obs, param), none missing.
        levels: probabilities, (level,).

    Returns:
        Coverage, (level, param); equal to the level for a calibrated posterior.
    """
    _require_ranks(ranks)
    depth = np.sort(2.0 * np.abs(ranks - 0.5), axis=0)
    counts = [np.searchsorted(column, levels, side="right") for column in depth.T]
    return np.stack(counts, axis=1) / len(ranks)


def coverage_band(levels: Array, n_obs: int, probability: float = 0.95) -> tuple[Array, Array]:
    """Where the coverage of a calibrated posterior lies, from the binomial distribution.

    Args:
        levels: probabilities, (level,).
        n_obs: number of spectra.
        probability: of the band at each level alone.

    Returns:
        Lower and upper coverage, (level,) each.
    """
    tail = 0.5 * (1.0 - probability)
    lower, upper = (scipy.stats.binom.ppf(q, n_obs, levels) / n_obs for q in (tail, 1.0 - tail))
    return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)


def ks_uniform(ranks: Array) -> tuple[Array, Array]:
    """Kolmogorov-Smirnov distance of the ranks from the uniform distribution and its p-value, (param,) each."""
    _require_ranks(ranks)
    n_obs = len(ranks)
    # As scipy.stats.kstest, whose every call costs milliseconds before it begins.
    ordered = np.clip(np.sort(ranks, axis=0), 0.0, 1.0)
    steps = np.arange(n_obs + 1)[:, None] / n_obs
    distance = np.maximum((steps[1:] - ordered).max(axis=0), (ordered - steps[:-1]).max(axis=0))
    return distance, np.clip(scipy.stats.kstwo.sf(distance, n_obs), 0.0, 1.0)


def chi2_uniform(ranks: Array) -> Array:
    """Chi-square p-value of the ranks' histogram against a flat one, (param,); NaN below ten spectra.

    Twenty bins, fewer where a bin would expect under five spectra.
    """
    _require_ranks(ranks)
    n_bins = min(_MAX_BINS, len(ranks) // 5)
    if n_bins < 2:
        return np.full(ranks.shape[1], np.nan)
    index = np.minimum((ranks * n_bins).astype(np.int64), n_bins - 1)
    counts = np.stack([np.bincount(column, minlength=n_bins) for column in index.T], axis=1)
    return np.asarray(scipy.stats.chisquare(counts, axis=0).pvalue)


def holm(p_values: Array) -> Array:
    """Holm's family-wise adjusted p-values, same shape (Holm 1979, Scand. J. Statist. 6, 65)."""
    flat = p_values.ravel()
    order = np.argsort(flat)
    scaled = np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1))
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted.reshape(p_values.shape)


@dataclass(frozen=True)
class Verdict:
    """The calibration badge of one method on one task.

    Attributes:
        status: ``"undefined"`` where there are too few ranks to say.
        reason: what decided, in one line.
        n_obs: spectra used.
        smallest_p: smallest family-wise p-value; None if undefined.
        ks_p: Holm-adjusted p-value of each parameter's Kolmogorov-Smirnov test.
        coverage_z: (coverage - level)/binomial standard deviation, for each of `VERDICT_LEVELS` the parameters' values.
    """

    status: Literal["pass", "warn", "fail", "undefined"]
    reason: str
    n_obs: int
    smallest_p: float | None
    ks_p: tuple[float, ...]
    coverage_z: tuple[tuple[float, ...], ...]


def calibration_verdict(ranks: Array, names: tuple[str, ...]) -> Verdict:
    """Judges ranks by uniformity and by coverage at 68 and 95 %, all parameters together.

    One Kolmogorov-Smirnov test and two exact two-sided binomial tests for each parameter form one family, adjusted by
    Holm: a calibrated method gets a warning in at most 1 % of data sets and a failure in at most 0.1 %. The power grows
    with the number of spectra, so badges compare at equal n_obs only. It cannot see wrong correlations between
    parameters, nor a method that is calibrated because it ignores the spectrum: the prior passes.

    Args:
        ranks: randomised ranks, (obs, param); NaN where a spectrum has none.
        names: parameter names.
    """
    kept, n_missing = complete_ranks(ranks)
    n_obs = len(kept)
    if lacks_ranks(ranks):
        reason = f"{n_missing} of {len(ranks)} spectra have no rank: {WHY_NO_RANK}."
        return Verdict("undefined", reason, n_obs, None, (), ())
    if n_obs < MIN_OBS_VERDICT:
        reason = f"{n_obs} spectra; the badge needs {MIN_OBS_VERDICT}."
        return Verdict("undefined", reason, n_obs, None, (), ())
    levels = np.array(VERDICT_LEVELS)[:, None]
    covered = np.rint(coverage_curve(kept, levels[:, 0]) * n_obs)
    family = np.concatenate([ks_uniform(kept)[1][None], _binomial_p(covered, n_obs, levels)])
    adjusted = holm(family)
    smallest = float(adjusted.min())
    status: Literal["pass", "warn", "fail"] = (
        "fail" if smallest < FAIL_BELOW else "warn" if smallest < WARN_BELOW else "pass"
    )
    z = (covered - n_obs * levels) / np.sqrt(n_obs * levels * (1.0 - levels))
    reason = f"{_what_decided(family, smallest, names)}, {n_obs} spectra."
    return Verdict(
        status, reason, n_obs, smallest, tuple(adjusted[0].tolist()), tuple(tuple(row) for row in z.tolist())
    )


def _what_decided(p_values: Array, smallest: float, names: tuple[str, ...]) -> str:
    """The smallest family-wise p-value and the test of which it is, p_values being the raw ones, (test, param).

    Holm's correction makes ties, of which the raw p-value alone is the test that decided; at 1 none did.
    """
    if smallest >= 1.0:
        return "every family-wise p is 1"
    test, column = np.unravel_index(int(np.argmin(p_values)), p_values.shape)
    label = ("uniform ranks", *(f"{100 * level:.0f} % coverage" for level in VERDICT_LEVELS))[int(test)]
    return f"smallest family-wise p is {smallest:.2g}: {label} of {names[int(column)]}"


def complete_ranks(ranks: Array) -> tuple[Array, int]:
    """Ranks of the spectra that have them all, and the number of the others."""
    complete = ~np.isnan(ranks).any(axis=1)
    return ranks[complete], int(np.sum(~complete))


def lacks_ranks(ranks: Array) -> bool:
    """Whether too many spectra have no rank for calibration to be judged."""
    return complete_ranks(ranks)[1] > MISSING_SHARE * len(ranks)


def _binomial_p(covered: Array, n_obs: int, levels: Array) -> Array:
    """Two-sided p-value of a number of successes: twice the smaller tail."""
    tails = scipy.stats.binom.cdf(covered, n_obs, levels), scipy.stats.binom.sf(covered - 1, n_obs, levels)
    return np.minimum(1.0, 2.0 * np.minimum(*tails))


def _require_ranks(ranks: Array) -> None:
    if ranks.ndim != 2 or len(ranks) == 0:
        raise ExobenchError(f"ranks must have shape (obs, param) with at least one spectrum; got {ranks.shape}.")
    if not ((ranks >= 0.0) & (ranks <= 1.0)).all():
        raise ExobenchError("ranks must lie in [0, 1] without NaN; leave out spectra that have no rank.")
