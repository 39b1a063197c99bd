"""Accuracy over the number of simulations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from exobench.report.entries import FLOOR_METHOD
from exobench.report.plots.layout import axis, figure, rounded
from exobench.report.plots.palette import Style, method_styles
from exobench.report.plots.shown import learners, own_size, representatives
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import mean_energy
from exobench.report.plots.text import joined, safe
from exobench.report.sections import Section, settings_but_seed

ENERGY = "energy score"
"""Titles of axes start so."""


class Point(NamedTuple):
    """One method at one budget: mean energy score over its seeds, standard error, and the value of each seed."""

    budget: float
    energy: float
    standard_error: float
    seeds: tuple[float, ...]


def learning_curves(section: Section, caches: Caches) -> tuple[int, dict[str, list[Point]]]:
    """Energy scores of each method over budgets, in the order of budgets.

    A method with several settings at one budget stands with those of which most seeds were run, the first of equals.

    Returns:
        Spectra that all points rest on, and the points by method; zero and nothing where no method has two budgets.
    """
    n_obs = _learning_size(section)
    if n_obs is None:
        return 0, {}
    groups: dict[str, dict[float, dict[str, list[list[float]]]]] = {}
    for entry in learners(section.scored):
        budget = entry.number("budget")
        if entry.n_test < n_obs or not budget:
            continue
        energy = mean_energy(entry, caches, n_obs)
        if energy is not None:
            by_setting = groups.setdefault(entry.method, {}).setdefault(budget, {})
            by_setting.setdefault(settings_but_seed(entry), []).append(energy)
    curves = {
        method: [_point(budget, by_setting) for budget, by_setting in sorted(found.items())]
        for method, found in sorted(groups.items())
        if len(found) > 1
    }
    return n_obs, curves


def _learning_size(section: Section) -> int | None:
    """The nested test set on which most methods have two budgets, the largest of equals; None where none has."""
    found = [entry for entry in learners(section.scored) if entry.is_current and entry.number("budget")]
    methods = {}
    for n_obs in {own_size(entry, entry.n_test) for entry in found}:
        pairs = {(entry.method, entry.number("budget")) for entry in found if entry.n_test >= n_obs}
        methods[n_obs] = len(pairs) - len({method for method, _ in pairs})
    best = max(methods, key=lambda n_obs: (methods[n_obs], n_obs), default=None)
    return best if best is not None and methods[best] else None


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
    points = [point for found in curves.values() for point in found]
    levels = _levels(section, caches, n_obs)
    low, high = _frame(points, [energy for method, energy in levels.items() if method != FLOOR_METHOD])
    data += [_level(method, energy, points, high) for method, energy in levels.items()]
    named = sum(trace.get("showlegend", True) for trace in data)
    return figure(
        data,
        380,
        legend=named,
        xaxis=axis("simulations (budget)", type="log", dtick=1, exponentformat="power"),
        yaxis=axis(f"{ENERGY} ({n_obs:,} spectra)", range=[low, high]),
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


def _levels(section: Section, caches: Caches, n_obs: int) -> dict[str, float]:
    """Energy scores of the prior and the limit, which no budget moves."""
    found = [entry for entry in representatives(section, n_obs) if entry.is_reference]
    energies = {entry.method: mean_energy(entry, caches, n_obs) for entry in found}
    return {method: energy[0] for method, energy in energies.items() if energy is not None}


def _frame(points: Sequence[Point], levels: Sequence[float]) -> tuple[float, float]:
    """The vertical range: that of the curves and the limit; with the prior in it, curves would be level lines."""
    ends = [point.energy + side * point.standard_error for point in points for side in (-1.0, 1.0)] + list(levels)
    room = 0.08 * (max(ends) - min(ends))
    return max(min(ends) - room, 0.0), max(ends) + room


def _level(method: str, energy: float, points: Sequence[Point], top: float) -> dict[str, Any]:
    """A level line; one above the frame says in its name where it is."""
    budgets = [point.budget for point in points]
    name = safe(method) + (f" ({energy:.3g}, above the frame)" if energy > top else "")
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [min(budgets), max(budgets)],
        "y": rounded([energy] * 2),
        "line": method_styles([method])[method].line(),
        "hovertemplate": f"{safe(method)}: %{{y:.4f}}<extra></extra>",
    }


def describe_learning(section: Section, caches: Caches) -> str:
    """First and last point of each curve."""
    n_obs, curves = learning_curves(section, caches)
    parts = [
        f"{method} from {points[0].energy:.4f} at {points[0].budget:,.0f} to {points[-1].energy:.4f} at "
        f"{points[-1].budget:,.0f}"
        for method, points in curves.items()
    ]
    parts += [f"{method} {energy:.4f} at any" for method, energy in _levels(section, caches, n_obs).items()]
    return f"Energy score on {n_obs:,} spectra over the number of simulations: {joined(parts, 20)}."
