"""Wavelength grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
