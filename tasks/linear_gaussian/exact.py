"""The closed-form posterior and evidence of the linear simulator under Gaussian noise and a uniform prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.exact import LogEvidence
from exobench.noise import gaussian_log_likelihood
from exobench.parameters import ParameterSpace
from exobench_tasks.linear_gaussian.box_gaussian import BoxGaussian

Array = NDArray[np.float64]

_LARGEST_CONDITION = 1e12


@dataclass(frozen=True, eq=False)
class LinearGaussianPosterior:
    """p(theta | x) for x = A theta + b + noise: a Gaussian cut to the prior's box.

    The precision is A^T S^-1 A, S the diagonal noise covariance of the bins that are not missing, and the mean is that
    of weighted least squares. The simulator's float32 depths differ from A theta + b by 1e-3 ppm at most.

    Attributes:
        matrix: A, (bin, param).
        offset: b, (bin,).
        space: names and box of theta.
    """

    matrix: Array
    offset: Array
    space: ParameterSpace

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> Array:
        """Independent draws, (obs, draw, param); see `exobench.exact.ExactPosterior`."""
        return np.stack([self._gaussian(*row).sample(n_draws, rng) for row in zip(x, sigma, strict=True)])

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Natural log of the density of theta (obs, draw, param), -inf outside the box; (obs, draw)."""
        depth = theta @ self.matrix.T + self.offset
        log_likelihood = gaussian_log_likelihood(depth, x[:, None, :], sigma[:, None, :])
        value = log_likelihood - self._log_volume() - self.log_evidence(x, sigma).value[:, None]
        return np.where(self.space.inside(theta), value, -np.inf)

    def log_evidence(self, x: Array, sigma: Array) -> LogEvidence:
        """Natural log of the evidence of x (obs, bin), exact but for the probability of the box, whose error is given.

        ln Z = ln L(mean) + (param/2) ln(2 pi) - ln det(precision)/2 + ln P(box) - ln(volume of the box).
        """
        values, errors = zip(*(self._log_evidence(*row) for row in zip(x, sigma, strict=True)), strict=True)
        return LogEvidence(np.array(values), np.array(errors))

    def _log_evidence(self, x: Array, sigma: Array) -> tuple[float, float]:
        gaussian = self._gaussian(x, sigma)
        depth = self.matrix @ gaussian.mean + self.offset
        log_det = np.linalg.slogdet(gaussian.covariance)[1]
        unbounded = float(gaussian_log_likelihood(depth, x, sigma)) + 0.5 * (
            len(gaussian.mean) * np.log(2.0 * np.pi) + log_det
        )
        log_inside, error = gaussian.log_probability()
        return unbounded + log_inside - self._log_volume(), error

    def _log_volume(self) -> float:
        return float(np.sum(np.log(self.space.high - self.space.low)))

    def _gaussian(self, x: Array, sigma: Array) -> BoxGaussian:
        present = np.isfinite(x) & np.isfinite(sigma)
        matrix = self.matrix[present] / sigma[present, None]
        precision = matrix.T @ matrix
        if not np.linalg.cond(precision) < _LARGEST_CONDITION:
            raise ExobenchError(
                f"the {int(present.sum())} bins present of linear_gaussian do not determine its "
                f"{self.matrix.shape[1]} parameters; its exact posterior needs task.n_bin of at least task.n_param."
            )
        covariance = np.linalg.inv(precision)
        mean = covariance @ (matrix.T @ ((x - self.offset)[present] / sigma[present]))
        return BoxGaussian(mean, 0.5 * (covariance + covariance.T), self.space.low, self.space.high)
