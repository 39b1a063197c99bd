"""Figures of calibration: coverage curves, histograms of ranks, TARP; of all methods, or of one run's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from exobench.metrics.calibration import coverage_band
from exobench.report.entries import Entry, ParameterNote
from exobench.report.plots.layout import axes_of, axis, figure, panels, rounded
from exobench.report.plots.palette import BAND, LIGHT, Style, method_styles, numbered_style, translucent
from exobench.report.plots.shown import representatives, shared_size
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import LEVELS, at_size
from exobench.report.plots.text import joined, label, of_run, safe, short_label
from exobench.report.sections import Section

LEVEL_TITLE = "credible level"
_ERROR_TITLE = "coverage \u2212 level"
_WIDEST_ERROR, _HIGHEST_BAR = 0.15, 2.2
"""Curves that leave the frame do so visibly; a frame for the worst of them would make one line of all others."""


def _curves(section: Section, caches: Caches, key: str) -> tuple[int, list[tuple[Entry, dict[str, Any]]]]:
    """The runs that have a statistic, on the spectra that they share."""
    n_obs = shared_size(section)
    if n_obs is None:
        return 0, []
    pairs = ((entry, at_size(entry, caches, n_obs)) for entry in representatives(section, n_obs))
    return n_obs, [(entry, found) for entry, found in pairs if key in found]


def draw_coverage(section: Section, caches: Caches) -> Figure | None:
    """Coverage minus level of every method, a panel for each parameter."""
    n_obs, runs = _curves(section, caches, "coverage")
    if not runs:
        return None
    data = [
        trace
        for number in range(len(section.parameters))
        for trace in _error_panel(
            [(entry, found["coverage"][number]) for entry, found in runs], n_obs, number, legend=number == 0
        )
    ]
    axes, height = _error_axes(section.parameters, _frame(data))
    return figure(data, height, legend=len(runs) + 1, **axes)


def describe_coverage(section: Section, caches: Caches) -> str:
    """The largest departure from the level of each method."""
    n_obs, runs = _curves(section, caches, "coverage")
    parts = []
    for entry, found in runs:
        error = np.array(found["coverage"], float) - LEVELS
        worst = np.unravel_index(int(np.argmax(np.abs(error))), error.shape)
        where = f"{entry.names[int(worst[0])]} at level {LEVELS[worst[1]]:.2f}"
        parts.append(f"{entry.method} at most {abs(error[worst]):.3f} {_side(error[worst])} ({where})")
    return f"Coverage minus level on {n_obs:,} spectra, the largest departure: {joined(parts)}."


def _side(error: float) -> str:
    return "below (too narrow)" if error < 0 else "above (too wide)"


def draw_tarp(section: Section, caches: Caches) -> Figure | None:
    """Expected coverage of TARP's balls minus level, of every method."""
    n_obs, runs = _curves(section, caches, "tarp")
    if not runs:
        return None
    data = _error_panel([(entry, found["tarp"]) for entry, found in runs], n_obs, 0, legend=True)
    return figure(
        data,
        340,
        legend=len(runs) + 1,
        xaxis=axis(LEVEL_TITLE, range=[0, 1]),
        yaxis=axis(_ERROR_TITLE, nticks=6, range=_frame(data)),
    )


def describe_tarp(section: Section, caches: Caches) -> str:
    """The largest departure from the level of each method."""
    n_obs, runs = _curves(section, caches, "tarp")
    parts = []
    for entry, found in runs:
        error = np.array(found["tarp"], float) - LEVELS
        parts.append(f"{entry.method} at most {np.max(np.abs(error)):.3f}")
    return f"TARP's expected coverage minus level on {n_obs:,} spectra, the largest departure: {joined(parts)}."


def _error_panel(
    curves: Sequence[tuple[Entry, Sequence[float]]], n_obs: int, number: int, *, legend: bool
) -> list[dict[str, Any]]:
    styles = method_styles([entry.method for entry, _ in curves])
    traces = [*band_traces(n_obs, number, legend=legend)]
    for entry, curve in curves:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": safe(entry.method),
                "legendgroup": safe(entry.method),
                "showlegend": legend,
                "x": rounded(LEVELS),
                "y": rounded(np.array(curve, float) - LEVELS, 3),
                "line": styles[entry.method].line(),
                "hovertemplate": f"{of_run(entry)}<br>level %{{x:.2f}}: %{{y:+.3f}}<extra></extra>",
                **axes_of(number),
            }
        )
    return traces


def band_traces(n_obs: int, number: int, *, legend: bool, difference: bool = True) -> list[dict[str, Any]]:
    """The band that holds a whole calibrated curve in 95 % of test sets, and the one that holds each level alone.

    Args:
        n_obs: spectra behind each curve.
        number: of the panel.
        legend: whether the wide band is named.
        difference: coverage minus level, otherwise coverage itself.
    """
    made = []
    for (y_of_level, y_of_error), name in zip(_bands(n_obs), ("95 % of calibrated curves", ""), strict=True):
        made.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "legendgroup": "band",
                "showlegend": legend and bool(name),
                "x": rounded([*LEVELS, *LEVELS[::-1]]),
                "y": y_of_error if difference else y_of_level,
                "fill": "toself",
                "fillcolor": BAND,
                "line": {"width": 0, "color": LIGHT["floor"]},
                "hoverinfo": "skip",
                **axes_of(number),
            }
        )
    return made


