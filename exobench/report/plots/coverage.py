"""Coverage and TARP curves of all methods, as what they are above or below the level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.report.entries import Entry
from exobench.report.plots.bands import curve_bands, simultaneous_half_width
from exobench.report.plots.layout import axes_of, axis, figure, panels, rounded
from exobench.report.plots.palette import method_styles
from exobench.report.plots.shown import compared, row_names
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import LEVELS, at_size
from exobench.report.plots.text import joined, of_run, safe, short_label
from exobench.report.sections import Section
from exobench.report.wording import signed

Array = NDArray[np.float64]

LEVEL_TITLE = "credible level"
_ERROR_TITLE = "coverage \u2212 level"
_BANDS_SHOWN, _SHARE_SHOWN, _ROOM = 2.5, 0.6, 1.1
"""The frame holds so many half bands, and the curves of this share of the methods: a frame for the worst of them would
make one line of all others."""


class Curve(NamedTuple):
    """One run: its name, the spectra it rests on, and coverage minus level, (param, level) or (1, level)."""

    entry: Entry
    name: str
    n_obs: int
    error: Array

    @property
    def worst(self) -> tuple[int, int]:
        """Row and level of the largest departure."""
        row, level = np.unravel_index(int(np.argmax(np.abs(self.error))), self.error.shape)
        return int(row), int(level)


def curves(section: Section, caches: Caches, key: str) -> list[Curve]:
    """Coverage minus level of one run a method, those on most spectra first.

    Args:
        section: of the page.
        caches: of its entries.
        key: ``"coverage"`` or ``"tarp"``.
    """
    rows = [(entry, n_obs) for entry, n_obs in compared(section) if key in at_size(entry, caches, n_obs)]
    return [
        Curve(entry, name, n_obs, np.atleast_2d(np.array(at_size(entry, caches, n_obs)[key], float)) - LEVELS)
        for (entry, n_obs), name in zip(rows, row_names(rows), strict=True)
    ]


def draw_coverage(section: Section, caches: Caches) -> Figure | None:
    """Coverage minus level of every method, a panel for each parameter."""
    found = curves(section, caches, "coverage")
    if not found:
        return None
    data = [trace for number in range(len(section.parameters)) for trace in _panel(found, number)]
    axes, height = panels(
        [short_label(parameter) for parameter in section.parameters],
        LEVEL_TITLE,
        _ERROR_TITLE,
        x={"range": [0, 1], "tickvals": [0, 0.5, 1]},
        y={"nticks": 5, "range": _frame(found)},
    )
    return figure(data, height, legend=len(found) + 1, **axes)


def draw_tarp(section: Section, caches: Caches) -> Figure | None:
    """Expected coverage of TARP's balls minus level, of every method."""
    found = curves(section, caches, "tarp")
    if not found:
        return None
    return figure(
        _panel(found, 0),
        340,
        legend=len(found) + 1,
        xaxis=axis(LEVEL_TITLE, range=[0, 1]),
        yaxis=axis(_ERROR_TITLE, nticks=6, range=_frame(found)),
    )


def _panel(found: Sequence[Curve], number: int) -> list[dict[str, Any]]:
    """The curves that rest on most spectra, with the band that is theirs; the others wait in the legend."""
    styles = method_styles([curve.entry.method for curve in found])
    traces = curve_bands(found[0].n_obs, number, legend=number == 0)
    for curve in found:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": safe(curve.name),
                "legendgroup": safe(curve.name),
                "showlegend": number == 0,
                "visible": True if curve.n_obs == found[0].n_obs else "legendonly",
                "x": rounded(LEVELS),
                "y": rounded(curve.error[number], 3),
                "line": styles[curve.entry.method].line(),
                "hovertemplate": f"{of_run(curve.entry)}<br>level %{{x:.2f}}: %{{y:+.3f}}<extra></extra>",
                **axes_of(number),
            }
        )
    return traces


def _frame(found: Sequence[Curve]) -> list[float]:
    """The vertical range."""
    n_obs = found[0].n_obs
    shown = [curve for curve in found if curve.n_obs == n_obs and not curve.entry.is_floor] or found[:1]
    worst, band = [float(np.abs(curve.error).max()) for curve in shown], simultaneous_half_width(n_obs)
    usual = max(_BANDS_SHOWN * band, float(np.quantile(worst, _SHARE_SHOWN)))
    half = _ROOM * min(max(band, *worst), usual)
    return [-half, half]


def describe_coverage(section: Section, caches: Caches) -> str:
    """The largest departure from the level of each method."""

    def where(curve: Curve) -> str:
        row, level = curve.worst
        side = "too narrow" if curve.error[row, level] < 0 else "too wide"
        return f"{side}; {curve.entry.names[row]} at level {LEVELS[level]:.2f}"

    return _described("Coverage minus level", curves(section, caches, "coverage"), where)


def describe_tarp(section: Section, caches: Caches) -> str:
    """The largest departure from the level of each method."""

    def where(curve: Curve) -> str:
        return f"level {LEVELS[curve.worst[1]]:.2f}"

    return _described("TARP's expected coverage minus level", curves(section, caches, "tarp"), where)


def _described(what: str, found: Sequence[Curve], where: Callable[[Curve], str]) -> str:
    n_obs = found[0].n_obs
    parts = [f"{curve.name} {signed(f'{curve.error[curve.worst]:+.3f}')} ({where(curve)})" for curve in found]
    return (
        f"{what} where it is largest, on {n_obs:,} spectra unless a number in brackets says fewer, of which an exact "
        f"posterior would stay within {simultaneous_half_width(n_obs):.3f} in 95 % of test sets: {joined(parts, 20)}."
    )
