"""How much the lines of a bin overlap, and the cross-section that gives the bin's transmission in a transit.

For lines with random places and exponentially distributed strengths (Malkmus 1967, J. Opt. Soc. Am. 57, 323) a column
N with mean cross-section s has the band-mean optical depth W = (y/2) (sqrt(1 + 4 s N / y) - 1), y being the ratio of
line width to line spacing (times pi/2). The column at which W = t has s N = t + t^2/y, so the cross-section that acts
there is

    s_eff = t / N = s / (1 + t / y).

The width is part collisional, growing with pressure, and part thermal: ``y = y_collision P/P_0 (T/T_0)^a + y_thermal
(T/T_0)^b``, where hot bands, each adding lines, dominate the powers of T.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.opacities.band_shapes import REFERENCE_TEMPERATURE_K

Array = NDArray[np.float64]

REFERENCE_PRESSURE_PA = 1e5
SMALLEST, BISECTION_RANGE, BISECTIONS = 1e-70, 25.0, 50
TRANSIT_OPTICAL_DEPTH = 0.56
"""Slant optical depth at the transit radius (Lecavelier des Etangs et al. 2008, A&A 481, L83)."""


def overlap(entry: Mapping[str, Any], wavelength_um: Array, temperature_k: Array, pressure_pa: Array) -> Array:
    """The parameter y, shape (n_pressure, n_temperature, n_bin).

    Args:
        entry: ``log10_wavelength`` (knots, um), ``log10_collision`` and ``log10_thermal`` (values at the knots, linear
            between them, constant beyond), ``collision_power`` and ``thermal_power``.
        wavelength_um: shape (n_bin,).
        temperature_k: shape (n_temperature,).
        pressure_pa: shape (n_pressure,).
    """
    position = np.log10(wavelength_um)
    knots = np.asarray(entry["log10_wavelength"], dtype=np.float64)
    collision = 10.0 ** np.interp(position, knots, entry["log10_collision"])
    thermal = 10.0 ** np.interp(position, knots, entry["log10_thermal"])
    ratio = np.asarray(temperature_k)[None, :, None] / REFERENCE_TEMPERATURE_K
    pressure = np.asarray(pressure_pa)[:, None, None] / REFERENCE_PRESSURE_PA
    total = collision * pressure * ratio ** entry["collision_power"] + thermal * ratio ** entry["thermal_power"]
    return np.asarray(total)


def effective_ratio(entry: Mapping[str, Any], wavelength_um: Array, temperature_k: Array, pressure_pa: Array) -> Array:
    """Effective over mean cross-section, shape (n_pressure, n_temperature, n_bin); arguments as for `overlap`."""
    return 1.0 / (1.0 + TRANSIT_OPTICAL_DEPTH / overlap(entry, wavelength_um, temperature_k, pressure_pa))


def transit_effective(k: Array, weights: Array) -> Array:
    """Cross-section that acts in a transit, from a k-distribution: t/N of the column N whose transmission is exp(-t).

    Args:
        k: ordinates of the distribution, any unit, shape (..., n_g).
        weights: summing to one, shape (n_g,).

    Returns:
        In the unit of `k`, shape (...,); the mean where all ordinates are equal, below it elsewhere.
    """
    low = np.log(TRANSIT_OPTICAL_DEPTH / np.maximum(k @ weights, SMALLEST))
    high = low + BISECTION_RANGE
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        opaque = np.exp(-k * np.exp(middle)[..., None]) @ weights < np.exp(-TRANSIT_OPTICAL_DEPTH)
        low, high = np.where(opaque, low, middle), np.where(opaque, middle, high)
    return np.asarray(TRANSIT_OPTICAL_DEPTH * np.exp(-low))
