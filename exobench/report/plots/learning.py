"""Accuracy over the number of simulations, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, axis, figure, panels, rounded
from exobench.report.plots.palette import LIGHT, Style, method_styles
from exobench.report.plots.shown import common_size, learners, representatives, shared_size
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import at_size
from exobench.report.plots.text import joined, of_run, safe
from exobench.report.sections import Section, settings_but_seed
from exobench.report.wording import duration

_ENERGY_TITLE = "energy score (lower is better)"
COSTS = (
    ("seconds_per_posterior", "seconds a posterior"),
    ("training_seconds", "training seconds"),
    ("likelihood_calls", "likelihood calls a posterior"),
)


class Point(NamedTuple):
    """One method at one budget: mean energy score over its seeds, standard error, and the value of each seed."""

    budget: float
    energy: float
    standard_error: float
    seeds: tuple[float, ...]


class Cost(NamedTuple):
    """One run: what it costs, its energy score, and the standard error of that."""

    entry: Entry
    cost: float
    energy: float
    standard_error: float


def learning_curves(section: Section, caches: Caches) -> tuple[int, dict[str, list[Point]]]:
    """Energy scores of each method over budgets, in the order of budgets.

    A method with several settings at one budget stands with those of which most seeds were run, the first of equals.

    Returns:
        Spectra that all points rest on, and the points by method; zero and nothing where no method has two budgets.
    """
    n_obs = shared_size(section)
    if n_obs is None:
        return 0, {}
    groups: dict[str, dict[float, dict[str, list[float]]]] = {}
    for entry in learners(section.scored):
        budget = entry.number("budget")
        if entry.n_test < n_obs or not budget:
            continue
        energy = at_size(entry, caches, n_obs).get("energy")
        if energy is not None:
            by_setting = groups.setdefault(entry.method, {}).setdefault(budget, {})
            by_setting.setdefault(settings_but_seed(entry), []).append(energy)
    curves = {
        method: [_point(budget, by_setting) for budget, by_setting in sorted(found.items())]
        for method, found in sorted(groups.items())
        if len(found) > 1
    }
    return n_obs, curves


def _point(budget: float, by_setting: dict[str, list[Any]]) -> Point:
    means, errors = np.array(max(by_setting.values(), key=len)).T
    # Seeds share the test spectra, whose error does not shrink with more of them; theirs comes on top.
    spread = means.var(ddof=1) / len(means) if len(means) > 1 else 0.0
    return Point(budget, float(means.mean()), float(np.sqrt(np.mean(errors**2) + spread)), tuple(means.tolist()))


def draw_learning(section: Section, caches: Caches) -> Figure | None:
    """Energy score over budget of every method with two budgets, seeds as points, floor and limit as lines."""
    n_obs, curves = learning_curves(section, caches)
    if not curves:
        return None
    styles = method_styles([*curves])
    data = [trace for method, points in curves.items() for trace in _curve(method, points, styles[method])]
    data += _levels(section, caches, n_obs, [p.budget for points in curves.values() for p in points])
    named = sum(trace.get("showlegend", True) for trace in data)
    return figure(
        data,
        380,
        legend=named,
        xaxis=axis("simulations (budget)", type="log", dtick=1, exponentformat="power"),
        yaxis=axis(_ENERGY_TITLE, rangemode="tozero"),
    )


def _curve(method: str, points: Sequence[Point], style: Style) -> list[dict[str, Any]]:
    name = safe(method)
    mean = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "legendgroup": name,
        "x": [point.budget for point in points],
        "y": rounded(point.energy for point in points),
        "error_y": {
            "type": "data",
            "array": rounded(point.standard_error for point in points),
            "width": 3,
            "thickness": 1.2,
        },
        "line": style.line(),
        "marker": {"symbol": style.marker, "size": 8, "color": style.colour},
        "hovertemplate": f"{name}, budget %{{x:,}}<br>energy score %{{y:.4f}}<extra></extra>",
    }
    seeds = [(point.budget, value) for point in points if len(point.seeds) > 1 for value in point.seeds]
    if not seeds:
        return [mean]
    each = {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name}, each seed",
        "legendgroup": name,
        "showlegend": False,
        "x": [budget for budget, _ in seeds],
        "y": rounded(value for _, value in seeds),
        "marker": {"symbol": f"{style.marker}-open", "size": 6, "color": style.colour, "opacity": 0.7},
        "hovertemplate": f"{name}, one seed<br>%{{y:.4f}}<extra></extra>",
    }
    return [mean, each]


def _levels(section: Section, caches: Caches, n_obs: int, budgets: Sequence[float]) -> list[dict[str, Any]]:
    """The prior and the limit, which no budget moves, as level lines."""
    found = [entry for entry in representatives(section, n_obs) if entry.is_reference]
    styles = method_styles([entry.method for entry in found])
    traces = []
    for entry in found:
        energy = at_size(entry, caches, n_obs).get("energy")
        if energy is not None:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": safe(entry.method),
                    "x": [min(budgets), max(budgets)],
                    "y": rounded([energy[0]] * 2),
                    "line": styles[entry.method].line(),
                    "hovertemplate": f"{safe(entry.method)}: %{{y:.4f}}<extra></extra>",
                }
            )
    return traces


def describe_learning(section: Section, caches: Caches) -> str:
    """First and last point of each curve."""
    n_obs, curves = learning_curves(section, caches)
    parts = [
        f"{method} from {points[0].energy:.4f} at {points[0].budget:,.0f} to {points[-1].energy:.4f} at "
        f"{points[-1].budget:,.0f}"
        for method, points in curves.items()
    ]
    return f"Energy score on {n_obs:,} spectra over the number of simulations: {joined(parts)}."


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
        energy = at_size(entry, caches, n_obs).get("energy")
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
        "energy score",
        x={"type": "log", "exponentformat": "power"},
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
