"""Means over wavelength bins of values tabulated on a wavenumber grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from exobench.errors import unknown_name
from exobench.opacities.grids import bin_bounds

Array = NDArray[np.float64]

AVERAGES = ("transmission", "mean")
TRANSIT_OPTICAL_DEPTH = 0.56
"""Slant optical depth at the transit radius (Lecavelier des Etangs et al. 2008, A&A 481, L83)."""
_LARGEST_RATIO = 1e4
_BISECTIONS = 40


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


def transmission_means(
    wavenumber_cm: Array, values: Array, bin_edges_um: Array, optical_depth: float = TRANSIT_OPTICAL_DEPTH
) -> Array:
    """The single cross-section of each bin that lets through as much as the resolved ones do on average.

    The mean transmission depends on the column; the column taken is that of the given mean optical depth. Never above
    the plain mean; at least a ten-thousandth of it where a bin is mostly empty.

    Args:
        wavenumber_cm: nodes in cm-1, ascending, shape (n,).
        values: cross-sections, linear between the nodes and zero beyond, shape (..., n).
        bin_edges_um: ascending wavelengths, shape (n_bin + 1,) or (n_bin, 2).
        optical_depth: minus the log of the bin's transmission.

    Returns:
        Shape (..., n_bin), in ascending wavelength.
    """
    result = bin_means(wavenumber_cm, values, bin_edges_um)
    for number, (low, high) in enumerate(zip(*bin_bounds(1e4 / np.asarray(bin_edges_um)), strict=True)):
        low, high = min(low, high), max(low, high)
        inside = (wavenumber_cm > low) & (wavenumber_cm < high)
        ends = [_at(wavenumber_cm, values, edge) for edge in (low, high)]
        nodes = np.concatenate([[low], wavenumber_cm[inside], [high]])
        samples = np.concatenate([ends[0][..., None], values[..., inside], ends[1][..., None]], axis=-1)
        width = np.diff(nodes)
        share = 0.5 * (np.append(width, 0.0) + np.append(0.0, width)) / (high - low)
        result[..., number] = _effective(samples, share, optical_depth)
    return result


def bin_values(average: str) -> Callable[[Array, Array, Array], Array]:
    """`bin_means` for ``"mean"``, `transmission_means` for ``"transmission"``.

    Raises:
        ExobenchError: there is no such average.
    """
    if average not in AVERAGES:
        raise unknown_name("average of cross-sections", average, AVERAGES)
    return transmission_means if average == "transmission" else bin_means


def _effective(samples: Array, share: Array, optical_depth: float) -> Array:
    """Solves -ln sum(share exp(-samples N)) = optical_depth for N by bisection and returns optical_depth / N."""
    mean = samples @ share
    safe = np.where(mean > 0, mean, 1.0)
    relative = samples / safe[..., None]
    low, high = np.zeros(mean.shape), np.full(mean.shape, np.log(_LARGEST_RATIO))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        column = optical_depth * np.exp(middle)
        passed = np.exp(-relative * column[..., None]) @ share
        too_clear = passed > np.exp(-optical_depth)
        low, high = np.where(too_clear, middle, low), np.where(too_clear, high, middle)
    return np.asarray(mean * np.exp(-0.5 * (low + high)))


def _at(wavenumber_cm: Array, values: Array, point: float) -> Array:
    """Linear interpolation along the last axis, zero beyond the nodes, shape (...)."""
    if not wavenumber_cm[0] <= point <= wavenumber_cm[-1]:
        return np.zeros(values.shape[:-1])
    cell = int(np.clip(np.searchsorted(wavenumber_cm, point, side="right") - 1, 0, len(wavenumber_cm) - 2))
    fraction = (point - wavenumber_cm[cell]) / (wavenumber_cm[cell + 1] - wavenumber_cm[cell])
    return np.asarray((1.0 - fraction) * values[..., cell] + fraction * values[..., cell + 1])


def _neighbours(values: Array) -> Array:
    """Each value of the last axis with the next one, shape (..., n - 1, 2)."""
    return np.stack([values[..., :-1], values[..., 1:]], axis=-1)
