"""Histograms of the truths' ranks (SBC): a table of small ones for all methods, larger ones for one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.bands import bar_band, bar_bands
from exobench.report.plots.layout import axes_of, axis, figure, panels, rounded
from exobench.report.plots.palette import LIGHT, translucent
from exobench.report.plots.shown import column_names, compared, row_names
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import at_size
from exobench.report.plots.text import joined, safe, short_label
from exobench.report.sections import Section

HIGHEST = 2.2
"""Bars of the table are cut here, relative to a flat histogram, so that the good ones keep their height."""

_ROW_PX, _GAP = 60, 0.008
_FLAT = 0.42
"""Height of a flat histogram in rows."""
_SURELY_NOT_FLAT = 1e-3
_BAR: dict[str, Any] = {"type": "scatter", "mode": "lines", "fill": "toself", "hoverinfo": "skip", "showlegend": False}


def _rows(section: Section, caches: Caches) -> list[tuple[Entry, int]]:
    return [(entry, n_obs) for entry, n_obs in compared(section) if "counts" in at_size(entry, caches, n_obs)]


def draw_sbc(section: Section, caches: Caches) -> Figure | None:
    """A table of histograms: methods as rows, parameters as columns, each over the band of its own test set."""
    rows = _rows(section, caches)
    if not rows:
        return None
    found = [at_size(entry, caches, n_obs) for entry, n_obs in rows]
    data: list[dict[str, Any]] = []
    for number in range(len(section.parameters)):
        histograms = [heights(each["counts"][number]) for each in found]
        bands = [bar_band(each["n_rank"], len(each["counts"][number])) for each in found]
        data += [_bars(histograms, number), _flat_lines(len(rows), number), _row_bands(bands, number)]
    return figure(data, _ROW_PX * len(rows) + 64, **_table_axes(section, row_names(rows)))


def heights(counts: Sequence[int]) -> list[float]:
    """A histogram of ranks relative to a flat one."""
    return rounded(np.array(counts, float) * len(counts) / sum(counts), 4)


def _bars(histograms: Sequence[Sequence[float]], number: int) -> dict[str, Any]:
    """The outlines of a column's histograms, each on its row's ground."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, histogram in enumerate(histograms):
        edges = np.linspace(0.0, 1.0, len(histogram) + 1)
        steps = _FLAT * np.minimum(np.repeat(histogram, 2), HIGHEST)
        x += [0.0, *rounded(np.repeat(edges, 2)[1:-1], 3), 1.0, None]
        y += [*rounded([-row, *(steps - row), -row], 5), None]
    line = {"width": 1, "color": LIGHT["blue"]}
    fill = {"fillcolor": translucent(LIGHT["blue"], 0.45), "line": line, "name": "bars"}
    return _BAR | fill | {"x": x[:-1], "y": y[:-1]} | axes_of(number)


def _flat_lines(n_rows: int, number: int) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    for row in range(n_rows):
        x += [0.0, 1.0, None]
        y += [round(_FLAT - row, 4)] * 2 + [None]
    line = {"width": 0.8, "color": LIGHT["ink"], "dash": "dot"}
    return _BAR | {"fill": "none", "line": line, "name": "flat", "x": x, "y": y} | axes_of(number)


def _row_bands(bands: Sequence[tuple[float, float]], number: int) -> dict[str, Any]:
    placed = [tuple(_FLAT * min(edge, HIGHEST) - row for edge in band) for row, band in enumerate(bands)]
    return bar_bands([(lower, upper) for lower, upper in placed], number)


def _table_axes(section: Section, rows: Sequence[str]) -> dict[str, Any]:
    columns = column_names(section)
    width = (1.0 - _GAP * (len(columns) - 1)) / len(columns)
    frame = [1.0 - len(rows) - 0.06, _FLAT * HIGHEST + 0.06]
    still: dict[str, Any] = {"showgrid": False, "fixedrange": True, "tickfont": {"size": 11}}
    made: dict[str, Any] = {}
    for number, column in enumerate(columns):
        suffix = "" if number == 0 else str(number + 1)
        left = number * (width + _GAP)
        made[f"xaxis{suffix}"] = axis(
            anchor=f"y{suffix}",
            domain=[left, min(left + width, 1.0)],
            range=[0, 1],
            tickvals=[0.5],
            ticktext=[column],
            side="top",
            **still,
        )
        first = number == 0
        made[f"yaxis{suffix}"] = axis(
            anchor=f"x{suffix}",
            range=frame,
            tickvals=[_FLAT - row for row in range(len(rows))],
            ticktext=[safe(row) for row in rows],
            showticklabels=first,
            **still,
        )
    return made


