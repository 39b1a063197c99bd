"""A proposal made from the weighted draws of another: several Student t distributions over unbounded coordinates.

The draws are moved to the posterior before the mixture is fitted: a proposal that is a few standard deviations off
leaves too few draws of weight to fit anything to. A relative of layered adaptive importance sampling (Martino, Elvira,
Luengo & Corander 2017, Stat. Comput. 27, 599).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr, ndtri

from exobench.parameters import ParameterSpace
from exobench.problem import InferenceProblem
from exobench.sampling.importance import WeightedDraws
from exobench.sampling.random_walk import Population
from exobench.sampling.student_mixture import StudentMixture

Array = NDArray[np.float64]

_EDGE = 1e-9
_POINTS = 1000
_MOVES_BETWEEN = 5
_EFFECTIVE_A_PARAMETER = 20
_SMALLEST_LOG_POWER = -40.0


@dataclass(frozen=True, eq=False)
class InBox:
    """A mixture over u = Phi^-1(unit cube) as a distribution over theta, so that all draws lie in the box.

    Attributes:
        space: the box.
        mixture: over u.
    """

    space: ParameterSpace
    mixture: StudentMixture

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param)."""
        return self.space.clip(self.space.from_unit_cube(ndtr(self.mixture.sample(n, rng))))

    def log_prob(self, theta: Array) -> Array:
        """Natural log of the density over declared units at theta (n, param), shape (n,)."""
        u = unbounded(self.space, theta)
        slope = -0.5 * u**2 - 0.5 * np.log(2.0 * np.pi) + np.log(self.space.high - self.space.low)
        return self.mixture.log_prob(u) - slope.sum(axis=-1)


def unbounded(space: ParameterSpace, theta: Array) -> Array:
    """Maps theta (n, param) in the box to u, finite at the box's faces too."""
    return ndtri(np.clip(space.to_unit_cube(theta), _EDGE, 1.0 - _EDGE))


def posterior_points(
    problem: InferenceProblem, draws: WeightedDraws, x: Array, sigma: Array, n_moves: int, rng: np.random.Generator
) -> Array | None:
    """Points u (n, param) that follow the posterior, from draws that were weighed; None where too few have weight.

    While few draws carry the weight it is tempered: raised to the largest power at which the effective sample size is
    20 for each parameter (after Koblents & Míguez 2015, Stat. Comput. 25, 407). Random-walk moves then lead the chosen
    draws to the posterior itself. Points of the second half of the moves are returned together.
    """
    space = problem.parameters
    log_weight = tempered(draws.log_weight, _EFFECTIVE_A_PARAMETER * len(space))
    if np.sum(log_weight > -np.inf) < 2 * len(space):
        return None
    weight = np.exp(log_weight - log_weight.max())
    u = unbounded(space, draws.theta[rng.choice(len(weight), _POINTS, p=weight / weight.sum())])

    def log_likelihood(at: Array) -> Array:
        value = problem.log_likelihood(space.clip(space.from_unit_cube(ndtr(at))), x, sigma)
        return np.where(np.isfinite(value), value, -np.inf)

    population = Population(log_likelihood, u, log_likelihood(u))
    kept = []
    for move in range(n_moves):
        population.move(1, rng)
        if 2 * move >= n_moves - 1 and (n_moves - 1 - move) % _MOVES_BETWEEN == 0:
            kept.append(population.u)
    return np.concatenate(kept)


def tempered(log_weight: Array, wanted: float) -> Array:
    """The log weights (draw,) times the largest power up to one that gives an effective sample size of ``wanted``."""
    finite = log_weight[log_weight > -np.inf]
    if len(finite) <= wanted:
        return np.where(log_weight > -np.inf, 0.0, -np.inf)

    def surplus(log_power: float) -> float:
        scaled = np.exp(log_power) * finite
        return float(2.0 * logsumexp(scaled) - logsumexp(2.0 * scaled) - np.log(wanted))

    if surplus(0.0) >= 0.0:
        return log_weight
    if surplus(_SMALLEST_LOG_POWER) <= 0.0:
        return np.where(log_weight > -np.inf, 0.0, -np.inf)
    power = np.exp(brentq(surplus, _SMALLEST_LOG_POWER, 0.0, xtol=1e-3))
    return np.where(log_weight > -np.inf, power * np.maximum(log_weight, finite.min()), -np.inf)
