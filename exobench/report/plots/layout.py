"""Frames of figures: transparent, without fonts or colours of text, which are the page's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from exobench.report.plots.palette import GRID
from exobench.report.plots.spec import Figure

_CLEAR = "rgba(0,0,0,0)"
_PANEL_PX, _ROW_GAP_PX = 190, 62
_LEGEND_ROW_PX = 24
_MOST_TICKS, _MANY = 4, 1e6
_ABOVE_PX, _BELOW_PX = 28, 48


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis with a title and thin grid lines."""
    made: dict[str, Any] = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
    }
    if title:
        made["title"] = {"text": title, "standoff": 8}
    return made | more


def figure(
    data: Sequence[dict[str, Any]],
    height_px: int,
    *,
    legend: int = 0,
    left_px: int = 56,
    below_px: int = _BELOW_PX,
    **layout: Any,
) -> Figure:
    """A figure with a legend below it.

    Args:
        data: traces.
        height_px: of the axes with their labels; the legend adds to it.
        legend: names in the legend; zero for none.
        left_px: left margin.
        below_px: room below the axes for their labels and title.
        layout: axes, shapes, annotations and whatever else plotly has.
    """
    # Three names stand side by side in the narrowest figure.
    legend_px = 10 + _LEGEND_ROW_PX * -(-legend // 3) if legend else 0
    base: dict[str, Any] = {
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "height": height_px + legend_px,
        "margin": {"l": left_px, "r": 12, "t": _ABOVE_PX, "b": below_px + legend_px},
        "showlegend": bool(legend),
        "hovermode": "closest",
    }
    if legend:
        base["legend"] = {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": -below_px / (height_px - _ABOVE_PX - below_px),
            "yanchor": "top",
            "maxheight": 1,
            "bgcolor": _CLEAR,
            "itemwidth": 36,
        }
    return {"data": list(data), "layout": base | layout}


def panels(
    titles: Sequence[str],
    x_title: str,
    y_title: str,
    *,
    x: dict[str, Any],
    y: dict[str, Any],
    columns: int = 2,
    panel_px: int = _PANEL_PX,
) -> tuple[dict[str, Any], int]:
    """Axes of small panels in rows, the last row's with titles.

    Args:
        titles: of each panel.
        x_title: below the lowest panel of each column.
        y_title: left of each panel of the first column.
        x: what all horizontal axes have in common.
        y: the same of the vertical ones.
        columns: panels side by side.
        panel_px: height of each.

    Returns:
        Entries of a layout (``xaxis``, ``yaxis``, ``xaxis2`` ..., ``annotations``) and the height in pixels.
    """
    n = len(titles)
    rows = -(-n // columns)
    height = rows * (panel_px + _ROW_GAP_PX) + 30
    gap_x, gap_y = 0.12 if columns == 2 else 0.08, _ROW_GAP_PX / height if rows > 1 else 0.0
    width, tall = (1.0 - gap_x * (columns - 1)) / columns, (1.0 - gap_y * (rows - 1)) / rows
    made: dict[str, Any] = {"annotations": []}
    for number, title in enumerate(titles):
        row, column = divmod(number, columns)
        left, bottom = column * (width + gap_x), 1.0 - (row + 1) * tall - row * gap_y
        suffix = "" if number == 0 else str(number + 1)
        lowest = number + columns >= n
        made[f"xaxis{suffix}"] = axis(
            x_title if lowest else "", domain=[left, min(left + width, 1.0)], anchor=f"y{suffix}", **x
        )
        made[f"yaxis{suffix}"] = axis(
            y_title if column == 0 else "", domain=[max(bottom, 0.0), bottom + tall], anchor=f"x{suffix}", **y
        )
        made["annotations"].append(
            note(title, x=left + width / 2, y=bottom + tall, xanchor="center", yanchor="bottom", size=13)
        )
    return made, height


def note(text: str, *, x: float, y: float, size: int = 12, **more: Any) -> dict[str, Any]:
    """Words on the page's own coordinates."""
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "font": {"size": size},
    } | more


def axes_of(number: int) -> dict[str, str]:
    """The axes of a trace in the n-th panel, from zero."""
    suffix = "" if number == 0 else str(number + 1)
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten; over many decades at the powers alone."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    values = [float(f"{digit * 10.0**power:.1g}") for power in powers for digit in (1, 2, 5)]
    shown = [value for value in values if low <= value <= high]
    if len(shown) > _MOST_TICKS:
        powers = powers[:: -(-len(powers) // _MOST_TICKS)]
        shown = [float(f"{10.0**power:.1g}") for power in powers if low <= 10.0**power <= high]
    if len(shown) < 2:
        return {"nticks": _MOST_TICKS}
    return {"tickvals": shown, "ticktext": [f"{value:,g}" if value < _MANY else f"{value:.0e}" for value in shown]}


def rounded(values: Iterable[Any], digits: int = 4) -> list[Any]:
    """Numbers to so many significant digits, None for those that are not finite: a short list for JSON."""
    if isinstance(values, np.ndarray):
        array = values.astype(np.float64)
    else:
        array = np.array([np.nan if value is None else value for value in values], np.float64)
    good = np.isfinite(array)
    size = np.floor(np.log10(np.abs(array), where=good & (array != 0.0), out=np.zeros_like(array)))
    # A power of ten below one is no float; dividing by its inverse keeps 0.1 as 0.1.
    up, down = 10.0 ** np.maximum(digits - 1 - size, 0), 10.0 ** np.maximum(size + 1 - digits, 0)
    shown = np.rint(np.where(good, array, 0.0) * up / down) * down / up
    if good.all():
        return list(shown.tolist())
    return [value if ok else None for value, ok in zip(shown.tolist(), good.tolist(), strict=True)]
