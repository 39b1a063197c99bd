"""The energy score: one proper score of the joint posterior, in unit-cube coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.accuracy import distinct_pair_mass

Array = NDArray[np.float64]

MAX_PAIRWISE_DRAWS = 4096
"""Up to this many draws every pair is used, so the order of draws does not matter; above it, a subset of pairs."""

PAIRS_ABOVE = 2_000_000
"""Pairs used above `MAX_PAIRWISE_DRAWS`: an error below 0.1 % of the mean distance, a tenth of the draws' own."""

_ROWS = 128

# Matrix products of at most this many multiplications run on one thread in OpenBLAS; more threads only wait for each
# other here, and on a busy machine cost many times the work.
_SERIAL_PRODUCT = 4 * 65536


def energy_score(u: Array, weight: Array, u_true: Array) -> Array:
    """Energy score E|X - y| - E|X - X'|/2 with Euclidean distances; lower is better.

    The second expectation runs over pairs of different draws (for weighted draws, with the product of their weights),
    which makes it unbiased for any number of draws; it may then be slightly negative.

    Args:
        u: draws in unit-cube coordinates, (obs, draw, param).
        weight: weights that sum to one, (obs, draw).
        u_true: truths in unit-cube coordinates, (obs, param).

    Returns:
        The score, (obs,), NaN where only one draw counts. Source: Gneiting & Raftery 2007, JASA 102, 359, eq. 22.
    """
    distance = np.sqrt(np.einsum("odp,odp->od", u - u_true[:, None, :], u - u_true[:, None, :]))
    first = np.einsum("od,od->o", weight, distance)
    mass = distinct_pair_mass(np.einsum("od,od->o", weight, weight))
    if u.shape[1] <= MAX_PAIRWISE_DRAWS:
        second = np.array([_all_pairs(draws, w) for draws, w in zip(u, weight, strict=True)]) / mass
    else:
        second = np.array([_some_pairs(draws, w) for draws, w in zip(u, weight, strict=True)]) + 0.0 * mass
    return first - 0.5 * second


def energy_score_of_constant(theta_true: Array, low: Array, high: Array, constant: Array | None = None) -> Array:
    """Energy score of answering every spectrum with one point.

    Args:
        theta_true: truths, (obs, param).
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        constant: the point, (param,); the middle of the box, which is the uniform prior's median, by default.

    Returns:
        Distances in unit-cube coordinates, (obs,).
    """
    middle = 0.5 * (low + high) if constant is None else np.asarray(constant, dtype=np.float64)
    return np.linalg.norm((theta_true - middle) / (high - low), axis=-1)


def energy_score_of_prior(theta_true: Array, low: Array, high: Array, *, n_draws: int = 2048, seed: int = 0) -> Array:
    """Energy score of answering every spectrum with the uniform prior; (obs,).

    One set of draws serves all spectra. The prior is the best answer of those that ignore the spectrum, so this is the
    score that a method must beat.

    Raises:
        ExobenchError: if n_draws is below two or above `MAX_PAIRWISE_DRAWS`.
    """
    if not 2 <= n_draws <= MAX_PAIRWISE_DRAWS:
        raise ExobenchError(f"n_draws={n_draws} must lie between 2 and {MAX_PAIRWISE_DRAWS}.")
    draws = np.random.default_rng(seed).random((n_draws, theta_true.shape[1]))
    weight = np.full(n_draws, 1.0 / n_draws)
    second = _all_pairs(draws, weight) / (1.0 - 1.0 / n_draws)
    u_true = (theta_true - low) / (high - low)
    first = np.array([np.linalg.norm(draws - truth, axis=1).mean() for truth in u_true])
    return first - 0.5 * second


def _all_pairs(u: Array, weight: Array) -> float:
    """Sum of w_i w_j |u_i - u_j| over all pairs, by tiles of the upper triangle, through |a|^2 + |b|^2 - 2ab.

    Centred on the draws' mean, so that the squares lose at most 1e-16 of the posterior's own extent. The squared
    weights go into the matrix product, which leaves a plain sum behind the square root.
    """
    centred = u - weight @ u
    square = np.einsum("dp,dp->d", centred, centred)[:, None]
    ones = np.ones_like(square)
    left = np.concatenate([-2.0 * centred, square, ones], axis=1) * weight[:, None] ** 2
    right = np.ascontiguousarray((np.concatenate([centred, ones, square], axis=1) * weight[:, None] ** 2).T)
    n_columns = max(_ROWS, _SERIAL_PRODUCT // (_ROWS * left.shape[1]))
    total = 0.0
    for row in range(0, len(u), _ROWS):
        rows = left[row : row + _ROWS]
        for column in range(row, len(u), n_columns):
            distance = rows @ right[:, column : column + n_columns]
            np.maximum(distance, 0.0, out=distance)
            np.sqrt(distance, out=distance)
            if column == row:
                np.fill_diagonal(distance[:, : len(rows)], 0.0)
                total -= float(distance[:, : len(rows)].sum())
            total += 2.0 * float(distance.sum())
    return total


def _some_pairs(u: Array, weight: Array) -> float:
    """Weighted mean of |u_i - u_j| over pairs (i, i + k), k = 1..K, of a fixed shuffle of the draws.

    The shuffle keeps the neighbours of a Markov chain apart.
    """
    n_draws = len(u)
    order = np.random.default_rng(n_draws).permutation(n_draws)
    u, weight = u[order], weight[order]
    total = mass = 0.0
    for shift in range(1, PAIRS_ABOVE // n_draws + 2):
        pair_weight = weight * np.roll(weight, -shift)
        difference = u - np.roll(u, -shift, axis=0)
        total += float(pair_weight @ np.sqrt(np.einsum("dp,dp->d", difference, difference)))
        mass += float(pair_weight.sum())
    return total / mass if mass > 0.0 else float("nan")
