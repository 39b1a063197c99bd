"""Accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, figure, panels, rounded
from exobench.report.plots.learning import ENERGY
from exobench.report.plots.palette import LIGHT, method_styles
from exobench.report.plots.shown import common_size, learners, representatives
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import mean_energy
from exobench.report.plots.text import joined, of_run, safe
from exobench.report.sections import Section
from exobench.report.wording import duration

COSTS = (
    ("seconds_per_posterior", "seconds a posterior"),
    ("training_seconds", "training seconds"),
    ("likelihood_calls", "likelihood calls a posterior"),
)


class Cost(NamedTuple):
    """One run: what it costs, its energy score, and the standard error of that."""

    entry: Entry
    cost: float
    energy: float
    standard_error: float


def costs_and_scores(section: Section, caches: Caches, cost: str) -> tuple[int, list[Cost]]:
    """Runs that have a cost above zero and an energy score on the spectra that all methods share, and their number."""
    n_obs = common_size(section)
    found: list[Cost] = []
    if n_obs is None:
        return 0, found
    for entry in learners(representatives(section, n_obs)):
        value = entry.number("cost", cost)
        if cost == "likelihood_calls" and value is not None:
            value /= entry.n_test
        energy = mean_energy(entry, caches, n_obs)
        if value and value > 0.0 and energy is not None:
            found.append(Cost(entry, value, energy[0], energy[1]))
    return n_obs, found


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other point beats or equals in both coordinates, by the first coordinate."""
    front: list[int] = []
    lowest = float("inf")
    for index in sorted(range(len(points)), key=lambda i: points[i]):
        if points[index][1] < lowest:
            front.append(index)
            lowest = points[index][1]
    return front


def draw_pareto(section: Section, caches: Caches) -> Figure | None:
    """Energy score against each cost, with the front of the methods that none beats in both."""
    n_obs = common_size(section)
    choices = [(title, costs_and_scores(section, caches, cost)[1]) for cost, title in COSTS]
    choices = [(title, found) for title, found in choices if len(found) > 1]
    if not choices:
        return None
    named: set[str] = set()
    data: list[dict[str, Any]] = []
    for number, (title, found) in enumerate(choices):
        for trace in _cost_traces(title, found):
            data.append(trace | {"showlegend": trace["name"] not in named} | axes_of(number))
            named.add(trace["name"])
    axes, height = panels(
        [title for title, _ in choices],
        "",
        f"{ENERGY} ({n_obs:,} spectra)",
        x={"type": "log", "exponentformat": "power", "tickangle": 0, "tickfont": {"size": 11}},
        y={"nticks": 5},
        panel_px=260,
    )
    for number, (_, found) in enumerate(choices):
        axes["xaxis" if number == 0 else f"xaxis{number + 1}"] |= _decades([each.cost for each in found])
    return figure(data, height, legend=len(named), **axes)


def _decades(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic range of whole decades, with at most five ticks."""
    low, high = np.floor(np.log10(min(values)) - 0.1), np.ceil(np.log10(max(values)) + 0.1)
    return {"range": [float(low), float(high)], "tick0": 0, "dtick": float(np.ceil((high - low) / 4))}


def _cost_traces(title: str, found: Sequence[Cost]) -> list[dict[str, Any]]:
    styles = method_styles([entry.method for entry, *_ in found])
    front = pareto_front([(cost, energy) for _, cost, energy, _ in found])
    steps = {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "legendgroup": "Pareto front",
        "x": rounded(found[i][1] for i in front),
        "y": rounded(found[i][2] for i in front),
        "line": {"color": LIGHT["ink"], "width": 1.2, "dash": "dot", "shape": "hv"},
        "hoverinfo": "skip",
    }
    points = []
    for index, (entry, cost, energy, error) in enumerate(found):
        style, name = styles[entry.method], safe(entry.method)
        points.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "legendgroup": name,
                "x": rounded([cost]),
                "y": rounded([energy]),
                "error_y": {"type": "data", "array": rounded([error]), "width": 3, "thickness": 1.2},
                "marker": {
                    "symbol": style.marker,
                    "size": 11,
                    "color": style.colour,
                    "line": {"width": 2 if index in front else 0, "color": LIGHT["ink"]},
                },
                "hovertemplate": f"{of_run(entry)}<br>{title} %{{x:.3g}}<br>energy score %{{y:.4f}}<extra></extra>",
            }
        )
    return [steps, *points]


def describe_pareto(section: Section, caches: Caches) -> str:
    """The methods on the front of seconds a posterior."""
    cost, title = COSTS[0]
    n_obs, found = costs_and_scores(section, caches, cost)
    front = [found[i] for i in pareto_front([(value, energy) for _, value, energy, _ in found])]
    parts = [f"{entry.method} ({duration(value)}, {energy:.4f})" for entry, value, energy, _ in front]
    return (
        f"Energy score on {n_obs:,} spectra against {title}; no other method is both faster and better than: "
        f"{joined(parts)}."
    )
