"""Heat maps of each parameter's accuracy and calibration, the values printed in the cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, axis, figure, note, rounded
from exobench.report.plots.palette import ALARM, CELL_INK, DIVERGING, LIGHT, NO_VALUE
from exobench.report.plots.shown import column_names, compared, row_names
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import at_size
from exobench.report.plots.text import joined, safe
from exobench.report.scores import evidence
from exobench.report.sections import Section
from exobench.report.wording import signed

Values = Sequence[Sequence[float | None]]
"""One row a run, one column a parameter."""


class Map(NamedTuple):
    """One heat map: its title, the numbers that are printed and how, and what colours them, with its scale."""

    title: str
    values: Values
    text: Callable[[float], str]
    colour: Values
    scale: dict[str, Any]


_ROW_PX, _GAP_PX = 24, 84
_STILL: dict[str, Any] = {"showgrid": False, "fixedrange": True, "tickfont": {"size": 11}}
_MOST_SIGMA = 4.0
"""Coverage errors are coloured by what chance allows: a dozen per cent is nothing on 25 spectra and much on 10,000."""
_ACCURACY = (
    ("skill", "skill (1 is best, 0 knows nothing)"),
    ("hit_rate_10", "share of medians within 10 % of prior range"),
    ("hit_rate_1", "share of medians within 1 % of prior range"),
)
_P_SHOWN = 1e-3


def draw_accuracy(section: Section, caches: Caches) -> Figure | None:
    """Skill and hit rates of every method and parameter."""
    rows = compared(section)
    if not rows:
        return None
    scale = {"colorscale": DIVERGING, "zmin": -1.0, "zmax": 1.0}
    maps = []
    for metric, title in _ACCURACY:
        values = _accuracy(section, caches, rows, metric)
        maps.append(Map(title, values, _two_decimals, values, scale))
    return _heat_figure(section, rows, maps)


def _two_decimals(value: float) -> str:
    # Adding zero takes the sign off what rounds to nothing.
    return signed(f"{round(value, 2) + 0.0:.2f}")


def _accuracy(section: Section, caches: Caches, rows: Sequence[tuple[Entry, int]], metric: str) -> Values:
    found = [evidence(entry, caches[entry.anchor], n_obs) for entry, n_obs in rows]
    return [[row.score(metric, parameter.name).value for parameter in section.parameters] for row in found]


def describe_accuracy(section: Section, caches: Caches) -> str:
    """The methods of most and least skill for each parameter, of those on the same spectra."""
    rows = compared(section)
    most = rows[0][1]
    rows = [(entry, n_obs) for entry, n_obs in rows if n_obs == most and not entry.is_reference] or rows
    values = _accuracy(section, caches, rows, "skill")
    parts = []
    for column, parameter in enumerate(section.parameters):
        pairs = [(row[column], entry.method) for (entry, _), row in zip(rows, values, strict=True)]
        known = sorted((value, method) for value, method in pairs if value is not None)
        if known:
            (worst, last), (best, first) = known[0], known[-1]
            beside = f", down to {worst:.2f} ({last})" if len(known) > 1 else ""
            parts.append(f"{parameter.name} {best:.2f} ({first}){beside}")
    return f"Largest and smallest skill for each parameter on {most:,} spectra: {joined(parts)}."


def draw_calibration(section: Section, caches: Caches) -> Figure | None:
    """Coverage errors at 68 and 95 % and p-values of uniform ranks of every method and parameter."""
    rows = [(entry, n) for entry, n in compared(section) if "coverage_68" in at_size(entry, caches, n)]
    if not rows:
        return None
    scale = {"colorscale": DIVERGING, "zmin": -_MOST_SIGMA, "zmax": _MOST_SIGMA}
    maps = []
    for percent in (68, 95):
        errors = _coverage_error(caches, rows, percent)
        sigmas = [np.sqrt(percent * (100 - percent) / at_size(entry, caches, n)["n_rank"]) for entry, n in rows]
        colour = [[100.0 * (error or 0.0) / sigma for error in row] for row, sigma in zip(errors, sigmas, strict=True)]
        title = f"coverage of {percent} % intervals, minus {percent} %"
        maps.append(Map(title, errors, _signed_percent, colour, scale))
    p_values = [at_size(entry, caches, n)["ks_p"] for entry, n in rows]
    alarm = {"colorscale": ALARM, "reversescale": True, "zmin": 0.0, "zmax": 0.05}
    maps.append(Map("p-value of uniform ranks (SBC)", p_values, _p_text, p_values, alarm))
    return _heat_figure(section, rows, maps)


def describe_calibration(section: Section, caches: Caches) -> str:
    """The largest coverage error of each method."""
    rows = [(entry, n) for entry, n in compared(section) if "coverage_68" in at_size(entry, caches, n)]
    parts = []
    for (entry, n_obs), errors in zip(rows, _coverage_error(caches, rows, 68), strict=True):
        worst = max(errors, key=lambda error: abs(error or 0.0)) or 0.0
        where = entry.names[errors.index(worst)]
        parts.append(f"{entry.method} {_signed_percent(worst)} % ({where}, {n_obs:,} spectra)")
    return f"Largest error of the coverage at 68 %: {joined(parts)}."


def _coverage_error(caches: Caches, rows: Sequence[tuple[Entry, int]], percent: int) -> Values:
    return [
        [value - percent / 100.0 for value in at_size(entry, caches, n)[f"coverage_{percent}"]] for entry, n in rows
    ]


def _signed_percent(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "\u2212")


def _p_text(value: float) -> str:
    return "<.001" if value < _P_SHOWN else f"{value:.3f}".removeprefix("0")


def _heat_figure(section: Section, rows: Sequence[tuple[Entry, int]], maps: Sequence[Map]) -> Figure:
    """Maps one above the other with the methods as rows, the first one at the top."""
    made = stacked(maps, [safe(name) for name in row_names(rows)], column_names(section))
    # A line sets apart the rows that rest on other spectra.
    sizes = [n_obs for _, n_obs in rows]
    breaks = [place for place in range(1, len(sizes)) if sizes[place] != sizes[place - 1]]
    made["layout"]["shapes"] = [_line(number, place) for number in range(len(maps)) for place in breaks]
    return made


def _line(number: int, place: int) -> dict[str, Any]:
    """A line above the row at a place of the n-th map."""
    axes = axes_of(number)
    ends = {"xref": f"{axes['xaxis']} domain", "yref": axes["yaxis"], "x0": 0, "x1": 1}
    return {"type": "line", **ends, "y0": place - 0.5, "y1": place - 0.5, "line": {"width": 2, "color": LIGHT["ink"]}}


def stacked(maps: Sequence[Map], rows: Sequence[str], columns: Sequence[str]) -> Figure:
    """Maps of the same rows and columns, one above the other.

    Args:
        maps: each of (row, column).
        rows: names, the first one at the top, without markup of strangers.
        columns: likewise.
    """
    body = _ROW_PX * len(rows)
    height = len(maps) * (body + _GAP_PX)
    layout: dict[str, Any] = {"annotations": []}
    data = []
    for number, shown in enumerate(maps):
        suffix = "" if number == 0 else str(number + 1)
        top = 1.0 - number * (body + _GAP_PX) / (height - _GAP_PX)
        data.append(cells(shown, rows, columns) | axes_of(number))
        layout[f"xaxis{suffix}"] = axis(anchor=f"y{suffix}", type="category", **_STILL)
        layout[f"yaxis{suffix}"] = axis(
            anchor=f"x{suffix}",
            domain=[max(top - body / (height - _GAP_PX), 0.0), top],
            autorange="reversed",
            type="category",
            **_STILL,
        )
        layout["annotations"].append(note(shown.title, x=0, y=top, xanchor="left", yanchor="bottom", size=13))
    made = figure(data, height + 28, **layout)
    made["layout"] |= {"plot_bgcolor": NO_VALUE}
    made["layout"]["margin"] |= {"b": 40}
    return made


def cells(shown: Map, rows: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """One map as a trace, its values printed in the cells."""
    return {
        "type": "heatmap",
        "x": list(columns),
        "y": list(rows),
        "z": [rounded(row) for row in shown.colour],
        "text": [["n/a" if value is None else shown.text(value) for value in row] for row in shown.values],
        "texttemplate": "%{text}",
        "textfont": {"size": 11, "color": CELL_INK},
        "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
        **shown.scale,
    }
