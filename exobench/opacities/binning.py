"""Means over wavelength bins of values tabulated on a wavenumber grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bin_means(wavenumber_cm: Array, values: Array, bin_edges_um: Array) -> Array:
    """Averages values, taken as linear between their nodes and zero beyond them, over bins of wavenumber.

    Args:
        wavenumber_cm: nodes in cm-1, ascending, shape (n,).
        values: shape (..., n).
        bin_edges_um: ascending wavelengths, shape (n_bin + 1,), or lower and upper edge of each bin, shape (n_bin, 2).

    Returns:
        Means in ascending wavelength, shape (..., n_bin).
    """
    edges = 1e4 / np.asarray(bin_edges_um, dtype=np.float64)
    steps = 0.5 * (values[..., 1:] + values[..., :-1]) * np.diff(wavenumber_cm)
    cumulative = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)
    inside = np.clip(edges, wavenumber_cm[0], wavenumber_cm[-1])
    cell = np.clip(np.searchsorted(wavenumber_cm, inside, side="right") - 1, 0, len(wavenumber_cm) - 2)
    offset = inside - wavenumber_cm[cell]
    slope = (values[..., cell + 1] - values[..., cell]) / (wavenumber_cm[cell + 1] - wavenumber_cm[cell])
    integral = cumulative[..., cell] + offset * (values[..., cell] + 0.5 * slope * offset)
    # Subtracting cumulative sums can leave a rounding error below zero where the values vanish.
    pairs = (edges, integral) if edges.ndim == 2 else (_neighbours(edges), _neighbours(integral))
    width, area = (pair[..., 0] - pair[..., 1] for pair in pairs)
    return np.asarray(np.maximum(area / width, 0.0))


def _neighbours(values: Array) -> Array:
    """Each value of the last axis with the next one, shape (..., n - 1, 2)."""
    return np.stack([values[..., :-1], values[..., 1:]], axis=-1)
