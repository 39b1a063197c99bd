"""Heat maps of each parameter's accuracy and calibration, the values printed in the cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, axis, figure, note, rounded
from exobench.report.plots.palette import ALARM, CELL_INK, DIVERGING
from exobench.report.plots.shown import own_size, representatives, shared_size
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import at_size
from exobench.report.plots.text import joined, safe, short_label
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
_LOGARITHM = "log<sub>10</sub> "
_STILL: dict[str, Any] = {"showgrid": False, "fixedrange": True, "tickfont": {"size": 11}}
_MOST_SIGMA = 4.0
"""Coverage errors are coloured by what chance allows: a dozen per cent is nothing on 25 spectra and much on 10,000."""
_ACCURACY = (
    ("skill", "skill (1 is best, 0 knows nothing)"),
    ("hit_rate_10", "share of medians within 10 % of prior range"),
    ("hit_rate_1", "share of medians within 1 % of prior range"),
)
_P_SHOWN = 1e-3


def _rows(section: Section) -> list[tuple[Entry, int]]:
    """Runs with the spectra that each is scored on: those that are shared, or the fewer that a run has."""
    n_obs = shared_size(section)
    if n_obs is None:
        return []
    found = [(entry, own_size(entry, n_obs)) for entry in representatives(section)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0].is_floor, pair[0].method))


def draw_accuracy(section: Section, caches: Caches) -> Figure | None:
    """Skill and hit rates of every method and parameter."""
    rows = _rows(section)
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
    """The method of most skill for each parameter."""
    rows = _rows(section)
    values = _accuracy(section, caches, rows, "skill")
    parts = []
    for column, parameter in enumerate(section.parameters):
        known = [(value, entry.method) for (entry, _), row in zip(rows, values, strict=True) if (value := row[column])]
        if known:
            best, method = max(known)
            parts.append(f"{parameter.name} {best:.2f} ({method})")
    return f"Largest skill for each parameter: {joined(parts)}."


def draw_calibration(section: Section, caches: Caches) -> Figure | None:
    """Coverage errors at 68 and 95 % and p-values of uniform ranks of every method and parameter."""
    rows = [(entry, n) for entry, n in _rows(section) if "coverage_68" in at_size(entry, caches, n)]
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
    rows = [(entry, n) for entry, n in _rows(section) if "coverage_68" in at_size(entry, caches, n)]
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
    most = max(n_obs for _, n_obs in rows)
    names = [safe(entry.method) + (f" ({n_obs:,})" if n_obs < most else "") for entry, n_obs in rows]
    return stacked(maps, names, column_names(section))


def column_names(section: Section) -> list[str]:
    """Labels short enough for the columns of a map on a phone: without the logarithm, whose base is that of all."""
    return [short_label(parameter).removeprefix(_LOGARITHM) for parameter in section.parameters]


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
