"""Whether chains agree and how many independent draws they are worth; arviz does the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.sampling.psis import quiet_arviz

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Convergence:
    """Of the worst parameter.

    Attributes:
        r_hat: rank-normalised split R-hat (Vehtari et al. 2021, Bayesian Analysis 16, 667).
        effective_sample_size: the smaller of bulk and tail effective sample size (same source).
    """

    r_hat: float
    effective_sample_size: float


def convergence(states: Array) -> Convergence:
    """Judges states (chain, iteration, param); at least 4 iterations."""
    arviz = quiet_arviz()
    columns = [np.ascontiguousarray(states[..., column]) for column in range(states.shape[2])]
    with np.errstate(all="ignore"):
        r_hat = max(_number(arviz.rhat(column)) for column in columns)
    sizes = [_number(arviz.ess(column, method=kind)) for column in columns for kind in ("bulk", "tail")]
    return Convergence(r_hat, min(sizes))


def _number(value: Any) -> float:
    """A chain that never moves has no R-hat: it counts as infinitely bad."""
    number = float(value)
    return number if np.isfinite(number) else float("inf")
