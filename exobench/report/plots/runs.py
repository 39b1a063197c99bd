"""Figures of one run: its training, its estimates, its energy scores and what its sampler says of itself."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.report.entries import Entry, ParameterNote
from exobench.report.plots.layout import axes_of, axis, figure, note, panels, rounded
from exobench.report.plots.palette import LIGHT, numbered_style, translucent
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import N_SCATTER, energy_histogram, scatter
from exobench.report.plots.text import joined, safe, short_label, unit
from exobench.results import DIAGNOSTICS

Array = NDArray[np.float64]

SCALARS = "scalars.csv"
"""Name, step and value of whatever a fit reported, a line each, as `exobench.fitting` writes it."""

_LOSS = "loss"
_NO_LOSS = ("gradient_norm", "learning_rate", "samples_per_second", "skipped_steps", "pixels_outside")
_MOST_POINTS, _MOST_CURVES = 200, 12
_SAMPLER_WORDS = {
    "effective_sample_size": "effective sample size",
    "psis_k": "Pareto k of the weights (above 0.7: not trusted)",
    "r_hat": "R-hat of the chains (1 is converged)",
    "likelihood_calls": "likelihood calls",
    "gradient_calls": "gradient calls",
    "log_evidence_error": "error of the log evidence",
    "seconds": "seconds",
    "acceptance": "acceptance rate",
    "efficiency": "efficiency",
    "duplicate_share": "share of duplicate draws",
    "distinct_draws": "distinct draws",
    "inpainting_loss": "in-painting loss",
    "misfit": "misfit",
}
_LOG_SCALE = ("effective_sample_size", "likelihood_calls", "gradient_calls", "seconds", "log_evidence_error")


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
        xaxis=axis("energy score of a spectrum (lower is better)", type="log", nticks=6),
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


def diagnostics(entry: Entry) -> dict[str, Array]:
    """What the method recorded of each spectrum, by name, in the order of `_SAMPLER_WORDS`; without flags."""
    path = entry.record.folder / DIAGNOSTICS
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: np.asarray(file[name][()], np.float64) for name in _SAMPLER_WORDS if name in file}
    except OSError:
        return {}
    kept = {name: values[np.isfinite(values)] for name, values in arrays.items() if values.ndim == 1}
    return {name: values for name, values in kept.items() if len(values) > 1}


def draw_diagnostics(entry: Entry, caches: Caches) -> Figure | None:
    """The distribution over spectra of each number, as the share of spectra below it."""
    found = diagnostics(entry)
    if not found:
        return None
    data = []
    for number, (name, values) in enumerate(found.items()):
        quantile = np.linspace(0.0, 1.0, min(len(values), 101))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(values) <= 30 else "lines",
                "x": rounded(np.quantile(values, quantile)),
                "y": rounded(quantile),
                "line": {"color": LIGHT["blue"], "width": 1.6},
                "marker": {"size": 4},
                "hovertemplate": f"{name} %{{x:.4g}}, share %{{y:.2f}}<extra></extra>",
                **axes_of(number),
            }
        )
    axes, height = panels(
        [_SAMPLER_WORDS[name].split(" (")[0] for name in found],
        "",
        "share of spectra",
        x={"nticks": 5},
        y={"range": [0, 1.02], "tickvals": [0, 0.5, 1]},
    )
    for number, (name, values) in enumerate(found.items()):
        if name in _LOG_SCALE and values.min() > 0.0 and values.max() > 3.0 * values.min():
            axes["xaxis" if number == 0 else f"xaxis{number + 1}"] |= {"type": "log", "exponentformat": "power"}
    return figure(data, height, **axes)


def describe_diagnostics(entry: Entry, caches: Caches) -> str:
    """Median and range of each number."""
    parts = [
        f"{_SAMPLER_WORDS[name]} median {np.median(values):.3g}, from {values.min():.3g} to {values.max():.3g}"
        for name, values in diagnostics(entry).items()
    ]
    return f"What the method recorded of each spectrum: {joined(parts)}."
