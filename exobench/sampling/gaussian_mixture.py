"""Gaussian mixtures with an exact map from the unit cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp, ndtr, ndtri

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

_HALF_LOG_2PI = 0.5 * float(np.log(2.0 * np.pi))
_CUBE_EDGE = 1e-15
_ITERATIONS = 60
_TOLERANCE = 1e-12
_SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k a_k N(u; m_k, L_k L_k^T).

    Attributes:
        log_share: natural log of a_k, which sum to one, (component,).
        mean: m_k, (component, dim).
        cholesky: L_k, lower triangular, (component, dim, dim).
    """

    log_share: Array
    mean: Array
    cholesky: Array

    @classmethod
    def standard(cls, n_dim: int) -> Self:
        """N(0, I) alone."""
        return cls(np.zeros(1), np.zeros((1, n_dim)), np.eye(n_dim)[None])

    @classmethod
    def fit(cls, u: Array, *, most_components: int, broaden: float, seed: int) -> Self:
        """Fits points, doubling the number of components while the Bayesian information criterion falls.

        Args:
            u: finite points, (point, dim).
            most_components: an upper bound.
            broaden: factor on every component's standard deviations.
            seed: of the start of the fit.

        Raises:
            ExobenchError: if there are too few points for a covariance.
        """
        from sklearn.mixture import GaussianMixture as Fitted

        n_point, n_dim = u.shape
        if n_point < 4 * (n_dim + 1):
            raise ExobenchError(f"{n_point} draws cannot give a density over {n_dim} parameters; draw more.")
        centre, spread = u.mean(axis=0), np.maximum(u.std(axis=0), _SMALLEST_SPREAD)
        scaled = (u - centre) / spread
        # A component must rest on enough points for its covariance.
        most = min(most_components, n_point // (4 * (n_dim + 1)))
        best, best_bic, size = None, np.inf, 1
        while size <= most:
            fit = Fitted(size, reg_covar=1e-4, random_state=seed).fit(scaled)
            bic = float(fit.bic(scaled))
            if bic >= best_bic:
                break
            best, best_bic, size = fit, bic, 2 * size
        if best is None:
            raise ExobenchError("no mixture of Gaussians fits the draws; are they all equal?")
        cholesky = np.linalg.cholesky(best.covariances_) * spread[:, None] * broaden
        return cls(np.log(best.weights_), centre + spread * best.means_, cholesky)

    def broadened(self, factor: float) -> Self:
        """With every standard deviation multiplied by a factor."""
        return type(self)(self.log_share, self.mean, factor * self.cholesky)

    def mixed_with(self, other: Self, share: float) -> Self:
        """(1 - share) of this one and share of another."""
        return type(self)(
            np.concatenate([self.log_share + np.log1p(-share), other.log_share + np.log(share)]),
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.cholesky, other.cholesky]),
        )

    def log_prob(self, u: Array) -> Array:
        """Natural log of the density at u (n, dim); shape (n,)."""
        logs = np.empty((len(u), len(self.mean)))
        for k, (mean, cholesky) in enumerate(zip(self.mean, self.cholesky, strict=True)):
            z = solve_triangular(cholesky, (u - mean).T, lower=True)
            logs[:, k] = -0.5 * np.sum(z**2, axis=0) - np.sum(np.log(np.diag(cholesky))) - len(mean) * _HALF_LOG_2PI
        return np.asarray(logsumexp(logs + self.log_share, axis=1))

    def from_unit_cube(self, cube: Array) -> Array:
        """Maps uniform points (n, dim) to draws, one coordinate after another.

        Coordinate d is the quantile of the mixture's conditional distribution given the coordinates before it, itself
        a mixture of Gaussians. Source: Rosenblatt 1952, Annals of Mathematical Statistics 23, 470.
        """
        return self._walk(np.clip(cube, _CUBE_EDGE, 1.0 - _CUBE_EDGE), to_cube=False)

    def to_unit_cube(self, u: Array) -> Array:
        """The inverse of ``from_unit_cube``."""
        return self._walk(u, to_cube=True)

    def _walk(self, given: Array, *, to_cube: bool) -> Array:
        """Goes through the coordinates, each conditional on those before it."""
        n_point, n_dim = given.shape
        result = np.empty_like(given)
        z = np.zeros((n_point, len(self.mean), n_dim))
        log_weight = np.broadcast_to(self.log_share, (n_point, len(self.mean)))
        for d in range(n_dim):
            mean = self.mean[:, d] + np.einsum("nkj,kj->nk", z[:, :, :d], self.cholesky[:, d, :d])
            spread = self.cholesky[:, d, d]
            weight = np.exp(log_weight - logsumexp(log_weight, axis=1, keepdims=True))
            u = given[:, d] if to_cube else _quantile(given[:, d], weight, mean, spread)
            z[:, :, d] = (u[:, None] - mean) / spread
            result[:, d] = np.einsum("nk,nk->n", weight, ndtr(z[:, :, d])) if to_cube else u
            log_weight = log_weight - 0.5 * z[:, :, d] ** 2 - np.log(spread)
        return result


def _quantile(level: Array, weight: Array, mean: Array, spread: Array) -> Array:
    """Quantile of one mixture of Gaussians a row: level (n,), weight and mean (n, component), spread (component,).

    Newton's steps, kept within a bracket: a mixture's quantile lies between those of its components.
    """
    ends = mean + spread * ndtri(level)[:, None]
    counts = weight > 0.0
    low, high = np.where(counts, ends, np.inf).min(axis=1), np.where(counts, ends, -np.inf).max(axis=1)
    value = 0.5 * (low + high)
    for _ in range(_ITERATIONS):
        z = (value[:, None] - mean) / spread
        excess = np.einsum("nk,nk->n", weight, ndtr(z)) - level
        low, high = np.where(excess < 0.0, value, low), np.where(excess < 0.0, high, value)
        slope = np.einsum("nk,nk->n", weight, np.exp(-0.5 * z**2 - _HALF_LOG_2PI) / spread)
        step = value - np.divide(excess, slope, out=np.full_like(value, np.inf), where=slope > 0.0)
        moved = np.where((step > low) & (step < high), step, 0.5 * (low + high))
        if np.all(np.abs(moved - value) <= _TOLERANCE * (1.0 + np.abs(value))):
            return moved
        value = moved
    return value
