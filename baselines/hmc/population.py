"""Where the chains start: a population that is led from the prior to the posterior by annealing.

Posteriors of spectra are some 10^-8 of the prior's volume and may have several modes, in which a climb from a random
start would be stuck with the wrong share of chains. An annealed population (sequential Monte Carlo; Del Moral, Doucet &
Jasra 2006, JRSS B 68, 411) finds them with their weights, on likelihood calls without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from exobench.sampling.random_walk import Population
from exobench_baselines.hmc.target import Target

Array = NDArray[np.float64]

_MAX_STAGES = 200
_SNAPSHOTS = 4


@dataclass(frozen=True)
class Annealed:
    """Particles that follow the posterior but for the noise of resampling.

    Attributes:
        u: (particle, param), after the last move.
        visited: states of the particles during further moves at the posterior's own temperature, (n, param).
        n_stages: temperatures passed.
        acceptance: share of random-walk moves accepted in the last stage.
        arrived: whether the last temperature is the posterior's own.
    """

    u: Array
    visited: Array
    n_stages: int
    acceptance: float
    arrived: bool


def annealed_population(
    target: Target, *, n_search: int, n_particles: int, n_moves: int, rng: np.random.Generator
) -> Annealed:
    """Leads particles from the prior to the posterior.

    Draws of the prior stand for the likelihood's lowest powers; the power then rises so that the effective sample size
    of the population halves at each stage (Jasra et al. 2011, Scand. J. Stat. 38, 1), and random-walk Metropolis moves
    with the population's covariance spread the resampled particles.

    Args:
        target: of one spectrum.
        n_search: draws of the prior at the start.
        n_particles: of the population.
        n_moves: moves of each particle at each stage.
        rng: the only source of randomness.
    """
    u = rng.standard_normal((n_search, target.n_param))
    log_likelihood = target.log_likelihood(u)
    power, n_stages = 0.0, 0
    population = Population(target.log_likelihood, u, log_likelihood, power)
    while power < 1.0 and n_stages < _MAX_STAGES:
        wanted = min(n_particles, n_search // 2) if n_stages == 0 else n_particles // 2
        step = _next_step(population.value, 1.0 - power, wanted)
        power, n_stages = min(power + step, 1.0), n_stages + 1
        chosen = systematic_choice(step * population.value, n_particles, rng)
        population.u, population.value, population.power = population.u[chosen], population.value[chosen], power
        population.move(n_moves, rng)
    visited = []
    for _ in range(_SNAPSHOTS):
        population.move(n_moves // 2 + 1, rng)
        visited.append(population.u)
    return Annealed(population.u, np.concatenate(visited), n_stages, population.acceptance, power >= 1.0)


def systematic_choice(log_weight: Array, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices (n,), each as often as its weight (m,) says, to less than one (Carpenter et al. 1999)."""
    weight = np.exp(log_weight - logsumexp(log_weight))
    positions = (np.arange(n) + rng.random()) / n
    return np.minimum(np.searchsorted(np.cumsum(weight), positions), len(weight) - 1)


def _next_step(log_likelihood: Array, left: float, wanted: float) -> float:
    """By how much the power may rise so that the effective sample size stays at ``wanted``."""

    def surplus(log_step: float) -> float:
        log_weight = np.exp(log_step) * log_likelihood
        return float(2.0 * logsumexp(log_weight) - logsumexp(2.0 * log_weight)) - float(np.log(wanted))

    largest = float(np.log(left))
    if surplus(largest) >= 0.0:
        return left
    smallest = largest - 80.0
    return float(np.exp(brentq(surplus, smallest, largest, xtol=1e-3))) if surplus(smallest) > 0.0 else left
