"""A simulator whose posterior is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch

from exobench.errors import ExobenchError
from exobench.simulators.base import Simulator, check_theta

_MEAN_DEPTH = 0.01
_DEPTH_A_UNIT = 1e-4


class LinearGaussianSimulator(Simulator):
    """x = A theta + b with a fixed matrix, on the scale of transit depths.

    With Gaussian noise of known standard deviation the likelihood is Gaussian in theta. Columns of A are smooth in the
    bin, as spectral features are, and a unit of any parameter moves a bin by about 100 ppm.

    Args:
        n_param: number of parameters.
        n_bin: number of bins.
        seed: decides the matrix.
        parameter_names: names of the columns of theta; ``theta_1``, ``theta_2``, ... if None.
        dtype: of the result.

    Attributes:
        matrix: A, shape (n_bin, n_param), float64.
        offset: b, shape (n_bin,), float64.

    Raises:
        ExobenchError: a size below one, or names that do not match n_param.
    """

    def __init__(
        self,
        n_param: int = 7,
        n_bin: int = 100,
        seed: int = 0,
        *,
        parameter_names: Sequence[str] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if n_param < 1 or n_bin < 1:
            raise ExobenchError(f"n_param={n_param} and n_bin={n_bin} must both be at least 1.")
        self.parameter_names = tuple(parameter_names or (f"theta_{column + 1}" for column in range(n_param)))
        if len(self.parameter_names) != n_param:
            raise ExobenchError(f"{len(self.parameter_names)} parameter names given for n_param={n_param}.")
        self.n_bin = n_bin
        self.seed = seed
        self.dtype = dtype
        rng = np.random.default_rng(seed)
        phase = 2.0 * np.pi * rng.uniform(size=n_param)
        cycles = rng.uniform(0.5, 4.0, size=n_param)
        position = (np.arange(n_bin)[:, None] + 0.5) / n_bin
        waves = np.sqrt(2.0) * np.sin(2.0 * np.pi * cycles * position + phase)
        self.matrix = torch.from_numpy(_DEPTH_A_UNIT * waves)
        self.offset = torch.full((n_bin,), _MEAN_DEPTH, dtype=torch.float64)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """See `Simulator.__call__`."""
        check_theta(theta, self.parameter_names)
        return (theta.to(self.matrix) @ self.matrix.T + self.offset).to(self.dtype)

    def describe(self) -> dict[str, object]:
        """See `Simulator.describe`."""
        return {
            "simulator": "linear_gaussian",
            "precision": str(self.dtype).removeprefix("torch."),
            "parameter_names": list(self.parameter_names),
            "matrix": self.matrix.tolist(),
            "offset": self.offset.tolist(),
        }

    def to(self, device: torch.device | str) -> Self:
        """See `Simulator.to`."""
        self.matrix, self.offset = self.matrix.to(device), self.offset.to(device)
        return self
