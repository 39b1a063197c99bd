"""Posteriors of chosen test spectra, each kept on disk once it is there: what a run of all of them would draw."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import RunData, TestSpectra, open_data
from exobench.devices import resolve_device
from exobench.errors import ExobenchError
from exobench.files import folder_lock
from exobench.finished_fits import FitLibrary
from exobench.fitting import fit_or_load
from exobench.method import Limits
from exobench.posterior import AbstractPosterior
from exobench.progress import Progress, track
from exobench.registry import build_method, build_task, settings_of
from exobench.results import read_arrays, write_arrays
from exobench.seeds import rng_for, stable_hash
from exobench.settings import RunSettings
from exobench.shifts.catalogue import find_shift
from exobench.shifts.spectra import shifted, unshifted
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

_DIAGNOSTIC = "diagnostic."
_SECONDS_BETWEEN_COUNTS = 0.5


@dataclass(frozen=True, eq=False)
class RowDraws:
    """What a method says of one test spectrum.

    Attributes:
        theta: (draw, param).
        log_weight: (draw,), or None for equal weights.
        diagnostics: numbers by name.
    """

    theta: Array
    log_weight: Array | None
    diagnostics: dict[str, float]


def sample_rows(
    settings: RunSettings, rows: Sequence[int], *, fits: Path | None = None, workers: int = 1, shift: str | None = None
) -> dict[int, RowDraws]:
    """Draws for some of the test spectra, with the random numbers of a run that draws them one at a time.

    Each row is a file below ``paths.runs``; rows that are there are not drawn again, so a second call goes on where
    the first was stopped.

    Args:
        settings: of the run: task, method, budget, seed, n_test and n_draws.
        rows: numbers of the test spectra, below n_test.
        fits: folder of the task's runs, in which finished fits are looked for; None for that below ``paths.runs``.
        workers: processes.
        shift: name of a shift of the test spectra (`exobench.shifts`), or None for the spectra as they are.

    Raises:
        ExobenchError: for any setting that is wrong, a shift that makes no sense here, or a method that refuses its
            spectra.
        FitInterrupted: if the process was told to stop while fitting.
    """
    task = build_task(settings.task, settings.request)
    folder = _folder(settings, task, shift)
    missing = [row for row in rows if not _file(folder, row).exists()]
    if missing:
        name = settings.method["name"]
        log.info("%s: %d of %d chosen spectra are left to draw", name, len(missing), len(rows))
        if workers == 1 or len(missing) == 1:
            _draw(settings, missing, fits, shift)
        else:
            # The fit is made once, here; the workers find it.
            _posterior(settings, task, folder, fits)
            shares = [missing[k::workers] for k in range(min(workers, len(missing)))]
            with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn")) as pool:
                jobs = [pool.submit(_draw, settings, share, fits, shift) for share in shares]
                _wait(jobs, [_file(folder, row) for row in missing], f"{name}: drawing")
    return {row: _read(_file(folder, row)) for row in rows}


def _wait(jobs: Sequence[Future[None]], files: Sequence[Path], what: str) -> None:
    """Waits for workers, counting the files that they leave."""
    with Progress(what, len(files)) as progress:
        while any(not job.done() for job in jobs):
            wait(jobs, timeout=_SECONDS_BETWEEN_COUNTS, return_when=FIRST_EXCEPTION)
            progress.reach(sum(path.exists() for path in files))
            if any(job.done() and job.exception() for job in jobs):
                break
    for job in jobs:
        job.result()


def spectra_of(settings: RunSettings, task: Task, shift: str | None = None) -> TestSpectra:
    """The test spectra of a run, shifted where a shift is named.

    Raises:
        ExobenchError: the shift makes no sense for the task.
    """
    if shift is None:
        return _data(settings, task, learns=False).test
    base = unshifted(task, settings.places.data, settings.n_test or 1, workers=settings.workers)
    made = shifted(find_shift(shift), base)
    if isinstance(made, str):
        raise ExobenchError(f"shift={shift}: {made}.")
    return made


def _folder(settings: RunSettings, task: Task, shift: str | None) -> Path:
    shifts = {} if shift is None else {"shift": find_shift(shift).describe()}
    key = stable_hash(
        {
            **shifts,
            "task_id": task.task_id,
            "method": settings.method,
            "data": settings.data.describe(),
            "budget": settings.budget,
            "n_draws": settings.n_draws,
            "limits": [settings.steps, settings.seconds],
            "seed": settings.seed,
        }
    )
    # One level, so that it is not taken for the folder of a run.
    return settings.places.runs / f".rows-{task.name}-{settings.method['name']}-{key}"


def _file(folder: Path, row: int) -> Path:
    return folder / f"row-{row}.h5"


def _draw(settings: RunSettings, rows: Sequence[int], fits: Path | None, shift: str | None = None) -> None:
    task = build_task(settings.task, settings.request)
    folder = _folder(settings, task, shift)
    posterior, test = _posterior(settings, task, folder, fits)
    if shift is not None:
        test = spectra_of(settings, task, shift)
    n_draws = settings.n_draws or build_method(settings.method).default_n_draws
    identity = (settings.seed, task.name, stable_hash(settings.method))
    for row in track(rows, f"{settings.method['name']}: drawing"):
        x, sigma = test.x[row : row + 1], test.sigma[row : row + 1]
        samples = posterior.sample(x, sigma, n_draws, rng=rng_for(*identity, "sample", row))
        arrays: dict[str, Any] = {"theta": np.asarray(samples.theta[0], np.float32)}
        if samples.log_weight is not None:
            arrays["log_weight"] = samples.log_weight[0]
        for name, values in samples.diagnostics.items():
            arrays[_DIAGNOSTIC + name] = np.broadcast_to(np.asarray(values, dtype=float), (1,)).copy()
        write_arrays(_file(folder, row), arrays, {"task_id": task.task_id, "row": row})
        log.info("%s: spectrum %d is drawn", settings.method["name"], row)


def _posterior(
    settings: RunSettings, task: Task, folder: Path, fits: Path | None
) -> tuple[AbstractPosterior, TestSpectra]:
    """The fitted method: that of a finished fit of an equal run where there is one."""
    method, device = build_method(settings.method), resolve_device(settings.device)
    data = _data(settings, task, learns=method.learns)
    shared = {
        "task_id": task.task_id,
        "task": settings.task,
        "data": settings.data.describe(),
        "simulator": settings.request.simulator,
        "budget": settings.budget,
    }
    library = FitLibrary(fits or settings.places.runs / task.name, settings.seed, settings.n_train, shared)
    problem = task.problem(
        data.source, method.capabilities, device, simulation_budget=settings.budget, finished_fits=library
    )
    limits = Limits(n_train=settings.n_train, steps=settings.steps, seconds=settings.seconds)
    identity = (settings.seed, task.name, stable_hash(settings.method))
    key = library.key(settings_of(method), limits)
    with folder_lock(folder):
        fitted = fit_or_load(method, problem, limits, identity, device, folder, key, library)
    return fitted.posterior, data.test


def _data(settings: RunSettings, task: Task, *, learns: bool) -> RunData:
    return open_data(
        task,
        settings.places.data,
        n_train=settings.n_train if learns else 0,
        n_validation=settings.n_validation if learns else 0,
        n_test=settings.n_test or 1,
        workers=settings.workers,
        choice=settings.data,
        device=resolve_device(settings.device),
    )


def _read(path: Path) -> RowDraws:
    arrays = read_arrays(path)
    diagnostics = {k.removeprefix(_DIAGNOSTIC): float(v[0]) for k, v in arrays.items() if k.startswith(_DIAGNOSTIC)}
    return RowDraws(np.asarray(arrays["theta"], np.float64), arrays.get("log_weight"), diagnostics)
