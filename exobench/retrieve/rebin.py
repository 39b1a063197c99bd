"""From the bins of an observation to those of a task, with errors propagated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.grids import bin_bounds
from exobench.retrieve.observed import Observed

Array = NDArray[np.float64]

LEAST_COVERED = 0.5
"""Share of a task's bin that must have been observed."""
_SAME_BIN = 0.1
_TOUCHING = 0.05
"""Bins that overlap by less than this share of the narrower one count as neighbours, as where edges were rounded."""


class Rebinned(NamedTuple):
    """A spectrum in the bins of a task.

    Attributes:
        x: depth fraction, (bin,); NaN where nothing was observed.
        sigma: one standard deviation, (bin,); inf there.
        notes: what was done, a sentence each.
    """

    x: Array
    sigma: Array
    notes: tuple[str, ...]


def rebin(spectrum: Observed, bin_edges_um: Array) -> Rebinned:
    """Averages a spectrum over the bins of a task.

    Points that are the task's own bins are taken as they are. Otherwise each bin gets the mean of the points weighted
    by the width of their overlap with it. The error of a point that reaches over several bins is that of a photon
    count: a share f of its width has the variance sigma^2/f, so the bins together know no more than the point did and
    their errors are independent. Points that overlap one another are measurements of their own: they are averaged
    apart and then joined with inverse variances as weights.

    Args:
        spectrum: ascending.
        bin_edges_um: of the task, in either form of `exobench.opacities.grids.bin_bounds`.

    Raises:
        ExobenchError: no bin was observed.
    """
    low, high = bin_bounds(bin_edges_um)
    own = _own_bins(spectrum, low, high)
    if own is not None:
        x, sigma = np.full(len(low), np.nan), np.full(len(low), np.inf)
        x[own], sigma[own] = spectrum.depth, spectrum.sigma
        return _checked(spectrum, x, sigma, low, high, ())
    layers = _layers(spectrum.low_um, spectrum.high_um)
    numbers = range(int(layers.max()) + 1)
    parts = [_mean_of_overlaps(spectrum, np.flatnonzero(layers == number), low, high) for number in numbers]
    information = sum(part.sigma**-2.0 for part in parts)
    weighted = sum(np.nan_to_num(part.x) * part.sigma**-2.0 for part in parts)
    seen = (_covered(spectrum, low, high) >= LEAST_COVERED) & (np.asarray(information) > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.where(seen, weighted / information, np.nan)
        sigma = np.where(seen, np.asarray(information) ** -0.5, np.inf)
    notes = [f"{len(spectrum.depth)} points are averaged over the task's bins, weighted by overlap."]
    if len(parts) > 1:
        notes.append("Points that overlap one another are joined with inverse variances as weights.")
    if not spectrum.has_widths:
        notes.append("The file gives no bin widths: each point is taken to reach half way to its neighbours.")
    return _checked(spectrum, x, sigma, low, high, tuple(notes))


def _own_bins(spectrum: Observed, low: Array, high: Array) -> NDArray[np.intp] | None:
    """Numbers of the task's bins that the points are, or None where they are other bins."""
    width = high - low
    bins = np.clip(np.searchsorted(high, spectrum.wavelength_um), 0, len(low) - 1)
    tolerance = _SAME_BIN * width[bins]
    same = np.abs(spectrum.wavelength_um - 0.5 * (low + high)[bins]) <= tolerance
    if spectrum.has_widths:
        same &= np.abs(spectrum.high_um - spectrum.low_um - width[bins]) <= tolerance
    return bins if same.all() and len(np.unique(bins)) == len(bins) else None


def _layers(low: Array, high: Array) -> NDArray[np.intp]:
    """Numbers that keep points that overlap apart: the lowest number whose last point ends before."""
    layer = np.zeros(len(low), dtype=np.intp)
    ends: list[tuple[float, float]] = []
    for row in np.argsort(low, kind="stable"):
        width = high[row] - low[row]
        free = [k for k, (end, last) in enumerate(ends) if end - low[row] <= _TOUCHING * min(width, last)]
        layer[row] = free[0] if free else len(ends)
        if free:
            ends[free[0]] = (high[row], width)
        else:
            ends.append((high[row], width))
    return layer


class _Part(NamedTuple):
    x: Array
    sigma: Array


def _mean_of_overlaps(spectrum: Observed, rows: NDArray[np.intp], low: Array, high: Array) -> _Part:
    """Mean of points that do not overlap; sigma is inf where there is none."""
    overlap = _overlaps(spectrum.low_um[rows], spectrum.high_um[rows], low, high)
    width = (spectrum.high_um - spectrum.low_um)[rows]
    total = overlap.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = overlap @ spectrum.depth[rows] / total
        # A part of a point with the share f = overlap/width has the variance sigma^2/f.
        sigma = np.sqrt(overlap @ (width * spectrum.sigma[rows] ** 2)) / total
    return _Part(x, np.where(total > 0, sigma, np.inf))


def _overlaps(point_low: Array, point_high: Array, low: Array, high: Array) -> Array:
    """Width that each bin shares with each point, (bin, point)."""
    shared = np.minimum(high[:, None], point_high) - np.maximum(low[:, None], point_low)
    return np.maximum(shared, 0.0)


def _covered(spectrum: Observed, low: Array, high: Array) -> Array:
    """Share of each bin that at least one point covers, (bin,)."""
    order = np.argsort(spectrum.low_um, kind="stable")
    start, end = spectrum.low_um[order], np.maximum.accumulate(spectrum.high_um[order])
    begin = np.maximum(start, np.concatenate([[-np.inf], end[:-1]]))
    return _overlaps(begin, np.maximum(end, begin), low, high).sum(axis=1) / (high - low)


def _checked(spectrum: Observed, x: Array, sigma: Array, low: Array, high: Array, notes: tuple[str, ...]) -> Rebinned:
    n_seen = int(np.isfinite(x).sum())
    if n_seen == 0:
        raise ExobenchError(
            f"{spectrum.path}: covers {spectrum.low_um[0]:.4g} to {spectrum.high_um.max():.4g} um and fills no bin of "
            f"the run's task, which has {low[0]:.4g} to {high[-1]:.4g} um; give wavelength_unit=nm (or Angstrom, m) if "
            "that is the unit, or a spectrum in this range."
        )
    outside = int(np.sum((spectrum.high_um <= low[0]) | (spectrum.low_um >= high[-1])))
    if outside:
        notes = (*notes, f"{outside} points beyond the task's {low[0]:.4g} to {high[-1]:.4g} um are left out.")
    verb = "was" if n_seen == 1 else "were"
    return Rebinned(x, sigma, (*notes, f"{n_seen} of the task's {len(x)} bins {verb} observed."))
