"""Figures of a search as plain plotly.js dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from exobench.report.plots.layout import axis, figure, rounded
from exobench.report.plots.palette import LIGHT, numbered_style
from exobench.report.plots.text import safe
from exobench.tune.history import History, Trial
from exobench.tune.importance import Importance

Figure = dict[str, Any]

N_CURVES = 3
"""Best trials whose learning curves are shown."""
_POINT, _BEST = LIGHT["blue"], LIGHT["vermillion"]
_HOUR_UNITS = ((2.0, 60.0, "minutes"), (float("inf"), 1.0, "hours"))


def frame_of(history: History, objective: int = 0) -> tuple[list[float] | None, int]:
    """A range that tells good trials apart, None for that of all, and how many trials are beyond it.

    A single diverged fit would squeeze all others into a line.
    """
    losses = np.array([history.sign(objective) * trial.values[objective] for trial in history.complete])
    if len(losses) < 5:
        return None, 0
    low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75])
    edge = high + 3.0 * max(high - low, middle - losses.min())
    beyond = int(np.sum(losses > edge))
    if not beyond:
        return None, 0
    inside = losses[losses <= edge]
    margin = 0.08 * (np.ptp(inside) or 1.0)
    ends = [inside.min() - margin, inside.max() + margin]
    return rounded([history.sign(objective) * end for end in ends][:: int(history.sign(objective))], 6), beyond


def by_trial(history: History) -> Figure | None:
    """The objective of each trial in the order in which they were begun, with the best so far."""
    trials = history.complete
    return _progress(history, trials, [float(trial.number) for trial in trials], "trial")


def by_time(history: History) -> Figure | None:
    """The objective of each trial over the wall time since the search began, with the best so far."""
    timed = sorted(((h, t) for t in history.complete if (h := history.hours(t)) is not None), key=lambda e: e[0])
    if not timed:
        return None
    factor, unit = next((factor, unit) for most, factor, unit in _HOUR_UNITS if timed[-1][0] < most)
    title = f"{unit} since the search began"
    return _progress(history, [trial for _, trial in timed], [factor * hours for hours, _ in timed], title)


def _progress(history: History, trials: Sequence[Trial], x: Sequence[float], title: str) -> Figure | None:
    if not trials:
        return None
    best = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": rounded(x, 6),
        "y": rounded(history.best_so_far(trials), 6),
        "line": {"color": _BEST, "width": 2, "shape": "hv"},
        "hoverinfo": "skip",
    }
    points = _points(trials, 0) | {"name": "trial", "x": rounded(x, 6)}
    if any(trial.standard_error is not None for trial in trials):
        errors = rounded(trial.standard_error for trial in trials)
        points["error_y"] = {"type": "data", "array": errors, "thickness": 0.8, "width": 0, "color": LIGHT["floor"]}
    return figure([points, best], 320, legend=2, xaxis=axis(title), yaxis=_value_axis(history))


def pareto(history: History) -> Figure | None:
    """The score over the cost, with the front of the trials that none beats in both."""
    if len(history.objectives) < 2 or not history.complete:
        return None
    front = sorted(history.front, key=lambda trial: trial.values[1])
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Pareto front",
        "x": rounded(trial.values[1] for trial in front),
        "y": rounded((trial.values[0] for trial in front), 6),
        "line": {"color": _BEST, "width": 1.5, "dash": "dot"},
        "marker": {"color": _BEST, "size": 9, "symbol": "diamond"},
        "text": [f"trial {trial.number}" for trial in front],
        "hovertemplate": "%{text}<br>%{y:.5g} at %{x:.4g}<extra></extra>",
    }
    points = _points(history.complete, 0) | {"name": "trial", "x": rounded(t.values[1] for t in history.complete)}
    positive = all(trial.values[1] > 0 for trial in history.complete)
    x = axis(_title(history.objectives[1]), **({"type": "log", "nticks": 4} if positive else {}))
    return figure([points, line], 340, legend=2, xaxis=x, yaxis=_value_axis(history))


def importance_bars(found: Sequence[Importance]) -> Figure:
    """Shares of the settings, the largest on top."""
    shown = list(reversed(found))
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [safe(entry.setting) for entry in shown],
        "x": rounded(100 * entry.share for entry in shown),
        "error_x": {"type": "data", "array": rounded(100 * e.spread for e in shown), "color": LIGHT["ink"], "width": 2},
        "marker": {"color": _POINT},
        "hovertemplate": "%{y}: %{x:.3g} %<extra></extra>",
    }
    return figure(
        [bars],
        90 + 24 * len(shown),
        left_px=40,
        xaxis=axis("share of the objective's variance (%)", rangemode="tozero"),
        yaxis=axis(type="category"),
    )


def slices(history: History, objective: int = 0) -> dict[str, Figure]:
    """The objective over each setting, by setting; the best trial stands out."""
    if not history.complete:
        return {}
    return {key: _slice(history, key, objective) for key in history.space}


def _slice(history: History, key: str, objective: int) -> Figure:
    kind, low, high, log, values = history.space[key]
    best = history.best[0]
    traces = []
    for name, trials, colour, symbol in (
        ("trial", [trial for trial in history.complete if trial is not best], _POINT, "circle"),
        ("best", [best], _BEST, "diamond"),
    ):
        x = [safe(str(t.params[key])) if kind == "choice" else t.params[key] for t in trials]
        marker = {"color": colour, "size": 9 if name == "best" else 6, "opacity": 0.8, "symbol": symbol}
        traces.append(_points(trials, objective) | {"name": name, "x": x, "marker": marker})
    x_axis: dict[str, Any] = _log_ticks(low, high) if log else {"nticks": 5}
    if kind == "choice":
        names = [safe(str(value)) for value in values]
        x_axis = {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "range": [-0.5, len(names) - 0.5],
        }
    y_axis = _value_axis(history, objective, nticks=5)
    return figure(traces, 230, xaxis=axis(safe(key), **x_axis), yaxis=y_axis)


def _log_ticks(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis of a setting's whole range, named at its ends and between them."""
    ticks = [low, float(np.sqrt(low * high)), high]
    ends = np.log10([low, high])
    margin = 0.06 * (ends[1] - ends[0])
    shown = rounded([ends[0] - margin, ends[1] + margin])
    return {"type": "log", "range": shown, "tickvals": ticks, "ticktext": [f"{tick:.2g}" for tick in ticks]}


