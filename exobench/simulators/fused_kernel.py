"""Transmission spectra one after the other in compiled loops that never leave the processor's nearest caches.

Rings whose light is all stopped or hardly touched are found by rigorous bounds and summed without an exponential; what
this leaves out is below 1e-4 ppm. Every spectrum is computed by itself, so its bits do not depend on its batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from exobench.simulators.vector_code import TILE, add_two_rings, combine

Single = NDArray[np.float32]
Double = NDArray[np.float64]
Whole = NDArray[np.int64]

RINGS_A_GROUP = 4
# Draws that go through a tile of bins together: the tile's tables are read once, and the draws' columns stay near.
DRAWS_A_PASS = 16

# With 2^-30 of its light a ring has a depth of at most 2e-5 ppm, even were the atmosphere to cover 2 % of the star.
_OPAQUE_EXPONENT = np.float32(-30.0)
# 1 - exp(-tau) is tau up to tau^2 / 2, here 6e-8: not 1e-4 ppm, even of a group of rings of 1000 ppm.
_THIN_EXPONENT = np.float32(-5e-4)
_MINUS_LOG_2 = np.float32(-math.log(2.0))


class KernelTables(NamedTuple):
    """What all draws share. Rings are filled up to whole groups, everything else to whole tiles.

    Attributes:
        columns: series of the columns, ring after ring, shape (tile, term, TILE).
        areas: series of the ring areas, shape (tile, term, TILE).
        largest_scale_height: end of both series.
        log_step: natural log of the pressure ratio across each layer, float64, shape (layer,).
        column_weights: what a layer adds to a column a unit of path, float64, shape (layer, column).
        used: how many leading columns the rings of a group meet, shape (group,).
        absorption: shape (bin tile, column, temperature, row, TILE).
        least: smallest absorption in a tile of bins, by column: shape (bin tile, column tile, temperature, row, TILE).
        most: the largest, likewise.
    """

    columns: Single
    areas: Single
    largest_scale_height: float
    log_step: Double
    column_weights: Double
    used: Whole
    absorption: Single
    least: Single
    most: Single


class Rays(NamedTuple):
    """The geometry of the draws of a pass, times their factors, and room for the work on one of them.

    Attributes:
        columns: negative, shape (draw, ring * column), filled up to tiles.
        areas: over 2 pi R^2, shape (draw, ring), filled up to tiles.
        weakest: largest (nearest to zero) column of the rings of a group, shape (draw, group tile, column, TILE).
        strongest: the smallest, likewise.
        opaque_area: area of all groups below a group, float64, shape (draw, group + 1).
        thin_columns: area times optical depth of all rings from a group upwards, shape (draw, group + 1, column).
        terms: Chebyshev polynomials times the factors of columns and of areas, shape (2, term).
        offsets: altitudes of rays and of the layers' tops as they see them, over the radius, float64, shape (2, layer).
        sums: float64, shape (column,).
        extremes: smallest and largest absorption in the tile of bins at hand, shape (2, column tile * TILE).
        bounds: exponents that a group's rings stay below and above, shape (2, group tile * TILE).
        absorption: of the tile of bins at hand, shape (column, TILE).
        stopped: shape (TILE,).
    """

    columns: Single
    areas: Single
    weakest: Single
    strongest: Single
    opaque_area: Double
    thin_columns: Single
    terms: Single
    offsets: Double
    sums: Double
    extremes: Single
    bounds: Single
    absorption: Single
    stopped: Single


def empty_rays(tables: KernelTables) -> Rays:
    """Room for one pass; the kernel relies on the zeros in the padding."""

    def room(*shape: int) -> Single:
        return np.zeros(shape, np.float32)

    n_layer, n_column = tables.column_weights.shape
    n_group = len(tables.used)
    n_group_tile, n_column_tile = -(-n_group // TILE), tables.least.shape[1]
    return Rays(
        columns=room(DRAWS_A_PASS, tables.columns.shape[0] * TILE),
        areas=room(DRAWS_A_PASS, tables.areas.shape[0] * TILE),
        weakest=room(DRAWS_A_PASS, n_group_tile, n_column, TILE),
        strongest=room(DRAWS_A_PASS, n_group_tile, n_column, TILE),
        opaque_area=np.zeros((DRAWS_A_PASS, n_group + 1)),
        thin_columns=room(DRAWS_A_PASS, n_group + 1, n_column),
        terms=room(2, tables.columns.shape[1]),
        offsets=np.zeros((2, n_layer)),
        sums=np.zeros(n_column),
        extremes=room(2, n_column_tile * TILE),
        bounds=room(2, n_group_tile * TILE),
        absorption=room(n_column, TILE),
        stopped=room(TILE),
    )


def _compiled(function: Callable[..., Any]) -> Any:
    """Compiles for use in other compiled functions only: most of the time would go into taking Python's arguments."""
    return _njit(function, no_cpython_wrapper=True)


