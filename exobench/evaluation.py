"""The stages of a run that touch the method: fit, draw, score."""

from __future__ import annotations

import csv
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.metrics.aggregate import aggregate
from exobench.metrics.calibration import calibration_verdict
from exobench.metrics.cost import peak_rss_bytes
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.per_spectrum import per_spectrum
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem
from exobench.results import DRAWS, POSTERIOR, SCORES, write_arrays
from exobench.seeds import rng_for
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

SAMPLE_CHUNK = 1000
"""Spectra handed to ``sample`` at a time."""
STORED_DRAW_NUMBERS = 20_000_000
"""Draws are stored for as many spectra as fit into this many numbers (80 MB as float32)."""

FIT_NOTE = "fit.json"


@dataclass(frozen=True)
class Fitted:
    """A posterior and what it cost."""

    posterior: AbstractPosterior
    seconds: float
    simulations: int
    peak_memory_bytes: int


@dataclass(frozen=True)
class Drawn:
    """Draws for all test spectra and what they cost."""

    theta: Array
    log_weight: Array | None
    log_prob_true: Array | None
    seconds: float
    n_draws: int
    peak_memory_bytes: int
    diagnostics: dict[str, float]


def fit_or_load(
    method: AbstractMethod,
    problem: InferenceProblem,
    limits: Limits,
    identity: tuple[object, ...],
    device: str,
    folder: Path,
) -> Fitted:
    """Fits, or reads back the posterior of a fit that was finished before the run was cut off."""
    note, saved = folder / FIT_NOTE, folder / POSTERIOR
    if note.is_file():
        posterior = method.load_posterior(saved, problem, device)
        return Fitted(posterior, **json.loads(note.read_text(encoding="utf-8")))
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    before = _earlier_seconds(workdir)
    log.info("training on %s ...", device)
    start = time.perf_counter()
    with _progress(folder, "training") as progress, _stop_signals() as stop:
        try:
            posterior = method.fit(
                problem,
                limits=limits,
                rng=rng_for(*identity, "fit"),
                device=device,
                workdir=workdir,
                stop=stop,
                progress=progress,
            )
        finally:
            spent = before + time.perf_counter() - start
            (workdir / "seconds.json").write_text(json.dumps(spent), encoding="utf-8")
    posterior.save(saved)
    facts: dict[str, Any] = {
        "seconds": spent,
        "simulations": problem.n_train + problem.n_validation,
        "peak_memory_bytes": peak_rss_bytes(),
    }
    note.write_text(json.dumps(facts), encoding="utf-8")
    return Fitted(posterior, **facts)


def draw_posteriors(
    posterior: AbstractPosterior,
    method: AbstractMethod,
    test: TestSpectra,
    n_draws: int,
    identity: tuple[object, ...],
    folder: Path,
    task_name: str,
) -> Drawn:
    """Draws theta for every test spectrum, a thousand spectra at a time, and stores the draws.

    Raises:
        ExobenchError: if the method returns draws of a wrong shape.
    """
    has_density = Capability.LOG_PROB in method.capabilities
    log.info("retrieving %s test spectra ...", f"{len(test.x):,}")
    theta, weights, densities, notes = [], [], [], []
    start = time.perf_counter()
    chunks = range(0, len(test.x), SAMPLE_CHUNK)
    for first in tqdm(chunks, desc="sampling", unit="chunk", disable=None, leave=False):
        rows = slice(first, first + SAMPLE_CHUNK)
        x, sigma = test.x[rows], test.sigma[rows]
        samples = posterior.sample(x, sigma, n_draws, rng=rng_for(*identity, "sample", first))
        _check_shape(samples.theta, len(x), test.theta_true.shape[1], n_draws)
        theta.append(np.asarray(samples.theta, dtype=np.float32))
        weights.append(samples.log_weight)
        notes.append(samples.diagnostics)
    seconds = time.perf_counter() - start
    if has_density:
        for first in chunks:
            rows = slice(first, first + SAMPLE_CHUNK)
            truth = test.theta_true[rows][:, None, :]
            densities.append(posterior.log_prob(truth, test.x[rows], test.sigma[rows])[:, 0])
    drawn = Drawn(
        theta=np.concatenate(theta),
        log_weight=None if any(w is None for w in weights) else np.concatenate([w for w in weights if w is not None]),
        log_prob_true=np.concatenate(densities) if has_density else None,
        seconds=seconds,
        n_draws=theta[0].shape[1],
        peak_memory_bytes=peak_rss_bytes(),
        diagnostics=_mean_diagnostics(notes),
    )
    _store_draws(drawn, test, folder, task_name)
    return drawn


