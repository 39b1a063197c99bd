"""Tables of the batched simulator in the order in which the compiled kernel reads them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.simulators.fused_kernel import RINGS_A_GROUP, KernelTables
from exobench.simulators.geometry import GeometryExpansion
from exobench.simulators.nodes import NodeTables
from exobench.simulators.vector_code import TILE

Single = NDArray[np.float32]


def pack_tables(nodes: NodeTables, geometry: GeometryExpansion) -> KernelTables:
    """Cuts bins, columns and rings into tiles, and finds the extremes of the absorption in each tile of bins."""
    table = nodes.table.numpy()
    # The last bin fills the last tile: zeros there would spoil the bounds.
    bins = _in_tiles(table, "edge").transpose(3, 2, 0, 1, 4)
    n_layer = len(nodes.column_weights)
    n_group = -(-n_layer // RINGS_A_GROUP)
    return KernelTables(
        columns=_terms(geometry._columns.numpy(), n_layer),
        areas=_terms(geometry._areas.numpy(), n_layer),
        largest_scale_height=float(geometry.limit),
        log_step=np.ascontiguousarray(geometry.log_step.numpy()),
        column_weights=np.ascontiguousarray(nodes.column_weights.numpy()),
        used=np.array([nodes.used_columns(group * RINGS_A_GROUP) for group in range(n_group)]),
        absorption=np.ascontiguousarray(bins),
        least=_extremes(bins.min(axis=-1)),
        most=_extremes(bins.max(axis=-1)),
    )


def _terms(coefficients: Single, n_layer: int) -> Single:
    """Coefficients of every term, shape (term, layer * ...), with rings added up to full groups and then tiles."""
    n_term = len(coefficients)
    rings = coefficients.reshape(n_term, n_layer, -1)
    rings = np.pad(rings, ((0, 0), (0, -n_layer % RINGS_A_GROUP), (0, 0)))
    return np.ascontiguousarray(_in_tiles(rings.reshape(n_term, -1), "constant").transpose(1, 0, 2))


def _extremes(values: Single) -> Single:
    """From (bin tile, column, temperature, row) to (bin tile, column tile, temperature, row, TILE)."""
    tiles = _in_tiles(values.transpose(0, 2, 3, 1), "constant")
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2, 4))


def _in_tiles(values: Single, fill: str) -> Single:
    """Splits the last axis into tiles, shape (..., tile, TILE)."""
    extra = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % TILE)]
    padded = np.pad(values, extra, mode="edge" if fill == "edge" else "constant")
    return padded.reshape(*values.shape[:-1], -1, TILE)
