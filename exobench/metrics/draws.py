"""Weighted draws of a block of spectra: weights, effective sizes, quantiles and ranks.

Every function takes weights that sum to one for each spectrum, so that equal weights are no special case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.inputs import ScoringInputs

Array = NDArray[np.float64]

# Cumulative sums of weights miss a quantile's level by rounding; a level that is met exactly must still be seen.
LEVEL_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class DrawBlock:
    """Draws of some spectra, ready for arithmetic.

    Attributes:
        theta: finite everywhere (obs, draw, param); a draw that does not count holds some finite value.
        weight: sums to one over draws (obs, draw); zero for draws that do not count.
        equal: whether all draws that count weigh the same, (obs,).
        usable: whether the spectrum has any draw that counts, (obs,). Other rows hold meaningless numbers.
        nan_share: fraction of the existing draws that are not finite, (obs,).
    """

    theta: Array
    weight: Array
    equal: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    nan_share: Array

    @property
    def ess(self) -> Array:
        """Kish's effective sample size, (sum w)^2 / sum w^2, shape (obs,) (Kish 1965, Survey Sampling)."""
        kish = 1.0 / np.einsum("od,od->o", self.weight, self.weight)
        return np.where(self.equal, np.sum(self.weight > 0.0, axis=1), kish)


def draw_block(inputs: ScoringInputs, rows: slice) -> DrawBlock:
    """Takes some spectra out of the inputs and settles which of their draws count."""
    theta = np.asarray(inputs.theta[rows], dtype=np.float64)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(theta).all(axis=-1))
    log_weight = np.zeros(finite.shape) if inputs.log_weight is None else inputs.log_weight[rows]
    exists = log_weight > -np.inf
    counts: NDArray[np.bool_] = np.asarray(exists & finite)
    usable: NDArray[np.bool_] = np.asarray(counts.any(axis=1))
    if not counts.all():
        theta = np.where(finite[..., None], theta, inputs.low)
        log_weight = np.where(counts | ~usable[:, None], log_weight, -np.inf)
        log_weight = np.where(usable[:, None], log_weight, 0.0)
    top = log_weight.max(axis=1, keepdims=True)
    weight = np.exp(log_weight - top)
    equal = ((weight == 0.0) | (weight > 1.0 - 1e-9)).all(axis=1)
    n_exists = exists.sum(axis=1)
    nan_share = np.divide((exists & ~finite).sum(axis=1), n_exists, out=np.full(len(theta), np.nan), where=n_exists > 0)
    return DrawBlock(theta, weight / weight.sum(axis=1, keepdims=True), equal, usable, nan_share)


@dataclass(frozen=True, eq=False)
class SortedDraws:
    """Draws of each parameter in ascending order.

    Attributes:
        value: (obs, param, draw).
        weight: (obs, param, draw), or (1, 1, draw) where all weights are equal.
        cumulative: running sum of the weights, same shape as weight.
    """

    value: Array
    weight: Array
    cumulative: Array


def sort_draws(block: DrawBlock) -> SortedDraws:
    """Sorts the draws of each parameter, weights along with them."""
    value = np.ascontiguousarray(np.moveaxis(block.theta, 1, 2))
    n_draws = value.shape[-1]
    if np.all(block.weight == block.weight[0, 0]):
        value.sort(axis=-1)
        weight = np.full((1, 1, n_draws), 1.0 / n_draws)
        cumulative = np.arange(1, n_draws + 1)[None, None, :] / n_draws
        return SortedDraws(value, weight, cumulative)
    order = np.argsort(value, axis=-1)
    value = np.take_along_axis(value, order, axis=-1)
    weight = np.take_along_axis(np.broadcast_to(block.weight[:, None, :], value.shape), order, axis=-1)
    return SortedDraws(value, weight, np.cumsum(weight, axis=-1))


def quantile(draws: SortedDraws, level: float) -> Array:
    """Weighted quantile, (obs, param).

    The inverse of the weighted distribution function, averaged over its flat step where the level is met exactly
    (Hyndman & Fan 1996, definition 2). A draw of weight two gives the same as the draw written twice, and the median
    of an even number of draws is the mean of the middle two.
    """
    last = draws.value.shape[-1] - 1
    shape = (*draws.value.shape[:2], 1)
    ends = []
    for below in (draws.cumulative < level - LEVEL_TOLERANCE, draws.cumulative <= level + LEVEL_TOLERANCE):
        index = np.minimum(below.sum(axis=-1, keepdims=True), last)
        ends.append(np.take_along_axis(draws.value, np.broadcast_to(index, shape), axis=-1)[..., 0])
    return 0.5 * (ends[0] + ends[1])


def randomised_rank(block: DrawBlock, theta_true: Array, uniform: Array) -> Array:
    """Rank of the truth among the draws on (0, 1), uniform for an exact posterior whatever the number of draws.

    (rank + U)/(S + 1) for S equal draws, the truth itself counted as one more draw. For weighted draws rank/S is the
    weighted distribution function below the truth and S is Kish's effective sample size. Ties are broken at random,
    for which U is stretched over the tied draws.

    Args:
        block: draws of some spectra.
        theta_true: truths, (obs, param).
        uniform: U, random numbers in (0, 1), (obs, param).

    Returns:
        Ranks, (obs, param). Source: Talts et al. 2018, arXiv:1804.06788, with the randomised rank of discrete
        probability integral transforms (Czado et al. 2009, Biometrics 65, 1254).
    """
    truth = theta_true[:, None, :]
    below = np.einsum("od,odp->op", block.weight, block.theta < truth)
    tied = np.einsum("od,odp->op", block.weight, block.theta == truth)
    own = 1.0 / block.ess[:, None]
    return (below + uniform * (tied + own)) / (1.0 + own)
