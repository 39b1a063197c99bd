"""Colours, dashes and markers: the same for a method in every figure, and never colour alone.

The colours are those of Okabe & Ito (2008, jfly.uni-koeln.de/color), without the yellow, which cannot be seen on white.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from exobench.report.entries import CEILING_METHOD, FLOOR_METHOD

LIGHT = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "ink": "#6E6E6E",
    "floor": "#999999",
}
"""By name, on a light page; legible on a dark one as well."""

DARK = {
    "blue": "#3D9FDB",
    "orange": "#F0B429",
    "green": "#1FC296",
    "vermillion": "#F07F2E",
    "purple": "#E09CC4",
    "sky": "#7CC7F2",
    "ink": "#C8C8C8",
    "floor": "#A8A8A8",
}
"""The same names on a dark page: replacing those of `LIGHT` in a figure gives the dark one."""

GRID, BAND = "rgba(128,128,128,0.25)", "rgba(128,128,128,0.28)"
"""Lines of the grid and bands of what chance allows, on either page."""

CELL_INK = "#1A1A1A"
"""Numbers in the cells of heat maps, whose colours are all light enough for it, on either page."""

NO_VALUE = "#DCDCDC"
"""Cells without a number, light enough for `CELL_INK`, on either page."""

DIVERGING: list[list[Any]] = [[0.0, "#E8853D"], [0.5, "#F7F7F7"], [1.0, "#56B4E9"]]
"""Orange below, white at zero, sky blue above."""

RISING: list[list[Any]] = [[0.0, "#F7F7F7"], [1.0, "#56B4E9"]]
"""White for nothing, blue for much."""

ALARM: list[list[Any]] = [[0.0, "#F7F7F7"], [1.0, "#E8853D"]]
"""White where all is well, orange where it is not."""

_METHODS = "exobench.methods"
_COLOURS = ("blue", "vermillion", "green", "orange", "purple", "sky")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon", "pentagon", "bowtie")


@dataclass(frozen=True)
class Style:
    """How one method, or one parameter, looks.

    Attributes:
        colour: a value of `LIGHT`.
        dash: of lines, plotly's name.
        marker: of points, plotly's name.
    """

    colour: str
    dash: str
    marker: str

    def line(self, width_px: float = 1.8) -> dict[str, Any]:
        """A plotly line."""
        return {"color": self.colour, "dash": self.dash, "width": width_px}


def numbered_style(number: int) -> Style:
    """The style of the n-th of several curves; the first 30 differ."""
    return Style(
        LIGHT[_COLOURS[number % len(_COLOURS)]],
        _DASHES[(number + number // len(_COLOURS)) % len(_DASHES)],
        _MARKERS[(number + number // len(_COLOURS)) % len(_MARKERS)],
    )


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """A style for each method: that of its place among the registered methods, so that it is the same on every page."""
    known = _registered()
    strangers = sorted({method for method in methods if method not in known})
    styles = {}
    for method in methods:
        if method == CEILING_METHOD:
            styles[method] = Style(LIGHT["ink"], "solid", "star-open")
        elif method == FLOOR_METHOD:
            styles[method] = Style(LIGHT["floor"], "dot", "line-ew-open")
        elif method in known:
            styles[method] = numbered_style(known[method])
        else:
            # A stranger's place is found from its name, then moved on past other strangers of the same place.
            styles[method] = numbered_style(len(known) + zlib.crc32(method.encode()) % 7 + strangers.index(method))
    return styles


def translucent(colour: str, alpha: float) -> str:
    """A colour of the palette with an alpha, as plotly reads it."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


@cache
def _registered() -> dict[str, int]:
    # Names alone, nothing is imported: the page knows no method.
    found = {point.name for point in entry_points(group=_METHODS)} - {CEILING_METHOD, FLOOR_METHOD}
    return {name: number for number, name in enumerate(sorted(found))}
