"""Physical parameters of a task and the box that they live in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """One parameter of the atmosphere.

    Attributes:
        name: as in code and files, with its unit as suffix, such as ``"mass_mjup"``.
        unit: unit of the value, ``"dex"`` for base-ten logarithms.
        label: for figures, may hold matplotlib mathematics.
        low: lower end of the prior, in the unit.
        high: upper end of the prior, in the unit.
        scale: ``"log10"`` when the value is a base-ten logarithm, else ``"linear"``.
    """

    name: str
    unit: str
    label: str
    low: float
    high: float
    scale: Literal["linear", "log10"] = "linear"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ExobenchError(f"parameter {self.name}: low={self.low} must be finite and below high={self.high}.")
        if self.scale not in ("linear", "log10"):
            raise ExobenchError(f"parameter {self.name}: scale '{self.scale}' is not one of: linear, log10.")

    @property
    def crosses_zero(self) -> bool:
        """Whether the range includes zero, where relative errors are undefined."""
        return self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class ParameterSpace:
    """The ordered parameters of a task; column j of every theta array is ``parameters[j]``."""

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.parameters):
            raise ExobenchError(f"parameter names must be distinct, got: {', '.join(self.names)}.")

    def __len__(self) -> int:
        return len(self.parameters)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in column order."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def low(self) -> Array:
        """Lower ends of the box, shape (param,)."""
        return np.array([parameter.low for parameter in self.parameters])

    @cached_property
    def high(self) -> Array:
        """Upper ends of the box, shape (param,)."""
        return np.array([parameter.high for parameter in self.parameters])

    def index(self, name: str) -> int:
        """Column of a parameter.

        Raises:
            ExobenchError: if there is no parameter of that name.
        """
        if name not in self.names:
            raise unknown_name("parameter", name, self.names)
        return self.names.index(name)

    def to_unit_cube(self, theta: Array) -> Array:
        """Maps theta (..., param) from the box to [0, 1]."""
        return (theta - self.low) / (self.high - self.low)

    def from_unit_cube(self, u: Array) -> Array:
        """Maps u (..., param) from [0, 1] to the box."""
        return self.low + u * (self.high - self.low)

    def inside(self, theta: Array) -> NDArray[np.bool_]:
        """Whether each theta (..., param) lies in the closed box; shape (...). NaN counts as outside."""
        return np.all((theta >= self.low) & (theta <= self.high), axis=-1)

    def clip(self, theta: Array) -> Array:
        """Moves each theta (..., param) to the nearest point of the box."""
        return np.clip(theta, self.low, self.high)

    def describe(self) -> list[dict[str, object]]:
        """What determines the space, for hashing and for records."""
        return [
            {"name": p.name, "unit": p.unit, "low": float(p.low), "high": float(p.high), "scale": p.scale}
            for p in self.parameters
        ]