def learning_curves(history: History) -> Figure | None:
    """Validation losses of the best trials that kept some, over their training."""
    shown = [(trial, curve) for trial in history.best if (curve := history.curve(trial))][:N_CURVES]
    if not shown:
        return None
    data = []
    for number, (trial, curve) in enumerate(shown):
        style = numbered_style(number)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": f"trial {trial.number}",
                "x": [5 * place for place in curve],
                "y": rounded(curve.values(), 6),
                "line": style.line(),
                "marker": {"color": style.colour, "symbol": style.marker, "size": 6},
                "hovertemplate": f"trial {trial.number}, %{{x}} %: %{{y:.5g}}<extra></extra>",
            }
        )
    x = axis("share of the training (%)", range=[0, 102])
    return figure(data, 320, legend=len(shown), xaxis=x, yaxis=axis("validation loss", nticks=6))


def _points(trials: Sequence[Trial], objective: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "y": rounded((trial.values[objective] for trial in trials), 6),
        "marker": {"color": _POINT, "size": 6, "opacity": 0.8},
        "text": [f"trial {trial.number}" for trial in trials],
        "hovertemplate": "%{text}<br>%{x}: %{y:.5g}<extra></extra>",
    }


def _value_axis(history: History, objective: int = 0, **more: Any) -> dict[str, Any]:
    ends, _ = frame_of(history, objective)
    return axis(_title(history.objectives[objective]), **({} if ends is None else {"range": ends}), **more)


def _title(objective: str) -> str:
    return {
        "training_seconds": "training (s)",
        "seconds_per_posterior": "seconds a posterior",
        "n_parameters": "trained numbers",
    }.get(objective, safe(objective))
