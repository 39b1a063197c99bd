"""Weighted draws of a block of spectra: weights, effective sizes, quantiles and ranks.

Every function takes weights that sum to one for each spectrum, so that equal weights are no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    def head(self, n_obs: int) -> DrawBlock:
        """The first spectra."""
        rows = slice(n_obs)
        return DrawBlock(self.theta[rows], self.weight[rows], self.equal[rows], self.usable[rows], self.nan_share[rows])


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


def take_draws(block: DrawBlock, draw: NDArray[np.int64]) -> DrawBlock:
    """Some draws of each spectrum, of equal weight.

    Args:
        block: all draws of some spectra.
        draw: index of those wanted, (obs, some), -1 for none; a spectrum without any is not usable.
    """
    named = draw >= 0
    n_named = named.sum(axis=1, keepdims=True)
    usable = np.asarray(block.usable & (n_named[:, 0] > 0))
    weight = np.where(usable[:, None], named / np.maximum(n_named, 1), 1.0 / draw.shape[1])
    theta = np.take_along_axis(block.theta, np.maximum(draw, 0)[..., None], axis=1)
    return DrawBlock(theta, weight, np.ones(len(draw), dtype=np.bool_), usable, block.nan_share)


def spread_draws(theta: NDArray[np.floating[Any]], log_weight: Array | None, n: int) -> NDArray[np.int64]:
    """Chooses at most n draws of each spectrum, spread evenly over those that count; nothing is left to chance.

    Equal weights: all draws if there are no more than n, else n different ones at even steps. Other weights: even steps
    of their running sum, so that a draw of large weight occurs repeatedly (systematic resampling).

    Args:
        theta: draws, (obs, draw, param); one that is not finite does not count.
        log_weight: natural log of the weights, (obs, draw), -inf for a draw that does not count; None for equal ones.
        n: draws wanted.

    Returns:
        Index of the draws, (obs, n) or (obs, draw) if that is less; -1 beyond the last one of a spectrum.
    """
    counts = np.isfinite(theta).all(axis=-1)
    if log_weight is not None:
        counts &= log_weight > -np.inf
    chosen = np.full((len(theta), min(n, theta.shape[1])), -1, dtype=np.int64)
    for row, of_row in enumerate(counts):
        draw = np.flatnonzero(of_row)
        logs = np.zeros(len(draw)) if log_weight is None else log_weight[row, draw]
        if len(draw):
            found = draw[_even_steps(logs, chosen.shape[1])]
            chosen[row, : len(found)] = found
    return chosen


def _even_steps(log_weight: Array, n: int) -> NDArray[np.int64]:
    """Index of draws at even steps of the running sum of their weights."""
    weight = np.exp(log_weight - log_weight.max())
    if weight.min() > 1.0 - 1e-9:
        n = min(n, len(weight))
        return (2 * np.arange(n) + 1) * len(weight) // (2 * n)
    cumulative = np.cumsum(weight)
    steps = (np.arange(n) + 0.5) / n * cumulative[-1]
    return np.minimum(np.searchsorted(cumulative, steps, side="right"), len(weight) - 1)


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