@cache
def _bands(n_obs: int) -> list[tuple[list[float], list[float]]]:
    """Outlines of the simultaneous and the pointwise band: of coverage, and of coverage minus level."""
    half = simultaneous_half_width(n_obs)
    wide = np.clip(LEVELS - half, 0.0, 1.0), np.clip(LEVELS + half, 0.0, 1.0)
    outlines = [np.array([*lower, *upper[::-1]]) for lower, upper in (wide, coverage_band(LEVELS, n_obs))]
    level = np.array([*LEVELS, *LEVELS[::-1]])
    return [(rounded(outline), rounded(outline - level)) for outline in outlines]


@cache
def simultaneous_half_width(n_obs: int, probability: float = 0.95) -> float:
    """Half the height of the band around the level that holds the whole coverage curve of a calibrated answer.

    The Kolmogorov distribution of n_obs ranks; exact for every n_obs.
    """
    return float(stats.kstwo.ppf(probability, n_obs))


def _frame(data: Sequence[dict[str, Any]]) -> list[float]:
    """The vertical range: that of all curves, but no more than lets the good ones be told apart."""
    most = max(abs(value) for trace in data for value in trace["y"])
    half = 1.1 * min(most, _WIDEST_ERROR)
    return [-half, half]


def _error_axes(parameters: Sequence[ParameterNote], frame: list[float]) -> tuple[dict[str, Any], int]:
    return panels(
        [short_label(parameter) for parameter in parameters],
        LEVEL_TITLE,
        _ERROR_TITLE,
        x={"range": [0, 1], "tickvals": [0, 0.5, 1]},
        y={"nticks": 5, "range": frame},
    )


def draw_sbc(section: Section, caches: Caches) -> Figure | None:
    """Histograms of the truths' ranks of every method as steps, a panel for each parameter."""
    _, runs = _curves(section, caches, "counts")
    if not runs:
        return None
    styles = method_styles([entry.method for entry, _ in runs])
    fewest = min(found["n_rank"] for _, found in runs)
    data: list[dict[str, Any]] = []
    for number in range(len(section.parameters)):
        data += rank_band(fewest, len(runs[0][1]["counts"][0]), number, legend=number == 0)
        for entry, found in runs:
            trace = rank_steps(found["counts"][number], styles[entry.method], number)
            hover = f"{of_run(entry)}<br>rank %{{x:.2f}}: %{{y:.2f}}<extra></extra>"
            named = {"name": safe(entry.method), "legendgroup": safe(entry.method), "showlegend": number == 0}
            data.append(trace | named | {"hovertemplate": hover})
    axes, height = _rank_axes(section.parameters, [0.0, min(_HIGHEST_BAR, 1.05 * max(max(t["y"]) for t in data))])
    return figure(data, height, legend=len(runs) + 1, **axes)


def describe_sbc(section: Section, caches: Caches) -> str:
    """The smallest p-value of each method."""
    n_obs, runs = _curves(section, caches, "ks_p")
    parts = []
    for entry, found in runs:
        p = np.array(found["ks_p"], float)
        parts.append(f"{entry.method} {p.min():.2g} ({entry.names[int(np.argmin(p))]})")
    return f"Uniformity of ranks on {n_obs:,} spectra, smallest p-value over parameters: {joined(parts)}."


def rank_steps(counts: Sequence[int], style: Style, number: int) -> dict[str, Any]:
    """A histogram of ranks as steps, relative to a flat one."""
    n_bins, total = len(counts), sum(counts)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    heights = np.array(counts, float) * n_bins / total
    return {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(edges),
        "y": rounded([*heights, heights[-1]], 3),
        "line": style.line(1.6) | {"shape": "hv"},
        "customdata": [*counts, counts[-1]],
        **axes_of(number),
    }


def rank_band(n_obs: int, n_bins: int, number: int, *, legend: bool) -> list[dict[str, Any]]:
    """Where 95 % of the bars of a calibrated answer lie, relative to a flat histogram, and the flat one itself."""
    lower, upper = bar_band(n_obs, n_bins)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "95 % of calibrated bars",
            "legendgroup": "band",
            "showlegend": legend,
            "x": [0, 1, 1, 0],
            "y": rounded([lower, lower, upper, upper]),
            "fill": "toself",
            "fillcolor": BAND,
            "line": {"width": 0, "color": LIGHT["floor"]},
            "hoverinfo": "skip",
            **axes_of(number),
        }
    ]


@cache
def bar_band(n_obs: int, n_bins: int) -> tuple[float, float]:
    """What 95 % of the bars of a calibrated histogram lie between, relative to a flat one."""
    lower, upper = (stats.binom.ppf(q, n_obs, 1.0 / n_bins) * n_bins / n_obs for q in (0.025, 0.975))
    return float(lower), float(upper)


