"""Corner plot and spectrum with the posterior-predictive band."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from exobench.report.plots.outlines import outlines
from exobench.retrieve.admission import NOT_FOR_SCIENCE
from exobench.retrieve.answer import Answer

Array = NDArray[np.float64]

_STYLE: Any = {"svg.hashsalt": "exobench", "font.size": 9.0, "axes.linewidth": 0.7, "legend.frameon": False}
_BLUE, _RED, _DARK = "#4477AA", "#EE6677", "#222222"
_CELL_INCH = 1.35
_LEFT_INCH, _RIGHT_INCH, _BOTTOM_INCH, _TOP_INCH = 0.85, 0.15, 0.8, 0.55
_LINE_INCH, _CHARACTERS_PER_INCH = 0.15, 17
_N_BINS = 36
_VIEW, _ROOM, _LEAST_VIEW = (0.001, 0.999), 0.1, 1e-6
"""Quantiles of the draws that an axis spans, the room beside them as a share of that, and the least span as a share of
the prior's range."""
_ALPHAS = (0.7, 0.3)
"""Of the regions of 68 and 95 %."""
_PPM = 1e6
_BAND = ((2.5, 97.5, 0.25, "95 % of the draws"), (16.0, 84.0, 0.45, "68 % of the draws"))


def corner_figure(answer: Answer) -> Figure:
    """Histograms of each parameter and regions of each pair that hold 68 and 95 % of the draws.

    The axes span the draws, cut to the prior, and reach to the values that a .par file gives.
    """
    n, view = len(answer.space), draws_view(answer)
    with mpl.rc_context(_STYLE):
        figure, grid = _cells(n, _caption(answer, view), skipped=int(answer.warning is not None))
        pairs = outlines(answer.theta, answer.log_weight, view)["pairs"] if n > 1 else {}
        shown = _with_given(view, answer)
        for row in range(n):
            for column in range(row + 1):
                axes = figure.add_subplot(grid[row, column])
                if column == row:
                    _histogram(axes, answer, row, view)
                else:
                    _regions(axes, pairs[f"{column} {row}"])
                    if answer.given is not None:
                        axes.plot(answer.given[column], answer.given[row], "x", color=_RED, markersize=5)
                    axes.set_ylim(*shown[:, row])
                axes.set_xlim(*shown[:, column])
                _labels(axes, row, column, n, *(answer.space.parameters[k].label for k in (column, row)))
        figure.align_labels()
        _mark(figure, answer)
        return figure


def draws_view(answer: Answer) -> Array:
    """Where the draws are: their weighted quantiles 0.1 and 99.9 % with some room, cut to the prior.

    Returns:
        Lower and upper ends, (2, param).
    """
    low, high = (answer.quantile(level) for level in _VIEW)
    room = _ROOM * (high - low) + _LEAST_VIEW * (answer.space.high - answer.space.low)
    return np.stack([np.maximum(low - room, answer.space.low), np.minimum(high + room, answer.space.high)])


def region_path(contour: list[list[float | None]]) -> Path:
    """A contour of `outlines` as one path, whose pieces (holes are of opposite direction) are closed."""
    x, y = (np.array([np.nan, *coordinates, np.nan], dtype=float) for coordinates in contour)
    ends = np.flatnonzero(np.isnan(x))
    pieces = [np.stack([x, y], axis=1)[start + 1 : end] for start, end in itertools.pairwise(ends)]
    closed = [Path(piece, closed=True) for piece in pieces if len(piece) > 2]
    return Path.make_compound_path(*closed)


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


def _cells(n: int, caption: str, skipped: int) -> tuple[Figure, GridSpec]:
    """A figure with n by n cells below skipped lines and a caption; margins are of one size for any n."""
    width = _LEFT_INCH + _CELL_INCH * n + _RIGHT_INCH
    lines = [""] * skipped + textwrap.wrap(caption, int(_CHARACTERS_PER_INCH * (width - 2 * _RIGHT_INCH)))
    top = _TOP_INCH + _LINE_INCH * len(lines)
    height = _BOTTOM_INCH + _CELL_INCH * n + top
    figure = _figure(width, height)
    figure.text(_RIGHT_INCH / width, 1 - _RIGHT_INCH / height, "\n".join(lines), va="top", fontsize=8)
    place: Any = {"left": _LEFT_INCH / width, "right": 1 - _RIGHT_INCH / width}
    place |= {"bottom": _BOTTOM_INCH / height, "top": 1 - top / height}
    return figure, figure.add_gridspec(n, n, wspace=0.06, hspace=0.06, **place)


def _caption(answer: Answer, view: Array) -> str:
    narrow = int(np.sum((view[0] > answer.space.low) | (view[1] < answer.space.high)))
    span = "narrower than the prior" if narrow == len(answer.space) else "as wide as the prior"
    if 0 < narrow < len(answer.space):
        span = f"narrower than the prior for {narrow} of {len(answer.space)} parameters"
    given = "" if answer.given is None else "; red: from the .par file"
    shaded = f"Shaded: 68 and 95 % of the draws{given}. Axes: {span}."
    return f"{answer.made_by(answer.spectrum.path.name)}. {shaded}"


def _with_given(view: Array, answer: Answer) -> Array:
    """The view, widened to show the values of a .par file inside the prior."""
    if answer.given is None:
        return view
    room = _ROOM / 2 * (np.maximum(view[1], answer.given) - np.minimum(view[0], answer.given))
    low, high = np.minimum(view[0], answer.given - room), np.maximum(view[1], answer.given + room)
    return np.stack([np.maximum(low, answer.space.low), np.minimum(high, answer.space.high)])


def _histogram(axes: Axes, answer: Answer, column: int, view: Array) -> None:
    axes.hist(
        answer.theta[:, column],
        bins=_N_BINS,
        range=(view[0, column], view[1, column]),
        weights=answer.weight,
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


def _regions(axes: Axes, contours: list[list[list[float | None]]]) -> None:
    for contour, alpha in reversed(list(zip(contours, _ALPHAS, strict=True))):
        axes.add_patch(PathPatch(region_path(contour), facecolor=_BLUE, alpha=alpha, linewidth=0))


def _labels(axes: Axes, row: int, column: int, n: int, across: str, up: str) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3, prune="both"))
    for axis in (axes.xaxis, axes.yaxis):
        # A narrow axis would otherwise show differences from a number that stands elsewhere.
        axis.set_major_formatter(mpl.ticker.ScalarFormatter(useOffset=False))
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
