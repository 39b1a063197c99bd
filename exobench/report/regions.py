"""Where a run fails: its scores by region of the prior, noise level and detectability, kept in the run's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.catalogue import find_metric
from exobench.metrics.regions import ALL, BAYES_KEY, NOISE, NOISE_KEY, find_regions, scores_by_region
from exobench.metrics.score import Score
from exobench.reference.detectable import Detectable, aligned, detectable_gases
from exobench.report.arrays import StoredArrays
from exobench.report.cache import Cache
from exobench.report.entries import Entry
from exobench.report.wording import plus_minus, signed

Array = NDArray[np.float64]

FEWEST_SPECTRA = 100
"""Of a run, for its regions to be shown: a fifth of fewer says nothing."""

FEWEST_IN_REGION = 20
"""Spectra of a region, for it to be named as the worst: one hard planet is no region."""

SHOWN = ("energy_score", "hit_rate_10", "coverage_68")
_AVERAGED = ("energy_score", "range_error", "rank")
_STEPS = 10


class RegionCell(NamedTuple):
    """A number with its error, and its depth of colour in tenths."""

    text: str
    shade: int | None = None
    below: bool = False


@dataclass(frozen=True)
class RegionLine:
    """One region: its label, number of spectra, and cells: the joint score's, then one a parameter."""

    group: str
    label: str
    n_obs: int
    cells: tuple[RegionCell, ...]


@dataclass(frozen=True)
class RegionSheet:
    """One run by region.

    Attributes:
        accuracy: energy score and hit rates.
        coverage: of central 68 % intervals.
        worst: the region of highest energy score, in words.
        by_noise: whether the noise differs between spectra.
        by_detection: whether it is known which gases can be detected.
        has_gases: whether there is a gas among the parameters.
    """

    accuracy: tuple[RegionLine, ...]
    coverage: tuple[RegionLine, ...]
    worst: str
    by_noise: bool
    by_detection: bool
    has_gases: bool


_Row = tuple[str, str, Score]

_DETECTABLE = "detectable "
_GAS = "log10_"
"""Parameters that are abundances of gases begin so."""


def region_sheet(entry: Entry, cache: Cache) -> RegionSheet | None:
    """The scores of a run by region; None for a run of few spectra, or scored by another version."""
    if entry.n_test < FEWEST_SPECTRA or not entry.is_current:
        return None
    rows = [(group, label, Score(*fields)) for group, label, fields in region_fields(entry, cache)]
    groups = {group for group, _, _ in rows}
    return RegionSheet(
        accuracy=_lines(rows, ("energy_score", "hit_rate_10")),
        coverage=_lines(rows, ("coverage_68",)),
        worst=_worst(rows),
        by_noise=NOISE in groups,
        by_detection=any(group.startswith(_DETECTABLE) for group in groups),
        has_gases=any(name.startswith(_GAS) for name in entry.names),
    )


def worst_region(entry: Entry, cache: Cache) -> str:
    """The region of a run's highest energy score, in words; empty where none can be named."""
    fields = region_fields(entry, cache)
    return _worst([(group, label, Score(*score)) for group, label, score in fields if score[0] == "energy_score"])


def region_fields(entry: Entry, cache: Cache) -> list[Any]:
    """Group, label and the score's fields of each region; none for a run of few spectra, or of another version."""
    found: list[Any] = cache.once("region fields", lambda: _fields(entry, cache))
    return found


def _fields(entry: Entry, cache: Cache) -> list[Any]:
    if entry.n_test < FEWEST_SPECTRA or not entry.is_current:
        return []
    # runs/<task>/<method>/<hash>/<seed>
    runs_of_task = entry.record.folder.absolute().parents[2]
    sources = detectable_gases(str(entry.record["task"]), str(entry.record["task_id"]), entry.names, runs_of_task)
    # The key tells when exact posteriors were added: the record of the run itself does not change then.
    stored: list[Any] = cache.get(f"regions {_digest(sources)}", lambda: _compute(entry, sources))
    return stored


def _digest(sources: Sequence[Detectable]) -> str:
    content = b"".join(
        key.encode() + values.tobytes() for source in sources for key, values in sorted(source.columns.items())
    )
    return hashlib.sha256(content).hexdigest()[:12]


def _compute(entry: Entry, sources: Sequence[Detectable]) -> list[Any]:
    low, high = (np.array([getattr(parameter, end) for parameter in entry.parameters]) for end in ("low", "high"))
    arrays = entry.arrays()
    own = any(key.startswith(BAYES_KEY) for key in arrays)
    known = {} if own or not sources else aligned(sources, arrays["theta_true"])
    means = None if own else _means(entry, arrays, known)
    if means is not None:
        return means
    metrics = [find_metric(name) for name in SHOWN]
    found = scores_by_region({**arrays, **known} if known else arrays, entry.names, low, high, metrics=metrics)
    return [[row.group, row.label, list(row.score.to_dict().values())] for row in found]


