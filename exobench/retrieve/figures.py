"""Corner plot and spectrum with the posterior-predictive band."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exobench.retrieve.admission import NOT_FOR_SCIENCE
from exobench.retrieve.answer import Answer

Array = NDArray[np.float64]

_STYLE: Any = {"svg.hashsalt": "exobench", "font.size": 9.0, "axes.linewidth": 0.7, "legend.frameon": False}
_BLUE, _RED, _DARK = "#4477AA", "#EE6677", "#222222"
_CELL_INCH = 1.35
_N_BINS, _N_CELLS = 30, 28
_MASSES = (0.95, 0.68)
_PPM = 1e6
_BAND = ((2.5, 97.5, 0.25, "95 % of the draws"), (16.0, 84.0, 0.45, "68 % of the draws"))


def corner_figure(answer: Answer) -> Figure:
    """Histograms of each parameter and 68/95 % regions of each pair; the axes are the prior's range."""
    n, weight = len(answer.space), answer.weight
    with mpl.rc_context(_STYLE):
        figure = _figure(_CELL_INCH * n + 0.9, _CELL_INCH * n + 0.9)
        grid = figure.add_gridspec(n, n, left=0.09, right=0.985, bottom=0.09, top=0.95, wspace=0.06, hspace=0.06)
        for row in range(n):
            for column in range(row + 1):
                axes = figure.add_subplot(grid[row, column])
                if column == row:
                    _histogram(axes, answer, row, weight)
                else:
                    _pair(axes, answer, row, column, weight)
                parameter = answer.space.parameters[column]
                axes.set_xlim(parameter.low, parameter.high)
                _labels(axes, row, column, n, parameter.label, answer.space.parameters[row].label)
        figure.align_labels()
        _mark(figure, answer)
        return figure


def spectrum_figure(answer: Answer, wavelength_um: Array) -> Figure:
    """The spectrum in the task's bins over the noise-free spectra of the draws."""
    seen = np.isfinite(answer.x)
    with mpl.rc_context(_STYLE):
        figure = _figure(8.0, 4.4)
        place: Any = {"left": 0.09, "right": 0.985, "bottom": 0.11, "top": 0.92}
        upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw=place | {"height_ratios": (3, 1), "hspace": 0.06})
        middle = np.median(answer.predicted, axis=0)
        for low, high, alpha, label in _BAND:
            ends = np.percentile(answer.predicted, (low, high), axis=0)
            upper.fill_between(wavelength_um, *(_PPM * ends), color=_BLUE, alpha=alpha, linewidth=0, label=label)
            pulls = [(end - middle)[seen] / answer.sigma[seen] for end in ends]
            lower.fill_between(wavelength_um[seen], *pulls, color=_BLUE, alpha=alpha, linewidth=0)
        upper.plot(wavelength_um, _PPM * middle, color=_BLUE, linewidth=0.9, label="median of the draws")
        upper.errorbar(
            wavelength_um[seen],
            _PPM * answer.x[seen],
            _PPM * answer.sigma[seen],
            fmt=".",
            color=_DARK,
            markersize=2.5,
            elinewidth=0.5,
            alpha=0.75,
            label="spectrum, in the task's bins",
        )
        lower.plot(wavelength_um[seen], ((answer.x - middle) / answer.sigma)[seen], ".", color=_DARK, markersize=2.5)
        lower.axhline(0.0, color=_DARK, linewidth=0.6)
        upper.set(ylabel="transit depth (ppm)", title=answer.spectrum.path.name)
        lower.set(
            ylabel="residual / error", xlabel="wavelength (um)", xscale="log" if _is_wide(wavelength_um) else "linear"
        )
        lower.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        lower.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        if _is_wide(wavelength_um):
            shown = [t for t in (0.3, 0.5, 1, 2, 3, 5, 10, 20, 50) if wavelength_um[0] <= t <= wavelength_um[-1]]
            lower.set_xticks(shown)
        upper.legend(loc="best", fontsize=8)
        _mark(figure, answer)
        return figure


