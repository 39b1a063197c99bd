"""Whether two samplers of different kinds say the same of a spectrum: evidence, and a classifier's verdict."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.resampling import draw_weights, effective_size
from exobench.progress import track
from exobench.reference.comparison import MIN_DRAWS, ComparisonSettings, compare_spectrum
from exobench.reference.spectra import ERROR, VALUE, SpectrumDraws

Array = NDArray[np.float64]

MIN_CLASSIFIED = 200
"""Fewest draws of each side of the classifier's test, however unequal the check's weights."""


@dataclass(frozen=True)
class Criteria:
    """When two samplers agree.

    Attributes:
        combined_errors: the difference of the log-evidences may be this many combined standard errors ...
        least_nats: ... or this many nats, whichever is more.
        c2st_margin: the classifier's accuracy may exceed its floor by so much, or by three standard errors of that
            difference, whichever is more.
        n_draws: draws of each side of the classifier's test; fewer where the check is worth fewer.
        seed: of the choice of draws, the folds and the classifier.
    """

    combined_errors: float = 3.0
    least_nats: float = 0.1
    c2st_margin: float = 0.05
    n_draws: int = 2500
    seed: int = 0


@dataclass(frozen=True)
class SamplerAnswer:
    """What one sampler says of one spectrum: its draws, and its numbers by name."""

    draws: SpectrumDraws
    numbers: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """Two samplers beside each other on one spectrum.

    Attributes:
        evidence: difference of the log-evidences, sampler minus check; NaN where one of them has none.
        evidence_error: combined standard error.
        evidence_limit: largest absolute difference that counts as agreement.
        c2st: accuracy of the classifier; NaN where it is undefined.
        c2st_floor: the same between two halves of the sampler's own draws.
        c2st_limit: largest accuracy that counts as agreement.
    """

    evidence: float
    evidence_error: float
    evidence_limit: float
    c2st: float
    c2st_floor: float
    c2st_limit: float

    @property
    def evidence_agrees(self) -> bool:
        """Whether the evidences agree; True where there is none to compare."""
        return not np.isfinite(self.evidence) or abs(self.evidence) <= self.evidence_limit

    @property
    def agrees(self) -> bool:
        """Whether evidence and draws agree; draws that cannot be compared do not."""
        return self.evidence_agrees and self.c2st <= self.c2st_limit


def judge(row: int, sampler: SamplerAnswer, check: SamplerAnswer, criteria: Criteria) -> Verdict:
    """Compares two samplers on one spectrum.

    Args:
        row: number of the spectrum, which decides random numbers.
        sampler: the one whose draws are to be published, with enough draws for two halves.
        check: of another kind; its weights may be unequal.
        criteria: what counts as agreement.
    """
    difference = sampler.numbers.get(VALUE, np.nan) - check.numbers.get(VALUE, np.nan)
    error = float(np.hypot(sampler.numbers.get(ERROR, np.nan), check.numbers.get(ERROR, np.nan)))
    limit = max(criteria.combined_errors * error, criteria.least_nats) if np.isfinite(error) else criteria.least_nats
    n_draws = _comparable(sampler.draws, check.draws, criteria.n_draws)
    found = compare_spectrum(row, check.draws, sampler.draws, ComparisonSettings(n_draws, seed=criteria.seed))
    value, floor = found.get("c2st", np.nan), found.get("c2st_floor", np.nan)
    # Both accuracies have a binomial error of 0.5/sqrt(2 n).
    margin = max(criteria.c2st_margin, 1.5 / np.sqrt(n_draws))
    return Verdict(difference, error, limit, value, floor, floor + margin)


def judge_all(
    pairs: Sequence[tuple[int, SamplerAnswer, SamplerAnswer]], criteria: Criteria, *, workers: int = 1
) -> dict[int, Verdict]:
    """``judge`` for several spectra, in several processes."""
    rows = [row for row, *_ in pairs]
    if workers == 1 or len(pairs) < 2:
        return {row: judge(row, ours, theirs, criteria) for row, ours, theirs in track(pairs, "comparing")}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        columns = (*zip(*pairs, strict=True), [criteria] * len(pairs))
        return dict(zip(rows, track(pool.map(judge, *columns), "comparing", total=len(rows)), strict=True))


def _comparable(sampler: SpectrumDraws, check: SpectrumDraws, n_most: int) -> int:
    """Draws of each side: few effective draws repeated many times would be told from others for that alone."""
    kept = check.finite()
    if len(kept.theta) < MIN_DRAWS:
        return MIN_CLASSIFIED
    worth = effective_size(draw_weights(kept.theta, kept.log_weight))
    return max(MIN_CLASSIFIED, min(n_most, int(worth), len(sampler.theta) // 2))
