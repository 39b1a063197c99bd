"""The rank of each run's method in a leaderboard, kept in the cache of the leaderboard's first run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.ranking import rank_methods
from exobench.report.entries import Entry
from exobench.report.scores import Evidence, truths
from exobench.report.sections import settings_but_seed

Array = NDArray[np.float64]

MOST_RANKED = 250
"""Methods compared in pairs: each further one would add as many comparisons, and all of them to Holm's correction."""


class Ranks(NamedTuple):
    """Ranks by anchor, or why a run has none; and what they claim, empty where nothing is ranked."""

    by_anchor: dict[str, int | str]
    claim: str


def ranks(found: Sequence[Evidence]) -> Ranks:
    """Ranks the methods of a leaderboard; runs that differ in the seed alone are fits of one method.

    Args:
        found: rows of the leaderboard, the best first; floor and ceiling are passed over.
    """
    rows = [row for row in found if not row.entry.is_reference]
    if not rows or not rows[0].entry.is_current:
        return Ranks({row.entry.anchor: "scored by another version" for row in rows}, "")
    state = sorted((row.entry.anchor, row.cache.stamp) for row in rows)
    value: Any = rows[0].cache.latest(f"ranks {rows[0].n_obs}", state, lambda: _compute(rows))
    return Ranks(value[0], value[1])


def _compute(rows: Sequence[Evidence]) -> list[Any]:
    by_anchor: dict[str, int | str] = {}
    groups: dict[str, list[tuple[Entry, Array]]] = {}
    n_obs, wanted = rows[0].n_obs, truths(rows[0].entry, rows[0].cache, rows[0].n_obs)
    for row in rows:
        energy = row.energy_score
        reason = _unfit(energy, truths(row.entry, row.cache, n_obs) == wanted)
        setting = settings_but_seed(row.entry)
        if reason is None and len(groups) == MOST_RANKED and setting not in groups:
            reason = f"no rank: only the first {MOST_RANKED} methods are compared in pairs"
        if reason is None:
            groups.setdefault(setting, []).append((row.entry, energy))
        else:
            by_anchor[row.entry.anchor] = reason
    if not groups:
        return [by_anchor, ""]
    ranking = rank_methods([np.stack([energy for _, energy in group]) for group in groups.values()])
    for group, rank in zip(groups.values(), ranking.ranks, strict=True):
        by_anchor |= {entry.anchor: int(rank) for entry, _ in group}
    return [by_anchor, ranking.claim]


def _unfit(energy: Array, same_spectra: bool) -> str | None:
    if not same_spectra:
        return "not the same test spectra"
    n_bad = int(np.sum(~np.isfinite(energy)))
    if n_bad:
        return f"no rank: {n_bad} of {len(energy)} spectra have no energy score"
    return "no rank: it needs two spectra" if len(energy) < 2 else None
