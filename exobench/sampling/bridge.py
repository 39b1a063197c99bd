"""Sequential Monte Carlo from one density to another: the exact posterior from a proposal that only comes near it.

Where importance weights of a proposal are too uneven, the way is walked in stages: particles of the proposal q follow
q^(1-b) p^b while b rises from 0 to 1, resampled by the weights of each rise and moved by Metropolis steps in between
(annealed importance sampling, Neal 2001, Stat. Comput. 11, 125; with resampling Del Moral, Doucet & Jasra 2006, JRSS B
68, 411). The product of the mean weights is an unbiased estimate of the evidence but for the choice of the stages.
Steps are differences of other particles (ter Braak 2006, Stat. Comput. 16, 239), which follow a curved ridge better
than steps of one covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import logsumexp

from exobench.sampling.random_walk import TARGET_ACCEPTANCE

Array = NDArray[np.float64]
LogDensities = Callable[[Array], tuple[Array, Array]]

_MAX_STAGES = 100
_LONG_STEPS = 0.1
"""Share of steps as long as the difference itself, which leads from one mode to another."""
_JITTER = 1e-5
"""Of each step, so that no point is out of reach."""


@dataclass(frozen=True)
class BridgeSettings:
    """How the bridge is walked.

    Attributes:
        n_populations: independent populations; their scatter gives the evidence's error.
        n_particles: of each population.
        n_moves: Metropolis steps of each particle at each stage.
        effective_share: effective sample size that a rise of the power leaves, as a share of the particles.
    """

    n_populations: int
    n_particles: int
    n_moves: int
    effective_share: float


@dataclass(frozen=True, eq=False)
class Crossing:
    """Particles at the far end.

    Attributes:
        u: (population, particle, param).
        log_weight: natural log of each population's evidence, by which its particles count, (population,).
        log_evidence: natural log of the integral of the far density over that of the near one.
        log_evidence_error: its standard error, from the populations' scatter.
        n_stages: rises of the power.
        acceptance: share of steps accepted at the last stage.
        arrived: whether the last power is one.
    """

    u: Array
    log_weight: Array
    log_evidence: float
    log_evidence_error: float
    n_stages: int
    acceptance: float
    arrived: bool


@dataclass
class _Particles:
    """All populations, one after another: points, both log densities there, and the length of steps."""

    densities: LogDensities
    u: Array
    log_near: Array
    log_far: Array
    scale: float
    acceptance: float = float("nan")

    @property
    def log_ratio(self) -> Array:
        ratio = self.log_far - self.log_near
        return np.where(np.isfinite(ratio), ratio, -np.inf)

    def take(self, rows: NDArray[np.intp]) -> None:
        self.u, self.log_near, self.log_far = self.u[rows], self.log_near[rows], self.log_far[rows]

    def move(self, power: float, rng: np.random.Generator) -> None:
        """One step of every particle: one half by differences of the other, then the other way round."""
        order = rng.permutation(len(self.u))
        middle = len(order) // 2
        accepted = 0
        for moved, still in ((order[:middle], order[middle:]), (order[middle:], order[:middle])):
            accepted += self._step(moved, still, power, rng)
        self.acceptance = accepted / len(order)
        self.scale *= float(np.exp(0.5 * (self.acceptance - TARGET_ACCEPTANCE)))

    def _step(self, moved: NDArray[np.intp], still: NDArray[np.intp], power: float, rng: np.random.Generator) -> int:
        first, second = rng.choice(still, (2, len(moved)))
        length = np.where(rng.random(len(moved)) < _LONG_STEPS, 1.0, self.scale)[:, None]
        jitter = _JITTER * rng.standard_normal((len(moved), self.u.shape[1]))
        proposed = self.u[moved] + length * (self.u[first] - self.u[second]) + jitter
        near, far = self.densities(proposed)
        gain = _between(near, far, power) - _between(self.log_near[moved], self.log_far[moved], power)
        accept = np.log(rng.random(len(moved))) < gain
        rows = moved[accept]
        self.u[rows], self.log_near[rows], self.log_far[rows] = proposed[accept], near[accept], far[accept]
        return int(accept.sum())


def cross(
    start: Array,
    densities: LogDensities,
    settings: BridgeSettings,
    rng: np.random.Generator,
    *,
    alive: NDArray[np.bool_] | None = None,
) -> Crossing:
    """Leads draws of the near density to the far one.

    Where the far density is zero at every particle it ends at once, with an evidence of zero.

    Args:
        start: independent draws of the near density, in random order, (population * particle, param).
        densities: natural logs of the near density, normalised, and of the far one at u (n, param), (n,) each; -inf
            where a density is zero.
        settings: sizes.
        rng: the only source of randomness.
        alive: which draws count, (population * particle,); the others have no weight. None for all.
    """
    shape = (settings.n_populations, settings.n_particles)
    near, far = densities(start)
    far = far if alive is None else np.where(alive, far, -np.inf)
    particles = _Particles(densities, start.copy(), near, far, scale=2.38 / float(np.sqrt(2 * start.shape[1])))
    log_mean = np.zeros(settings.n_populations)
    power, n_stages = 0.0, 0
    while power < 1.0 and n_stages < _MAX_STAGES:
        if not np.isfinite(particles.log_ratio).any():
            log_mean[:] = -np.inf
            break
        rise = _rise(particles.log_ratio, 1.0 - power, settings.effective_share)
        log_weight = (rise * particles.log_ratio).reshape(shape)
        log_mean += logsumexp(log_weight, axis=1) - np.log(settings.n_particles)
        power, n_stages = min(power + rise, 1.0), n_stages + 1
        particles.take(_resampled(log_weight, rng))
        for _ in range(settings.n_moves):
            particles.move(power, rng)
    evidence, error = _mean_of_populations(log_mean)
    return Crossing(
        particles.u.reshape(*shape, -1), log_mean, evidence, error, n_stages, particles.acceptance, arrived=power >= 1.0
    )


def _between(near: Array, far: Array, power: float) -> Array:
    """Log density on the way; -inf where either is zero, as at a face of the prior's box."""
    value = (1.0 - power) * near + power * far if power < 1.0 else far
    return np.where(np.isfinite(value) & np.isfinite(near), value, -np.inf)


