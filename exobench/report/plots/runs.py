"""Figures of one run: its training, its estimates and its energy scores."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.report.entries import Entry, ParameterNote
from exobench.report.plots.layout import axes_of, axis, figure, log_ticks, note, panels, rounded
from exobench.report.plots.palette import LIGHT, numbered_style, translucent
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import N_SCATTER, energy_histogram, scatter
from exobench.report.plots.text import joined, safe, short_label, unit

Array = NDArray[np.float64]

SCALARS = "scalars.csv"
"""Name, step and value of whatever a fit reported, a line each, as `exobench.fitting` writes it."""

_LOSS = "loss"
_NO_LOSS = ("gradient_norm", "learning_rate", "samples_per_second", "skipped_steps", "pixels_outside")
_MOST_POINTS, _MOST_CURVES = 200, 12


def loss_curves(entry: Entry) -> dict[str, list[tuple[float, float]]]:
    """Steps and values of every loss that the fit reported, by name; a line that a restart superseded is left out."""
    path = entry.record.folder / SCALARS
    found: dict[str, dict[float, float]] = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if len(row) == 3 and row[0].split("/")[-1] not in _NO_LOSS:
                    step, value = float(row[1]), float(row[2])
                    if np.isfinite(value):
                        found.setdefault(row[0], {})[step] = value
    except (OSError, ValueError, UnicodeDecodeError):
        return {}
    return {name: sorted(points.items()) for name, points in found.items() if len(points) > 1}


def draw_loss(entry: Entry, caches: Caches) -> Figure | None:
    """Losses over steps, a panel for each stage of the fit."""
    stages = _stages(loss_curves(entry))
    if not stages:
        return None
    data = []
    for number, curves in enumerate(stages.values()):
        for place, (name, points) in enumerate(list(curves.items())[:_MOST_CURVES]):
            thin = points[:: -(-len(points) // _MOST_POINTS)]
            style = numbered_style(place)
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(thin) < 60 else "lines",
                    "name": safe(name),
                    "x": rounded((step for step, _ in thin), 7),
                    "y": rounded((value for _, value in thin), 5),
                    "line": style.line(1.6),
                    "marker": {"symbol": style.marker, "size": 5},
                    "hovertemplate": f"{safe(name)}, step %{{x:,}}: %{{y:.4g}}<extra></extra>",
                    **axes_of(number),
                }
            )
    axes, height = panels(
        [safe(stage) for stage in stages],
        "step",
        "loss",
        x={"rangemode": "tozero", "nticks": 5},
        y={"nticks": 6},
        columns=1 if len(stages) == 1 else 2,
        panel_px=230,
    )
    return figure(data, height, legend=len(data), **axes)


def _stages(
    curves: dict[str, list[tuple[float, float]]],
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Curves by what stands before the word loss; those of other names by their first part."""
    stages: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, points in curves.items():
        parts = name.split("/")
        cut = parts.index(_LOSS) if _LOSS in parts else len(parts) - 1
        stages.setdefault("/".join(parts[:cut]) or "training", {})[name] = points
    return stages


def describe_loss(entry: Entry, caches: Caches) -> str:
    """First and last value of each loss."""
    curves = loss_curves(entry)
    parts = [f"{name} from {points[0][1]:.4g} to {points[-1][1]:.4g}" for name, points in curves.items()]
    return f"Losses of the fit: {joined(parts)}."


