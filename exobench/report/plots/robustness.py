"""What shifted test spectra do to finished runs, from the records that ``python -m exobench.shifts`` left in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from exobench.report.entries import Entry
from exobench.report.plots.heat import Map, stacked
from exobench.report.plots.palette import DIVERGING, RISING
from exobench.report.plots.shown import learners
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.text import joined, safe
from exobench.report.sections import Section
from exobench.report.wording import signed
from exobench.shifts.record import SHIFT_RECORD, SHIFTS, score_of

Contents = dict[str, Mapping[str, Any]]
"""Records of one run's shifts, by name."""

_UNSHIFTED = "none"


def shift_records(entry: Entry) -> Contents:
    """The records of a run's shifts; one that cannot be read is left out, as an unfinished one is."""
    found: Contents = {}
    for path in sorted((entry.record.folder / SHIFTS).glob(f"*/{SHIFT_RECORD}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            found[path.parent.name] = content
    return found


def _runs(section: Section) -> list[tuple[Entry, Contents]]:
    """One run a method: the one with most shifts, of the largest budget."""
    best: dict[str, tuple[tuple[float, ...], Entry, Contents]] = {}
    for entry in learners(section.scored):
        # Most runs have none, and asking the folder costs less than reading.
        if not entry.is_current or not (entry.record.folder / SHIFTS).is_dir():
            continue
        contents = shift_records(entry)
        weight = (float(len(contents)), entry.number("budget") or 0.0)
        if len(contents) > 1 and (entry.method not in best or weight > best[entry.method][0]):
            best[entry.method] = (weight, entry, contents)
    return [(entry, contents) for _, (_, entry, contents) in sorted(best.items())]


def energy_change_percent(contents: Contents, name: str) -> float | None:
    """Change of the energy score under a shift, relative to the unshifted spectra."""
    found = contents.get(name, {})
    change, base = found.get("energy_score_change"), score_of(contents.get(_UNSHIFTED, {}), "energy_score")
    if found.get("status") != "ok" or not isinstance(change, Mapping) or not base or not base[0]:
        return None
    return float(100.0 * change["difference"] / base[0])


def coverage_error_percent(contents: Contents, name: str) -> float | None:
    """Of the parameter that is worst covered at 68 %: coverage minus 68, in per cent."""
    errors = [100.0 * (value - 0.68) for value in score_of(contents.get(name, {}), "coverage_68")]
    return max(errors, key=abs) if errors else None


def detection_auroc(contents: Contents, name: str) -> float | None:
    """How well the method's own surprise tells shifted from unshifted spectra."""
    found = contents.get(name, {}).get("auroc")
    value = found.get("value") if isinstance(found, Mapping) else None
    return None if value is None else float(value)


_PANELS: tuple[tuple[Callable[[Contents, str], float | None], str, dict[str, Any], str], ...] = (
    (
        energy_change_percent,
        "change of the energy score, %",
        {"colorscale": DIVERGING, "reversescale": True, "zmin": -200, "zmax": 200},
        "{:+.0f}",
    ),
    (
        coverage_error_percent,
        "worst 68 % coverage, minus 68 %",
        {"colorscale": DIVERGING, "zmin": -40, "zmax": 40},
        "{:+.0f}",
    ),
    (
        detection_auroc,
        "does it notice? AUROC (0.5 is blind)",
        {"colorscale": RISING, "zmin": 0.5, "zmax": 1.0},
        "{:.2f}",
    ),
)


def draw_robustness(section: Section, caches: Caches) -> Figure | None:
    """Three maps, shifts as rows and methods as columns."""
    runs = _runs(section)
    if not runs:
        return None
    names, _ = _shifts(runs)
    if not names:
        return None
    maps = []
    for value_of, title, scale, form in _PANELS:
        values = [[value_of(contents, name) for _, contents in runs] for name in names]
        maps.append(Map(title, values, partial(_text, form), values, scale))
    return stacked(maps, [safe(name) for name in names], [safe(entry.method) for entry, _ in runs])


def _shifts(runs: Sequence[tuple[Entry, Contents]]) -> tuple[list[str], list[str]]:
    """Names of the shifts that some run was scored under, and of those that none was."""
    names = sorted({name for _, contents in runs for name in contents} - {_UNSHIFTED}, key=_order)
    known = {name for name in names if any(contents.get(name, {}).get("status") == "ok" for _, contents in runs)}
    return [name for name in names if name in known], [name for name in names if name not in known]


def _text(form: str, value: float) -> str:
    return signed(form.format(value))


def _order(name: str) -> list[Any]:
    """Numbers within names in numerical order."""
    digits = "".join(letter if letter.isdigit() else " " for letter in name).split()
    return [name.rstrip("0123456789").split("_")[0], [int(d) for d in digits], name]


def describe_robustness(section: Section, caches: Caches) -> str:
    """The shift that costs each method most."""
    parts = []
    for entry, contents in _runs(section):
        changes = {name: energy_change_percent(contents, name) for name in contents if name != _UNSHIFTED}
        known = {name: value for name, value in changes.items() if value is not None and np.isfinite(value)}
        if known:
            worst = max(known, key=lambda name: known[name])
            parts.append(f"{entry.method} {signed(f'{known[worst]:+.0f}')} % under {worst}{_blindest(contents)}")
    _, without = _shifts(_runs(section))
    beside = f"; no run was scored under {', '.join(without)}" if without else ""
    return f"Largest rise of the energy score under a shift: {joined(parts)}{beside}."


def _blindest(contents: Contents) -> str:
    """The shift that a run notices least."""
    noticed = {name: value for name in contents if (value := detection_auroc(contents, name)) is not None}
    least = min(noticed, key=lambda name: noticed[name], default=None)
    return "" if least is None else f", notices {least} least (AUROC {noticed[least]:.2f})"
