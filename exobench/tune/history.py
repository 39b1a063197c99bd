"""What happened in a search, for reading only: its trials, how the best value came down, and what ended early."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.tune.best import SUMMARY, trial_row
from exobench.tune.space import Value
from exobench.tune.study import load_optuna

JOURNAL = "journal.log"
COMPLETE, PRUNED, FAILED = "complete", "pruned", "fail"
TRIED_BEFORE = "these values were tried before"
"""Reason of a suggestion that was never begun, as `exobench.tune.study` notes it."""


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: from 0, in the order in which trials were begun.
        state: "complete", "pruned", "fail", "running" or "waiting".
        counted: whether it takes one of the search's places; a trial that was tried again does not.
        values: of the objectives, empty where it is not complete.
        standard_error: of the first one over spectra, or None.
        params: value of each setting.
        curve: validation loss by twentieths of the training.
        started: local time, or None.
        seconds: until it ended, or None; those of a fit that an earlier process had finished are not in it.
        training_seconds: of the fit, or None.
        seconds_per_posterior: of drawing, or None.
        n_parameters: trained numbers, or None.
        reason: why it failed, or None.
    """

    number: int
    state: str
    counted: bool
    values: tuple[float, ...]
    standard_error: float | None
    params: Mapping[str, Value]
    curve: Mapping[int, float]
    started: datetime | None
    seconds: float | None
    training_seconds: float | None
    seconds_per_posterior: float | None
    n_parameters: int | None
    reason: str | None

    @staticmethod
    def of(row: Mapping[str, Any]) -> Trial:
        """A trial from an entry of ``study.json``."""
        facts = {name: row[name] for name in ("standard_error", "training_seconds", "seconds_per_posterior")}
        return Trial(
            number=int(row["trial"]),
            state=str(row["state"]),
            counted=bool(row["counted"]),
            values=tuple(float(value) for value in row["values"] or ()),
            params=dict(row["params"]),
            curve={int(place): float(loss) for place, loss in sorted(row["curve"].items(), key=lambda e: int(e[0]))},
            started=None if row["started"] is None else datetime.fromisoformat(row["started"]),
            seconds=None if row["seconds"] is None else float(row["seconds"]),
            n_parameters=row["n_parameters"],
            reason=row["reason"],
            **facts,
        )

    @property
    def ended(self) -> datetime | None:
        """Local time."""
        if self.started is None or self.seconds is None:
            return None
        return self.started + timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class History:
    """A search as it stands.

    Attributes:
        name: of the study.
        task: name of the task.
        task_id: what scores may be compared with.
        method: name of the method.
        budget: simulations a trial, those it is scored on included.
        steps: limit of a trial's training, or None.
        seconds: the same in seconds, or None.
        objectives: name of the score, and of the cost where one was asked for.
        directions: "minimize" or "maximize", of each.
        n_scored: validation spectra of the score.
        n_trials: asked for.
        space: of each setting: kind, low, high, whether it is spread in its logarithm, and values of a choice.
        trials: by number.
    """

    name: str
    task: str
    task_id: str
    method: str
    budget: int
    steps: int | None
    seconds: float | None
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    n_scored: int
    n_trials: int
    space: Mapping[str, Sequence[Any]]
    trials: tuple[Trial, ...]

    def sign(self, objective: int = 0) -> float:
        """One where less of an objective is better, minus one where more is."""
        return -1.0 if self.directions[objective] == "maximize" else 1.0

    @property
    def complete(self) -> tuple[Trial, ...]:
        """Trials with a value, by number."""
        return tuple(trial for trial in self.trials if trial.state == COMPLETE)

    def n_in(self, state: str) -> int:
        """Trials of a state that take a place of the search."""
        return sum(trial.state == state and trial.counted for trial in self.trials)

    @property
    def best(self) -> tuple[Trial, ...]:
        """Complete trials, the best by the first objective first; of equals the earlier one."""
        return tuple(sorted(self.complete, key=lambda trial: (self.sign() * trial.values[0], trial.number)))

    @property
    def front(self) -> tuple[Trial, ...]:
        """Complete trials that no other one beats in one objective without being worse in another, the best first."""
        signs = [self.sign(k) for k in range(len(self.directions))]
        points = {trial.number: [s * v for s, v in zip(signs, trial.values, strict=True)] for trial in self.complete}
        return tuple(t for t in self.best if not any(_dominates(p, points[t.number]) for p in points.values()))

    @property
    def started(self) -> datetime | None:
        """When the first trial was begun."""
        return min((trial.started for trial in self.trials if trial.started is not None), default=None)

    def hours(self, trial: Trial) -> float | None:
        """From the search's start to a trial's end, pauses of the search included."""
        if trial.ended is None or self.started is None:
            return None
        return (trial.ended - self.started).total_seconds() / 3600

    def best_so_far(self, order: Sequence[Trial]) -> list[float]:
        """The best first objective among the trials up to each."""
        found: list[float] = []
        for trial in order:
            value = trial.values[0]
            found.append(value if not found else self.sign() * min(self.sign() * found[-1], self.sign() * value))
        return found

    def curve(self, trial: Trial) -> dict[int, float]:
        """Validation losses of a trial, those before its fit was interrupted and begun again included."""
        before = (t for t in self.trials if t.number < trial.number and not t.counted and t.params == trial.params)
        found = {place: loss for each in (*before, trial) for place, loss in each.curve.items()}
        return dict(sorted(found.items()))

    @property
    def ended_without_value(self) -> list[tuple[Trial, str]]:
        """Pruned and failed trials with the reason; not suggestions that had been tried before."""
        found = [(t, self.why(t)) for t in self.trials if t.state in (PRUNED, FAILED) and t.reason != TRIED_BEFORE]
        return sorted(found, key=lambda entry: entry[0].number)

    def why(self, trial: Trial) -> str:
        """Why a trial has no value."""
        if trial.state != PRUNED:
            return trial.reason or "no reason was noted"
        if not trial.curve:
            return "ended early; no validation loss was kept"
        place = max(trial.curve)
        own = min(self.sign() * loss for loss in trial.curve.values()) * self.sign()
        # The pruner knew the trials that were complete by then.
        others = [
            other.curve[place]
            for other in self.complete
            if place in other.curve and other.ended is not None and trial.ended is not None
            if other.ended <= trial.ended
        ]
        said = f"after {place}/20 of its training its validation loss had reached {own:.4g}"
        return f"{said}; the median of {len(others)} trials there was {median(others):.4g}" if others else said