def _njit(function: Callable[..., Any], **options: Any) -> Any:
    """Compiles at the first call and keeps the code on disk, where there is a place to write."""
    options |= {"no_cfunc_wrapper": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder to keep it in
        return numba.njit(**options)(function)


@_compiled
def _series(tables: KernelTables, scale_height: float, factor: float, rays: Rays, draw: int) -> None:
    """Columns and areas from the Chebyshev series in the scale height."""
    n_term = tables.columns.shape[1]
    x = 2.0 * scale_height / tables.largest_scale_height - 1.0
    now, after = 1.0, x
    for term in range(n_term):
        rays.terms[0, term] = now * (math.sqrt(scale_height) * factor)
        rays.terms[1, term] = now * scale_height
        now, after = after, 2.0 * x * after - now
    for tile in range(tables.columns.shape[0]):
        place = draw * rays.columns.shape[1] + tile * TILE
        combine(rays.terms, 0, tables.columns, tile * n_term * TILE, n_term, rays.columns, place)
    for tile in range(tables.areas.shape[0]):
        place = draw * rays.areas.shape[1] + tile * TILE
        combine(rays.terms, n_term, tables.areas, tile * n_term * TILE, n_term, rays.areas, place)


@_compiled
def _exact(tables: KernelTables, scale_height: float, factor: float, rays: Rays, draw: int) -> None:
    """The same beyond the series, by the formulas of `exobench.simulators.geometry.layer_geometry`."""
    n_layer, n_column = tables.column_weights.shape
    altitude, half_first = 0.0, 0.5 * scale_height * tables.log_step[0]
    for layer in range(n_layer):
        thickness = scale_height * (1.0 + altitude) * (1.0 + altitude) * tables.log_step[layer]
        rays.areas[draw, layer] = (1.0 + altitude) * thickness
        rays.offsets[0, layer] = altitude + half_first
        rays.offsets[1, layer] = altitude + half_first + 0.5 * thickness
        altitude += thickness
    for ring in range(n_layer):
        before, ray = 0.0, rays.offsets[0, ring]
        for column in range(n_column):
            rays.sums[column] = 0.0
        for layer in range(ring, n_layer):
            top = rays.offsets[1, layer]
            reach = math.sqrt((top - ray) * (2.0 + top + ray))
            for column in range(n_column):
                rays.sums[column] += 2.0 * (reach - before) * tables.column_weights[layer, column]
            before = reach
        for column in range(n_column):
            rays.columns[draw, ring * n_column + column] = factor * rays.sums[column]


@_compiled
def _summarise(tables: KernelTables, rays: Rays, draw: int) -> None:
    """What the bounds and the sums without exponentials need, group by group."""
    n_group, n_column = tables.used.shape[0], tables.absorption.shape[1]
    for group in range(n_group):
        area = 0.0
        for ring in range(group * RINGS_A_GROUP, (group + 1) * RINGS_A_GROUP):
            area += rays.areas[draw, ring]
        rays.opaque_area[draw, group + 1] = rays.opaque_area[draw, group] + area
    for group in range(n_group - 1, -1, -1):
        tile, lane = group // TILE, group % TILE
        for column in range(tables.used[group]):
            thin = rays.thin_columns[draw, group + 1, column]
            low = rays.columns[draw, group * RINGS_A_GROUP * n_column + column]
            high = low
            for ring in range(group * RINGS_A_GROUP, (group + 1) * RINGS_A_GROUP):
                value = rays.columns[draw, ring * n_column + column]
                thin += rays.areas[draw, ring] * (_MINUS_LOG_2 * value)
                low = value if value < low else low
                high = value if value > high else high
            rays.thin_columns[draw, group, column] = thin
            rays.strongest[draw, tile, column, lane] = low
            rays.weakest[draw, tile, column, lane] = high


@_compiled
def _absorb(tables: KernelTables, tile: int, amounts: Single, draw: int, interval: int, rays: Rays) -> None:
    """Absorption of a draw's gases in a tile of bins, and its extremes there."""
    _, n_column, n_temperature, n_row, _ = tables.absorption.shape
    n_part = tables.least.shape[1]
    weights, below, table = draw * 2 * n_row, interval * n_row * TILE, n_temperature * n_row * TILE
    for column in range(n_column):
        start = (tile * n_column + column) * table + below
        combine(amounts, weights, tables.absorption, start, 2 * n_row, rays.absorption, column * TILE)
    for part in range(n_part):
        start = (tile * n_part + part) * table + below
        combine(amounts, weights, tables.least, start, 2 * n_row, rays.extremes, part * TILE)
        combine(amounts, weights, tables.most, start, 2 * n_row, rays.extremes, (n_part + part) * TILE)


@_compiled
def _stop(tables: KernelTables, rays: Rays, draw: int) -> float:
    """Sum over the rings of their area times what they stop, in the tile of bins at hand.

    The opaque rings, the same for all bins, are returned; the others are left in ``rays.stopped``, where float32 rounds
    them less for being few.
    """
    n_group, n_column = tables.used.shape[0], tables.absorption.shape[1]
    n_part, n_extreme = rays.weakest.shape[1], rays.extremes.shape[1]
    for part in range(n_part):
        start = (draw * n_part + part) * n_column * TILE
        combine(rays.extremes, 0, rays.weakest, start, n_column, rays.bounds, part * TILE)
        combine(rays.extremes, n_extreme, rays.strongest, start, n_column, rays.bounds, (n_part + part) * TILE)
    first, last = 0, n_group
    while first < n_group and rays.bounds[0, first] < _OPAQUE_EXPONENT:
        first += 1
    while last > first and rays.bounds[1, last - 1] > _THIN_EXPONENT:
        last -= 1
    n_thin = tables.used[last] if last < n_group else 0
    combine(rays.thin_columns, (draw * (n_group + 1) + last) * n_column, rays.absorption, 0, n_thin, rays.stopped, 0)
    for group in range(first, last):
        for ring in range(group * RINGS_A_GROUP, (group + 1) * RINGS_A_GROUP, 2):
            column, area = draw * rays.columns.shape[1] + ring * n_column, draw * rays.areas.shape[1] + ring
            add_two_rings(
                rays.columns, column, n_column, rays.areas, area, rays.absorption, tables.used[group], rays.stopped
            )
    return rays.opaque_area[draw, first]


@_njit
def spectra(
    tables: KernelTables,
    rays: Rays,
    order: Whole,
    scale_height: Double,
    beyond_series: NDArray[np.bool_],
    factor: Double,
    interval: Whole,
    amounts: Single,
    disc: Double,
    depths: Single,
) -> None:
    """Writes the transit depths of a batch.

    Args:
        tables: what all draws share.
        rays: from `empty_rays`, or of an earlier call with the same tables.
        order: in which to take the draws, fastest where neighbours share a temperature interval, shape (n,).
        scale_height: at the base, over the radius; this and all that follow hold n draws or more.
        beyond_series: whether the scale height is beyond the series.
        factor: negative, of the columns, such that they give exponents of two.
        interval: number of the temperature node below.
        amounts: of the rows at the node below and at the one above, shape (n, 2 row).
        disc: depth of the bare planet.
        depths: the result, shape (n, bin).
    """
    n_draw, n_bin = order.shape[0], depths.shape[1]
    for start in range(0, n_draw, DRAWS_A_PASS):
        n_here = DRAWS_A_PASS if n_draw - start > DRAWS_A_PASS else n_draw - start
        for draw in range(n_here):
            row = order[start + draw]
            if beyond_series[row]:
                _exact(tables, scale_height[row], factor[row], rays, draw)
            else:
                _series(tables, scale_height[row], factor[row], rays, draw)
            _summarise(tables, rays, draw)
        for tile in range(tables.absorption.shape[0]):
            width = TILE if n_bin - tile * TILE > TILE else n_bin - tile * TILE
            for draw in range(n_here):
                row = order[start + draw]
                _absorb(tables, tile, amounts, row, interval[row], rays)
                opaque = _stop(tables, rays, draw)
                for lane in range(width):
                    depths[row, tile * TILE + lane] = disc[row] * (1.0 + 2.0 * (opaque + rays.stopped[lane]))
