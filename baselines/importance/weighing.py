"""Draws of a proposal, weighed by the exact likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.problem import InferenceProblem
from exobench.sampling.importance import WeightedDraws
from exobench_baselines.importance.proposal import Proposal

Array = NDArray[np.float64]

_ROWS_A_CALL = 4096


def weighed_draws(
    problem: InferenceProblem, proposal: Proposal, x: Array, sigma: Array, n: int, rng: np.random.Generator
) -> WeightedDraws:
    """N draws of the proposal, weighed by prior times likelihood over the proposal's density.

    A draw outside the prior's box, or where likelihood or density is not a number, weighs nothing and costs no call.

    Args:
        problem: with prior and likelihood.
        proposal: to draw from.
        x: depths of the spectrum, (bin,).
        sigma: as x.
        n: draws.
        rng: the only source of randomness.
    """
    theta = proposal.sample(n, rng)
    log_weight = problem.prior.log_prob(theta)
    inside = np.flatnonzero(log_weight > -np.inf)
    for start in range(0, len(inside), _ROWS_A_CALL):
        rows = inside[start : start + _ROWS_A_CALL]
        log_likelihood = problem.log_likelihood(theta[rows], x, sigma)
        log_weight[rows] += log_likelihood - proposal.log_prob(theta[rows])
    theta = problem.parameters.clip(np.nan_to_num(theta))
    return WeightedDraws(theta, np.where(np.isfinite(log_weight), log_weight, -np.inf))