def _means(entry: Entry, arrays: StoredArrays, known: Mapping[str, Array]) -> list[Any] | None:
    """The scores of all regions in one product; None where a value is missing, which asks for reasons.

    All three are means over spectra, whose bootstrap error, of ever more resamples, is sd / sqrt(n).
    """
    arrays.read((*_AVERAGED, "theta_true", "nan_draw_share", NOISE_KEY))
    joint, hits, ranks = (arrays[key] for key in _AVERAGED)
    if not all(np.isfinite(values).all() for values in (joint, hits, ranks)) or _draws_missing(arrays):
        return None
    noise = arrays.get(NOISE_KEY)
    unknown = np.full(entry.n_test, np.nan)
    factors = [known.get(f"{BAYES_KEY}.{name}", unknown) for name in entry.names] if known else []
    factor = np.stack(factors, axis=1) if factors else None
    regions = find_regions(arrays["theta_true"], entry.names, noise_ppm=noise, log_bayes_factor=factor)
    values = np.concatenate([joint[:, None], hits <= 0.1, np.abs(ranks - 0.5) <= 0.34], axis=1)
    members = np.stack([region.members for region in regions]).astype(np.float64)
    n_obs = members.sum(axis=1, keepdims=True)
    mean = members @ values / n_obs
    # About the overall mean, so that the difference of squares keeps its digits.
    centre = values.mean(axis=0)
    variance = members @ (values - centre) ** 2 / n_obs - (mean - centre) ** 2
    error = np.sqrt(np.maximum(variance, 0.0) / n_obs)
    columns = [("energy_score", None), *((name, p) for name in SHOWN[1:] for p in entry.names)]
    return [
        [
            region.group,
            region.label,
            [*column, float(value), float(spread) if n > 1 else None, int(n), "ok", None],
        ]
        for region, n, row, spreads in zip(regions, n_obs[:, 0], mean, error, strict=True)
        for column, value, spread in zip(columns, row, spreads, strict=True)
    ]


def _draws_missing(arrays: StoredArrays) -> bool:
    return "nan_draw_share" in arrays and bool(np.any(arrays["nan_draw_share"] > 0.0))


def _lines(rows: Sequence[_Row], metrics: Sequence[str]) -> tuple[RegionLine, ...]:
    whole = next((score for group, _, score in rows if group == ALL and score.metric == "energy_score"), None)
    found: dict[tuple[str, str], list[Score]] = {}
    for group, label, score in rows:
        if score.metric in metrics:
            found.setdefault((group, label), []).append(score)
    return tuple(
        RegionLine(group, label, scores[0].n_obs, tuple(_cell(score, whole) for score in scores))
        for (group, label), scores in found.items()
    )


def _cell(score: Score, whole: Score | None) -> RegionCell:
    if score.value is None:
        return RegionCell(score.status)
    text = plus_minus(score.value, score.standard_error, 4 if score.metric == "energy_score" else 3)
    if score.metric == "hit_rate_10":
        return RegionCell(text, round(_STEPS * score.value))
    if score.metric == "coverage_68":
        # One tenth of coverage is half of the colour: one colour for too little, the other for too much.
        return RegionCell(text, min(_STEPS, round(50 * abs(score.value - 0.68))), score.value < 0.68)
    if whole is None or not whole.value:
        return RegionCell(text)
    excess = score.value / whole.value - 1.0
    return RegionCell(text, min(_STEPS, round(_STEPS * abs(excess))), excess > 0.0)


def _worst(rows: Sequence[_Row]) -> str:
    energy = [row for row in rows if row[2].metric == "energy_score" and row[2].value is not None]
    whole = next((score.value for group, _, score in energy if group == ALL), None)
    parts = [row for row in energy if row[0] != ALL and row[2].n_obs >= FEWEST_IN_REGION]
    if not whole or not parts:
        return ""
    group, label, score = max(parts, key=lambda row: row[2].value or 0.0)
    ratio = signed(f"{(score.value or 0.0) / whole:.2f}")
    shown = plus_minus(score.value or 0.0, score.standard_error, 4)
    return f"{region_name(group, label)}: energy score {shown}, {ratio} times that of all"


def region_name(group: str, label: str) -> str:
    """A region as a sentence says it."""
    if group.startswith(_DETECTABLE):
        gas = group.removeprefix(_DETECTABLE)
        return f"{gas} {'detectable' if label == 'yes' else 'not detectable'}"
    return f"{group} {label}"