def _rise(log_ratio: Array, left: float, share: float) -> float:
    """By how much the power may rise so that the effective sample size stays at a share of the particles."""

    def surplus(rise: float) -> float:
        log_weight = rise * log_ratio
        effective = 2.0 * logsumexp(log_weight) - logsumexp(2.0 * log_weight)
        return float(effective - np.log(share * len(log_ratio)))

    if surplus(left) >= 0.0:
        return left
    smallest = left * 1e-9
    # Where too many particles have no weight at all, no rise is small enough: the smallest one sorts them out.
    return float(brentq(surplus, smallest, left, rtol=1e-4)) if surplus(smallest) > 0.0 else smallest


def _resampled(log_weight: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of all populations (population * particle,), each population resampled from itself, systematically.

    One without any weight stays as it is.
    """
    n_populations, n = log_weight.shape
    rows = np.empty((n_populations, n), dtype=np.intp)
    for k in range(n_populations):
        if not np.isfinite(log_weight[k]).any():
            rows[k] = np.arange(k * n, (k + 1) * n)
            continue
        weight = np.exp(log_weight[k] - logsumexp(log_weight[k]))
        ticks = (np.arange(n) + rng.random()) / n
        rows[k] = k * n + np.minimum(np.searchsorted(np.cumsum(weight), ticks), n - 1)
    return rows.ravel()


def _mean_of_populations(log_mean: Array) -> tuple[float, float]:
    """Log of the mean evidence of the populations (population,), and its standard error by the delta method."""
    if not np.isfinite(log_mean).any():
        return float("-inf"), float("inf")
    value = np.exp(log_mean - log_mean.max())
    error = value.std(ddof=1) / (value.mean() * np.sqrt(len(value)))
    return float(np.log(value.mean()) + log_mean.max()), float(error)
