"""One run: looks for finished work under a lock, else goes through the stages."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exobench.data.source import task_on_data
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.files import LOCK_NAME, folder_lock
from exobench.method import AbstractMethod
from exobench.registry import build_method, build_task
from exobench.results import RECORD, RunRecord, find_record
from exobench.seeds import stable_hash
from exobench.settings import RunSettings
from exobench.stages import DONE, Stages
from exobench.task import Task
from exobench.training.distributed import Ranks
from exobench.training.messages import Messages

log = logging.getLogger(__name__)

FLOOR = "prior"
"""The method that every table shows as its floor."""
FLOOR_BUDGET = 100_000
"""Named in the floor's record, which uses none of it: one value keeps one floor for each task and test set."""


def run(settings: RunSettings, *, announce: bool = True, ranks: Ranks | None = None) -> RunRecord:
    """Runs one method on one task, or returns the finished record of an equal run.

    Under torchrun every process calls it. The first one alone looks for finished work, makes data, saves, draws,
    scores and writes; the others take part in the training and wait otherwise.

    Args:
        settings: what to run.
        announce: say where a finished record was found.
        ranks: the processes that make this run; None for those of the environment.

    Returns:
        The record, in every process.

    Raises:
        ExobenchError: for any input that is wrong, before anything is computed; or another process was lost.
        FitInterrupted: if the process was told to stop; the same call goes on from the checkpoint.
    """
    ranks = Ranks.from_environment() if ranks is None else ranks
    device = ranks.device(resolve_device(settings.device))
    task = task_on_data(build_task(settings.task, settings.request), settings.data, settings.places.data)
    method = build_method(settings.method)
    _check_parallel(settings, method, ranks)
    resolved = resolved_config(settings, task, method)
    stages = Stages(settings, task, method, resolved, run_folder(settings, task, resolved), device, ranks)
    if not ranks.is_first:
        return stages.help()
    with folder_lock(stages.folder):
        record = _run_unless_finished(stages, announce)
    if ranks.world_size > 1:
        Messages.of(ranks).say(DONE, record=record.content)
    return record


def _check_parallel(settings: RunSettings, method: AbstractMethod, ranks: Ranks) -> None:
    if ranks.world_size > 1 and not method.trains_in_parallel:
        raise ExobenchError(
            f"method={settings.method['name']} is fitted by one process, and this run has {ranks.world_size}; "
            "start it without torchrun."
        )


def _run_unless_finished(stages: Stages, announce: bool) -> RunRecord:
    folder = stages.folder
    finished = find_record(folder)
    if finished is not None and not stages.settings.rerun:
        if announce:
            log.info("This run is finished already (rerun=true runs it again): %s", folder)
        return finished
    previous = _set_aside(folder) if finished is not None else None
    record = stages.run()
    if previous is not None:
        shutil.rmtree(previous)
    return record


def _set_aside(folder: Path) -> Path:
    """Moves a finished run out of the way, to be removed when its successor is finished."""
    previous = folder.with_name(f"{folder.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    previous.mkdir()
    for entry in folder.iterdir():
        if entry.name != LOCK_NAME:
            # Renamed, or it would count as a second record.
            entry.rename(previous / (f"{RECORD}.previous" if entry.name == RECORD else entry.name))
    return previous


def run_floor(settings: RunSettings) -> RunRecord:
    """The prior's record on the same task and test spectra."""
    n_test = settings.n_test or build_method(settings.method).default_n_test
    free: dict[str, Any] = {
        "n_draws": None,
        "steps": None,
        "seconds": None,
        "budget": FLOOR_BUDGET,
        "seed": 0,
        "rerun": False,
    }
    floor = replace(settings, method={"name": FLOOR}, data=settings.data.for_floor(), n_test=n_test, **free)
    return run(floor, announce=False, ranks=Ranks())


def run_folder(settings: RunSettings, task: Task, resolved: Mapping[str, Any]) -> Path:
    """``runs/<task>/<method>/<config hash>/<seed>``; the hash covers all that moves the scores but the seed."""
    key = stable_hash({"task_id": task.task_id, **resolved})
    return settings.places.runs / task.name / settings.method["name"] / key / str(settings.seed)


def resolved_config(settings: RunSettings, task: Task, method: AbstractMethod) -> dict[str, Any]:
    """All settings that move the scores, with the defaults that the method fills in; the seed is not among them."""
    return {
        "task": settings.task,
        "method": settings.method,
        "data": settings.data.describe(),
        "simulator": settings.request.simulator,
        "budget": settings.budget,
        "n_test": settings.n_test or method.default_n_test,
        "n_draws": settings.n_draws or method.default_n_draws,
        "limits": {"steps": settings.steps, "seconds": settings.seconds},
    }
