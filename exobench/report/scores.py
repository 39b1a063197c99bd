"""Scores of a run on the leading part of the nested test set, kept in the run's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.aggregate import aggregate, resample_counts
from exobench.metrics.calibration import calibration_verdict
from exobench.metrics.catalogue import find_metric
from exobench.metrics.paired import paired_difference
from exobench.metrics.score import Score
from exobench.metrics.statistics import average
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
N_RESAMPLES = 1000
"""Of paired differences, as `paired_difference` has them."""

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

    @property
    def energy_score(self) -> Array:
        """Energy score of each of the spectra, (obs,)."""
        return energy_scores(self.entry, self.cache)[: self.n_obs]

    def score(self, metric: str, parameter: str | None = None) -> Score:
        """One score; a gap with a reason where the record has none."""
        absent = Score(metric, parameter, None, None, self.n_obs, "not available", "the record holds no such score")
        return self.scores.get((metric, parameter), absent)


def evidence(entry: Entry, cache: Cache, n_obs: int) -> Evidence:
    """Scores and badge of a run on its first n_obs test spectra.

    Over all of its spectra they are those that the run wrote. A record of another metrics version is shown as it was
    written: only all of its spectra can be asked for.
    """
    if not entry.is_current or (n_obs == entry.n_test and _is_complete(entry)):
        found, verdict = list(entry.stored_scores), _stored_verdict(entry)
    else:
        rows, verdict = cache.get(f"scores {n_obs}", lambda: _compute(entry, n_obs))
        found = [Score(**row) for row in rows]
    return Evidence(entry, cache, n_obs, {(s.metric, s.parameter): s for s in found}, *verdict)


def energy_scores(entry: Entry, cache: Cache) -> Array:
    """Energy score of each spectrum, (obs,); kept, because ranks and differences ask for it again and again.

    Raises:
        ExobenchError: as `Entry.arrays`.
    """
    found: Array = cache.once("energy scores", lambda: entry.arrays()["energy_score"])
    return found


def truths(entry: Entry, cache: Cache, n_obs: int) -> str:
    """Tells apart test spectra: a hash of the first n_obs truths."""
    found: str = cache.get(
        f"truths {n_obs}", lambda: hashlib.sha1(entry.arrays()["theta_true"][:n_obs].tobytes()).hexdigest()
    )
    return found


def behind(rows: Sequence[Evidence], best: Evidence) -> dict[str, tuple[float, float] | str]:
    """Of each row, by its anchor: its energy score minus the best row's over the same spectra, or why there is none.

    All rows share their bootstrap resamples, which `paired_difference` would draw anew for each; the numbers are its. A
    row of fewer spectra, which only the ceiling is, is held against the best one on its own.
    """
    state = sorted((row.entry.anchor, row.n_obs, row.cache.stamp) for row in rows)
    stored: Any = best.cache.latest(f"behind {best.n_obs}", state, lambda: _behind(rows, best))
    return {anchor: value if isinstance(value, str) else (value[0], value[1]) for anchor, value in stored.items()}


def _behind(rows: Sequence[Evidence], best: Evidence) -> dict[str, list[float] | str]:
    made: dict[str, list[float] | str] = {row.entry.anchor: "scored by another version" for row in rows}
    current = [row for row in rows if row.entry.is_current]
    for n_obs in {row.n_obs for row in current}:
        alike = [row for row in current if row.n_obs == n_obs]
        made |= dict(zip((row.entry.anchor for row in alike), _differences(alike, best, n_obs), strict=True))
    return made


def _differences(rows: Sequence[Evidence], best: Evidence, n_obs: int) -> list[list[float] | str]:
    own, wanted = best.energy_score[:n_obs], truths(best.entry, best.cache, n_obs)
    made: list[list[float] | str] = []
    for row in rows:
        energy = row.energy_score
        if len(energy) < n_obs:
            made.append(f"only {len(energy)} of the {n_obs} spectra")
        elif truths(row.entry, row.cache, n_obs) != wanted:
            made.append("not the same test spectra")
        elif n_obs < 2 or not np.isfinite(energy - own).all():
            made.append(_why_unpaired(energy, own))
        else:
            made.append([])
    kept = [place for place, found in enumerate(made) if found == []]
    if kept:
        difference = np.stack([rows[place].energy_score - own for place in kept], axis=1)
        resamples = np.concatenate([average(difference, counts) for counts in resample_counts(n_obs, N_RESAMPLES, 0)])
        errors = resamples.std(axis=0, ddof=1)
        for place, mean, error in zip(kept, difference.mean(axis=0), errors, strict=True):
            made[place] = [float(mean), float(error)]
    return made


def _why_unpaired(a: Array, b: Array) -> str:
    try:
        paired_difference(a, b)
    except ExobenchError as error:
        return str(error)
    return "not paired"


def _is_complete(entry: Entry) -> bool:
    """Whether the record holds all scores that a table shows, and its badge."""
    stored = {score.metric for score in entry.stored_scores}
    return stored.issuperset(SHOWN) and isinstance(entry.get("calibration", "status"), str)


def _compute(entry: Entry, n_obs: int) -> list[Any]:
    arrays = entry.arrays().head(n_obs)
    metrics = [find_metric(name) for name in SHOWN]
    low, high = ([getattr(parameter, end) for parameter in entry.parameters] for end in ("low", "high"))
    scores: Sequence[Score] = aggregate(arrays, entry.names, np.array(low), np.array(high), metrics=metrics)
    verdict = calibration_verdict(arrays["rank"], entry.names)
    return [[score.to_dict() for score in scores], [verdict.status, verdict.reason]]


def _stored_verdict(entry: Entry) -> tuple[str, str]:
    stored = entry.mapping("calibration")
    return str(stored.get("status", "undefined")), str(stored.get("reason", "the record says nothing"))
