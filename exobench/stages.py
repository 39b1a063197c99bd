"""The stages of one run: data, fit, draws, scores, record. Each leaves a file, so a second start goes on from there."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exobench.data.source import PromisedSpectra, RunData, open_data
from exobench.drawing import Drawn, draw_posteriors, forget_calls
from exobench.finished_fits import FitLibrary
from exobench.fitting import Fitted, fit_or_load, help_to_fit
from exobench.method import AbstractMethod, Capability, Limits
from exobench.metrics.cost import Cost
from exobench.metrics.score import METRICS_VERSION
from exobench.predictive_bands import write_predictive
from exobench.problem import BudgetExceeded, InferenceProblem
from exobench.progress import clock
from exobench.provenance import code_version, hardware, package_versions
from exobench.registry import METHODS, TASKS, package_of, settings_of
from exobench.results import RunRecord, write_record
from exobench.scoring import score_draws
from exobench.seeds import stable_hash
from exobench.settings import RunSettings
from exobench.task import Task
from exobench.training.distributed import Ranks
from exobench.training.messages import Messages

log = logging.getLogger(__name__)

_FIT, DONE = "fit", "done"
"""What the first of several processes tells the others."""

MISSES_BINS = "spectra of this task miss bins, and the method does not declare Capability.MISSING_BINS."


@dataclass(frozen=True)
class Stages:
    """The stages of one run, for the process that leads and for those that help to train."""

    settings: RunSettings
    task: Task
    method: AbstractMethod
    resolved: dict[str, Any]
    folder: Path
    device: str
    ranks: Ranks

    @property
    def identity(self) -> tuple[object, ...]:
        """What the random numbers of fitting and sampling follow from."""
        return self.settings.seed, self.task.name, stable_hash(self.settings.method)

    @property
    def limits(self) -> Limits:
        """Of the fit."""
        return Limits(n_train=self.settings.n_train, steps=self.settings.steps, seconds=self.settings.seconds)

    @property
    def n_spectra(self) -> tuple[int, int]:
        """Training and validation spectra that the method is given."""
        return (self.settings.n_train, self.settings.n_validation) if self.method.learns else (0, 0)

    def run(self) -> RunRecord:
        """Fits, draws, scores and writes the record."""
        settings, task, method, folder = self.settings, self.task, self.method, self.folder
        header = _header(settings, task, method, self.resolved, self.device, self.ranks)
        reason = _skip_reason(task, method, PromisedSpectra(*self.n_spectra))
        if reason is not None:
            log.info("%s is skipped on %s: %s", header["method"], task.name, reason)
            return write_record(folder, {**header, "status": "skipped", "reason": reason})
        log.debug("folder: %s", folder)
        log.debug("settings: %s", json.dumps(self.resolved))
        data = self.data()
        library = _fit_library(settings, task, self.resolved)
        others = None if settings.rerun else library
        problem = self.problem(data, others)
        if method.learns:
            log.info("%s on %s: %s training spectra", header["method"], task.name, f"{settings.n_train:,}")
        key = library.key(settings_of(method), self.limits)
        try:
            fitted = fit_or_load(
                method, problem, self.limits, self.identity, self.device, folder, key, others, self.call_for_help
            )
            log.debug("fit: %s", fitted.cost_line())
            n_draws = self.resolved["n_draws"]
            drawn = draw_posteriors(fitted.posterior, method, problem, data.test, n_draws, self.identity, folder, key)
        except BudgetExceeded as error:
            log.error("%s passed its budget on %s: %s", header["method"], task.name, error)
            return write_record(folder, {**header, "status": "failed", "reason": str(error)})
        log.debug("draws: %s", drawn.cost_line())
        start = time.perf_counter()
        scored = score_draws(task, data.test, drawn, method, fitted.posterior, self.identity, folder)
        log.debug("scores: %s", clock(time.perf_counter() - start))
        write_predictive(task, data.test, drawn, folder)
        figures = fitted.posterior.draw_figures(*data.test.head(4), folder=folder / "figures")
        record = write_record(
            folder,
            {
                **header,
                "status": "ok",
                "cost": _cost(fitted, drawn, self.resolved["n_test"]).to_dict(),
                **scored,
                "n_draws_returned": drawn.n_draws,
                "fits_used": library.borrowed,
                "diagnostics": drawn.mean_diagnostics(),
                "figures": [path.relative_to(folder).as_posix() for path in figures],
            },
        )
        forget_calls(folder)
        return record

    def call_for_help(self) -> None:
        """Lets the other processes start to fit."""
        if self.ranks.world_size > 1:
            Messages.of(self.ranks).say(_FIT)

    def help(self) -> RunRecord:
        """What a process other than the first does: train when that one does, until the record is there."""
        while (heard := Messages.of(self.ranks).hear())["word"] == _FIT:
            problem = self.problem(self.data(), None)
            help_to_fit(self.method, problem, self.limits, self.identity, self.device, self.folder)
        return RunRecord(self.folder, heard["record"])

    def data(self) -> RunData:
        """Opens the data, making what is missing."""
        settings, (n_train, n_validation) = self.settings, self.n_spectra
        return open_data(
            self.task,
            settings.places.data,
            n_train=n_train,
            n_validation=n_validation,
            n_test=self.resolved["n_test"],
            workers=settings.workers,
            choice=settings.data,
            device=self.device,
        )

    def problem(self, data: RunData, finished_fits: FitLibrary | None) -> InferenceProblem:
        """All that the method may see."""
        return self.task.problem(
            data.source,
            self.method.capabilities,
            self.device,
            simulation_budget=self.settings.budget,
            finished_fits=finished_fits,
        )


def _cost(fitted: Fitted, drawn: Drawn, n_test: int) -> Cost:
    return Cost(
        simulations=fitted.simulations,
        likelihood_calls=fitted.likelihood_calls + drawn.likelihood_calls,
        training_seconds=fitted.seconds,
        seconds_per_posterior=drawn.seconds / n_test,
        n_parameters=fitted.posterior.n_parameters_trained,
        peak_memory_bytes=max(fitted.peak_memory_bytes, drawn.peak_memory_bytes),
        peak_device_bytes=fitted.peak_device_bytes,
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
    settings: RunSettings, task: Task, method: AbstractMethod, resolved: dict[str, Any], device: str, ranks: Ranks
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
        "hardware": {**hardware(device), "processes": ranks.world_size},
    }


def _track(capabilities: Capability) -> str:
    if Capability.NEEDS_SIMULATOR in capabilities:
        return "unlimited"
    uses_likelihood = Capability.NEEDS_LIKELIHOOD in capabilities or Capability.NEEDS_GRADIENT in capabilities
    return "likelihood-using" if uses_likelihood else "amortised"
