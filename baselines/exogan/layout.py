"""ASPA, the atmospheric spectrum and parameters array: a spectrum and its parameters as one square picture.

Source: Zingales & Waldmann 2018, AJ 156, 268, and the settings of its public code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.parameters import ParameterSpace
from exobench_baselines.exogan.sections import (
    BORDER,
    N_SLOT,
    PUBLISHED_RAW,
    PUBLISHED_ZERO,
    base_side,
    is_published_grid,
    section_edges,
)

Array = NDArray[np.float64]

PARAMETER_NAMES = (
    "log10_h2o",
    "log10_co2",
    "log10_co",
    "log10_ch4",
    "mass_mjup",
    "radius_rjup",
    "temperature_k",
)
PUBLISHED_SCALE = {"mass_mjup": 2.0, "radius_rjup": 1.5, "temperature_k": 2000.0}
PUBLISHED_GAS_SCALE = 8.0
PUBLISHED_DEPTH_MAX = 0.0301803471629
PUBLISHED_DEPTH_MIN = 0.00650370296635
_COLUMN_PARAMETERS = ("log10_co2", "log10_co", "log10_ch4")
_ROW_PARAMETERS = ("mass_mjup", "radius_rjup", "temperature_k")
_CORNER_PARAMETER = "log10_h2o"
_CORNER_READ = 3


class Decoded(NamedTuple):
    """What a picture holds.

    Attributes:
        theta: parameters, (n, param).
        depth: depths in ascending wavelength, (n, bin); NaN where the picture does not keep the bin.
    """

    theta: torch.Tensor
    depth: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """Which pixel holds what.

    A picture is a gather from a list of components: normalised depth of each bin (descending wavelength), the mean,
    the maximum and the minimum of each section, the parameters, and zero.

    Attributes:
        parameter_names: columns of theta.
        parameter_scale: divisor of each parameter, (param,); negative for abundances, whose pixel is -log10(X)/8.
        edges: section edges, indices of the descending grid.
        zero_bins: descending indices that the picture sets to zero.
        raw_bins: descending indices that the picture holds as raw depths.
        base: side of the generator's first maps.
        repeat: pixels of each bin, consecutive; more than one on grids much smaller than the square.
        depth_max: divisor of maxima and of the mean.
        depth_min: numerator of the pixel of a minimum.
    """

    parameter_names: tuple[str, ...]
    parameter_scale: tuple[float, ...]
    edges: tuple[int, ...]
    zero_bins: tuple[int, ...]
    raw_bins: tuple[int, ...]
    base: int
    repeat: int
    depth_max: float = PUBLISHED_DEPTH_MAX
    depth_min: float = PUBLISHED_DEPTH_MIN

    @classmethod
    def build(
        cls,
        wavelength_um: Array,
        parameters: ParameterSpace,
        *,
        depth_max: float = PUBLISHED_DEPTH_MAX,
        depth_min: float = PUBLISHED_DEPTH_MIN,
    ) -> Layout:
        """The layout of a grid; the published picture for the published grid.

        Args:
            wavelength_um: ascending bin centres, (bin,).
            parameters: the seven parameters of ExoGAN, in any order.
            depth_max: largest depth that a pixel can hold, as a fraction.
            depth_min: smallest depth that a pixel can hold, as a fraction.

        Raises:
            ExobenchError: other parameters, or a range that no pixel in [0, 1] can hold.
        """
        reason = why_not(parameters)
        if reason is not None:
            raise ExobenchError(reason)
        n_bin = len(wavelength_um)
        published = is_published_grid(np.asarray(wavelength_um, dtype=float))
        base = base_side(n_bin)
        return cls(
            parameter_names=parameters.names,
            parameter_scale=tuple(_scale(p.name, p.low, p.high) for p in parameters.parameters),
            edges=section_edges(np.asarray(wavelength_um)),
            zero_bins=tuple(PUBLISHED_ZERO) if published else (),
            raw_bins=tuple(PUBLISHED_RAW) if published else (),
            base=base,
            repeat=((16 * base - 25) ** 2 - 1) // n_bin,
            depth_max=depth_max,
            depth_min=depth_min,
        )

    @property
    def n_bin(self) -> int:
        """Number of bins."""
        return self.edges[-1]

    @property
    def n_section(self) -> int:
        """Number of sections in use; slots beyond them hold zero."""
        return len(self.edges) - 1

    @property
    def inner(self) -> int:
        """Side of the spectrum's square."""
        return 16 * self.base - 25

    @property
    def side(self) -> int:
        """Side of the picture."""
        return self.inner + BORDER

    @property
    def n_pixel(self) -> int:
        """Pixels of the picture."""
        return self.side**2

    @cached_property
    def section_of_bin(self) -> NDArray[np.int64]:
        """Section of each bin, (bin,), descending order."""
        return np.repeat(np.arange(self.n_section), np.diff(self.edges))

    @cached_property
    def normalised_bins(self) -> NDArray[np.int64]:
        """Descending indices of the bins that are min-max scaled."""
        return np.setdiff1d(np.arange(self.n_bin), [*self.zero_bins, *self.raw_bins])

    @cached_property
    def kept_bins(self) -> NDArray[np.bool_]:
        """Bins that the picture keeps, (bin,), in ascending order."""
        kept = np.ones(self.n_bin, dtype=bool)
        kept[list(self.zero_bins)] = False
        return kept[::-1].copy()

    @property
    def n_component(self) -> int:
        """Length of the list that pixels are gathered from."""
        return self.n_bin + 1 + 2 * self.n_section + len(self.parameter_names) + 1

    @cached_property
    def source(self) -> NDArray[np.int64]:
        """Component of each pixel, (side, side)."""
        mean, high, low, theta, zero = self.component_starts
        source = np.full((self.side, self.side), zero, dtype=np.int64)
        square = np.full(self.inner**2, mean, dtype=np.int64)
        square[: self.repeat * self.n_bin] = np.repeat(np.arange(self.n_bin), self.repeat)
        source[: self.inner, : self.inner] = square.reshape(self.inner, self.inner)
        n_high = -(-12 * self.inner // 23)
        extrema = np.concatenate([np.full(n_high, high), np.full(self.inner - n_high, low)])
        for section in range(self.n_section):
            self._line(source, section < N_SLOT // 2, section % (N_SLOT // 2))[:] = extrema + section
        for slot, name in enumerate(_COLUMN_PARAMETERS):
            self._line(source, True, N_SLOT // 2 + slot)[:] = theta + self.parameter_names.index(name)
        for slot, name in enumerate(_ROW_PARAMETERS):
            self._line(source, False, N_SLOT // 2 + slot)[:] = theta + self.parameter_names.index(name)
        source[self.inner :, self.inner :] = theta + self.parameter_names.index(_CORNER_PARAMETER)
        return source

    @property
    def component_starts(self) -> tuple[int, int, int, int, int]:
        """Index of the mean, of the first maximum, minimum and parameter, and of zero."""
        mean = self.n_bin
        high = mean + 1
        low = high + self.n_section
        theta = low + self.n_section
        return mean, high, low, theta, theta + len(self.parameter_names)

    def _line(self, source: NDArray[np.int64], column: bool, slot: int) -> NDArray[np.int64]:
        if column:
            return source[: self.inner, self.inner + slot]
        return source[self.inner + slot, : self.inner]

    @cached_property
    def parameter_pixels(self) -> NDArray[np.bool_]:
        """Pixels that hold parameters, (side, side)."""
        theta, zero = self.component_starts[3:]
        return (self.source >= theta) & (self.source < zero)

    @cached_property
    def readout(self) -> Array:
        """Weights of the pixels in each component, (pixel, component): the mean of a component's own pixels.

        H2O is read from the last 3 x 3 pixels of its corner, as the public code does.
        """
        source = self.source.copy()
        corner = source[self.inner :, self.inner :]
        zero = self.component_starts[4]
        corner[:-_CORNER_READ] = zero
        corner[:, :-_CORNER_READ] = zero
        weights = np.zeros((self.n_pixel, self.n_component))
        weights[np.arange(self.n_pixel), source.ravel()] = 1.0
        return weights / np.maximum(weights.sum(axis=0), 1.0)

    def describe(self) -> dict[str, object]:
        """All that determines the layout, ready for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_description(cls, content: dict[str, object]) -> Layout:
        """The inverse of ``describe``."""
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in content.items()})  # type: ignore[arg-type]


def why_not(parameters: ParameterSpace) -> str | None:
    """A reason why no picture can hold these parameters, or None."""
    if set(parameters.names) != set(PARAMETER_NAMES):
        return (
            f"an ExoGAN picture has slots for {', '.join(PARAMETER_NAMES)} only; "
            f"this task has {', '.join(parameters.names)}."
        )
    for p in parameters.parameters:
        ends_beyond = p.high > 0 if p.name.startswith("log10_") else p.low < 0
        if ends_beyond:
            end = "end" if p.high > 0 else "start"
            return f"an ExoGAN pixel cannot hold {p.name} in [{p.low:g}, {p.high:g}]: it must {end} at 0."
    return None


def _scale(name: str, low: float, high: float) -> float:
    """Published divisor, or the end of the prior where that lies beyond it."""
    if name.startswith("log10_"):
        return -max(PUBLISHED_GAS_SCALE, -low)
    return max(PUBLISHED_SCALE[name], high)
