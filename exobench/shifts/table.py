"""Records of one run under several shifts as a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exobench.shifts.record import score_of
from exobench.text_table import aligned

HEADER = ("shift", "energy score", "change", "hit 10 / 5 / 2 / 1 %", "68 %", "95 %", "AUROC", "exact: energy", "68 %")
HIT_RATES = ("hit_rate_10", "hit_rate_5", "hit_rate_2", "hit_rate_1")
LEGEND = (
    "energy score in unit-cube coordinates, lower is better; change: beyond the unshifted spectra, paired; hit: mean "
    "over parameters; 68 %, 95 %: coverage from the parameter that has least to the one that has most; AUROC: shifted "
    "against unshifted by the method's own surprise, 0.5 for blind; exact: the closed form at the told sigma, "
    "or an exact row (its spectra; the run's energy score beyond it on those, paired)"
)


def table(contents: Sequence[Mapping[str, Any]]) -> str:
    """One line for each shift, and the reasons of those that are not available below."""
    lines = [HEADER, *(_cells(content) for content in contents)]
    reasons = [f"{c['shift']['name']}: {c['reason']}" for c in contents if c["status"] != "ok"]
    return "\n".join([*aligned(lines), *(f"not available: {reason}" for reason in reasons), *_without_exact(contents)])


def _without_exact(contents: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for the shifts that have no exact row, with the command that makes the last of them."""
    lacking = [c for c in contents if c["status"] == "ok" and c["exact"]["status"] != "ok"]
    if not lacking:
        return []
    names = ", ".join(c["shift"]["name"] for c in lacking)
    return [f"no exact posterior: {names} ({lacking[-1]['shift']['name']}: {lacking[-1]['exact']['reason']})"]


def _cells(content: Mapping[str, Any]) -> tuple[str, ...]:
    name = content["shift"]["name"]
    if content["status"] != "ok":
        return (name, "not available", *["-"] * (len(HEADER) - 2))
    change, auroc, exact = content["energy_score_change"], content["auroc"], content["exact"]
    return (
        name,
        _energy(content),
        "-" if change is None else f"{change['difference']:+.4f} ± {change['standard_error']:.4f}",
        " / ".join(_mean_percent(content, metric) for metric in HIT_RATES),
        _range(content, "coverage_68"),
        _range(content, "coverage_95"),
        "-" if auroc["value"] is None else f"{auroc['value']:.3f} ± {auroc['standard_error']:.3f}",
        _energy(exact) + _beyond(exact),
        _range(exact, "coverage_68"),
    )


def _beyond(exact: Mapping[str, Any]) -> str:
    """Of an exact row: its spectra, and how far the run's energy score on those lies above."""
    if "energy_score_beyond_exact" not in exact:
        return ""
    beyond = exact["energy_score_beyond_exact"]
    return f" ({exact['n_compared']}; run {beyond['difference']:+.4f} ± {beyond['standard_error']:.4f})"


def _energy(content: Mapping[str, Any]) -> str:
    found = [s for s in content.get("scores", []) if s["metric"] == "energy_score" and s["value"] is not None]
    return f"{found[0]['value']:.4f} ± {found[0]['standard_error']:.4f}" if found else "-"


def _mean_percent(content: Mapping[str, Any], metric: str) -> str:
    values = score_of(content, metric)
    return f"{100 * np.mean(values):.0f}" if values else "-"


def _range(content: Mapping[str, Any], metric: str) -> str:
    values = score_of(content, metric)
    return f"{100 * min(values):.0f}-{100 * max(values):.0f}" if values else "-"
