"""Scores of a run on the leading part of the nested test set, kept in the run's cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.aggregate import aggregate
from exobench.metrics.calibration import calibration_verdict
from exobench.metrics.catalogue import find_metric
from exobench.metrics.paired import paired_difference
from exobench.metrics.score import Score
from exobench.report.cache import Cache
from exobench.report.entries import Entry

Array = NDArray[np.float64]

JOINT = ("energy_score", "nltp")
HEAT = ("skill", "hit_rate_10", "hit_rate_5", "hit_rate_2", "hit_rate_1")
TOGETHER = (
    "sbc_pairs_p",
    "tarp_p",
    "sbc_log_likelihood_p",
    "sbc_log_prob_p",
    "hpd_coverage_68",
    "hpd_coverage_95",
    "predictive_misfit_share",
)
"""Calibration of all parameters together, and whether the draws explain the spectra."""
SHOWN = (*JOINT, *HEAT, *TOGETHER)
"""Scores of the leaderboards; all others stand with each run."""


@dataclass(frozen=True)
class Evidence:
    """One run on n_obs spectra.

    Attributes:
        entry: the run.
        cache: of the run.
        n_obs: spectra used.
        scores: by metric and parameter.
        badge: calibration status.
        badge_reason: what decided it.
    """

    entry: Entry
    cache: Cache
    n_obs: int
    scores: dict[tuple[str, str | None], Score]
    badge: str
    badge_reason: str

    def score(self, metric: str, parameter: str | None = None) -> Score:
        """One score; a gap with a reason where the record has none."""
        absent = Score(metric, parameter, None, None, self.n_obs, "not available", "the record holds no such score")
        return self.scores.get((metric, parameter), absent)


def evidence(entry: Entry, cache: Cache, n_obs: int) -> Evidence:
    """Scores and badge of a run on its first n_obs test spectra.

    A record of another metrics version is shown as it was written: only all of its spectra can be asked for.
    """
    if not entry.is_current:
        found, verdict = list(entry.stored_scores), _stored_verdict(entry)
    else:
        rows, verdict = cache.get(f"scores {n_obs}", lambda: _compute(entry, n_obs))
        found = [Score(**row) for row in rows]
    return Evidence(entry, cache, n_obs, {(s.metric, s.parameter): s for s in found}, *verdict)


def behind(row: Evidence, best: Evidence) -> tuple[float, float] | str:
    """Paired difference of a row's energy score to the best row's, with its standard error; or why there is none."""
    if not row.entry.is_current:
        return "scored by another version"
    key = f"behind {row.n_obs} {best.entry.anchor} {best.cache.stamp}"
    found: Any = row.cache.get(key, lambda: _difference(row, best))
    return found if isinstance(found, str) else (found[0], found[1])


def _difference(row: Evidence, best: Evidence) -> list[float] | str:
    a, b = (entry.arrays() for entry in (row.entry, best.entry))
    if not np.array_equal(a["theta_true"][: row.n_obs], b["theta_true"][: row.n_obs]):
        return "not the same test spectra"
    try:
        return list(paired_difference(a["energy_score"][: row.n_obs], b["energy_score"][: row.n_obs]))
    except ExobenchError as error:
        return str(error)


def _compute(entry: Entry, n_obs: int) -> list[Any]:
    arrays = entry.arrays()
    metrics = [find_metric(name) for name in SHOWN]
    low, high = ([getattr(parameter, end) for parameter in entry.parameters] for end in ("low", "high"))
    scores: Sequence[Score] = aggregate(
        arrays, entry.names, np.array(low), np.array(high), n_obs=n_obs, metrics=metrics
    )
    verdict = calibration_verdict(arrays["rank"][:n_obs], entry.names)
    return [[score.to_dict() for score in scores], [verdict.status, verdict.reason]]


def _stored_verdict(entry: Entry) -> tuple[str, str]:
    stored = entry.mapping("calibration")
    return str(stored.get("status", "undefined")), str(stored.get("reason", "the record says nothing"))