def read_history(folder: Path) -> History:
    """A search from its folder: as its journal has it now, or else as ``study.json`` was last written.

    Raises:
        ExobenchError: the folder is not a search's, or cannot be read.
    """
    path = folder / SUMMARY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        limits = content["limits"]
        return History(
            name=folder.name,
            task=str(content["task"]),
            task_id=str(content["task_id"]),
            method=str(content["method"]),
            budget=int(content["budget"]),
            steps=limits["steps"],
            seconds=limits["seconds"],
            objectives=tuple(content["objectives"]),
            directions=tuple(content["directions"]),
            n_scored=int(content["n_scored"]),
            n_trials=int(content["n_trials"]),
            space=dict(content["space"]),
            trials=tuple(Trial.of(row) for row in _rows(folder, content)),
        )
    except FileNotFoundError as error:
        example = "runs/tune/<task>/<method>/<study>"
        raise ExobenchError(f"{folder} has no {SUMMARY}: give the folder of a search, {example}.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExobenchError(f"{path} cannot be read ({reason}); the search's command writes it anew.") from error


def find_searches(folder: Path) -> list[Path]:
    """Folders of searches, the given one or those below it."""
    return sorted(path.parent for path in folder.rglob(SUMMARY))


def _rows(folder: Path, content: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Entries of trials; a search that is under way has written its journal later than its summary."""
    summary: Sequence[Mapping[str, Any]] = content["trials"]
    path = folder / JOURNAL
    if not path.is_file():
        return summary
    try:
        optuna = load_optuna()
    except MissingDependencyError:  # a page may be made where no search can be
        return summary
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    try:
        study = optuna.load_study(study_name=folder.name, storage=storage)
    except KeyError:  # a folder that was renamed or copied
        return summary
    sign = -1.0 if content["directions"][0] == "maximize" else 1.0
    return [trial_row(trial, sign) for trial in study.get_trials(deepcopy=False)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether no entry is larger and one is smaller."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs) and all(map(math.isfinite, one))