def _rank_axes(parameters: Sequence[ParameterNote], frame: list[float]) -> tuple[dict[str, Any], int]:
    return panels(
        [short_label(parameter) for parameter in parameters],
        "rank of the truth",
        "spectra / flat",
        x={"range": [0, 1], "tickvals": [0, 0.5, 1]},
        y={"range": frame, "nticks": 5},
    )


def _own(entry: Entry, caches: Caches, key: str) -> dict[str, Any] | None:
    found = at_size(entry, caches, entry.n_test)
    return found if key in found else None


def draw_run_coverage(entry: Entry, caches: Caches) -> Figure | None:
    """Coverage over level of each parameter of one run."""
    found = _own(entry, caches, "coverage")
    if found is None:
        return None
    data = [*band_traces(found["n_rank"], 0, legend=True, difference=False), _diagonal()]
    for number, (parameter, curve) in enumerate(zip(entry.parameters, found["coverage"], strict=True)):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": label(parameter),
                "x": rounded(LEVELS),
                "y": curve,
                "line": numbered_style(number).line(),
                "hovertemplate": f"{short_label(parameter)}<br>level %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
            }
        )
    return figure(
        data,
        400,
        legend=len(entry.parameters) + 1,
        xaxis=axis(LEVEL_TITLE, range=[0, 1]),
        yaxis=axis("share of truths inside", range=[0, 1]),
    )


def describe_run_coverage(entry: Entry, caches: Caches) -> str:
    """Coverage at 68 and 95 % of each parameter."""
    found = _own(entry, caches, "coverage") or {}
    pairs = zip(entry.names, found["coverage_68"], found["coverage_95"], strict=True)
    parts = [f"{name} {100 * low:.1f} and {100 * high:.1f} %" for name, low, high in pairs]
    return f"Coverage of central 68 and 95 % intervals on {found['n_rank']:,} spectra: {joined(parts)}."


def draw_run_sbc(entry: Entry, caches: Caches) -> Figure | None:
    """Histograms of the truths' ranks of one run as bars, a panel for each parameter."""
    found = _own(entry, caches, "counts")
    if found is None:
        return None
    data: list[dict[str, Any]] = []
    for number, counts in enumerate(found["counts"]):
        n_bins = len(counts)
        data += rank_band(found["n_rank"], n_bins, number, legend=False)
        data.append(
            {
                "type": "bar",
                "x": rounded((np.arange(n_bins) + 0.5) / n_bins),
                "y": rounded(np.array(counts) * n_bins / found["n_rank"], 3),
                "width": 1.0 / n_bins,
                "customdata": counts,
                "marker": {
                    "color": translucent(LIGHT["blue"], 0.55),
                    "line": {"width": 1, "color": LIGHT["blue"]},
                },
                "hovertemplate": "%{customdata} spectra<extra></extra>",
                **axes_of(number),
            }
        )
    axes, height = _rank_axes(entry.parameters, [0.0, 1.05 * max(max(trace["y"]) for trace in data)])
    return figure(data, height, **axes)


def describe_run_sbc(entry: Entry, caches: Caches) -> str:
    """The p-value of each parameter."""
    found = _own(entry, caches, "ks_p") or {}
    parts = [f"{name} {p:.2g}" for name, p in zip(entry.names, found["ks_p"], strict=True)]
    return f"p-values of uniform ranks (Kolmogorov-Smirnov) on {found['n_rank']:,} spectra: {joined(parts)}."


def draw_run_tarp(entry: Entry, caches: Caches) -> Figure | None:
    """TARP's expected coverage of one run."""
    found = _own(entry, caches, "tarp")
    if found is None:
        return None
    curve = {
        "type": "scatter",
        "mode": "lines",
        "name": "TARP",
        "x": rounded(LEVELS),
        "y": found["tarp"],
        "line": {"color": LIGHT["blue"], "width": 2},
        "hovertemplate": "level %{x:.2f}: %{y:.3f}<extra></extra>",
    }
    data = [*band_traces(found["n_tarp"], 0, legend=True, difference=False), _diagonal(), curve]
    return figure(
        data,
        380,
        legend=2,
        xaxis=axis(LEVEL_TITLE, range=[0, 1]),
        yaxis=axis("share of truths inside", range=[0, 1]),
    )


def describe_run_tarp(entry: Entry, caches: Caches) -> str:
    """Whether the curve leaves the band."""
    found = _own(entry, caches, "tarp") or {}
    error = float(np.max(np.abs(np.array(found["tarp"], float) - LEVELS)))
    half = simultaneous_half_width(found["n_tarp"])
    return (
        f"TARP's expected coverage departs from the level by at most {error:.3f} on {found['n_tarp']:,} spectra; a "
        f"calibrated answer stays within {half:.3f} in 95 % of test sets."
    )


def _diagonal() -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": LIGHT["ink"], "width": 1},
        "showlegend": False,
        "hoverinfo": "skip",
    }
