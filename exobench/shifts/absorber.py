"""A gas that no training spectrum holds: a few bands with literature origins, and no table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exobench.opacities.band_shapes import band_integral
from exobench.opacities.grids import bin_bounds
from exobench.opacities.tables import CrossSections, OpacitySet

Array = NDArray[np.float64]

TEMPERATURE_NODES_K = np.arange(500.0, 3001.0, 100.0)
PRESSURE_PA = np.array([1e5])
"""A mean over a bin does not depend on pressure; simulators hold it at the edges."""
SQUARE_METRES_PER_CM2 = 1e-4


def band_cross_sections(gas: str, bands: Array, bin_edges_um: Array) -> CrossSections:
    """Mean cross-sections of each bin, over wavenumber, of two-sided bands.

    Args:
        gas: formula.
        bands: one row a band, the columns of `exobench.opacities.band_shapes.COLUMNS`.
        bin_edges_um: (bin + 1,), or lower and upper edge of each bin, (bin, 2).
    """
    low_um, high_um = bin_bounds(bin_edges_um)
    low, high = 1e4 / high_um, 1e4 / low_um
    mean = band_integral(bands, TEMPERATURE_NODES_K, low, high) / (high - low) * SQUARE_METRES_PER_CM2
    return CrossSections(gas, TEMPERATURE_NODES_K, PRESSURE_PA, mean[None])


def with_gas(opacities: OpacitySet, table: CrossSections) -> OpacitySet:
    """The set with one more gas."""
    return replace(
        opacities,
        gases={**opacities.gases, table.gas: table},
        source=f"{opacities.source}; bands of {table.gas}",
    )
