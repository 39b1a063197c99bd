"""Where the chains start: a population that is led from the prior to the posterior by annealing.

Posteriors of spectra are some 10^-10 of the prior's volume and may have several modes, in which a climb from a random
start would be stuck with the wrong share of chains. An annealed population (sequential Monte Carlo; Del Moral, Doucet &
Jasra 2006, JRSS B 68, 411) finds them with their weights, on likelihood calls without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from exobench_baselines.hmc.target import Target

Array = NDArray[np.float64]

_MAX_STAGES = 200
_TARGET_ACCEPTANCE = 0.25


@dataclass(frozen=True)
class Population:
    """Particles that follow the posterior but for the noise of resampling.

    Attributes:
        u: (particle, param).
        n_stages: temperatures passed.
        acceptance: share of random-walk moves accepted in the last stage.
        arrived: whether the last temperature is the posterior's own.
    """

    u: Array
    n_stages: int
    acceptance: float
    arrived: bool


def annealed_population(
    target: Target, *, n_search: int, n_particles: int, n_moves: int, rng: np.random.Generator
) -> Population:
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
    power, n_stages, acceptance = 0.0, 0, float("nan")
    scale = 2.38 / np.sqrt(target.n_param)
    while power < 1.0 and n_stages < _MAX_STAGES:
        wanted = min(n_particles, n_search // 2) if n_stages == 0 else n_particles // 2
        step = _next_step(log_likelihood, 1.0 - power, wanted)
        power, n_stages = min(power + step, 1.0), n_stages + 1
        chosen = systematic_choice(step * log_likelihood, n_particles, rng)
        u, log_likelihood = u[chosen], log_likelihood[chosen]
        factor = cholesky_of(u)
        for _ in range(n_moves):
            u, log_likelihood, acceptance = _random_walk(target, u, log_likelihood, power, scale * factor, rng)
            scale *= float(np.exp(0.5 * (acceptance - _TARGET_ACCEPTANCE)))
    return Population(u, n_stages, acceptance, power >= 1.0)


def cholesky_of(u: Array) -> Array:
    """Lower Cholesky factor of the covariance of u (n, param), kept regular where particles coincide."""
    covariance = np.cov(u, rowvar=False, ddof=0).reshape(u.shape[1], u.shape[1])
    floor = 1e-6 * np.diag(covariance) + 1e-20
    return np.linalg.cholesky(covariance + np.diag(floor))


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


def _random_walk(
    target: Target, u: Array, log_likelihood: Array, power: float, factor: Array, rng: np.random.Generator
) -> tuple[Array, Array, float]:
    """One Metropolis move of every particle; returns the share accepted as well."""
    moved = u + rng.standard_normal(u.shape) @ factor.T
    moved_log_likelihood = target.log_likelihood(moved)
    gain = power * (moved_log_likelihood - log_likelihood) - 0.5 * np.sum(moved**2 - u**2, axis=1)
    accept = np.log(rng.random(len(u))) < gain
    u = np.where(accept[:, None], moved, u)
    return u, np.where(accept, moved_log_likelihood, log_likelihood), float(accept.mean())
