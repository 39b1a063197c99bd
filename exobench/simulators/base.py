"""What every simulator offers."""

from __future__ import annotations

import abc
from typing import Self

import torch

from exobench.errors import ExobenchError


class Simulator(abc.ABC):
    """Maps parameters to a noise-free spectrum.

    Attributes:
        parameter_names: names of the columns of theta, in order.
        n_bin: number of spectral bins, in ascending wavelength.
    """

    parameter_names: tuple[str, ...]
    n_bin: int

    @abc.abstractmethod
    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Simulates spectra.

        Args:
            theta: parameters in their declared units, shape (n, n_param).

        Returns:
            Transit depth fractions in ascending wavelength, shape (n, n_bin).

        Raises:
            ExobenchError: theta has the wrong shape or values that the simulator cannot answer for.
        """

    @abc.abstractmethod
    def describe(self) -> dict[str, object]:
        """Everything that determines the numbers, ready for JSON; equal descriptions give spectra equal to rounding."""

    def to(self, device: torch.device | str) -> Self:
        """Moves the simulator's tables to a device, in place, and returns it."""
        del device
        return self


def check_theta(theta: torch.Tensor, parameter_names: tuple[str, ...]) -> None:
    """Checks the shape and finiteness of a batch of parameters.

    Raises:
        ExobenchError: theta is not (n, n_param), not floating point, or holds NaN or infinity.
    """
    if not isinstance(theta, torch.Tensor) or not theta.is_floating_point():
        kind = theta.dtype if isinstance(theta, torch.Tensor) else type(theta).__name__
        raise ExobenchError(f"theta must be a floating-point torch tensor, not {kind}.")
    if theta.ndim != 2 or theta.shape[1] != len(parameter_names):
        raise ExobenchError(
            f"theta has shape {tuple(theta.shape)}, expected (n, {len(parameter_names)}) "
            f"with columns {', '.join(parameter_names)}."
        )
    finite = torch.isfinite(theta)
    if not bool(finite.all()):
        row, column = (int(index) for index in (~finite).nonzero()[0])
        raise ExobenchError(
            f"theta row {row}: {parameter_names[column]} is {float(theta[row, column])}; every value must be finite."
        )
