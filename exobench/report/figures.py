"""Figures of one run: pure functions from arrays to matplotlib figures, without pyplot's global state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from exobench.metrics.calibration import coverage_band, coverage_curve
from exobench.report.entries import ParameterNote

Array = NDArray[np.float64]

MAX_POINTS = 200
"""Spectra shown in a plot of truth against estimate: the first ones, so that every method shows the same."""

PALETTE = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#777777")
"""Tol's bright scheme, distinct for colour-blind readers; line styles repeat the distinction without colour."""
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))

_STYLE: Any = {
    "svg.hashsalt": "exobench",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
}
_BAND = "#d9d9d9"
_DPI = 170


def truth_figure(parameter: ParameterNote, truth: Array, median: Array, low: Array, high: Array) -> Figure:
    """Posterior medians with 68 % intervals against the truth.

    Args:
        parameter: for the axes.
        truth: (obs,).
        median: (obs,), in the parameter's unit, as all below; NaN where there is none.
        low: lower ends of the interval, (obs,).
        high: upper ends, (obs,).
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _panel(3.2, 3.1)
        truth, median, low, high = (values[:MAX_POINTS] for values in (truth, median, low, high))
        ends = parameter.low, parameter.high
        axes.plot(ends, ends, color="#333333", linewidth=0.8, zorder=1)
        axes.vlines(truth, low, high, color=PALETTE[0], alpha=0.35, linewidth=0.9, zorder=2)
        axes.plot(truth, median, "o", color=PALETTE[0], markersize=2.4, markeredgewidth=0, zorder=3)
        frame = _frame(parameter)
        axes.set(xlim=frame, ylim=frame)
        axes.set(xlabel="truth", ylabel="estimate", aspect="equal")
        axes.set_title(parameter.label, fontsize=9)
        return figure


def outside_frame(parameter: ParameterNote, median: Array) -> int:
    """How many of the medians that ``truth_figure`` shows lie beyond its frame, which is the prior's range."""
    low, high = _frame(parameter)
    shown = median[:MAX_POINTS]
    return int(np.sum((shown < low) | (shown > high)))


def coverage_figure(parameters: tuple[ParameterNote, ...], ranks: Array) -> Figure:
    """Coverage of central intervals over their level, one curve a parameter, with the 95 % band of a calibrated answer.

    Args:
        parameters: for the legend.
        ranks: randomised ranks, (obs, param), none missing.
    """
    levels = np.linspace(0.0, 1.0, 101)
    curve, (lower, upper) = coverage_curve(ranks, levels), coverage_band(levels, len(ranks))
    with mpl.rc_context(_STYLE):
        figure, axes = _panel(3.6, 3.9)
        axes.fill_between(levels, lower, upper, color=_BAND, linewidth=0, label="95 % of calibrated answers")
        axes.plot([0, 1], [0, 1], color="#333333", linewidth=0.7)
        for column, parameter in enumerate(parameters):
            color, style = PALETTE[column % len(PALETTE)], LINE_STYLES[(column + column // 7) % len(LINE_STYLES)]
            axes.plot(levels, curve[:, column], color=color, linestyle=style, linewidth=1.4, label=parameter.label)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="level of the interval", ylabel="share of truths inside")
        axes.set_aspect("equal")
        figure.legend(loc="outside lower center", ncols=2)
        return figure


def rank_figure(parameters: tuple[ParameterNote, ...], ranks: Array) -> Figure:
    """Histograms of the truths' ranks, with the 95 % band of each bar of a calibrated answer.

    Args:
        parameters: for the titles.
        ranks: randomised ranks, (obs, param), none missing.
    """
    n_bins = int(np.clip(len(ranks) // 5, 2, 20))
    lower, upper = (stats.binom.ppf(q, len(ranks), 1.0 / n_bins) for q in (0.025, 0.975))
    n_rows = -(-len(parameters) // 2)
    with mpl.rc_context(_STYLE):
        figure = _blank(3.6, 0.4 + 1.25 * n_rows)
        for column, parameter in enumerate(parameters):
            axes = figure.add_subplot(n_rows, 2, column + 1)
            axes.axhspan(lower, upper, color=_BAND, linewidth=0)
            axes.axhline(len(ranks) / n_bins, color="#333333", linewidth=0.7)
            counts, edges = np.histogram(ranks[:, column], bins=n_bins, range=(0.0, 1.0))
            axes.stairs(counts, edges, color=PALETTE[0], linewidth=1.3)
            axes.set(xlim=(0, 1), ylim=(0, max(1.15 * upper, 1.05 * counts.max())), xticks=(0, 0.5, 1))
            axes.set_title(parameter.label, fontsize=8.5)
            axes.tick_params(labelsize=7.5)
            axes.locator_params(axis="y", nbins=3)
        figure.supxlabel("rank of the truth among the draws", fontsize=9)
        figure.supylabel("spectra", fontsize=9)
        return figure


def save(figure: Figure, stem: Path) -> None:
    """Writes ``stem``.png and ``stem``.svg; equal figures give equal bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        # The layout is found once: each further search would cost as much as drawing.
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = stem.with_suffix(f".{kind}")
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            figure.savefig(part, format=kind, dpi="figure", metadata=metadata)
            os.replace(part, path)


def _frame(parameter: ParameterNote) -> tuple[float, float]:
    margin = 0.03 * (parameter.high - parameter.low)
    return parameter.low - margin, parameter.high + margin


def _panel(width_inch: float, height_inch: float) -> tuple[Figure, Axes]:
    figure = _blank(width_inch, height_inch)
    return figure, figure.add_subplot()


def _blank(width_inch: float, height_inch: float) -> Figure:
    figure = Figure(figsize=(width_inch, height_inch), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
