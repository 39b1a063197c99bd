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
from exobench.devices import peak_device_bytes
from exobench.errors import ExobenchError
from exobench.files import write_atomically
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

FIT_NOTE, SECONDS_NOTE = "fit.json", "seconds.json"
SECONDS_BETWEEN_NOTES = 10.0


@dataclass(frozen=True)
class Fitted:
    """A posterior and what it cost."""

    posterior: AbstractPosterior
    seconds: float
    simulations: int
    likelihood_calls: int
    peak_memory_bytes: int
    peak_device_bytes: int | None


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
    fit_key: str,
    *,
    share: bool = True,
) -> Fitted:
    """Fits, or reads back a finished fit: this run's own, or one that differs in its test settings only."""
    finished = _finished_fit(folder, fit_key, share)
    if finished is not None:
        source, cost = finished
        if source != folder:
            log.info("the fit of %s is used again", source)
        return Fitted(method.load_posterior(source / POSTERIOR, problem, device), **cost)
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    before = _earlier_seconds(workdir)
    log.info("%s: training on %s ...", method.registered_name, device)
    start = time.perf_counter()
    spent = lambda: before + time.perf_counter() - start  # noqa: E731
    with _progress(folder, "training", spent) as progress, _stop_signals() as stop:
        posterior = method.fit(
            problem,
            limits=limits,
            rng=rng_for(*identity, "fit"),
            device=device,
            workdir=workdir,
            stop=stop,
            progress=progress,
        )
    posterior.save(folder / POSTERIOR)
    facts: dict[str, Any] = {
        "seconds": spent(),
        "simulations": problem.n_train + problem.n_validation + problem.simulator_calls.n,
        "likelihood_calls": problem.likelihood_calls.n,
        "peak_memory_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(device),
    }
    _write_note(folder / FIT_NOTE, {"fit_key": fit_key, **facts})
    return Fitted(posterior, **facts)


def _finished_fit(folder: Path, fit_key: str, share: bool) -> tuple[Path, dict[str, Any]] | None:
    """The folder of a finished fit with this key and seed and what it cost, or None."""
    siblings = sorted(path for path in folder.parent.parent.glob(f"*/{folder.name}") if path != folder)
    for candidate in (folder, *siblings) if share else (folder,):
        facts = _read_note(candidate / FIT_NOTE)
        if isinstance(facts, dict) and facts.pop("fit_key", None) == fit_key:
            return candidate, facts
    return None


def _write_note(path: Path, content: object) -> None:
    write_atomically(path, json.dumps(content).encode())


def _read_note(path: Path) -> Any:
    """What a note holds, or None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


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
    log.info("%s: retrieving %s test spectra ...", method.registered_name, f"{len(test.x):,}")
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
    seconds = _read_note(workdir / SECONDS_NOTE)
    return float(seconds) if isinstance(seconds, int | float) else 0.0


@contextmanager
def _progress(folder: Path, title: str, spent: Callable[[], float]) -> Iterator[Progress]:
    """A bar on a terminal, every scalar in ``scalars.csv``, and the seconds spent, for a resumed fit to add to."""
    noted = spent()
    bar = tqdm(desc=title, disable=None, leave=False, unit="step")
    with open(folder / "scalars.csv", "a", buffering=1, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def update(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)
            nonlocal noted
            if spent() - noted > SECONDS_BETWEEN_NOTES:
                noted = spent()
                _write_note(folder / "work" / SECONDS_NOTE, noted)

        def scalar(name: str, step: int, value: float) -> None:
            writer.writerow([name, step, repr(float(value))])

        try:
            yield Progress(update=update, scalar=scalar)
        finally:
            bar.close()
            _write_note(folder / "work" / SECONDS_NOTE, spent())


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
