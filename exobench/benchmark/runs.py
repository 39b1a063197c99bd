"""The single runs of a plan: their settings, and the folder that each will have, known before anything is started."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exobench.benchmark.plan import Cell, Entry, Plan
from exobench.command_line import RUN_CONFIG, compose_settings
from exobench.data.source import task_on_data
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod
from exobench.registry import build_method, build_task
from exobench.results import RunRecord, find_record
from exobench.runner import resolved_config, run_folder
from exobench.seeds import stable_hash
from exobench.settings import RunSettings
from exobench.task import Task

BENCHMARK = "benchmark"
"""Folder below the runs for logs, claims and failures."""
_SET_HERE = {"workers": 1, "report": False}
"""Of every run: one core each, and no page before the end."""


@dataclass(frozen=True)
class PlannedRun:
    """One ``python -m exobench`` of a plan.

    Attributes:
        entry: of the plan.
        overrides: the command's arguments.
        settings: what they resolve to.
        config: what its record will hold as its config.
        learns: whether the method looks at training spectra.
        folder: of the run.
        notes: folder of its log, claim and failure.
    """

    entry: Entry
    overrides: tuple[str, ...]
    settings: RunSettings
    config: Mapping[str, Any]
    learns: bool
    folder: Path
    notes: Path

    @property
    def cell(self) -> Cell:
        """Method, task, budget and seed."""
        return self.entry.cell

    @property
    def config_hash(self) -> str:
        """As in the record."""
        return self.folder.parent.name

    @property
    def log(self) -> Path:
        """What the run said."""
        return self.notes / "log.txt"

    def record(self) -> RunRecord | None:
        """The finished run's record, or None."""
        return find_record(self.folder)


@dataclass
class Expansion:
    """Turns the entries of a plan into runs.

    Attributes:
        added: settings from the command line, for every run.
    """

    added: Sequence[str] = ()
    _composed: dict[tuple[str, ...], RunSettings] = field(default_factory=dict, init=False)
    _tasks: dict[str, Task] = field(default_factory=dict, init=False)

    def runs(self, plan: Plan) -> list[PlannedRun]:
        """Every run, in the plan's order.

        Raises:
            ExobenchError: the settings of one are wrong; the message names the run.
        """
        runs = []
        for entry in plan.entries:
            try:
                runs.append(self.run(entry))
            except ExobenchError as error:
                raise ExobenchError(f"plan {plan.name}, {entry.cell}: {error}") from error
        return runs

    def run(self, entry: Entry) -> PlannedRun:
        """One run.

        Raises:
            ExobenchError: its settings are wrong.
        """
        shared = self._shared_overrides(entry)
        if shared not in self._composed:
            self._composed[shared] = RunSettings.from_config(compose_settings(RUN_CONFIG, shared))
        settings = replace(self._composed[shared], budget=entry.cell.budget, seed=entry.cell.seed)
        task, method = self._task(settings), build_method(settings.method)
        config = resolved_config(settings, task, method)
        folder = run_folder(settings, task, config)
        self._check(entry, settings, method)
        return PlannedRun(
            entry=entry,
            overrides=(*shared, f"budget={entry.cell.budget}", f"seed={entry.cell.seed}"),
            settings=settings,
            config=config,
            learns=method.learns,
            folder=folder,
            notes=settings.places.runs / BENCHMARK / folder.relative_to(settings.places.runs),
        )

    def _shared_overrides(self, entry: Entry) -> tuple[str, ...]:
        """What runs of several budgets and seeds have in common: composing is what takes time."""
        cell, own = entry.cell, {**entry.settings, **_SET_HERE}
        return (
            f"method={cell.method}",
            f"task={cell.task}",
            *(f"{key}={_text(key, value)}" for key, value in own.items()),
            *self.added,
        )

    def _task(self, settings: RunSettings) -> Task:
        key = stable_hash([settings.task, settings.data.describe(), repr(settings.request)])
        if key not in self._tasks:
            built = build_task(settings.task, settings.request)
            self._tasks[key] = task_on_data(built, settings.data, settings.places.data)
        return self._tasks[key]

    @staticmethod
    def _check(entry: Entry, settings: RunSettings, method: AbstractMethod) -> None:
        known = entry.training_seconds is not None or settings.seconds is not None or entry.after is not None
        if method.learns and not known:
            raise ExobenchError("set limits.seconds, or say how long it trains with training_seconds.")


def _text(key: str, value: object) -> str:
    """A setting's value as the command line takes it."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return value
    raise ExobenchError(f"{key}={value} must be a number, a word, true, false or null; name its leaves one by one.")
