"""Random-walk Metropolis moves of a population of points over u, where the prior is a standard normal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TARGET_ACCEPTANCE = 0.25


@dataclass
class Population:
    """Points that are moved together, by steps of the shape of their own covariance (Haario et al. 2001).

    Attributes:
        log_likelihood: of u (n, param), shape (n,).
        u: (point, param).
        value: log likelihood of each point, (point,).
        power: of the likelihood in the distribution that the moves leave unchanged.
        scale: of the steps, in units of the population's width; set to accept a quarter of them.
        acceptance: share of the last steps that were accepted.
    """

    log_likelihood: Callable[[Array], Array]
    u: Array
    value: Array
    power: float = 1.0
    scale: float = field(default=0.0)
    acceptance: float = field(default=float("nan"), init=False)

    def __post_init__(self) -> None:
        # The best step for a normal distribution (Roberts, Gelman & Gilks 1997, Ann. Appl. Probab. 7, 110).
        self.scale = self.scale or 2.38 / float(np.sqrt(self.u.shape[1]))

    def move(self, n_moves: int, rng: np.random.Generator) -> None:
        """Moves every point n_moves times, at one likelihood call each; the steps keep the covariance at the start."""
        factor = cholesky_of(self.u)
        for _ in range(n_moves):
            moved = self.u + self.scale * rng.standard_normal(self.u.shape) @ factor.T
            value = self.log_likelihood(moved)
            gain = self.power * (value - self.value) - 0.5 * np.sum(moved**2 - self.u**2, axis=1)
            accept = np.log(rng.random(len(self.u))) < gain
            self.u = np.where(accept[:, None], moved, self.u)
            self.value = np.where(accept, value, self.value)
            self.acceptance = float(accept.mean())
            self.scale *= float(np.exp(0.5 * (self.acceptance - TARGET_ACCEPTANCE)))


def cholesky_of(u: Array) -> Array:
    """Lower Cholesky factor of the covariance of u (n, param), kept regular where points coincide."""
    covariance = np.cov(u, rowvar=False, ddof=0).reshape(u.shape[1], u.shape[1])
    floor = 1e-9 * np.diag(covariance) + 1e-20
    return np.asarray(np.linalg.cholesky(covariance + np.diag(floor)), dtype=np.float64)
