"""Hamiltonian Monte Carlo, all chains of a spectrum in one batch (Duane et al. 1987; Neal 2011, arXiv:1206.1901)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.sampling.student_mixture import StudentMixture
from exobench_baselines.hmc.target import Target

Array = NDArray[np.float64]

_TRAJECTORY = np.pi / 2
"""In coordinates where the posterior is close to a standard normal a quarter of a period forgets the start."""
_JITTER = 0.3
_LARGEST_STEP = 1.5


@dataclass
class Chains:
    """Chains side by side with one mass matrix, from a population's covariance, and one step size.

    Attributes:
        target: of one spectrum.
        factor: lower Cholesky factor of the covariance of u, (param, param); the mass matrix is its inverse.
        u: current states, (chain, param).
        step_size: of the leapfrog integrator, in units of the posterior's width.
        max_leapfrog: most steps of one trajectory.
    """

    target: Target
    factor: Array
    u: Array
    step_size: float
    max_leapfrog: int

    def __post_init__(self) -> None:
        self._log_posterior, self._gradient = self.target.log_posterior(self.u)

    def warm_up(self, n: int, target_acceptance: float, rng: np.random.Generator) -> None:
        """Moves the chains n times and settles the step size by stochastic approximation (Robbins & Monro 1951)."""
        logs = []
        for iteration in range(n):
            acceptance = self.move(rng)
            gain = 2.0 / (1.0 + iteration) ** 0.6
            self.step_size *= float(np.exp(gain * (acceptance - target_acceptance)))
            self.step_size = min(self.step_size, _LARGEST_STEP)
            logs.append(np.log(self.step_size))
        if logs:
            self.step_size = float(np.exp(np.mean(logs[len(logs) // 2 :])))

    def move(self, rng: np.random.Generator) -> float:
        """One trajectory of every chain, of a random length that they share; returns the mean acceptance."""
        length = _TRAJECTORY * rng.uniform(1.0 - _JITTER, 1.0 + _JITTER)
        n_leapfrog = int(np.clip(np.ceil(length / self.step_size), 1, self.max_leapfrog))
        step = min(length / n_leapfrog, self.step_size)
        momentum = rng.standard_normal(self.u.shape)
        u, log_posterior, gradient, end = self._trajectory(momentum, step, n_leapfrog)
        gain = log_posterior - self._log_posterior - 0.5 * np.sum(end**2 - momentum**2, axis=1)
        gain = np.where(np.isfinite(gain), gain, -np.inf)
        accept = np.log(rng.random(len(u))) < gain
        self.u = np.where(accept[:, None], u, self.u)
        self._gradient = np.where(accept[:, None], gradient, self._gradient)
        self._log_posterior = np.where(accept, log_posterior, self._log_posterior)
        return float(np.exp(np.minimum(gain, 0.0)).mean())

    def jump(self, mixture: StudentMixture, n: int, rng: np.random.Generator) -> float:
        """Tries n independent proposals a chain, one after another; returns the share accepted.

        Metropolis-Hastings with a fixed proposal (Tierney 1994, Ann. Stat. 22, 1701): it carries chains along curved
        ridges and between modes, at likelihood calls without gradient. The likelihood without gradient may differ from
        that with it by rounding, so that both sides of each comparison are taken from it.
        """
        log_ratio = self._log_ratio(mixture, self.u)
        proposed = mixture.sample(n * len(self.u), rng)
        proposed_log_ratio = self._log_ratio(mixture, proposed).reshape(n, -1)
        proposed = proposed.reshape(n, *self.u.shape)
        n_accepted, moved = 0, np.zeros(len(self.u), dtype=bool)
        u = self.u
        for trial in range(n):
            accept = np.log(rng.random(len(u))) < proposed_log_ratio[trial] - log_ratio
            u = np.where(accept[:, None], proposed[trial], u)
            log_ratio = np.where(accept, proposed_log_ratio[trial], log_ratio)
            n_accepted, moved = n_accepted + int(accept.sum()), moved | accept
        if moved.any():
            self.u, rows = u, np.flatnonzero(moved)
            self._log_posterior[rows], self._gradient[rows] = self.target.log_posterior(u[rows])
        return n_accepted / (n * len(u))

    def _log_ratio(self, mixture: StudentMixture, u: Array) -> Array:
        return self.target.log_likelihood(u) - 0.5 * np.sum(u**2, axis=1) - mixture.log_prob(u)

    def _trajectory(self, momentum: Array, step: float, n_leapfrog: int) -> tuple[Array, Array, Array, Array]:
        """Leapfrog steps in whitened coordinates; returns u, log posterior, gradient and momentum at the end."""
        u, gradient, log_posterior = self.u, self._gradient, self._log_posterior
        for _ in range(n_leapfrog):
            momentum = momentum + 0.5 * step * gradient @ self.factor
            u = u + step * momentum @ self.factor.T
            log_posterior, gradient = self.target.log_posterior(u)
            momentum = momentum + 0.5 * step * gradient @ self.factor
        return u, log_posterior, gradient, momentum
