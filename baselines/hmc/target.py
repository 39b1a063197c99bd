"""The posterior of one spectrum in coordinates without walls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from exobench.problem import InferenceProblem

Array = NDArray[np.float64]


@dataclass
class Target:
    """Log posterior over u = Phi^-1(unit cube), where the uniform prior is a standard normal.

    No wall is left to bounce off, and the box's Jacobian is the normal prior itself.

    Attributes:
        problem: with the likelihood and its gradient.
        x: depths of the spectrum, (bin,), NaN where missing.
        sigma: one standard deviation of each, (bin,), inf where missing.
        likelihood_calls: evaluations without gradient so far, rows counted one by one.
        gradient_calls: evaluations with gradient so far.
    """

    problem: InferenceProblem
    x: Array
    sigma: Array
    likelihood_calls: int = field(default=0, init=False)
    gradient_calls: int = field(default=0, init=False)

    @property
    def n_param(self) -> int:
        """Number of parameters."""
        return len(self.problem.parameters)

    def to_theta(self, u: Array) -> Array:
        """Maps u (..., param) into the box."""
        space = self.problem.parameters
        return space.clip(space.from_unit_cube(ndtr(u)))

    def log_likelihood(self, u: Array) -> Array:
        """Natural log of the likelihood of u (n, param), shape (n,); what is not finite counts as impossible."""
        self.likelihood_calls += len(u)
        value = self.problem.log_likelihood(self.to_theta(u), self.x, self.sigma)
        return np.where(np.isfinite(value), value, -np.inf)

    def log_posterior(self, u: Array) -> tuple[Array, Array]:
        """Natural log of likelihood times prior at u (n, param), up to a constant, and its gradient (n, param).

        Where either is not finite the value is -inf and the gradient zero, so that a trajectory that goes there is
        refused.
        """
        self.gradient_calls += len(u)
        space = self.problem.parameters
        log_likelihood, gradient = self.problem.log_likelihood_gradient(self.to_theta(u), self.x, self.sigma)
        slope = (space.high - space.low) * np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi)
        value = log_likelihood - 0.5 * np.sum(u**2, axis=-1)
        gradient = gradient * slope - u
        finite = np.isfinite(value) & np.isfinite(gradient).all(axis=-1)
        return np.where(finite, value, -np.inf), np.where(finite[:, None], gradient, 0.0)
