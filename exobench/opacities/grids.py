"""Wavelength grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]


def constant_ratio_grid(first_edge_um: float, ratio: float, n_bin: int) -> tuple[Array, Array]:
    """A grid whose edges grow by a constant ratio.

    Args:
        first_edge_um: the lowest edge, in um.
        ratio: each edge over the one before it.
        n_bin: the number of bins.

    Returns:
        Bin centres (midpoints of the edges), shape (n_bin,), and edges, shape (n_bin + 1,), in um, ascending.
    """
    edges: Array = first_edge_um * ratio ** np.arange(n_bin + 1, dtype=np.float64)
    return 0.5 * (edges[1:] + edges[:-1]), edges


def exogan_grid() -> tuple[Array, Array]:
    """The 515 bins of ExoGAN, 0.30-50.4 um (Zingales & Waldmann 2018), in ascending wavelength."""
    return constant_ratio_grid(0.3, 1.01, 515)


def bin_bounds(bin_edges_um: Array) -> tuple[Array, Array]:
    """Lower and upper edge of each bin.

    Args:
        bin_edges_um: edges of contiguous bins, shape (n_bin + 1,), or lower and upper edge of each, shape (n_bin, 2).

    Returns:
        Two arrays of shape (n_bin,).
    """
    edges = np.asarray(bin_edges_um, dtype=np.float64)
    return (edges[:, 0], edges[:, 1]) if edges.ndim == 2 else (edges[:-1], edges[1:])


def bin_centres(bin_edges_um: Array) -> Array:
    """Midpoints of the bins, shape (n_bin,), for edges in either form of `bin_bounds`."""
    low, high = bin_bounds(bin_edges_um)
    return np.asarray(0.5 * (low + high))


def check_bin_edges(owner: str, bin_edges_um: Array, n_bin: int) -> None:
    """Checks edges in either form of `bin_bounds`.

    Raises:
        ExobenchError: a wrong shape, or edges that do not ascend.
    """
    edges = np.asarray(bin_edges_um)
    if edges.shape not in ((n_bin + 1,), (n_bin, 2)):
        raise ExobenchError(
            f"{owner}: {n_bin} bins need {n_bin + 1} edges or a lower and an upper edge each, "
            f"got an array of shape {edges.shape}."
        )
    low, high = bin_bounds(edges)
    if not (np.all(low < high) and np.all(np.diff(low) > 0) and np.all(np.diff(high) > 0)):
        raise ExobenchError(f"{owner}: bin_edges_um must ascend strictly.")