def draw_scatter(entry: Entry, caches: Caches) -> Figure | None:
    """Posterior medians with 68 % intervals over the truth, a panel for each parameter."""
    found = scatter(entry, caches)
    if all(value is None for column in found["median"] for value in column):
        return None
    data: list[dict[str, Any]] = []
    for number, parameter in enumerate(entry.parameters):
        truth, median, up, down = (found[key][number] for key in ("theta_true", "median", "up", "down"))
        ends = [parameter.low, parameter.high]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": ends,
                "y": ends,
                "line": {"color": LIGHT["ink"], "width": 1},
                "hoverinfo": "skip",
                **axes_of(number),
            }
        )
        data.append(_estimates(parameter, truth, median, up, down) | axes_of(number))
    axes, height = panels(
        [_with_unit(parameter) for parameter in entry.parameters],
        "truth",
        "estimate",
        x={"nticks": 5},
        y={"nticks": 5},
        panel_px=230,
    )
    for number, parameter in enumerate(entry.parameters):
        suffix = "" if number == 0 else str(number + 1)
        for which in ("x", "y"):
            axes[f"{which}axis{suffix}"]["range"] = _frame(parameter)
    return figure(data, height, **axes)


def _estimates(
    parameter: ParameterNote,
    truth: Sequence[float | None],
    median: Sequence[float | None],
    up: Sequence[float | None],
    down: Sequence[float | None],
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(truth),
        "y": list(median),
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": list(up),
            "arrayminus": list(down),
            "color": translucent(LIGHT["blue"], 0.35),
            "thickness": 1,
            "width": 0,
        },
        "marker": {"color": LIGHT["blue"], "size": 4},
        "hovertemplate": f"{short_label(parameter)}: truth %{{x:.4g}}, estimate %{{y:.4g}}<extra></extra>",
    }


def _frame(parameter: ParameterNote) -> list[float]:
    margin = 0.03 * (parameter.high - parameter.low)
    return [parameter.low - margin, parameter.high + margin]


def _with_unit(parameter: ParameterNote) -> str:
    shown = unit(parameter)
    return short_label(parameter) + (f" [{shown}]" if shown else "")


def describe_scatter(entry: Entry, caches: Caches) -> str:
    """How many medians are near the truth."""
    found = scatter(entry, caches)
    parts = []
    for number, parameter in enumerate(entry.parameters):
        pairs = zip(found["median"][number], found["theta_true"][number], strict=True)
        errors = [abs(m - t) for m, t in pairs if m is not None and t is not None]
        near = sum(error <= 0.1 * (parameter.high - parameter.low) for error in errors)
        parts.append(f"{parameter.name} {near} of {len(errors)}")
    return f"Medians within 10 % of the prior's range of the truth, of the first {N_SCATTER} spectra: {joined(parts)}."


def draw_energy(entry: Entry, caches: Caches) -> Figure | None:
    """How the energy score spreads over spectra."""
    found = energy_histogram(entry, caches)
    if not found["edges"]:
        return None
    edges = np.array(found["edges"])
    median = found["median"]
    bars = {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(edges),
        "y": [*found["counts"], found["counts"][-1]],
        "line": {"shape": "hv", "color": LIGHT["blue"], "width": 1.6},
        "fill": "tozeroy",
        "fillcolor": translucent(LIGHT["blue"], 0.3),
        "hovertemplate": "from %{x:.3g}: %{y} spectra<extra></extra>",
    }
    line = {"type": "line", "xref": "x", "yref": "paper", "x0": median, "x1": median, "y0": 0, "y1": 1}
    line["line"] = {"color": LIGHT["vermillion"], "width": 1.6, "dash": "dash"}
    return figure(
        [bars],
        300,
        xaxis=axis("energy score of a spectrum", type="log", **log_ticks(edges[0], edges[-1])),
        yaxis=axis("spectra", rangemode="tozero"),
        shapes=[line],
        annotations=[
            note(
                f"median {median:.3g}",
                x=float(np.log10(median)),
                xref="x",
                y=1.0,
                xanchor="center",
                yanchor="bottom",
            )
        ],
    )


def describe_energy(entry: Entry, caches: Caches) -> str:
    """Median, and the spectra that have no score."""
    found = energy_histogram(entry, caches)
    left_out = f"; {found['n_left_out']} spectra without one" if found["n_left_out"] else ""
    return f"Energy score of each spectrum, median {found['median']:.3g}{left_out}."