def describe_sbc(section: Section, caches: Caches) -> str:
    """The smallest p-value of each method, and what its histogram looks like."""
    rows = _rows(section, caches)
    parts = []
    for (entry, n_obs), name in zip(rows, row_names(rows), strict=True):
        found = at_size(entry, caches, n_obs)
        p = np.array(found["ks_p"], float)
        worst = int(np.argmin(p))
        parts.append(f"{name} {p_words(p[worst])} ({entry.names[worst]}{_shape(found['counts'][worst], p[worst])})")
    return (
        f"p-values of uniform ranks on {rows[0][1]:,} spectra unless a number in brackets says fewer, smallest over "
        f"parameters: {joined(parts, 20)}."
    )


def p_words(p: float) -> str:
    """A p-value to two digits; no more is said of one below a millionth."""
    return "below 1e-6" if p < 1e-6 else f"{p:.2g}"


def _shape(counts: Sequence[int], p: float) -> str:
    """What a histogram looks like that is not flat beyond what a page of p-values makes by chance."""
    if p > _SURELY_NOT_FLAT:
        return ""
    third = -(-len(counts) // 3)
    left, right = sum(counts[:third]), sum(counts[-third:])
    ends, middle = (left + right) / (2 * third), (sum(counts) - left - right) / max(len(counts) - 2 * third, 1)
    if abs(left - right) > third * abs(ends - middle):
        return f", a slope towards {'low' if left > right else 'high'} ranks"
    return ", a bowl" if ends > middle else ", a hill"


def draw_run_sbc(entry: Entry, caches: Caches) -> Figure | None:
    """Histograms of the truths' ranks of one run as bars, a panel for each parameter."""
    found = at_size(entry, caches, entry.n_test)
    if "counts" not in found:
        return None
    data: list[dict[str, Any]] = []
    for number, counts in enumerate(found["counts"]):
        data += _large(counts, found["n_rank"], number)
    axes, height = panels(
        [short_label(parameter) for parameter in entry.parameters],
        "rank of the truth",
        "spectra / flat",
        x={"range": [0, 1], "tickvals": [0, 0.5, 1]},
        y={"range": [0.0, 1.05 * max(max(trace["y"]) for trace in data)], "nticks": 5},
    )
    return figure(data, height, legend=1, **axes)


def _large(counts: Sequence[int], n_rank: int, number: int) -> list[dict[str, Any]]:
    """Bars of one parameter, and over them the band."""
    n_bins = len(counts)
    bars = {
        "type": "bar",
        "x": rounded((np.arange(n_bins) + 0.5) / n_bins),
        "y": heights(counts),
        "width": 1.0 / n_bins,
        "customdata": list(counts),
        "showlegend": False,
        "marker": {"color": translucent(LIGHT["blue"], 0.45), "line": {"width": 1, "color": LIGHT["blue"]}},
        "hovertemplate": "%{customdata} spectra<extra></extra>",
        **axes_of(number),
    }
    return [bars, bar_bands([bar_band(n_rank, n_bins)], number, legend=number == 0)]


def describe_run_sbc(entry: Entry, caches: Caches) -> str:
    """The p-value and the shape of each parameter."""
    found = at_size(entry, caches, entry.n_test)
    parts = [
        f"{name} {p_words(p)}{_shape(counts, p)}"
        for name, p, counts in zip(entry.names, found["ks_p"], found["counts"], strict=True)
    ]
    return f"p-values of uniform ranks (Kolmogorov-Smirnov) on {found['n_rank']:,} spectra: {joined(parts)}."