def _is_wide(wavelength_um: Array) -> bool:
    return bool(wavelength_um[-1] > 4 * wavelength_um[0])


def _histogram(axes: Axes, answer: Answer, column: int, weight: Array) -> None:
    parameter = answer.space.parameters[column]
    values = answer.theta[:, column]
    axes.hist(
        values,
        bins=_N_BINS,
        range=(parameter.low, parameter.high),
        weights=weight,
        histtype="stepfilled",
        color=_BLUE,
        alpha=0.6,
    )
    low, middle, high = (answer.quantile(level)[column] for level in (0.16, 0.5, 0.84))
    axes.axvline(middle, color=_DARK, linewidth=0.9)
    for end in (low, high):
        axes.axvline(end, color=_DARK, linewidth=0.7, linestyle="--")
    if answer.given is not None:
        axes.axvline(answer.given[column], color=_RED, linewidth=1.0)
    digits = max(0, 1 - int(np.floor(np.log10(max(high - low, 1e-12)))))
    over, under = (f"{size:.{digits}f}" for size in (high - middle, middle - low))
    axes.set_title(f"{middle:.{digits}f} $^{{+{over}}}_{{-{under}}}$", fontsize=8)
    axes.set_yticks([])


def _pair(axes: Axes, answer: Answer, row: int, column: int, weight: Array) -> None:
    from scipy.ndimage import gaussian_filter

    across, up = answer.space.parameters[column], answer.space.parameters[row]
    ranges = [[across.low, across.high], [up.low, up.high]]
    counts, *edges = np.histogram2d(answer.theta[:, column], answer.theta[:, row], _N_CELLS, ranges, weights=weight)
    _regions(axes, gaussian_filter(counts, 0.9), *edges)
    if answer.given is not None:
        axes.plot(answer.given[column], answer.given[row], "x", color=_RED, markersize=5)
    axes.set_ylim(up.low, up.high)


def _regions(axes: Axes, counts: Array, x_edges: Array, y_edges: Array) -> None:
    """Filled regions of highest density."""
    ordered = np.sort(counts.ravel())[::-1]
    total = np.cumsum(ordered)
    levels = [float(ordered[np.searchsorted(total, mass * total[-1])]) for mass in _MASSES]
    levels = [*np.unique(levels), float(counts.max()) * 1.001]
    centres = [0.5 * (edges[1:] + edges[:-1]) for edges in (x_edges, y_edges)]
    if len(levels) > 1 and np.all(np.diff(levels) > 0):
        colours = [mpl.colors.to_rgba(_BLUE, alpha) for alpha in (0.3, 0.7)][-(len(levels) - 1) :]
        axes.contourf(*centres, counts.T, levels=levels, colors=colours)


def _labels(axes: Axes, row: int, column: int, n: int, across: str, up: str) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3, prune="both"))
    if row == n - 1:
        axes.set_xlabel(across, fontsize=9)
        axes.tick_params(axis="x", labelrotation=45)
    else:
        axes.set_xticklabels([])
    if row != column:
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3, prune="both"))
        if column == 0:
            axes.set_ylabel(up, fontsize=9)
        else:
            axes.set_yticklabels([])


def _figure(width_inch: float, height_inch: float) -> Figure:
    figure = Figure(figsize=(width_inch, height_inch), dpi=150)
    FigureCanvasAgg(figure)
    return figure


def _mark(figure: Figure, answer: Answer) -> None:
    if answer.mark is not None:
        figure.text(
            0.5,
            0.5,
            NOT_FOR_SCIENCE.upper(),
            rotation=28,
            ha="center",
            va="center",
            fontsize=40,
            color="#cc0000",
            alpha=0.22,
        )
    if answer.warning is not None:
        figure.text(0.99, 0.99, "not like the training spectra", ha="right", va="top", fontsize=9, color="#cc0000")
