"""Ranks of the truth among the draws by quantities of all parameters together: what marginal ranks cannot see.

Each function takes a `DrawBlock` and gives the randomised rank of one quantity, uniform for an exact posterior: the
quantity may depend on the spectrum in any way, as long as the truth and the draws enter it alike (Modrak et al. 2023,
Bayesian Analysis, arXiv:2211.02383).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.draws import DrawBlock

Array = NDArray[np.float64]


def rank_of(value: Array, value_true: Array, block: DrawBlock, uniform: Array) -> Array:
    """Randomised rank of one number: `exobench.metrics.draws.randomised_rank` for a quantity.

    Args:
        value: of the draws, (obs, draw); NaN ranks as the lowest, since a density of zero does.
        value_true: of the truths, (obs,).
        block: gives the weights.
        uniform: random numbers in (0, 1), (obs,).

    Returns:
        Ranks, (obs,); NaN where the truth's value is NaN.
    """
    value = np.where(np.isnan(value), -np.inf, value)
    below = np.einsum("od,od->o", block.weight, value < value_true[:, None])
    tied = np.einsum("od,od->o", block.weight, value == value_true[:, None])
    own = 1.0 / block.ess
    rank = (below + uniform * (tied + own)) / (1.0 + own)
    return np.where(np.isnan(value_true), np.nan, rank)


def pairs_of(n_param: int) -> tuple[tuple[int, int], ...]:
    """Pairs of parameters, in the order of their ranks."""
    return tuple(combinations(range(n_param), 2))


def pair_keys(n_param: int) -> tuple[str, ...]:
    """Names under which the ranks of pairs are stored, one array (obs,) each: ``pair_rank_0_1``, ..."""
    return tuple(f"pair_rank_{j}_{k}" for j, k in pairs_of(n_param))


def with_pairs(values: Mapping[str, Array], n_param: int) -> dict[str, Array]:
    """Stored arrays with the ranks of all pairs together as ``pair_rank``, (obs, pair), where they are stored."""
    keys = pair_keys(n_param)
    kept = {name: value for name, value in values.items() if name not in keys}
    if keys and all(key in values for key in keys):
        kept["pair_rank"] = np.stack([values[key] for key in keys], axis=1)
    return kept


def pair_ranks(block: DrawBlock, theta_true: Array, uniform: Array) -> Array:
    """Ranks of the products (theta_j - m_j)(theta_k - m_k) for each pair of parameters.

    m is the mean of the draws and of the truth, counted as one more draw, so that truth and draws enter alike and the
    rank of an exact posterior is uniform for any number of draws.

    Args:
        block: draws.
        theta_true: (obs, param).
        uniform: random numbers in (0, 1), (obs, pair).

    Returns:
        Ranks, (obs, pair), in the order of `pairs_of`.
    """
    own = (1.0 / block.ess)[:, None]
    mean = (np.einsum("od,odp->op", block.weight, block.theta) + own * theta_true) / (1.0 + own)
    draws, truth = block.theta - mean[:, None, :], theta_true - mean
    ranks = np.empty_like(uniform)
    for column, (j, k) in enumerate(pairs_of(theta_true.shape[1])):
        ranks[:, column] = rank_of(draws[..., j] * draws[..., k], truth[:, j] * truth[:, k], block, uniform[:, column])
    return ranks


def tarp_rank(block: DrawBlock, theta_true: Array, reference_point: Array, width: Array, uniform: Array) -> Array:
    """Rank of the truth's distance from a reference point, in unit-cube coordinates.

    The coverage of TARP's balls at level alpha is the share of spectra whose rank is below alpha (Lemos et al. 2023,
    arXiv:2302.03026, algorithm 2, with a randomised rank).

    Args:
        block: draws.
        theta_true: (obs, param).
        reference_point: (obs, param), a function of the spectrum; see `exobench.metrics.tarp.reference_points`.
        width: range of each parameter, (param,).
        uniform: random numbers in (0, 1), (obs,).

    Returns:
        Ranks, (obs,).
    """
    draws = (block.theta - reference_point[:, None, :]) / width
    truth = (theta_true - reference_point) / width
    return rank_of(np.einsum("odp,odp->od", draws, draws), np.einsum("op,op->o", truth, truth), block, uniform)
