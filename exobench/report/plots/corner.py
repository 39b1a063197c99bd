"""Corner plots: outlines of several methods' draws over the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exobench.report.entries import Entry, ParameterNote
from exobench.report.plots.layout import axes_of, axis, figure, note
from exobench.report.plots.observations import Observations, observations, outlines_of
from exobench.report.plots.palette import LIGHT, Style, method_styles, translucent
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.spectra import SHOWN_FIRST, chosen
from exobench.report.plots.text import joined, safe, short_label, unit
from exobench.report.sections import Section

_PANEL_PX, _GAP = 104, 0.012


def _runs(section: Section, caches: Caches, shown: Observations, name: str) -> list[tuple[Entry, dict[str, Any]]]:
    pairs = ((entry, outlines_of(entry, caches, shown, name)) for entry in chosen(section, caches))
    return [(entry, found) for entry, found in pairs if found is not None]


def draw_corner(section: Section, caches: Caches, place: int = 0) -> Figure | None:
    """Marginals and pairs of one spectrum: the reference filled, methods as lines, the truth as a cross of lines.

    Args:
        section: of the page.
        caches: of its entries.
        place: of the spectrum among those shown.
    """
    shown = observations(section, caches)
    if shown is None or place >= len(shown.names):
        return None
    name = shown.names[place]
    runs = _runs(section, caches, shown, name)
    if not runs:
        return None
    spectrum = shown.spectrum(name)
    cells = _cells(len(section.parameters))
    data: list[dict[str, Any]] = []
    if spectrum["outlines"] is not None:
        data += _traces(spectrum["outlines"], Style(LIGHT["ink"], "solid", "circle"), "reference", cells, filled=True)
    styles = method_styles([entry.method for entry, _ in runs])
    for number, (entry, found) in enumerate(runs):
        visible = True if number < SHOWN_FIRST else "legendonly"
        traces = _traces(found, styles[entry.method], safe(entry.method), cells, filled=False)
        data += [trace | {"visible": visible} for trace in traces]
    layout = _axes(section.parameters, spectrum, cells)
    layout["annotations"] = [note(f"{name}; grey lines: truth", x=1, y=1, xanchor="right", yanchor="top", size=13)]
    n = len(section.parameters)
    return figure(
        data,
        110 + _PANEL_PX * n,
        legend=len(runs) + 1,
        left_px=64,
        below_px=68,
        **layout,
    )


def _cells(n_param: int) -> dict[tuple[int, int], int]:
    """Number of each panel by row and column of the lower triangle."""
    places = [(row, column) for row in range(n_param) for column in range(row + 1)]
    return {place: number for number, place in enumerate(places)}


def _traces(
    found: dict[str, Any], style: Style, name: str, cells: dict[tuple[int, int], int], *, filled: bool
) -> list[dict[str, Any]]:
    common: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "showlegend": False,
        "hoverinfo": "name",
        "line": style.line(1.4),
    }
    fill = {"fill": "toself", "line": {"width": 0.8, "color": style.colour}} if filled else {}
    traces = []
    for (row, column), number in cells.items():
        if row == column:
            x, y = found["marginal"][row]
            under = {"fill": "tozeroy", "fillcolor": translucent(style.colour, 0.35)} if filled else {}
            traces.append(common | {"x": x, "y": y} | under | axes_of(number))
            continue
        inner, outer = found["pairs"][f"{column} {row}"]
        if filled:
            for alpha, (x, y) in ((0.4, inner), (0.25, outer)):
                shade = {"fillcolor": translucent(style.colour, alpha)}
                traces.append(common | {"x": x, "y": y} | fill | shade | axes_of(number))
        else:
            # Both contours as one trace: half the page.
            x, y = ([*a, None, *b] for a, b in zip(inner, outer, strict=True))
            traces.append(common | {"x": x, "y": y} | axes_of(number))
    traces[0]["showlegend"] = True
    return traces


def _axes(
    parameters: Sequence[ParameterNote], spectrum: dict[str, Any], cells: dict[tuple[int, int], int]
) -> dict[str, Any]:
    n = len(parameters)
    size = (1.0 - _GAP * (n - 1)) / n
    low, high = spectrum["view"]
    made: dict[str, Any] = {"shapes": []}
    for (row, column), number in cells.items():
        suffix = "" if number == 0 else str(number + 1)
        left, bottom = column * (size + _GAP), (n - 1 - row) * (size + _GAP)
        quiet: dict[str, Any] = {"showgrid": False, "tickfont": {"size": 9}, "showline": True}
        made[f"xaxis{suffix}"] = axis(
            _title(parameters[column]) if row == n - 1 else "",
            anchor=f"y{suffix}",
            domain=[left, min(left + size, 1.0)],
            range=[low[column], high[column]],
            showticklabels=row == n - 1,
            **round_ticks(low[column], high[column]),
            tickangle=-40,
            **quiet,
        )
        beside = column == 0 and row > 0
        made[f"yaxis{suffix}"] = axis(
            _title(parameters[row]) if beside else "",
            anchor=f"x{suffix}",
            domain=[bottom, min(bottom + size, 1.0)],
            range=[0.0, 1.08] if row == column else [low[row], high[row]],
            showticklabels=beside,
            **(round_ticks(low[row], high[row]) if row != column else {"nticks": 3}),
            **quiet,
        )
        made["shapes"] += _truth(spectrum["theta_true"], row, column, suffix)
    for key in [key for key in made if key.startswith(("xaxis", "yaxis")) and "title" in made[key]]:
        made[key]["title"]["font"] = {"size": 11}
    return made


def round_ticks(low: float, high: float) -> dict[str, Any]:
    """Two or three round numbers within a range."""
    power = 10.0 ** np.floor(np.log10(high - low))
    for step in (1.0 * power, 0.5 * power, 0.2 * power, 0.1 * power):
        first, last = int(np.ceil(low / step + 1e-6)), int(np.floor(high / step - 1e-6))
        if last > first:
            break
    digits = 1 - int(np.floor(np.log10(step)))
    values = [round(place * step, digits) for place in range(first, last + 1)]
    return {"tickvals": values[:: -(-len(values) // 3)], "tickformat": "~r"}


def _title(parameter: ParameterNote) -> str:
    shown = unit(parameter)
    return short_label(parameter) + (f" [{shown}]" if shown else "")


def _truth(theta_true: Sequence[float], row: int, column: int, suffix: str) -> list[dict[str, Any]]:
    """A vertical line at the truth, and a horizontal one in panels of pairs."""
    line = {"color": LIGHT["ink"], "width": 0.9, "dash": "dot"}
    common = {"type": "line", "line": line, "layer": "above"}
    x, y = f"x{suffix}", f"y{suffix}"
    made = [
        common
        | {"xref": x, "yref": f"{y} domain", "x0": theta_true[column], "x1": theta_true[column], "y0": 0, "y1": 1}
    ]
    if row != column:
        made.append(
            common | {"xref": f"{x} domain", "yref": y, "x0": 0, "x1": 1, "y0": theta_true[row], "y1": theta_true[row]}
        )
    return made


def describe_corner(section: Section, caches: Caches, place: int = 0) -> str:
    """Widths of the marginals beside the reference's, and whether they hold the truth."""
    shown = observations(section, caches)
    if shown is None or place >= len(shown.names):
        return ""
    name = shown.names[place]
    spectrum = shown.spectrum(name)
    parts = []
    for entry, found in _runs(section, caches, shown, name):
        inside = sum(_near(found["marginal"][k], truth) for k, truth in enumerate(spectrum["theta_true"]))
        beside = f" {widths(found, spectrum['outlines'])}," if spectrum["outlines"] is not None else ""
        parts.append(f"{entry.method}{beside} {inside} of {len(section.parameters)} true values")
    return (
        f"Posteriors of {name}: widths of the 68 % intervals relative to the reference's, and how many true values "
        f"have at least a tenth of the peak density: {joined(parts)}."
    )


def widths(found: dict[str, Any], reference: dict[str, Any]) -> str:
    """Smallest and largest width of the marginals, relative to another's."""
    ratios = [own / other for own, other in zip(found["width"], reference["width"], strict=True) if other]
    return f"{min(ratios):.2f} to {max(ratios):.2f} times" if ratios else "unknown"


def _near(marginal: list[list[float]], truth: float) -> bool:
    return bool(np.interp(truth, marginal[0], marginal[1]) >= 0.1)
