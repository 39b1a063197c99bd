"""Run records, checked once, so that the rest of the page can trust their types."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from exobench.errors import ExobenchError
from exobench.metrics.score import METRICS_VERSION, Score
from exobench.report.arrays import StoredArrays, stored_arrays
from exobench.results import RECORD, SCORES, RunRecord, read_record

FLOOR_METHOD = "prior"
"""The method that every table marks as its floor."""

CEILING_METHOD = "exact"
"""The records of the exact posterior, which every table marks as its ceiling."""

_STATUSES = ("ok", "skipped", "failed")
_SCORE_KEYS = ("metric", "parameter", "value", "standard_error", "n_obs", "status", "reason")


@dataclass(frozen=True)
class ParameterNote:
    """What a record says of one parameter: name, unit, figure label and the prior's range."""

    name: str
    unit: str
    label: str
    low: float
    high: float

    @property
    def unit_text(self) -> str:
        """The unit for people, empty for pure numbers and logarithms."""
        return "" if self.unit in ("", "1", "dex") else self.unit


@dataclass(frozen=True)
class Problem:
    """A record that is not on the page, and why."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """One record on the page.

    Attributes:
        record: as read from disk.
        relative: its folder below the runs folder, with forward slashes.
        parameters: the task's parameters; empty for a run without scores.
    """

    record: RunRecord
    relative: str
    parameters: tuple[ParameterNote, ...] = ()

    @cached_property
    def anchor(self) -> str:
        """Name of this run inside the page and of its folder of figures: safe, whatever the method is called."""
        return f"run-{hashlib.sha256(self.relative.encode()).hexdigest()[:12]}"

    def get(self, *keys: str) -> Any:
        """A field of the record, or None where it, or what holds it, is missing."""
        value: Any = self.record.content
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A group of fields; empty where it is missing."""
        value = self.get(key)
        return value if isinstance(value, Mapping) else {}

    def number(self, *keys: str) -> float | None:
        """A numeric field, or None."""
        value = self.get(*keys)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.record["method"])

    @property
    def n_test(self) -> int:
        """Test spectra scored."""
        return int(self.record["n_test"])

    @property
    def is_ok(self) -> bool:
        """Whether the run has scores."""
        return bool(self.record["status"] == "ok")

    @property
    def is_floor(self) -> bool:
        """Whether this is the prior."""
        return self.method == FLOOR_METHOD

    @property
    def is_ceiling(self) -> bool:
        """Whether these are draws of the exact posterior."""
        return self.method == CEILING_METHOD

    @property
    def is_reference(self) -> bool:
        """Whether this is no method but what methods are held against: floor or ceiling."""
        return self.is_floor or self.is_ceiling

    @property
    def is_current(self) -> bool:
        """Whether its scores mean what this version computes."""
        return bool(self.record["metrics_version"] == METRICS_VERSION)

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files that the page is made from: when one changes, what was drawn from them is out of date."""
        files = (self.record.folder / RECORD, self.record.folder / SCORES)
        own = [value for value in self.get("figures") or () if isinstance(value, str)]
        return (*files, *(self.record.folder / name for name in own)) if self.is_ok else files[:1]

    @cached_property
    def stored_scores(self) -> tuple[Score, ...]:
        """The scores that the run wrote, over all its test spectra, without those of a form not known here."""
        rows = self.get("scores")
        found = [_score(row) for row in rows] if isinstance(rows, list) else []
        return tuple(score for score in found if score is not None)

    def arrays(self) -> StoredArrays:
        """Per-spectrum arrays, each read on its first use.

        Raises:
            ExobenchError: if the file is missing, damaged, or does not fit the record.
        """
        return stored_arrays(self.record.folder / SCORES, self.n_test, len(self.parameters))


def read_entries(runs: Path) -> tuple[list[Entry], list[Problem]]:
    """Reads every record below a folder, in the order of paths; a bad one becomes a problem, never an error."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for path in sorted(runs.glob(f"*/*/*/*/{RECORD}")):
        relative = path.parent.relative_to(runs).as_posix()
        try:
            entries.append(_entry(path.parent, relative))
        except (ExobenchError, OSError, TypeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split()).replace(f"{runs}{os.sep}", "")
            problems.append(Problem(relative, reason or type(error).__name__))
    return entries, problems


def unfinished(runs: Path) -> list[str]:
    """Folders of runs that have no record yet: under way, or cut off.

    A run's folder is named after its seed, which tells it from the folders of searches and benchmarks beside the runs.
    """
    folders = (path for path in runs.glob("*/*/*/*/") if path.is_dir() and not (path / RECORD).exists())
    return sorted(path.relative_to(runs).as_posix() for path in folders if path.name.isdecimal())


def _entry(folder: Path, relative: str) -> Entry:
    record = read_record(folder)
    path = folder / RECORD
    if record["status"] not in _STATUSES:
        raise ExobenchError(f"{path}: status '{record['status']}' is not one of: {', '.join(_STATUSES)}.")
    for key in ("task", "task_id", "method"):
        if not isinstance(record[key], str) or not record[key]:
            raise ExobenchError(f"{path}: {key} must be a name, not {record[key]!r}.")
    for key in ("metrics_version", "seed", "budget", "n_test"):
        if not isinstance(record[key], int) or isinstance(record[key], bool) or record[key] < 0:
            raise ExobenchError(f"{path}: {key} must be a whole number, not {record[key]!r}.")
    if record["status"] != "ok":
        return Entry(record, relative)
    parameters = record.content.get("parameters")
    if not isinstance(parameters, list) or not parameters:
        raise ExobenchError(f"{path} lacks parameters; it was not written by a whole run.")
    entry = Entry(record, relative, tuple(_parameter(item, path) for item in parameters))
    if not (folder / SCORES).is_file():
        raise ExobenchError(f"{folder / SCORES} is missing; run it again with rerun=true.")
    if not entry.is_current and not entry.stored_scores:
        raise ExobenchError(
            f"{path} holds no scores, and metrics version {record['metrics_version']} is not this one's."
        )
    return entry


def _parameter(item: Any, path: Path) -> ParameterNote:
    try:
        low, high = float(item["low"]), float(item["high"])
        name = str(item["name"])
        note = ParameterNote(name, str(item.get("unit", "")), str(item.get("label", name)), low, high)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExobenchError(f"{path}: a parameter needs name, low and high; got {item!r}.") from error
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ExobenchError(f"{path}: parameter {name} has the range [{low:g}, {high:g}].")
    return note


def _score(row: Any) -> Score | None:
    try:
        return Score(**{key: row.get(key) for key in _SCORE_KEYS})
    except (TypeError, ValueError, AttributeError):
        return None
