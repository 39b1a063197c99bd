"""Bands of an asymmetric or spherical top: strength, centre and two widths, all powers of temperature.

A polyatomic band at 1000-2000 K is thousands of overlapping transitions; at the resolution of a bin its contour is a
maximum with exponentially falling wings that widen as hotter rotational and vibrational states fill. Each band is a
two-sided hyperbolic secant, whose integral is elementary, so a bin mean is exact and the strength is conserved:

    sigma(nu, T) = S(T) / [pi/2 (w_l + w_r)] sech((nu - nu_0) / w),  S = S_0 (T/T_0)^a,  w = w_0 (T/T_0)^b,

with ``w_l`` below the centre and ``w_r`` above it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

REFERENCE_TEMPERATURE_K = 1500.0
"""``T_0`` of every power law of temperature in the band model."""

COLUMNS = ("log10_strength", "strength_power", "centre_cm", "width_left_cm", "width_right_cm", "width_power")
"""Meaning of the numbers of one band; strengths are log10 of cm/molecule, widths in cm-1."""


def sech_integral(start: ArrayLike, end: ArrayLike) -> Array:
    """Integral of sech from `start` to `end`, both at or above 0, without cancellation far from the origin."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    return np.asarray(2.0 * np.arctan((np.exp(-a) - np.exp(-b)) / (1.0 + np.exp(-a - b))))


def band_integral(bands: Array, temperature_k: Array, low_cm: Array, high_cm: Array) -> Array:
    """Integrates every band over wavenumber intervals.

    Args:
        bands: one row a band with the entries of `COLUMNS`, shape (n_band, 6).
        temperature_k: shape (n_temperature,).
        low_cm: lower ends of the intervals in cm-1, shape (n_bin,).
        high_cm: upper ends, shape (n_bin,).

    Returns:
        The integral summed over bands in cm/molecule (cm2 cm-1), shape (n_temperature, n_bin).
    """
    log10_strength, strength_power, centre, left, right, width_power = (column[:, None] for column in bands.T)
    ratio = temperature_k[None, :] / REFERENCE_TEMPERATURE_K
    strength = 10.0**log10_strength * ratio**strength_power
    growth = ratio**width_power
    left, right = left * growth, right * growth

    below, above = (np.asarray(end)[None, None, :] - centre[:, :, None] for end in (low_cm, high_cm))
    left, right = left[:, :, None], right[:, :, None]
    on_left = left * sech_integral(np.maximum(-above, 0.0) / left, np.maximum(-below, 0.0) / left)
    on_right = right * sech_integral(np.maximum(below, 0.0) / right, np.maximum(above, 0.0) / right)
    share = (on_left + on_right) / (0.5 * np.pi * (left + right))
    return np.asarray((strength[:, :, None] * share).sum(axis=0))
