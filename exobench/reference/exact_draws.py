"""Draws of exact posteriors: those of importance sampling, and a second sampler's where they will not do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.per_spectrum import MIN_ESS
from exobench.metrics.resampling import draw_weights, effective_size
from exobench.reference.rows import RowDraws
from exobench.reference.spectra import SpectrumDraws, StoredDraws
from exobench.reference.table import LARGEST_K, PSIS_K

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

FEWEST = 50
"""Effective draws without which nothing can be said of a spectrum; below `MIN_ESS` it is doubtful."""
_MEASURED_ESS, _CONVERGED = "effective_sample_size", "converged"
"""What samplers say of a spectrum themselves; chains and particles are worth less than their number."""


@dataclass(frozen=True, eq=False)
class ExactDraws:
    """Draws of the exact posteriors of the first test spectra.

    Attributes:
        draws: of each spectrum.
        source: 0 for importance sampling, 1 for the fallback, (obs,).
        ess: effective sample size of the draws, (obs,).
        doubtful: spectra whose fallback is not content with its own draws either.
    """

    draws: tuple[SpectrumDraws, ...]
    source: Array
    ess: Array
    doubtful: tuple[int, ...]


def row_of(stored: StoredDraws, row: int) -> RowDraws:
    """What a finished run says of one spectrum."""
    draws = stored.spectrum(row)
    return RowDraws(draws.theta, draws.log_weight, {k: float(v[row]) for k, v in stored.diagnostics.items()})


def with_fallback(rows: Sequence[RowDraws], fallback: Callable[[Sequence[int]], Mapping[int, RowDraws]]) -> ExactDraws:
    """Draws of importance sampling, and of a fallback wherever those will not do.

    Args:
        rows: of each spectrum, by importance sampling.
        fallback: what it says of some of the spectra, by their numbers.

    Raises:
        ExobenchError: if the fallback leaves fewer than `FEWEST` different draws of a spectrum.
    """
    found = [_counting(each) for each in rows]
    ess = np.array([_worth(draws, each) for draws, each in zip(found, rows, strict=True)])
    weak = [row for row in range(len(found)) if not _is_content(ess[row], rows[row])]
    log.info("%d of %d spectra go to the fallback", len(weak), len(found))
    source = np.zeros(len(found))
    source[weak] = 1.0
    doubtful = []
    for row, each in (fallback(weak) if weak else {}).items():
        found[row] = _counting(each)
        ess[row] = _worth(found[row], each)
        if _different(found[row]) < FEWEST:
            raise ExobenchError(f"spectrum {row} has fewer than {FEWEST} different draws; raise fallback.n_draws.")
        doubtful += [] if _is_content(ess[row], each) else [row]
    return ExactDraws(tuple(found), source, ess, tuple(sorted(doubtful)))


def padded(draws: Sequence[SpectrumDraws]) -> tuple[Array, Array]:
    """Draws (obs, draw, param), float32, and weights (obs, draw) with zero weight for what fills up the rows."""
    most = max(len(each.theta) for each in draws)
    theta: NDArray[Any] = np.empty((len(draws), most, draws[0].theta.shape[1]), np.float32)
    log_weight = np.full((len(draws), most), -np.inf)
    for row, each in enumerate(draws):
        n = len(each.theta)
        theta[row, :n], theta[row, n:] = each.theta, each.theta[0]
        log_weight[row, :n] = 0.0 if each.log_weight is None else each.log_weight
    return theta, log_weight


def _counting(row: RowDraws) -> SpectrumDraws:
    weight = None if row.log_weight is None else np.asarray(row.log_weight, np.float64)
    return SpectrumDraws(np.asarray(row.theta, np.float64), weight).finite()


def _is_content(ess: float, row: RowDraws) -> bool:
    """Whether a sampler's own diagnostics find nothing wrong."""
    says = row.diagnostics
    return ess >= MIN_ESS and says.get(PSIS_K, 0.0) <= LARGEST_K and says.get(_CONVERGED, 1.0) >= 1.0


def _different(draws: SpectrumDraws) -> float:
    """Effective number of draws; points that come twice in equal-weight draws count once."""
    if len(draws.theta) < 2:
        return 0.0
    worth = effective_size(draw_weights(draws.theta, draws.log_weight))
    return min(worth, float(len(np.unique(draws.theta, axis=0))))


def _worth(draws: SpectrumDraws, row: RowDraws) -> float:
    return min(_different(draws), row.diagnostics.get(_MEASURED_ESS, np.inf))
