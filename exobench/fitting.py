"""The first stage of a run: a fit made, gone on with, or found again."""

from __future__ import annotations

import csv
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exobench.devices import peak_device_bytes
from exobench.files import write_atomically
from exobench.finished_fits import FitLibrary, read_fit_note, write_fit_note
from exobench.method import AbstractMethod, Limits, Progress
from exobench.metrics.cost import peak_rss_bytes
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem
from exobench.progress import Progress as Bar
from exobench.progress import clock
from exobench.results import POSTERIOR
from exobench.seeds import rng_for

log = logging.getLogger(__name__)

SECONDS_NOTE = "seconds.json"
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

    def cost_line(self) -> str:
        """What it cost, in words."""
        calls = f"{self.simulations:,} simulations, {self.likelihood_calls:,} likelihood calls"
        return f"{clock(self.seconds)}, {calls}, peak memory {self.peak_memory_bytes / 2**30:.2f} GiB"


def fit_or_load(
    method: AbstractMethod,
    problem: InferenceProblem,
    limits: Limits,
    identity: tuple[object, ...],
    device: str,
    folder: Path,
    fit_key: str,
    library: FitLibrary | None,
    before_fit: Callable[[], None] = lambda: None,
) -> Fitted:
    """Fits, or reads back a finished fit.

    Args:
        method: to fit.
        problem: all that it may see.
        limits: of the fit.
        identity: decides the random numbers.
        device: resolved.
        folder: of the run.
        fit_key: what the fit is known by.
        library: finished fits of other runs that may be used; None for this run's own alone.
        before_fit: called when there is none, so that other processes of the run start to fit as well.
    """
    own = read_fit_note(folder, fit_key)
    finished = (folder, own) if own is not None else None
    if finished is None and library is not None:
        finished = library.find(method.registered_name, fit_key)
    if finished is not None:
        source, cost = finished
        if source != folder:
            log.info("the fit of %s is used again", source)
        return Fitted(method.load_posterior(source / POSTERIOR, problem, device), **cost)
    workdir = folder / "work"
    workdir.mkdir(exist_ok=True)
    before = _earlier_seconds(workdir)
    log.info("%s: training on %s ...", method.registered_name, device)
    before_fit()
    start = time.perf_counter()
    spent = lambda: before + time.perf_counter() - start  # noqa: E731
    with _progress(folder, f"{method.registered_name}: training", spent) as progress, _stop_signals() as stop:
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
        "seconds": spent() + (library.borrowed_seconds if library is not None else 0.0),
        "simulations": problem.n_train + problem.n_validation + problem.simulator_calls.n,
        "likelihood_calls": problem.likelihood_calls.n,
        "peak_memory_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(device),
    }
    write_fit_note(folder, fit_key, facts)
    return Fitted(posterior, **facts)


def help_to_fit(
    method: AbstractMethod,
    problem: InferenceProblem,
    limits: Limits,
    identity: tuple[object, ...],
    device: str,
    folder: Path,
) -> None:
    """Takes part in a fit as a process other than the first, which reports and keeps the posterior.

    Args:
        method: as in ``fit_or_load``, as are all others.
        problem: all that it may see.
        limits: of the fit.
        identity: decides the random numbers.
        device: of this process.
        folder: of the run.
    """
    workdir = folder / "work"
    workdir.mkdir(parents=True, exist_ok=True)
    with _stop_signals() as stop:
        method.fit(
            problem,
            limits=limits,
            rng=rng_for(*identity, "fit"),
            device=device,
            workdir=workdir,
            stop=stop,
            progress=Progress.silent(),
        )


def _write_note(path: Path, content: object) -> None:
    write_atomically(path, json.dumps(content).encode())


def _read_note(path: Path) -> Any:
    """What a note holds, or None where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _earlier_seconds(workdir: Path) -> float:
    seconds = _read_note(workdir / SECONDS_NOTE)
    return float(seconds) if isinstance(seconds, int | float) else 0.0


@contextmanager
def _progress(folder: Path, title: str, spent: Callable[[], float]) -> Iterator[Progress]:
    """A bar on a terminal, every scalar in ``scalars.csv``, and the seconds spent, for a resumed fit to add to."""
    noted = spent()
    bar = Bar(title, 100.0, "%")
    with open(folder / "scalars.csv", "a", buffering=1, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)

        def update(done: int, total: int, text: str) -> None:
            bar.reach(100.0 * done / max(total, 1), text)
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
