"""Prior distributions over theta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.parameters import ParameterSpace

Array = NDArray[np.float64]


@dataclass(frozen=True)
class UniformPrior:
    """Uniform over the box of the parameters, in their declared units (base-ten logarithms where so declared)."""

    space: ParameterSpace

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws theta, shape (n, param)."""
        return self.from_unit_cube(rng.random((n, len(self.space))))

    def log_prob(self, theta: Array) -> Array:
        """Natural log of the density over theta (..., param); shape (...), -inf outside the box."""
        volume = float(np.sum(np.log(self.space.high - self.space.low)))
        return np.where(self.space.inside(theta), -volume, -np.inf)

    def from_unit_cube(self, u: Array) -> Array:
        """Maps uniform u (..., param) in [0, 1] to draws of the prior."""
        return self.space.from_unit_cube(u)

    def describe(self) -> dict[str, object]:
        """What determines the prior, for hashing and for records."""
        return {"kind": "uniform", "parameters": self.space.describe()}
