"""How far each method is from the exact posterior of the same spectra."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import h5py
import numpy as np

from exobench.errors import ExobenchError
from exobench.metrics.paired import STANDARD_ERRORS_NEEDED, paired_difference
from exobench.report.entries import Entry
from exobench.report.plots.heat import Map, cells
from exobench.report.plots.layout import axes_of, axis, figure, note, rounded
from exobench.report.plots.palette import ALARM, LIGHT, method_styles
from exobench.report.plots.shown import column_names, learners, representatives
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.text import joined, of_run, safe
from exobench.report.sections import Section
from exobench.report.wording import signed
from exobench.results import SCORES

_ROW_PX = 26
_MOST_PERCENT = 100.0


class Distance(NamedTuple):
    """Energy score of a method minus that of the exact posterior, and CRPS as excess in per cent for each parameter."""

    entry: Entry
    n_obs: int
    energy: float
    standard_error: float
    crps_excess: tuple[float, ...]


def distances(section: Section, caches: Caches) -> list[Distance]:
    """Of each method with the same leading spectra as the record of the limit, the nearest first."""
    exact = section.ceiling
    if exact is None or not exact.is_current:
        return []
    found = []
    for entry in representatives(section):
        if entry.is_ceiling:
            continue
        n_obs = min(entry.n_test, exact.n_test)
        key = f"from the limit 1 {n_obs} {exact.anchor} {caches[exact.anchor].stamp}"
        value: Any = caches[entry.anchor].get(key, partial(_distance, entry, exact, n_obs))
        if value is not None:
            found.append(Distance(entry, n_obs, value[0], value[1], tuple(value[2])))
    return sorted(found, key=lambda distance: distance.energy)


def _distance(entry: Entry, exact: Entry, n_obs: int) -> list[Any] | None:
    own, limit = (_leading(each, n_obs) for each in (entry, exact))
    if n_obs < 2 or not np.array_equal(own["theta_true"], limit["theta_true"]):
        return None
    try:
        difference, error = paired_difference(own["energy_score"], limit["energy_score"])
    except ExobenchError:
        return None
    excess = 100.0 * (own["crps"].mean(axis=0) / limit["crps"].mean(axis=0) - 1.0)
    return [difference, error, excess.tolist()] if np.isfinite(excess).all() else None


def _leading(entry: Entry, n_obs: int) -> dict[str, Any]:
    with h5py.File(entry.record.folder / SCORES, "r") as file:
        return {name: file[name][:n_obs] for name in ("theta_true", "energy_score", "crps")}


def draw_limit(section: Section, caches: Caches) -> Figure | None:
    """Energy score minus the limit's with its error, and the excess of the CRPS for each parameter."""
    found = distances(section, caches)
    shown = learners_of(found)
    if not shown:
        return None
    names = [f"{safe(each.entry.method)} ({each.n_obs:,})" for each in shown]
    body = _ROW_PX * len(shown)
    height = 2 * body + 110
    split = body / (height - 30)
    rows: dict[str, Any] = {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": names[::-1],
        "tickfont": {"size": 11},
    }
    line = {"type": "line", "xref": "x", "yref": "y domain", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
    line["line"] = {"color": LIGHT["ink"], "width": 1.2}
    return figure(
        [*_points(shown, names), _heat(section, shown, names)],
        height,
        xaxis=axis("energy score minus that of the exact posterior", anchor="y"),
        yaxis=axis(anchor="x", domain=[1.0 - split, 1.0], range=[-0.6, len(shown) - 0.4], **rows),
        xaxis2=axis(anchor="y2", showgrid=False, fixedrange=True, tickfont={"size": 11}),
        yaxis2=axis(anchor="x2", domain=[0.0, split], showgrid=False, fixedrange=True, **rows),
        shapes=[line],
        annotations=[
            note("CRPS above that of the exact posterior, %", x=0, y=split, xanchor="left", yanchor="bottom", size=13)
        ],
    )


def _points(shown: list[Distance], names: list[str]) -> list[dict[str, Any]]:
    styles = method_styles([each.entry.method for each in shown])
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": rounded([each.energy]),
            "y": [name],
            "error_x": {"type": "data", "array": rounded([each.standard_error]), "thickness": 1.4, "width": 4},
            "marker": {
                "symbol": styles[each.entry.method].marker,
                "size": 10,
                "color": styles[each.entry.method].colour,
            },
            "hovertemplate": f"{of_run(each.entry)}<br>%{{x:+.4f}} ± {each.standard_error:.4f}<extra></extra>",
            **axes_of(0),
        }
        for each, name in zip(shown, names, strict=True)
    ]


def learners_of(found: list[Distance]) -> list[Distance]:
    """Without the prior, whose distance would make one point of all others."""
    kept = {entry.anchor for entry in learners([each.entry for each in found])}
    return [each for each in found if each.entry.anchor in kept]


def _heat(section: Section, shown: list[Distance], names: list[str]) -> dict[str, Any]:
    values = [each.crps_excess for each in shown]
    scale = {"colorscale": ALARM, "zmin": 0.0, "zmax": _MOST_PERCENT}
    excess = Map("", values, _whole_percent, values, scale)
    return cells(excess, names, column_names(section)) | axes_of(1)


def _whole_percent(value: float) -> str:
    whole = round(value)
    return signed(f"{whole:+,}") if whole else "0"


def describe_limit(section: Section, caches: Caches) -> str:
    """The distance of each method, and whether it is one."""
    parts = []
    for each in learners_of(distances(section, caches)):
        tie = each.energy <= STANDARD_ERRORS_NEEDED * each.standard_error
        parts.append(
            f"{each.entry.method} {signed(f'{each.energy:+.4f}')} ± {each.standard_error:.4f}"
            f"{' (no difference beyond chance)' if tie else ''} on {each.n_obs} spectra"
        )
    return f"Energy score minus that of the exact posterior: {joined(parts)}."