def score_draws(
    task: Task, test: TestSpectra, drawn: Drawn, identity: tuple[object, ...], folder: Path
) -> dict[str, Any]:
    """Scores the draws and stores the per-spectrum arrays that every table is made from."""
    log.info("scoring ...")
    space = task.parameters
    inputs = ScoringInputs(
        names=space.names,
        units=tuple(parameter.unit for parameter in space.parameters),
        low=space.low,
        high=space.high,
        theta_true=test.theta_true,
        theta=drawn.theta,
        log_weight=drawn.log_weight,
        log_prob_true=drawn.log_prob_true,
        prior_log_prob=task.prior.log_prob(test.theta_true),
    )
    table = per_spectrum(inputs, rng_for(*identity, "score"))
    write_arrays(folder / SCORES, table, {"task_id": task.task_id})
    scores = aggregate(table, space.names, space.low, space.high)
    verdict = calibration_verdict(table["rank"], space.names)
    return {"scores": [score.to_dict() for score in scores], "calibration": asdict(verdict)}


def _check_shape(theta: Array, n_obs: int, n_param: int, n_draws: int) -> None:
    shape = np.shape(theta)
    if len(shape) != 3 or shape[0] != n_obs or shape[2] != n_param or not 0 < shape[1] <= n_draws:
        raise ExobenchError(
            f"the method returned draws of shape {shape}; expected ({n_obs}, 1 to {n_draws}, {n_param}) "
            "for (obs, draw, param)."
        )


def _store_draws(drawn: Drawn, test: TestSpectra, folder: Path, task_name: str) -> None:
    n_stored = max(1, min(len(drawn.theta), STORED_DRAW_NUMBERS // (drawn.n_draws * drawn.theta.shape[2])))
    arrays = {"theta": drawn.theta[:n_stored], "theta_true": test.theta_true[:n_stored]}
    if drawn.log_weight is not None:
        arrays["log_weight"] = drawn.log_weight[:n_stored]
    write_arrays(folder / DRAWS, arrays, {"task": task_name, "n_test": len(drawn.theta), "n_stored": n_stored})


def _mean_diagnostics(notes: list[dict[str, Any]]) -> dict[str, float]:
    names = sorted({name for note in notes for name in note})
    means = {name: float(np.mean([np.mean(note[name]) for note in notes if name in note])) for name in names}
    return {name: value for name, value in means.items() if np.isfinite(value)}


def _earlier_seconds(workdir: Path) -> float:
    path = workdir / "seconds.json"
    return float(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else 0.0


@contextmanager
def _progress(folder: Path, title: str) -> Iterator[Progress]:
    """A bar on a terminal, and every scalar in ``scalars.csv``."""
    bar = tqdm(desc=title, disable=None, leave=False, unit="step")
    with open(folder / "scalars.csv", "a", buffering=1, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def update(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)

        def scalar(name: str, step: int, value: float) -> None:
            writer.writerow([name, step, repr(float(value))])

        try:
            yield Progress(update=update, scalar=scalar)
        finally:
            bar.close()


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into an answer that a method asks for between steps; a second SIGINT ends at once."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told.is_set
        return

    def handle(number: int, frame: object) -> None:
        if told.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        told.set()
        log.warning("Stopping after this step; the same command goes on from there.")

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
