"""One run: load -> fit -> sample -> score -> record. Each stage leaves a file, so a second start goes on from there."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from exobench.data.source import PromisedSpectra, open_data, task_on_data
from exobench.devices import resolve_device
from exobench.drawing import draw_posteriors
from exobench.errors import ExobenchError
from exobench.evaluation import fit_or_load, score_draws
from exobench.files import LOCK_NAME, folder_lock
from exobench.finished_fits import FitLibrary
from exobench.method import AbstractMethod, Capability, Limits
from exobench.metrics.cost import Cost
from exobench.metrics.score import METRICS_VERSION
from exobench.problem import BudgetExceeded
from exobench.provenance import code_version, hardware, package_versions
from exobench.registry import METHODS, TASKS, build_method, build_task, package_of, settings_of
from exobench.results import RECORD, RunRecord, find_record, write_record
from exobench.seeds import stable_hash
from exobench.settings import RunSettings
from exobench.task import Task

log = logging.getLogger(__name__)

FLOOR = "prior"
"""The method that every table shows as its floor."""
FLOOR_BUDGET = 100_000
"""Named in the floor's record, which uses none of it: one value keeps one floor for each task and test set."""

MISSES_BINS = "spectra of this task miss bins, and the method does not declare Capability.MISSING_BINS."


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
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ExobenchError(
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}: a whole run is made by one process; start it without torchrun. "
            "exobench.training.engine.train itself may be called from several."
        )
    device = resolve_device(settings.device)
    task = task_on_data(build_task(settings.task, settings.request), settings.data, settings.places.data)
    method = build_method(settings.method)
    resolved = _resolved_config(settings, task, method)
    folder = run_folder(settings, task, resolved)
    with folder_lock(folder):
        finished = find_record(folder)
        if finished is not None and not settings.rerun:
            if announce:
                log.info("This run is finished already (rerun=true runs it again): %s", folder)
            return finished
        previous = _set_aside(folder) if finished is not None else None
        record = _run_stages(settings, task, method, resolved, folder, device)
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
    n_train, n_validation = (settings.n_train, settings.n_validation) if method.learns else (0, 0)
    reason = _skip_reason(task, method, PromisedSpectra(n_train, n_validation))
    if reason is not None:
        log.info("%s is skipped on %s: %s", header["method"], task.name, reason)
        return write_record(folder, {**header, "status": "skipped", "reason": reason})
    data = open_data(
        task,
        settings.places.data,
        n_train=n_train,
        n_validation=n_validation,
        n_test=n_test,
        workers=settings.workers,
        choice=settings.data,
        device=device,
    )
    library = _fit_library(settings, task, resolved)
    problem = task.problem(
        data.source,
        method.capabilities,
        device,
        simulation_budget=settings.budget,
        finished_fits=None if settings.rerun else library,
    )
    if method.learns:
        log.info("%s on %s: %s training spectra", header["method"], task.name, f"{n_train:,}")
    limits = Limits(n_train=settings.n_train, steps=settings.steps, seconds=settings.seconds)
    identity = (settings.seed, task.name, stable_hash(settings.method))
    fit_key = library.key(settings_of(method), limits)
    others = None if settings.rerun else library
    try:
        fitted = fit_or_load(method, problem, limits, identity, device, folder, fit_key, others)
        drawn = draw_posteriors(fitted.posterior, method, problem, data.test, n_draws, identity, folder, fit_key)
    except BudgetExceeded as error:
        log.error("%s passed its budget on %s: %s", header["method"], task.name, error)
        return write_record(folder, {**header, "status": "failed", "reason": str(error)})
    scored = score_draws(task, data.test, drawn, identity, folder)
    cost = Cost(
        simulations=fitted.simulations,
        likelihood_calls=fitted.likelihood_calls + drawn.likelihood_calls,
        training_seconds=fitted.seconds,
        seconds_per_posterior=drawn.seconds / n_test,
        n_parameters=fitted.posterior.n_parameters_trained,
        peak_memory_bytes=max(fitted.peak_memory_bytes, drawn.peak_memory_bytes),
        peak_device_bytes=fitted.peak_device_bytes,
    )
    figures = fitted.posterior.draw_figures(*data.test.head(4), folder=folder / "figures")
    return write_record(
        folder,
        {
            **header,
            "status": "ok",
            "cost": cost.to_dict(),
            **scored,
            "n_draws_returned": drawn.n_draws,
            "fits_used": library.borrowed,
            "diagnostics": drawn.mean_diagnostics(),
            "figures": [path.relative_to(folder).as_posix() for path in figures],
        },
    )


def _fit_library(settings: RunSettings, task: Task, resolved: Mapping[str, Any]) -> FitLibrary:
    shared = {key: resolved[key] for key in ("task", "data", "simulator", "budget")}
    folder = settings.places.runs / task.name
    return FitLibrary(folder, settings.seed, settings.n_train, {"task_id": task.task_id, **shared})


def _skip_reason(task: Task, method: AbstractMethod, spectra: PromisedSpectra) -> str | None:
    """Why the method cannot run on the task, asked before anything is simulated."""
    # The reason may rest on names, grid and noise alone; a simulator is not built for it.
    reason = method.skip(task.problem(spectra, Capability.NONE))
    if reason is not None or Capability.MISSING_BINS in method.capabilities:
        return reason
    flat = np.full((256, len(task.wavelength_um)), 0.01)
    misses = any(np.isnan(noise.sample(flat, seed=0)[0]).any() for noise in (task.noise, task.test_noise) if noise)
    return MISSES_BINS if misses else None


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
        "packages": {"method": package_of(METHODS, method.registered_name), "task": package_of(TASKS, task.name)},
        "hardware": hardware(device),
    }


def _track(capabilities: Capability) -> str:
    if Capability.NEEDS_SIMULATOR in capabilities:
        return "unlimited"
    uses_likelihood = Capability.NEEDS_LIKELIHOOD in capabilities or Capability.NEEDS_GRADIENT in capabilities
    return "likelihood-using" if uses_likelihood else "amortised"
