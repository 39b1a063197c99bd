"""One run: load -> fit -> sample -> score -> record. Each stage leaves a file, so a second start goes on from there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from exobench.data.source import TestSpectra, open_data, task_on_data
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.evaluation import draw_posteriors, fit_or_load, score_draws
from exobench.method import AbstractMethod, Capability, Limits
from exobench.metrics.score import METRICS_VERSION
from exobench.problem import BudgetExceeded
from exobench.provenance import code_version, hardware, package_versions
from exobench.registry import build_method, build_task
from exobench.results import RunRecord, find_record, write_record
from exobench.seeds import stable_hash
from exobench.settings import RunSettings
from exobench.task import Task

log = logging.getLogger(__name__)

FLOOR = "prior"
"""The method that every table shows as its floor."""
FLOOR_BUDGET = 100_000
"""Named in the floor's record, which uses none of it: one value keeps one floor for each task and test set."""


def run(settings: RunSettings, *, announce: bool = True) -> RunRecord:
    """Runs one method on one task, or returns the finished record of an equal run.

    Args:
        settings: what to run.
        announce: say where a finished record was found.

    Returns:
        The record.

    Raises:
        ExobenchError: for any input that is wrong, before anything is computed.
        FitInterrupted: if the process was told to stop; the same call goes on from the checkpoint.
    """
    device = resolve_device(settings.device)
    task = task_on_data(build_task(settings.task, settings.request), settings.data, settings.places.data)
    method = build_method(settings.method)
    resolved = _resolved_config(settings, task, method)
    folder = run_folder(settings, task, resolved)
    if settings.rerun and folder.exists():
        shutil.rmtree(folder)
    finished = find_record(folder)
    if finished is not None:
        if announce:
            log.info("This run is finished already (rerun=true runs it again): %s", folder)
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    return _run_stages(settings, task, method, resolved, folder, device)


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
    return run(floor, announce=False)


def run_folder(settings: RunSettings, task: Task, resolved: Mapping[str, Any]) -> Path:
    """``runs/<task>/<method>/<config hash>/<seed>``; the hash covers all that moves the scores but the seed."""
    key = stable_hash({"task_id": task.task_id, **resolved})
    return settings.places.runs / task.name / settings.method["name"] / key / str(settings.seed)


def _resolved_config(settings: RunSettings, task: Task, method: AbstractMethod) -> dict[str, Any]:
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


def _run_stages(
    settings: RunSettings, task: Task, method: AbstractMethod, resolved: dict[str, Any], folder: Path, device: str
) -> RunRecord:
    header = _header(settings, task, method, resolved, device)
    n_test, n_draws = resolved["n_test"], resolved["n_draws"]
    needs_training_data = settings.method["name"] != FLOOR
    data = open_data(
        task,
        settings.places.data,
        n_train=settings.n_train if needs_training_data else 0,
        n_validation=settings.n_validation if needs_training_data else 0,
        n_test=n_test,
        workers=settings.workers,
        choice=settings.data,
        device=device,
    )
    problem = task.problem(data.source, method.capabilities, device)
    reason = method.skip(problem) or _why_not_missing_bins(method, data.test)
    if reason is not None:
        log.info("%s is skipped on %s: %s", header["method"], task.name, reason)
        return write_record(folder, {**header, "status": "skipped", "reason": reason})
    if needs_training_data:
        log.info("%s on %s: %s training spectra", header["method"], task.name, f"{settings.n_train:,}")
    limits = Limits(n_train=settings.n_train, steps=settings.steps, seconds=settings.seconds)
    identity = (settings.seed, task.name, stable_hash(settings.method))
    try:
        fitted = fit_or_load(method, problem, limits, identity, device, folder)
        drawn = draw_posteriors(fitted.posterior, method, data.test, n_draws, identity, folder, task.name)
    except BudgetExceeded as error:
        log.error("%s passed its budget on %s: %s", header["method"], task.name, error)
        return write_record(folder, {**header, "status": "failed", "reason": str(error)})
    scored = score_draws(task, data.test, drawn, identity, folder)
    used = fitted.simulations if needs_training_data else 0
    cost = {
        "simulations": used + problem.simulator_calls.n,
        "likelihood_calls": problem.likelihood_calls.n,
        "training_seconds": fitted.seconds,
        "sampling_seconds": drawn.seconds,
        "seconds_per_posterior": drawn.seconds / n_test,
        "n_parameters": fitted.posterior.n_parameters_trained,
        "peak_memory_bytes": max(fitted.peak_memory_bytes, drawn.peak_memory_bytes),
    }
    figures = fitted.posterior.draw_figures(*data.test.head(4), folder=folder / "figures")
    return write_record(
        folder,
        {
            **header,
            "status": "ok",
            "cost": cost,
            **scored,
            "n_draws_returned": drawn.n_draws,
            "diagnostics": drawn.diagnostics,
            "figures": [path.relative_to(folder).as_posix() for path in figures],
        },
    )


def _why_not_missing_bins(method: AbstractMethod, test: TestSpectra) -> str | None:
    if Capability.MISSING_BINS in method.capabilities or np.isfinite(test.x).all():
        return None
    return "spectra of this task miss bins, and the method does not declare Capability.MISSING_BINS."


def _header(
    settings: RunSettings, task: Task, method: AbstractMethod, resolved: dict[str, Any], device: str
) -> dict[str, Any]:
    return {
        "metrics_version": METRICS_VERSION,
        "task": task.name,
        "task_id": task.task_id,
        "task_description": task.describe(),
        "parameters": [
            {"name": p.name, "unit": p.unit, "label": p.label, "low": p.low, "high": p.high}
            for p in task.parameters.parameters
        ],
        "method": settings.method["name"],
        "capabilities": [flag.name for flag in Capability if flag in method.capabilities],
        "track": _track(method.capabilities),
        "seed": settings.seed,
        "budget": settings.budget,
        "n_train": settings.n_train,
        "n_validation": settings.n_validation,
        "n_test": resolved["n_test"],
        "n_draws": resolved["n_draws"],
        "config": resolved,
        "config_hash": stable_hash({"task_id": task.task_id, **resolved}),
        "versions": {**code_version(), **package_versions()},
        "hardware": hardware(device),
    }


def _track(capabilities: Capability) -> str:
    if Capability.NEEDS_SIMULATOR in capabilities:
        return "unlimited"
    return "likelihood-using" if Capability.NEEDS_LIKELIHOOD in capabilities else "amortised"


def check_runnable(settings: RunSettings) -> None:
    """Checks all that can be checked without computing.

    Raises:
        ExobenchError: one line that names what is wrong.
    """
    resolve_device(settings.device)
    build_task(settings.task, settings.request)
    try:
        build_method(settings.method)
    except TypeError as error:
        raise ExobenchError(f"method.{settings.method.get('name')}: {error}.") from error
