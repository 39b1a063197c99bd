"""From the bins of a k-table file to the bins of a task."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.grids import bin_bounds, bin_centres
from exobench.opacities.tables import KTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

SAME_EDGE = 0.02
"""Edges that differ by less than this share of a bin are the same: grids are often stored in float32."""
WIDEST_SOURCE = 1.05
"""A file's bin may be wider than the task's by this factor."""


@dataclass(frozen=True)
class SourceKTable:
    """A k-table on the bins of its file.

    Attributes:
        path: the file.
        gas: formula.
        temperature_k: any order, shape (n_temperature,).
        pressure_pa: any order, shape (n_pressure,).
        g_weights: shape (n_g,).
        coefficient_m2: shape (n_pressure, n_temperature, n_source, n_g).
        bin_edges_um: lower and upper edge of each bin, ascending, shape (n_source, 2).
        edges_given: whether the file holds the edges; if not, they are halfway between the centres.
        centres_um: shape (n_source,).
    """

    path: Path
    gas: str
    temperature_k: Array
    pressure_pa: Array
    g_weights: Array
    coefficient_m2: Array
    bin_edges_um: Array
    edges_given: bool
    centres_um: Array

    def __post_init__(self) -> None:
        expected = (len(self.pressure_pa), len(self.temperature_k), len(self.bin_edges_um), len(self.g_weights))
        if self.coefficient_m2.shape != expected:
            raise ExobenchError(
                f"{self.path}: k has shape {self.coefficient_m2.shape}, expected "
                f"(pressure, temperature, bin, g) = {expected}."
            )

    @classmethod
    def from_centres(
        cls,
        path: Path,
        gas: str,
        temperature_k: Array,
        pressure_pa: Array,
        g_weights: Array,
        coefficient_m2: Array,
        centres_um: Array,
    ) -> SourceKTable:
        """A table whose file lists the centres of its channels, ascending, and not their edges."""
        between = np.sqrt(centres_um[1:] * centres_um[:-1])
        ends = (centres_um[0] ** 2 / between[0], centres_um[-1] ** 2 / between[-1]) if len(between) else None
        low, high = ends or (0.5 * centres_um[0], 2.0 * centres_um[0])
        edges = np.concatenate([[low], between, [high]])
        pairs = np.stack([edges[:-1], edges[1:]], axis=1)
        return cls(path, gas, temperature_k, pressure_pa, g_weights, coefficient_m2, pairs, False, centres_um)


def on_bins(source: SourceKTable, bin_edges_um: Array) -> KTable:
    """The table of a task's bins: channel by channel where they are the file's own, else merged from narrower ones.

    Args:
        source: as read.
        bin_edges_um: of the task, shape (n_bin + 1,) or (n_bin, 2), ascending.

    Returns:
        The table, with the file's g weights; no absorption where the file has no bins, with a warning in the log.

    Raises:
        ExobenchError: the file's bins are wider than the task's or none of them lies in the task's range.
    """
    same = _same_channels(source, bin_edges_um)
    values = source.coefficient_m2[:, :, same] if same is not None else _merged(source, bin_edges_um)
    t, p = np.argsort(source.temperature_k), np.argsort(source.pressure_pa)
    weights = source.g_weights / source.g_weights.sum()
    return KTable(source.gas, source.temperature_k[t], source.pressure_pa[p], weights, values[p][:, t])


def merge(values: Array, shares: Array, g_weights: Array) -> Array:
    """The distribution of several bins together, as means over the intervals of one set of g weights.

    Coefficients of all bins are put in order, whatever bin they come from, as they would be had the wide bin been
    tabulated at once; the mean over the bin is kept exactly.

    Args:
        values: coefficients of all bins side by side, shape (..., n).
        shares: the part of the wide bin that each stands for, adding up to one, shape (n,).
        g_weights: of the result, adding up to one, shape (n_g,).

    Returns:
        Ascending coefficients, shape (..., n_g).
    """
    flat = values.reshape(-1, values.shape[-1])
    order = np.argsort(flat, axis=1)
    ranked, share = np.take_along_axis(flat, order, axis=1), shares[order]
    start = np.zeros((len(flat), 1))
    reached = np.concatenate([start, np.cumsum(share, axis=1)], axis=1)
    integral = np.concatenate([start, np.cumsum(ranked * share, axis=1)], axis=1)
    edges = np.concatenate([[0.0], np.cumsum(g_weights)])
    at_edges = np.stack([np.interp(edges, x / x[-1], y) for x, y in zip(reached, integral, strict=True)])
    # Differences of cumulative sums may leave a rounding error below zero.
    means = np.maximum(np.diff(at_edges, axis=1), 0.0) / g_weights
    return means.reshape(*values.shape[:-1], len(g_weights))


def _same_channels(source: SourceKTable, bin_edges_um: Array) -> NDArray[np.intp] | None:
    """For each bin of the task the file's channel that is the same, or None where one has no such channel."""
    low, high = bin_bounds(bin_edges_um)
    nearest = np.abs(source.centres_um[None, :] - bin_centres(bin_edges_um)[:, None]).argmin(axis=1)
    if source.edges_given:
        found = source.bin_edges_um[nearest]
        off = np.maximum(np.abs(found[:, 0] - low), np.abs(found[:, 1] - high))
    else:
        # Some writers take the middle in wavelength, some in wavenumber.
        centres = source.centres_um[nearest]
        middles = (bin_centres(bin_edges_um), 2.0 * low * high / (low + high))
        off = np.minimum(np.abs(centres - middles[0]), np.abs(centres - middles[1]))
    return nearest if np.all(off < SAME_EDGE * (high - low)) else None


