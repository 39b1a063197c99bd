"""Draws as thin outlines: one density a parameter, and contours that hold 68 and 95 % of each pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from exobench.metrics.draws import spread_draws
from exobench.report.plots.layout import rounded

Array = NDArray[np.float64]

SHARES = (0.68, 0.95)
_N_DRAWS, _N_CELLS = 4000, 36
_LEAST_CELLS, _MOST_CELLS, _ROOM = 0.8, 6.0, 0.4
_ASIDE, _MOST_PASSED = 0.004, 6
"""A point of a contour may be left out if it lies within this share of the view from the line without it."""
_POWER_OF_ONE, _POWER_OF_TWO = 1.0 / 5.0, 1.0 / 6.0
"""Of the number of draws in the kernel's width, in one and two dimensions (Scott 1992, Multivariate Density
Estimation)."""


def view_of(theta: Array, theta_true: Array, low: Array, high: Array) -> Array:
    """What a corner plot shows of each parameter: nearly all draws, the truth and room around, inside the prior's box.

    Args:
        theta: draws of the reference, (draw, param).
        theta_true: (param,).
        low: lower ends of the box, (param,).
        high: upper ends, (param,).

    Returns:
        Lower and upper ends, (2, param).
    """
    kept = theta[np.isfinite(theta).all(axis=1)]
    bottom = np.minimum(np.quantile(kept, 0.002, axis=0), theta_true)
    top = np.maximum(np.quantile(kept, 0.998, axis=0), theta_true)
    room = _ROOM * (top - bottom) + 1e-6 * (high - low)
    return np.stack([np.maximum(bottom - room, low), np.minimum(top + room, high)])


def outlines(theta: Array, log_weight: Array | None, view: Array) -> dict[str, Any]:
    """Outlines of draws within a view.

    Args:
        theta: (draw, param); draws that are not finite do not count.
        log_weight: (draw,), or None for equal weights.
        view: lower and upper ends, (2, param).

    Returns:
        ``width``: of the central 68 % interval of each parameter; ``marginal``: for each parameter centres of bins and
        densities, the largest one; ``pairs``: by ``"i j"`` with i < j, for each of `SHARES` two lists with the
        contours' coordinates of parameters i and j, None between pieces.
    """
    chosen = spread_draws(theta[None], None if log_weight is None else log_weight[None], _N_DRAWS)[0]
    draws = theta[chosen[chosen >= 0]]
    n_param = theta.shape[1]
    edges = [np.linspace(view[0, i], view[1, i], _N_CELLS + 1) for i in range(n_param)]
    central = np.quantile(draws, (0.16, 0.84), axis=0) if len(draws) else np.zeros((2, n_param))
    return {
        "width": rounded(central[1] - central[0]),
        "marginal": [_marginal(draws[:, i], edges[i]) for i in range(n_param)],
        "pairs": {
            f"{i} {j}": _contours(draws[:, i], draws[:, j], edges[i], edges[j])
            for j in range(n_param)
            for i in range(j)
        },
    }


def _marginal(values: Array, edges: Array) -> list[list[float]]:
    counts, _ = np.histogram(values, edges)
    # The box's edge is an edge of the density, too: mirrored, it does not sink there.
    density = gaussian_filter(counts.astype(np.float64), _smoothing(values, edges, _POWER_OF_ONE), mode="reflect")
    top = density.max()
    centres = 0.5 * (edges[1:] + edges[:-1])
    return [_thousandths(centres, edges), rounded(density / top if top > 0.0 else density, 3)]


def _contours(x: Array, y: Array, x_edges: Array, y_edges: Array) -> list[list[list[float | None]]]:
    counts, _, _ = np.histogram2d(x, y, bins=(x_edges, y_edges))
    width = [_smoothing(values, edges, _POWER_OF_TWO) for values, edges in ((x, x_edges), (y, y_edges))]
    density = gaussian_filter(counts, width, mode="reflect")
    order = np.argsort(density, axis=None)[::-1]
    # Draws are counted as they are, since smoothing widens them, and those beyond the view count for the shares.
    held = np.cumsum(counts.ravel()[order]) / max(len(x), 1)
    levels = density.ravel()[order]
    # A rim of zeros closes contours that reach the edge.
    lines = contour_generator(x=_with_rim(x_edges), y=_with_rim(y_edges), z=np.pad(density, 1).T)
    found = []
    for share in SHARES:
        place = int(np.searchsorted(held, share))
        level = float(levels[place]) if place < len(levels) else np.inf
        pieces = [_thinned(np.asarray(piece), x_edges, y_edges) for piece in lines.lines(level)]
        found.append([_joined([piece[:, k] for piece in pieces], e) for k, e in enumerate((x_edges, y_edges))])
    return found


def _thinned(line: Array, x_edges: Array, y_edges: Array) -> Array:
    """A line (point, 2) without the points that lie on the way from the last kept one to the next: a smaller page."""
    ends = np.array([[edges[0], edges[-1]] for edges in (x_edges, y_edges)])
    unit = (line - ends[:, 0]) / (ends[:, 1] - ends[:, 0])
    kept = [0]
    for place in range(1, len(unit) - 1):
        way, step = unit[place + 1] - unit[kept[-1]], unit[place] - unit[kept[-1]]
        length = float(np.hypot(*way))
        aside = abs(way[0] * step[1] - way[1] * step[0]) / length if length > 0.0 else np.inf
        if aside > _ASIDE or place - kept[-1] >= _MOST_PASSED:
            kept.append(place)
    return line[[*kept, len(line) - 1]]


def _smoothing(values: Array, edges: Array, power: float) -> float:
    """Width of the kernel in cells: Scott's rule on the spread of the middle half, for few draws and for many."""
    if len(values) < 2:
        return _LEAST_CELLS
    spread = float(np.subtract(*np.quantile(values, (0.75, 0.25)))) / 1.349
    cells = spread * len(values) ** -power / (edges[1] - edges[0])
    return float(np.clip(cells, _LEAST_CELLS, _MOST_CELLS))


def _with_rim(edges: Array) -> Array:
    """Centres of the cells and of one more on either side."""
    centres, step = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    return np.array([centres[0] - step, *centres, centres[-1] + step])


def _joined(pieces: list[Array], edges: Array) -> list[float | None]:
    """Coordinates within the view, None between pieces."""
    joined: list[float | None] = []
    for piece in pieces:
        joined += [*_thousandths(np.clip(piece, edges[0], edges[-1]), edges), None]
    return joined[:-1]


def _thousandths(values: Array, edges: Array) -> list[float]:
    """Numbers to a thousandth of the view at least."""
    shown: list[float] = np.round(values, int(np.ceil(3.0 - np.log10(edges[-1] - edges[0])))).tolist()
    return shown
