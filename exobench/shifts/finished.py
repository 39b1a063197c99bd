"""Finished runs as they are needed to draw again: task, method and posterior, with nothing trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from exobench.data.choice import DataChoice
from exobench.data.source import PromisedSpectra
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.finished_fits import FIT_NOTE, FitLibrary
from exobench.method import AbstractMethod, Limits
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem
from exobench.registry import build_method, build_task, settings_of
from exobench.results import POSTERIOR, RunRecord
from exobench.seeds import stable_hash
from exobench.task import Task, TaskRequest


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run with its posterior.

    Attributes:
        record: of the run.
        task: that it was made on.
        method: that made it.
        problem: what the method may see, without training spectra.
        posterior: its finished fit.
        identity: decides the random numbers, as in the run itself.
    """

    record: RunRecord
    task: Task
    method: AbstractMethod
    problem: InferenceProblem = field(repr=False)
    posterior: AbstractPosterior
    identity: tuple[object, ...]

    @property
    def name(self) -> str:
        """``method/hash/seed``."""
        return "/".join(self.record.folder.absolute().parts[-3:])


def task_of(record: RunRecord, opacities_path: str | None = None) -> Task:
    """The task of a run; a run on real opacities needs their folder again, as records hold the hash of their numbers.

    Raises:
        ExobenchError: if the spectra were imported, or the task is not the one that the record was made with.
    """
    config = record["config"]
    if DataChoice(config["data"]["name"]).is_imported:
        name = config["data"]["name"]
        raise ExobenchError(f"{record.folder}: its spectra were imported ({name}), and those have no shifts.")
    for path in dict.fromkeys((None, opacities_path)):
        task = build_task(config["task"], TaskRequest(config["simulator"], path))
        if task.task_id == record["task_id"]:
            return task
    raise ExobenchError(
        f"{record.folder} is of another task {record['task']} ({record['task_id']}, now {task.task_id}); a run on "
        "opacities of files needs opacities.path=FOLDER, and one of an earlier version must be run again."
    )


def load_run(record: RunRecord, task: Task, device: str) -> FinishedRun:
    """Reads back the posterior of a finished run; never trains.

    Args:
        record: of the run.
        task: from ``task_of``.
        device: "auto" or a torch device.

    Raises:
        ExobenchError: if the fit is gone.
    """
    config, device = record["config"], resolve_device(device)
    method = build_method(config["method"])
    shared = {key: config[key] for key in ("task", "data", "simulator", "budget")}
    # runs/<task>/<method>/<hash>/<seed>
    runs_of_task = record.folder.absolute().parents[2]
    library = FitLibrary(runs_of_task, record["seed"], record["n_train"], {"task_id": task.task_id, **shared})
    problem = task.problem(
        PromisedSpectra(record["n_train"], record["n_validation"]), method.capabilities, device, finished_fits=library
    )
    posterior = method.load_posterior(_posterior_folder(record, method, library), problem, device)
    identity = (record["seed"], task.name, stable_hash(config["method"]))
    return FinishedRun(record, task, method, problem, posterior, identity)


def _posterior_folder(record: RunRecord, method: AbstractMethod, library: FitLibrary) -> Path:
    """The run's own fit, else that of an equal run."""
    own = record.folder / POSTERIOR
    if own.is_dir() and (record.folder / FIT_NOTE).is_file():
        return own
    limits = record["config"]["limits"]
    key = library.key(settings_of(method), Limits(record["n_train"], limits["steps"], limits["seconds"]))
    found = library.find(method.registered_name, key)
    if found is None:
        raise ExobenchError(f"{record.folder} has no finished fit, and no equal run beside it has one; run it again.")
    return found[0] / POSTERIOR
