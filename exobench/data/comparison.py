"""Imported spectra beside those of the simulator at the same parameters: a report, never a refusal by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from exobench.simulators.base import Simulator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """How far imported spectra lie from simulated ones.

    Attributes:
        n: spectra compared.
        median_ppm: median over bins and spectra of the absolute difference, in ppm of the stellar flux.
        max_ppm: the largest difference.
        correlation: median over spectra of the correlation along wavelength.
        correlation_reversed: the same with the imported spectra turned round; higher where their order is wrong.
    """

    n: int
    median_ppm: float
    max_ppm: float
    correlation: float
    correlation_reversed: float

    @property
    def looks_reversed(self) -> bool:
        """Whether the spectra fit the simulator better with their wavelengths turned round."""
        return self.correlation_reversed > self.correlation

    def line(self) -> str:
        """The comparison in words."""
        return (
            f"{self.n:,} spectra against the simulator: median difference {self.median_ppm:.3g} ppm, "
            f"largest {self.max_ppm:.3g} ppm, correlation {self.correlation:.3f} "
            f"({self.correlation_reversed:.3f} with wavelengths turned round)"
        )


def compare_with_simulator(theta: Array, depth: Array, simulator: Simulator) -> Comparison:
    """Simulates the same parameters and states the differences.

    Opacities differ between codes, so a band model may lie hundreds of ppm from line lists; wrong units or order show
    as thousands of ppm or as a higher correlation of the reversed spectra.

    Args:
        theta: parameters in the simulator's units, (n, param).
        depth: depth fractions in ascending wavelength, (n, bin); NaN where missing.
        simulator: on the same wavelength grid.

    Returns:
        The comparison, over the bins that are not missing.
    """
    with torch.no_grad():
        expected = simulator(torch.as_tensor(theta, dtype=torch.float64)).double().cpu().numpy()
    difference = np.abs(depth - expected)
    return Comparison(
        n=len(depth),
        median_ppm=1e6 * float(np.nanmedian(difference)),
        max_ppm=1e6 * float(np.nanmax(difference)),
        correlation=_median_correlation(depth, expected),
        correlation_reversed=_median_correlation(depth[:, ::-1], expected),
    )


def _median_correlation(depth: Array, expected: Array) -> float:
    present = np.isfinite(depth)
    found = _standardised(np.where(present, depth, np.nan))
    wanted = _standardised(np.where(present, expected, np.nan))
    return float(np.median(np.nanmean(found * wanted, axis=1)))


def _standardised(values: Array) -> Array:
    centred = values - np.nanmean(values, axis=1, keepdims=True)
    spread = np.sqrt(np.nanmean(centred**2, axis=1, keepdims=True))
    return centred / np.where(spread > 0, spread, 1.0)
