"""One trial: fit with a trial's settings, then score on validation spectra; finished and interrupted work is kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from exobench.data.source import open_data, task_on_data
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.files import folder_lock, write_atomically
from exobench.method import FitInterrupted, Limits, Progress
from exobench.problem import InferenceProblem, SpectraSource
from exobench.progress import Progress as Bar
from exobench.registry import build_method, build_task
from exobench.seeds import derived_seed, rng_for, stable_hash
from exobench.task import Task
from exobench.tune.objective import Objective
from exobench.tune.settings import TuneSettings
from exobench.tune.space import Value, key_of, with_values

_RESULT, _SECONDS = "result.json", "seconds.json"
_VALIDATION_LOSS = "loss/validation"
_STEPS_OF_A_CURVE = 20
"""Validation losses are compared at twentieths of a training, however many steps it has."""


class Pruned(Exception):
    """The trial was ended early: its validation loss was worse than that of the others."""


@dataclass(frozen=True)
class Result:
    """What a finished trial came to.

    Attributes:
        value: of the objective.
        standard_error: over spectra, or None.
        training_seconds: of the fit, those before an interruption included.
        seconds_per_posterior: of drawing.
        n_parameters: trained numbers.
    """

    value: float
    standard_error: float | None
    training_seconds: float
    seconds_per_posterior: float
    n_parameters: int


@dataclass(frozen=True)
class Bench:
    """What all trials of a study share.

    Attributes:
        settings: of the search.
        task: the task.
        device: resolved.
        folder: of the study.
        spectra: what the fits may see; the scored validation spectra are not among them.
        objective: scores them.
    """

    settings: TuneSettings
    task: Task
    device: str
    folder: Path
    spectra: SpectraSource
    objective: Objective

    def run(
        self, values: Mapping[str, Value], stop: Callable[[], bool], report: Callable[[int, float], bool]
    ) -> Result:
        """Fits and scores, or reads back what was finished before.

        Args:
            values: of the trial.
            stop: asked often; the fit is kept for the next start.
            report: called with (twentieth of the training, validation loss); says whether the trial is to end early.

        Raises:
            Pruned: it ended early.
            FitInterrupted: ``stop`` said so.
            ExobenchError: the method refuses the values, the fit failed, or the score is not defined.
        """
        folder = self.folder / "fits" / key_of(values)
        with folder_lock(folder):  # a worker that was taken for dead may still be at it
            if not (folder / _RESULT).exists():
                try:
                    result = self._fit_and_score(values, folder, stop, report)
                    write_atomically(folder / _RESULT, json.dumps(asdict(result)).encode())
                except FitInterrupted:
                    raise
                except Exception:
                    shutil.rmtree(folder / "work", ignore_errors=True)
                    raise
                shutil.rmtree(folder / "work", ignore_errors=True)
            return Result(**json.loads((folder / _RESULT).read_text(encoding="utf-8")))

    def _fit_and_score(
        self, values: Mapping[str, Value], folder: Path, stop: Callable[[], bool], report: Callable[[int, float], bool]
    ) -> Result:
        run = self.settings.trial
        method = build_method(with_values(run.method, values))
        curve = _Curve(report, bar := Bar(f"{method.registered_name}: training", 100.0, "%"))
        workdir = folder / "work"
        workdir.mkdir(exist_ok=True)
        clock = _Clock(workdir / _SECONDS)
        try:
            posterior = method.fit(
                self.problem(values),
                limits=Limits(run.n_train, run.steps, run.seconds),
                rng=rng_for("tune", run.seed, self.task.name, stable_hash(run.method), "fit"),
                device=self.device,
                workdir=workdir,
                stop=lambda: stop() or curve.hopeless or clock.tick(),
                progress=Progress(update=curve.update, scalar=curve.scalar),
            )
        except FitInterrupted:
            if curve.hopeless and not stop():
                raise Pruned from None
            raise
        finally:
            bar.close()
            clock.note()
        seconds = clock.seconds
        scored = self.objective(method, posterior)
        return Result(
            scored.value, scored.standard_error, seconds, scored.seconds_per_posterior, posterior.n_parameters_trained
        )

    def problem(self, values: Mapping[str, Value]) -> InferenceProblem:
        """All that a trial's method may see.

        Raises:
            ExobenchError: the method cannot run on the task with these values.
        """
        method = build_method(with_values(self.settings.run.method, values))
        budget = self.settings.run.budget
        problem = self.task.problem(self.spectra, method.capabilities, self.device, simulation_budget=budget)
        reason = method.skip(problem)
        if reason is not None:
            raise ExobenchError(f"{method.registered_name} cannot run on {self.task.name}: {reason}")
        return problem


def open_bench(settings: TuneSettings) -> Bench:
    """Makes the data that is missing and opens it; the last validation spectra are kept for the scores.

    Raises:
        ExobenchError: the settings do not fit together, or data cannot be made.
    """
    run = settings.run
    device = resolve_device(run.device)
    task = task_on_data(build_task(run.task, run.request), run.data, run.places.data)
    opened = {"n_train": run.n_train, "n_test": 0, "workers": run.workers, "choice": run.data, "device": device}
    whole = open_data(task, run.places.data, n_validation=run.n_validation, **opened).source  # type: ignore[arg-type]
    n_seen = run.n_validation - settings.n_score
    seen = open_data(task, run.places.data, n_validation=n_seen, **opened).source  # type: ignore[arg-type]
    theta, depth = whole.read("validation", run.n_validation)
    x, sigma = task.noise.sample(depth[n_seen:], seed=derived_seed("tune noise", task.task_id, run.seed))
    objective = Objective(settings.metric, task, theta[n_seen:], x, sigma, settings.n_draws, run.seed)
    return Bench(settings, task, device, settings.folder(task.task_id), seen, objective)


class _Curve:
    """Follows the validation loss of a training, at twentieths of it."""

    def __init__(self, report: Callable[[int, float], bool], bar: Bar) -> None:
        self._report, self._bar, self._fraction, self._last = report, bar, 0.0, 0
        self.hopeless = False

    def update(self, done: int, total: int, text: str) -> None:
        """Learns how far training is."""
        self._fraction = done / max(total, 1)
        self._bar.reach(100.0 * self._fraction, text)

    def scalar(self, name: str, step: int, value: float) -> None:
        """Passes on a validation loss, at most one for each twentieth."""
        place = int(_STEPS_OF_A_CURVE * self._fraction)
        if name == _VALIDATION_LOSS and place > self._last:
            self._last = place
            self.hopeless = self._report(place, value)


class _Clock:
    """Seconds of a fit, those of earlier processes included."""

    _BETWEEN_NOTES = 10.0

    def __init__(self, path: Path) -> None:
        self._path, self._started = path, time.monotonic()
        try:
            self._before = float(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._before = 0.0
        self._noted = self._before

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + time.monotonic() - self._started

    def tick(self) -> bool:
        """Notes the seconds now and then; never asks to stop."""
        if self.seconds - self._noted > self._BETWEEN_NOTES:
            self.note()
        return False

    def note(self) -> None:
        """Writes them down, unless the folder is gone with the finished fit."""
        self._noted = self.seconds
        if self._path.parent.is_dir():
            write_atomically(self._path, json.dumps(self._noted).encode())
