"""Coverage and TARP of one run, over the level itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.bands import curve_bands, simultaneous_half_width
from exobench.report.plots.coverage import LEVEL_TITLE
from exobench.report.plots.layout import axis, figure, rounded
from exobench.report.plots.palette import LIGHT, numbered_style
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import LEVELS, at_size
from exobench.report.plots.text import joined, label, short_label

_SHARE = "share of truths inside"
_DIAGONAL: dict[str, Any] = {
    "type": "scatter",
    "mode": "lines",
    "x": [0, 1],
    "y": [0, 1],
    "line": {"color": LIGHT["ink"], "width": 1},
    "showlegend": False,
    "hoverinfo": "skip",
}


def draw_run_coverage(entry: Entry, caches: Caches) -> Figure | None:
    """Coverage over level of each parameter of one run."""
    found = at_size(entry, caches, entry.n_test)
    if "coverage" not in found:
        return None
    data = [*curve_bands(found["n_rank"], 0, legend=True, difference=False), _DIAGONAL]
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
    return figure(data, 400, legend=len(entry.parameters) + 1, **_square())


def _square() -> dict[str, Any]:
    return {"xaxis": axis(LEVEL_TITLE, range=[0, 1]), "yaxis": axis(_SHARE, range=[0, 1])}


def describe_run_coverage(entry: Entry, caches: Caches) -> str:
    """Coverage at 68 and 95 % of each parameter."""
    found = at_size(entry, caches, entry.n_test)
    pairs = zip(entry.names, found["coverage_68"], found["coverage_95"], strict=True)
    parts = [f"{name} {100 * low:.1f} and {100 * high:.1f} %" for name, low, high in pairs]
    return f"Coverage of central 68 and 95 % intervals on {found['n_rank']:,} spectra: {joined(parts)}."


def draw_run_tarp(entry: Entry, caches: Caches) -> Figure | None:
    """TARP's expected coverage of one run."""
    found = at_size(entry, caches, entry.n_test)
    if "tarp" not in found:
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
    data = [*curve_bands(found["n_tarp"], 0, legend=True, difference=False), _DIAGONAL, curve]
    return figure(data, 380, legend=2, **_square())


def describe_run_tarp(entry: Entry, caches: Caches) -> str:
    """Whether the curve leaves the band."""
    found = at_size(entry, caches, entry.n_test)
    error = float(np.max(np.abs(np.array(found["tarp"], float) - LEVELS)))
    half = simultaneous_half_width(found["n_tarp"])
    return (
        f"TARP's expected coverage departs from the level by at most {error:.3f} on {found['n_tarp']:,} spectra; an "
        f"exact posterior stays within {half:.3f} in 95 % of test sets."
    )
