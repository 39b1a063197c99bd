"""Draws of a proposal, weighed by the exact likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.problem import InferenceProblem
from exobench.sampling.importance import WeightedDraws
from exobench.sampling.proposal import Proposal

Array = NDArray[np.float64]

_ROWS_A_CALL = 4096


def log_joint(problem: InferenceProblem, theta: Array, x: Array, sigma: Array) -> Array:
    """Natural log of prior times likelihood at theta (n, param) for one spectrum x, sigma (bin,); shape (n,).

    -inf outside the prior's box, at no likelihood call, and where the likelihood is not a number.
    """
    value = problem.prior.log_prob(theta)
    inside = np.flatnonzero(value > -np.inf)
    for start in range(0, len(inside), _ROWS_A_CALL):
        rows = inside[start : start + _ROWS_A_CALL]
        value[rows] += problem.log_likelihood(theta[rows], x, sigma)
    return np.where(np.isfinite(value), value, -np.inf)


def weighed_draws(
    problem: InferenceProblem, proposal: Proposal, x: Array, sigma: Array, n: int, rng: np.random.Generator
) -> WeightedDraws:
    """N draws of the proposal, weighed by prior times likelihood over the proposal's density.

    Args:
        problem: with prior and likelihood.
        proposal: to draw from; a draw outside the prior's box weighs nothing.
        x: depths of the spectrum, (bin,).
        sigma: as x.
        n: draws.
        rng: the only source of randomness.
    """
    theta = proposal.sample(n, rng)
    log_weight = log_joint(problem, theta, x, sigma)
    possible = log_weight > -np.inf
    log_weight[possible] -= proposal.log_prob(theta[possible])
    theta = problem.parameters.clip(np.nan_to_num(theta))
    return WeightedDraws(theta, np.where(np.isfinite(log_weight), log_weight, -np.inf))
