"""Equally weighted draws of one spectrum out of weighted ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]


def draw_weights(theta: Array, log_weight: Array | None, what: str = "draws") -> Array:
    """Weights of one spectrum's draws, summing to one.

    Args:
        theta: draws, (draw, param).
        log_weight: natural log of the weights, (draw,), -inf for a draw that does not count; None for equal weights.
        what: named in errors.

    Returns:
        Weights, (draw,).

    Raises:
        ExobenchError: if shapes differ, a weight is NaN or +inf, no draw counts, or one that counts is not finite.
    """
    if theta.ndim != 2 or len(theta) == 0:
        raise ExobenchError(f"{what} must have shape (draw, param) with at least one draw; got {theta.shape}.")
    logs = np.zeros(len(theta)) if log_weight is None else np.asarray(log_weight, dtype=np.float64)
    if logs.shape != (len(theta),):
        raise ExobenchError(f"log_weight of {what} has shape {logs.shape}; {len(theta)} draws ask for ({len(theta)},).")
    if np.isnan(logs).any() or np.isposinf(logs).any():
        raise ExobenchError(f"log_weight of {what} must be finite, or -inf for a draw that does not count.")
    counts = logs > -np.inf
    if not counts.any():
        raise ExobenchError(f"the weights of {what} sum to zero: every log_weight is -inf.")
    bad = int(np.sum(~np.isfinite(theta[counts]).all(axis=1)))
    if bad:
        raise ExobenchError(f"{bad} of {int(counts.sum())} {what} are not finite; leave them out first.")
    weight = np.exp(logs - logs.max())
    return weight / weight.sum()


def count_draws(theta: Array, log_weight: Array | None) -> int:
    """Number of draws (draw, param) that count: those whose log_weight is not -inf."""
    return len(theta) if log_weight is None else int(np.sum(np.asarray(log_weight) > -np.inf))


def effective_size(weight: Array) -> float:
    """Kish's effective sample size of weights (draw,) that sum to one."""
    return float(1.0 / np.sum(weight**2))


def equal_draws(theta: Array, log_weight: Array | None, n: int, rng: np.random.Generator, what: str = "draws") -> Array:
    """Draws of equal weight, n of them, in random order.

    Draws of equal weight are taken without replacement. Others are resampled systematically, which adds less noise
    than independent resampling (Douc & Cappé 2005, arXiv:cs/0507025); a draw of large weight then occurs repeatedly.

    Args:
        theta: draws, (draw, param).
        log_weight: natural log of the weights, (draw,); None for equal weights.
        n: draws wanted; at most the draws that count where all weigh the same.
        rng: chooses.
        what: named in errors.

    Returns:
        Draws, (n, param).

    Raises:
        ExobenchError: as `draw_weights`, or if equal weights give fewer than n draws.
    """
    weight = draw_weights(theta, log_weight, what)
    counts = np.flatnonzero(weight > 0.0)
    if np.ptp(weight[counts]) < 1e-9 * weight.max():
        if len(counts) < n:
            raise ExobenchError(f"{n} of {len(counts)} {what} asked for.")
        return theta[rng.choice(counts, size=n, replace=False)]
    edges = np.cumsum(weight)
    chosen = np.searchsorted(edges / edges[-1], (np.arange(n) + rng.random()) / n, side="right")
    return theta[rng.permutation(np.minimum(chosen, len(theta) - 1))]
