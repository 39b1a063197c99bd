"""The README's table and figure from committed records: ``python scripts/benchmark_summary.py reports/benchmark``.

Prints one table of all methods at one budget, and draws learning curves and accuracy against cost.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from exobench.report.plots.palette import LIGHT, method_styles
from exobench.results import RunRecord, all_records
from exobench.terminal import find_score, format_score, scores_on

Array = NDArray[np.float64]

EXACT, PRIOR = "exact", "prior"
TITLES = {
    "log10_h2o": "H2O",
    "log10_co2": "CO2",
    "log10_co": "CO",
    "log10_ch4": "CH4",
    "mass_mjup": "mass",
    "radius_rjup": "radius",
    "temperature_k": "temperature",
}
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "x": "X", "star": "*"}
_MARKERS |= {"hexagon": "h", "pentagon": "p", "bowtie": "d"}
_LINES = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 3)),
    "longdashdot": (0, (8, 3, 1, 3)),
}


def energies(record: RunRecord) -> Array:
    """Energy score of each test spectrum, (obs,)."""
    return record.per_spectrum()["energy_score"]


def above_limit(record: RunRecord, exact: RunRecord) -> tuple[float, float, int]:
    """Mean difference of the energy score from the exact posterior's, its error, and the number of common spectra."""
    own, limit = energies(record), energies(exact)
    n_obs = min(len(own), len(limit))
    difference = own[:n_obs] - limit[:n_obs]
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(n_obs)), n_obs


def table(records: Sequence[RunRecord], exact: RunRecord, n_obs: int) -> str:
    """Markdown, nearest to the limit first; shares are of the first n_obs spectra, or of those that a sampler did."""
    names = [parameter["name"] for parameter in exact["parameters"]]
    titles = " | ".join(TITLES.get(name, name) for name in names)
    lines = [
        f"| method | spectra | energy score | above the limit | {titles} | 68 % holds | training, s | a posterior, s |"
    ]
    lines.append("|---|" + "---|" * (6 + len(names)))
    ordered = sorted(records, key=lambda record: above_limit(record, exact)[0])
    return "\n".join([*lines, *(_row(record, exact, names, n_obs) for record in (exact, *ordered))])


def _row(record: RunRecord, exact: RunRecord, names: Sequence[str], n_obs: int) -> str:
    n_own = min(n_obs, record["n_test"])
    scores = scores_on(record, n_own)
    difference, error, _ = above_limit(record, exact)
    hits = [
        format_score(replace(find_score(scores, "hit_rate_10", name), standard_error=None), ".2f") for name in names
    ]
    holds = [value for name in names if (value := find_score(scores, "coverage_68", name).value) is not None]
    is_exact, cost = record["method"] == EXACT, record["cost"]
    cells = [
        f"`{record['method']}`",
        str(n_own),
        format_score(find_score(scores, "energy_score"), ".3f"),
        "0" if is_exact else f"{difference:.3f} ±{error:.3f}",
        *hits,
        f"{min(holds):.2f}-{max(holds):.2f}" if len(holds) == len(names) else "undefined",
        "" if is_exact else f"{cost['training_seconds']:.0f}",
        "" if is_exact else _seconds(cost["seconds_per_posterior"]),
    ]
    return "| " + " | ".join(cells) + " |"


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100.0 else f"{value:.2g}"


def learning_curves(axes: Axes, records: Sequence[RunRecord], exact: RunRecord, methods: Sequence[str]) -> None:
    """Distance to the limit against training spectra; bars: over seeds where there are several, else over spectra."""
    for method in methods:
        own = [record for record in records if record["method"] == method]
        budgets = sorted({record["budget"] for record in own})
        points = [_with_seeds([r for r in own if r["budget"] == budget], exact) for budget in budgets]
        values, errors = np.array(points).T
        look = method_styles([method])[method]
        axes.errorbar(
            budgets,
            values,
            errors,
            label=method,
            color=look.colour,
            ls=_LINES[look.dash],
            marker=_MARKERS[look.marker],
            ms=6,
            capsize=2,
        )
    axes.set(xscale="log", yscale="log", xlabel="training spectra", ylabel="energy score above the limit")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize=8, frameon=False)


def _with_seeds(records: Sequence[RunRecord], exact: RunRecord) -> tuple[float, float]:
    found = [above_limit(record, exact) for record in records]
    values = np.array([value for value, _, _ in found])
    if len(values) == 1:
        return found[0][:2]
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def against_cost(axes: Axes, records: Sequence[RunRecord], exact: RunRecord) -> None:
    """Distance to the limit against the seconds of one posterior."""
    for record in sorted(records, key=lambda record: -above_limit(record, exact)[0]):
        value, error, _ = above_limit(record, exact)
        method, seconds = record["method"], record["cost"]["seconds_per_posterior"]
        look = method_styles([method])[method]
        axes.errorbar(
            seconds, value, error, label=method, color=look.colour, marker=_MARKERS[look.marker], ms=7, ls="", capsize=2
        )
    axes.axhline(0, color=LIGHT["ink"], lw=1)
    axes.set(xscale="log", xlabel="seconds of one core for a posterior (training apart)")
    axes.set_yscale("symlog", linthresh=0.02)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.12, y=0.12)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def main() -> None:
    """Prints the table and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--task", default="hotjupiter")
    parser.add_argument("--budget", type=float, default=1e4)
    parser.add_argument("--n-obs", type=int, default=100)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    found = [record for record in all_records(given.runs) if record["task"] == given.task and record["status"] == "ok"]
    exact = next((record for record in found if record["method"] == EXACT), None)
    if exact is None:
        raise SystemExit(f"{given.runs} holds no row 'exact' of {given.task}; see python -m exobench.reference exact.")
    trained = [record for record in found if record["method"] != EXACT and record["task_id"] == exact["task_id"]]
    at_budget = [record for record in trained if record["budget"] == int(given.budget) and record["seed"] == 0]
    most = {
        method: max(r["n_test"] for r in at_budget if r["method"] == method)
        for method in {r["method"] for r in at_budget}
    }
    at_budget = [record for record in at_budget if record["n_test"] == most[record["method"]]]
    print(table(at_budget, exact, given.n_obs))
    if given.figure is not None:
        several = sorted({r["method"] for r in trained if r["budget"] != int(given.budget)} - {PRIOR})
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.3), layout="constrained")
        learning_curves(left, trained, exact, several)
        against_cost(right, [record for record in at_budget if record["method"] != PRIOR], exact)
        figure.savefig(given.figure, dpi=130)


if __name__ == "__main__":
    main()
