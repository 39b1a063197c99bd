"""Shifts of single bins: some are missing, or far off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.opacities.grids import bin_bounds
from exobench.shifts.shift import Shift, Unshifted

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MissingAtRandom(Shift):
    """Every bin is missing with the same probability, independently.

    Attributes:
        share: that probability.
    """

    share: float
    misses_bins: ClassVar[bool] = True
    exact: ClassVar[str] = "the likelihood of the task over the bins that are left"
    exact_is_right: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_share(self.share)

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`."""
        return _without(base, base.rng("missing bins").random(base.depth.shape) < self.share)


@dataclass(frozen=True)
class MissingBlock(Shift):
    """Neighbouring bins are missing from all spectra, as without one instrument.

    Attributes:
        wavelength_um: lower and upper end; bins that lie between them as a whole go. None for a share of the grid.
        grid_share: in place of wavelengths, the ends as shares of the number of bins, such as [0.4, 0.6].
    """

    wavelength_um: tuple[float, float] | None = None
    grid_share: tuple[float, float] | None = None
    misses_bins: ClassVar[bool] = True
    exact: ClassVar[str] = "the likelihood of the task over the bins that are left"
    exact_is_right: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if (self.wavelength_um is None) == (self.grid_share is None):
            raise ExobenchError("a missing block needs wavelength_um or grid_share, and not both.")
        key = "wavelength_um" if self.grid_share is None else "grid_share"
        ends = self.wavelength_um or self.grid_share or ()
        highest = math.inf if key == "wavelength_um" else 1.0
        if len(ends) != 2 or not 0 <= ends[0] < ends[1] <= highest:
            raise ExobenchError(f"{key}={list(ends)} must be two ends, the lower one first.")

    def refuse(self, base: Unshifted) -> str | None:
        """A block without bins, or one that leaves none."""
        gone = self._bins(base)
        if gone.any() and not gone.all():
            return None
        place = "the block" if self.wavelength_um is None else "{:g}-{:g} um".format(*self.wavelength_um)
        return f"{'every' if gone.all() else 'no'} bin of {base.task.name} lies in {place}"

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`."""
        return _without(base, np.broadcast_to(self._bins(base), base.depth.shape))

    def _bins(self, base: Unshifted) -> Mask:
        if self.wavelength_um is not None:
            low, high = bin_bounds(base.task.bin_edges_um)
            return np.asarray((low >= self.wavelength_um[0]) & (high <= self.wavelength_um[1]))
        assert self.grid_share is not None  # one of the two is given
        place = (np.arange(base.depth.shape[1]) + 0.5) / base.depth.shape[1]
        return np.asarray((place > self.grid_share[0]) & (place < self.grid_share[1]))


@dataclass(frozen=True)
class Outliers(Shift):
    """Some bins have errors of many sigma in place of their noise, and sigma does not tell.

    Attributes:
        share: probability of each bin.
        smallest_sigma: least absolute error, in sigma.
        largest_sigma: largest; between the two it is uniform, and either sign is as likely.
    """

    share: float
    smallest_sigma: float = 5.0
    largest_sigma: float = 10.0

    def __post_init__(self) -> None:
        _check_share(self.share)
        if not 0 <= self.smallest_sigma <= self.largest_sigma < math.inf:
            raise ExobenchError(
                f"smallest_sigma={self.smallest_sigma} and largest_sigma={self.largest_sigma} must be in that order."
            )

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`; missing bins stay missing."""
        shape = base.depth.shape
        width = self.largest_sigma - self.smallest_sigma
        size = self.smallest_sigma + width * base.rng("outlier sizes").random(shape)
        size = np.where(base.rng("outlier signs").random(shape) < 0.5, -size, size)
        struck = base.rng("outlier bins").random(shape) < self.share
        error = np.where(struck & np.isfinite(base.normal), size, base.normal)
        return base.with_spectra(base.depth + base.test.sigma * error, base.test.sigma)


def _without(base: Unshifted, gone: Mask) -> TestSpectra:
    return base.with_spectra(np.where(gone, np.nan, base.test.x), np.where(gone, np.inf, base.test.sigma))


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ExobenchError(f"share={share} must lie between 0 and 1.")
