"""The rank of each run's method in a leaderboard, kept in the cache of the leaderboard's first run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.ranking import rank_methods
from exobench.report.entries import Entry
from exobench.report.scores import Evidence
from exobench.report.sections import settings_but_seed

Array = NDArray[np.float64]


class Ranks(NamedTuple):
    """Ranks by anchor, or why a run has none; and what they claim, empty where nothing is ranked."""

    by_anchor: dict[str, int | str]
    claim: str


def ranks(found: Sequence[Evidence]) -> Ranks:
    """Ranks the methods of a leaderboard; runs that differ in the seed alone are fits of one method.

    Args:
        found: rows of the leaderboard, the best first.
    """
    rows = [row for row in found if not row.entry.is_floor]
    if not rows or not rows[0].entry.is_current:
        return Ranks({row.entry.anchor: "scored by another version" for row in rows}, "")
    prefix = f"ranks {rows[0].n_obs} "
    states = repr(sorted((row.entry.anchor, row.cache.stamp) for row in rows))
    key, cache = prefix + hashlib.sha256(states.encode()).hexdigest()[:16], rows[0].cache
    for old in [name for name in cache.values if name.startswith(prefix) and name != key]:
        del cache.values[old]
    value: Any = cache.get(key, lambda: _compute([row.entry for row in rows], rows[0].n_obs))
    return Ranks(value[0], value[1])


def _compute(entries: Sequence[Entry], n_obs: int) -> list[Any]:
    by_anchor: dict[str, int | str] = {}
    groups: dict[str, list[tuple[Entry, Array]]] = {}
    truth: Array | None = None
    for entry in entries:
        arrays = entry.arrays()
        energy, own = arrays["energy_score"][:n_obs], arrays["theta_true"][:n_obs]
        truth = own if truth is None else truth
        reason = _unfit(energy, own, truth)
        if reason is None:
            groups.setdefault(settings_but_seed(entry), []).append((entry, energy))
        else:
            by_anchor[entry.anchor] = reason
    if not groups:
        return [by_anchor, ""]
    ranking = rank_methods([np.stack([energy for _, energy in group]) for group in groups.values()])
    for group, rank in zip(groups.values(), ranking.ranks, strict=True):
        by_anchor |= {entry.anchor: int(rank) for entry, _ in group}
    return [by_anchor, ranking.claim]


def _unfit(energy: Array, own: Array, truth: Array) -> str | None:
    if not np.array_equal(own, truth):
        return "not the same test spectra"
    n_bad = int(np.sum(~np.isfinite(energy)))
    if n_bad:
        return f"no rank: {n_bad} of {len(energy)} spectra have no energy score"
    return "no rank: it needs two spectra" if len(energy) < 2 else None
