"""Shifts of the noise: another level that the method is told, or one that it is not told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.shifts.shift import Shift, Unshifted

PPM = 1e-6


@dataclass(frozen=True)
class KnownNoise(Shift):
    """The same noise in every bin, and sigma says so. The noise of each spectrum is that of the test set, rescaled.

    Attributes:
        noise_ppm: one standard deviation, told and true.
    """

    noise_ppm: float
    exact: ClassVar[str] = "the likelihood of the task at the told sigma, which is the true one"
    exact_is_right: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_ppm) and self.noise_ppm > 0):
            raise ExobenchError(f"noise_ppm={self.noise_ppm} must be a positive number of ppm.")

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`; missing bins stay missing."""
        sigma = np.where(np.isfinite(base.test.sigma), self.noise_ppm * PPM, np.inf)
        return base.with_spectra(base.depth + sigma * base.normal, sigma)


@dataclass(frozen=True)
class MisstatedNoise(Shift):
    """Sigma is that of the task, but the noise is another.

    Attributes:
        true_over_told: true standard deviation over the one that sigma tells.
    """

    true_over_told: float
    exact: ClassVar[str] = "the likelihood of the task at the told sigma, as a method that believes sigma would have it"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.true_over_told) and self.true_over_told >= 0):
            raise ExobenchError(f"true_over_told={self.true_over_told} must be a number of at least 0.")

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`."""
        noise = self.true_over_told * np.where(np.isfinite(base.test.sigma), base.test.sigma, 0.0)
        return base.with_spectra(base.depth + noise * base.normal, base.test.sigma)
