"""A Gaussian cut to a box: independent draws, and the probability of the box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

_PLAIN = 8
"""Draws of the whole Gaussian tried for each draw wanted, before the slower way."""
_BATCH = 4096
_NEAR = -8.0
"""Intervals that reach above this are handled without logarithms, which is several times faster."""
_MAX_PROPOSALS = 200_000_000
_SOBOL_LOG2, _SCRAMBLES = 11, 16


@dataclass(frozen=True, eq=False)
class BoxGaussian:
    """N(mean, covariance) restricted to a box.

    Draws of the Gaussian that lie in the box are kept; where too few do, coordinates are taken in turn: with
    theta = mean + L z, L the covariance's Cholesky factor, the box bounds each z given those before it. Proposals draw
    each z from its truncated standard normal; the product of the interval probabilities is their importance weight
    (Genz 1992, J. Comput. Graph. Stat. 1, 141). That weight is log-concave in z, so its largest value is found by a
    local search, and accepting in proportion to it gives independent exact draws (Botev 2017, JRSS B 79, 125, without
    the tilting). Acceptance is never below the probability of the box.

    Attributes:
        mean: (param,), may lie outside the box.
        covariance: (param, param), positive definite.
        low: lower ends of the box, (param,).
        high: upper ends, (param,).
    """

    mean: Array
    covariance: Array
    low: Array
    high: Array

    def sample(self, n_draws: int, rng: np.random.Generator) -> Array:
        """Independent draws, (draw, param).

        Args:
            n_draws: draws wanted.
            rng: the only source of randomness.

        Raises:
            ExobenchError: if fewer than n_draws of 2e8 proposals are accepted.
        """
        factor = self._factor()
        plain = self.mean + rng.standard_normal((_PLAIN * n_draws, len(self.mean))) @ factor.T
        theta = plain[((plain >= self.low) & (plain <= self.high)).all(axis=1)]
        if len(theta) < n_draws:
            theta = np.concatenate([theta, self._sample_in_turn(n_draws - len(theta), rng)])
        return theta[:n_draws]

    def _sample_in_turn(self, n_draws: int, rng: np.random.Generator) -> Array:
        """Draws for a box that little of the Gaussian lies in."""
        top = self._largest_log_weight()
        accepted: list[Array] = []
        n_accepted = n_proposed = 0
        while n_accepted < n_draws:
            z, log_weight = self._proposals(rng.random((_BATCH, len(self.mean))))
            if (log_weight > top).any():
                raise ExobenchError("the bound on the weights of a Gaussian in a box does not hold here.")
            kept = z[np.log(rng.random(_BATCH)) < log_weight - top]
            accepted.append(kept)
            n_accepted, n_proposed = n_accepted + len(kept), n_proposed + _BATCH
            if n_proposed >= _MAX_PROPOSALS and n_accepted < n_draws:
                raise ExobenchError(
                    f"{n_accepted} of {n_proposed:.0e} proposals lie in the prior's box; {n_draws} draws asked for."
                )
        theta = self.mean + np.concatenate(accepted)[:n_draws] @ self._factor().T
        return np.clip(theta, self.low, self.high)

    def log_probability(self, seed: int = 0) -> tuple[float, float]:
        """Natural log of the Gaussian's probability of the box, and its standard error.

        The mean weight of 16 scrambled Sobol sequences of 2,048 proposals; the error is from their scatter.
        """
        estimates = np.empty(_SCRAMBLES)
        scale = min(0.0, self._largest_log_weight())
        for k in range(_SCRAMBLES):
            sequence = stats.qmc.Sobol(len(self.mean), rng=np.random.default_rng([seed, k]))
            uniform = np.clip(sequence.random_base2(_SOBOL_LOG2), 1e-16, 1.0 - 1e-16)
            estimates[k] = np.exp(self._proposals(uniform)[1] - scale).mean()
        error = estimates.std(ddof=1) / np.sqrt(_SCRAMBLES) / estimates.mean()
        return float(np.log(estimates.mean()) + scale), float(error)

    def _factor(self) -> Array:
        return np.asarray(np.linalg.cholesky(self.covariance), dtype=np.float64)

    def _proposals(self, uniform: Array) -> tuple[Array, Array]:
        """Rows z (n, param) of uniform numbers (n, param), and the log weight of each row."""
        factor = self._factor()
        z = np.zeros_like(uniform)
        log_weight = np.zeros(len(uniform))
        for k in range(len(self.mean)):
            lower, upper = self._interval(factor, z, k)
            log_share, z[:, k] = truncated_normal(lower, upper, uniform[:, k])
            log_weight += log_share
        return z, log_weight

    def _interval(self, factor: Array, z: Array, k: int) -> tuple[Array, Array]:
        shift = self.mean[k] + z[:, :k] @ factor[k, :k]
        return (self.low[k] - shift) / factor[k, k], (self.high[k] - shift) / factor[k, k]

    def _largest_log_weight(self) -> float:
        """An upper bound on the log weight over all z."""
        factor, n_param = self._factor(), len(self.mean)

        def negative(free: Array) -> float:
            z = np.append(free, 0.0)[None]
            return -float(sum(log_interval(*self._interval(factor, z, k))[0] for k in range(n_param)))

        inside = np.clip(self.mean, self.low, self.high)
        start = np.asarray(np.linalg.solve(factor, inside - self.mean), dtype=np.float64)[: n_param - 1]
        if n_param == 1:
            return -negative(start)
        found = optimize.minimize(negative, start, method="BFGS", options={"gtol": 1e-8})
        # The search stops within rounding of the top of a smooth concave function.
        return min(0.0, -float(found.fun) + 1e-6)


def log_interval(lower: Array, upper: Array) -> Array:
    """Natural log of a standard normal's probability of (lower, upper), accurate in both tails."""
    return truncated_normal(lower, upper, np.full_like(lower, 0.5))[0]


def truncated_normal(lower: Array, upper: Array, uniform: Array) -> tuple[Array, Array]:
    """Log probability of (lower, upper), and the quantiles uniform of the standard normal cut to it."""
    lower, upper, flipped = _lower_tail(lower, upper)
    quantile = np.where(flipped, 1.0 - uniform, uniform)
    if upper.min() > _NEAR:
        below, within = special.ndtr(lower), special.ndtr(upper) - special.ndtr(lower)
        log_share, z = np.log(within), special.ndtri(below + quantile * within)
    else:
        top = special.log_ndtr(upper)
        ratio = np.exp(special.log_ndtr(lower) - top)
        log_share, z = top + np.log1p(-ratio), special.ndtri_exp(top + np.log(quantile + (1.0 - quantile) * ratio))
    z = np.clip(z, lower, upper)
    return log_share, np.where(flipped, -z, z)


def _lower_tail(lower: Array, upper: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Intervals above zero mirrored to below it, where probabilities keep their digits."""
    flipped = lower > 0.0
    return np.where(flipped, -upper, lower), np.where(flipped, -lower, upper), flipped
