"""Where a run fails: its scores by region of the prior, noise level and detectability, kept in the run's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exobench.metrics.catalogue import find_metric
from exobench.metrics.regions import ALL, NOISE, scores_by_region
from exobench.metrics.score import Score
from exobench.report.cache import Cache
from exobench.report.entries import Entry
from exobench.report.wording import plus_minus, signed

FEWEST_SPECTRA = 100
"""Of a run, for its regions to be shown: a fifth of fewer says nothing."""

SHOWN = ("energy_score", "hit_rate_10", "coverage_68")
_STEPS = 10


@dataclass(frozen=True)
class RegionCell:
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
    """

    accuracy: tuple[RegionLine, ...]
    coverage: tuple[RegionLine, ...]
    worst: str
    by_noise: bool
    by_detection: bool


_Row = tuple[str, str, Score]


def region_sheet(entry: Entry, cache: Cache) -> RegionSheet | None:
    """The scores of a run by region; None for a run of few spectra, or scored by another version."""
    if entry.n_test < FEWEST_SPECTRA or not entry.is_current:
        return None
    stored = cache.get("regions", lambda: _compute(entry))
    rows = [(group, label, Score(*fields)) for group, label, fields in stored]
    groups = {group for group, _, _ in rows}
    return RegionSheet(
        accuracy=_lines(rows, ("energy_score", "hit_rate_10")),
        coverage=_lines(rows, ("coverage_68",)),
        worst=_worst(rows),
        by_noise=NOISE in groups,
        by_detection=any(group.startswith("detectable ") for group in groups),
    )


def _compute(entry: Entry) -> list[Any]:
    low, high = (np.array([getattr(parameter, end) for parameter in entry.parameters]) for end in ("low", "high"))
    metrics = [find_metric(name) for name in SHOWN]
    found = scores_by_region(entry.arrays(), entry.names, low, high, metrics=metrics)
    return [[row.group, row.label, list(row.score.to_dict().values())] for row in found]


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
    parts = [row for row in energy if row[0] != ALL]
    if not whole or not parts:
        return ""
    group, label, score = max(parts, key=lambda row: row[2].value or 0.0)
    ratio = signed(f"{(score.value or 0.0) / whole:.2f}")
    shown = plus_minus(score.value or 0.0, score.standard_error, 4)
    return f"{group}, {label}: energy score {shown}, {ratio} times that of all"
