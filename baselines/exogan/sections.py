"""Where a wavelength grid is cut into sections, and the square that it fills."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.grids import exogan_grid

Array = NDArray[np.float64]

PUBLISHED_EDGES = (0, 162, 195, 208, 241, 255, 318, 334, 371, 384, 394, 406, 420, 440, 515)
"""Section edges of ExoGAN as indices of the descending 515-point grid (Zingales & Waldmann 2018)."""
PUBLISHED_N_BIN = 515
PUBLISHED_ZERO = range(510, 514)
"""Points of the last section that the public code sets to zero."""
PUBLISHED_RAW = range(514, 515)
"""The point of the last section that the public code leaves as a raw depth."""
N_SLOT = 14
BORDER = 10
"""Pixels beyond the spectrum's square: seven slots for extrema, three for parameters."""
_MIN_BINS_A_SECTION = 3


def published_wavelength_um() -> Array:
    """ExoGAN's grid, ascending, shape (515,): midpoints of the edges 0.3 * 1.01**n micrometres."""
    return exogan_grid()[0]


def is_published_grid(wavelength_um: Array) -> bool:
    """Whether an ascending grid is the one of ExoGAN, to 1e-6 relative."""
    published = published_wavelength_um()
    return len(wavelength_um) == len(published) and bool(np.allclose(wavelength_um, published, rtol=1e-6, atol=0.0))


def section_edges(wavelength_um: Array) -> tuple[int, ...]:
    """Section edges as indices into the descending grid; the first is 0, the last the number of bins.

    Another grid than the published one is cut at the same wavelengths. A section with fewer than three bins joins
    its smaller neighbour, since two extrema describe it no better than the bins themselves.

    Args:
        wavelength_um: ascending bin centres, (bin,).

    Raises:
        ExobenchError: if the grid is empty or not ascending.
    """
    grid = np.asarray(wavelength_um, dtype=float)
    if grid.ndim != 1 or len(grid) == 0 or not np.all(np.diff(grid) > 0):
        raise ExobenchError("exogan needs an ascending, non-empty wavelength grid.")
    if is_published_grid(grid):
        return PUBLISHED_EDGES
    cuts = 0.3 * 1.01 ** (PUBLISHED_N_BIN - np.array(PUBLISHED_EDGES[1:-1]))
    inner = np.searchsorted(-grid[::-1], -cuts)
    edges = sorted({0, *(int(i) for i in inner), len(grid)})
    return tuple(_merge_small(edges))


def _merge_small(edges: list[int]) -> list[int]:
    while len(edges) > 2:
        sizes = np.diff(edges)
        smallest = int(np.argmin(sizes))
        if sizes[smallest] >= _MIN_BINS_A_SECTION:
            break
        left = sizes[smallest - 1] if smallest > 0 else math.inf
        right = sizes[smallest + 1] if smallest + 1 < len(sizes) else math.inf
        del edges[smallest if left <= right else smallest + 1]
    return edges


def base_side(n_bin: int) -> int:
    """Side of the generator's first maps, such that four doublings n -> 2n - 1 give a picture that holds the spectrum.

    The spectrum's square has side 16 * base - 25 and keeps at least one pixel for the mean; 515 bins give 3, hence
    the published 23 x 23 in 33 x 33.
    """
    base = 2
    while (16 * base - 25) ** 2 < n_bin + 1:
        base += 1
    return base