def _merged(source: SourceKTable, bin_edges_um: Array) -> Array:
    # Shares are counted in wavenumber, in which k-tables are even.
    low, high = (1e4 / edge for edge in reversed(bin_bounds(bin_edges_um)))
    source_low, source_high = 1e4 / source.bin_edges_um[:, 1], 1e4 / source.bin_edges_um[:, 0]
    top = np.minimum(high[:, None], source_high[None, :])
    overlap = np.maximum(top - np.maximum(low[:, None], source_low[None, :]), 0.0)
    share, part = overlap / (high - low)[:, None], overlap / (source_high - source_low)[None, :]
    _check_bins(source, bin_edges_um, share, part, (source_high - source_low) / (high - low)[:, None])
    weights = source.g_weights / source.g_weights.sum()
    result = np.zeros((*source.coefficient_m2.shape[:2], len(low), len(weights)))
    for number, shares in enumerate(share):
        used = np.flatnonzero(shares > 0)
        if len(used) == 0:
            continue
        values = source.coefficient_m2[:, :, used].reshape(*result.shape[:2], -1)
        gap = max(1.0 - float(shares.sum()), 0.0)
        filled = np.concatenate([values, np.zeros((*values.shape[:2], 1))], axis=2)
        parts = np.append(np.outer(shares[used], weights).ravel(), gap)
        result[:, :, number] = merge(filled, parts, weights)
    return result


def _check_bins(source: SourceKTable, bin_edges_um: Array, share: Array, part: Array, ratio: Array) -> None:
    task_low, task_high = bin_bounds(bin_edges_um)
    covers = f"{source.path}: its bins cover {source.bin_edges_um[0, 0]:.4g}-{source.bin_edges_um[-1, 1]:.4g} um"
    if not np.any(share > 0):
        raise ExobenchError(f"{covers}, none of the task's {task_low[0]:.4g}-{task_high[-1]:.4g} um.")
    too_wide = (ratio > WIDEST_SOURCE) & (share > SAME_EDGE)
    if np.any(too_wide):
        row, column = np.argwhere(too_wide)[0]
        wide = source.bin_edges_um[column]
        guessed = "" if source.edges_given else " (edges halfway between the centres)"
        raise ExobenchError(
            f"{source.path}: its bin {wide[0]:.4g}-{wide[1]:.4g} um{guessed} is {ratio[row, column]:.3g} times as wide "
            f"as the task's bin {task_low[row]:.4g}-{task_high[row]:.4g} um; k-tables can be merged into wider bins, "
            "not split: use tables of the task's own bins or narrower ones."
        )
    missing = share.sum(axis=1) < 1.0 - SAME_EDGE
    if np.any(missing):
        logger.warning("%s; k is zero in the rest of %d bins of the task.", covers, int(missing.sum()))
    if np.any((share > SAME_EDGE) & (part > SAME_EDGE) & (part < 1.0 - SAME_EDGE)):
        logger.warning(
            "%s: bins do not line up with the task's; a bin on an edge counts in parts, its lines spread evenly.",
            source.path,
        )
