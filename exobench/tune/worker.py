"""One worker of a search: takes trials until there are none left."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exobench.errors import ExobenchError
from exobench.method import FitInterrupted
from exobench.progress import Progress
from exobench.tune.space import Value
from exobench.tune.study import FEWEST, Board, TakenAway, wait_a_moment
from exobench.tune.trial import Bench, Pruned, Result

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

WORKER = "EXOBENCH_TUNE_WORKER"
"""Number of a worker that another process started."""


_FEWEST_LOSSES = 3
"""Validation losses before a trial may end early: where training has stages, the first may come late and say little."""


def worker_number() -> int:
    """Of this process among those of the search: given by its parent, or by Slurm to the tasks of an array."""
    for name in (WORKER, "SLURM_ARRAY_TASK_ID"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return 0


def work(bench: Bench, board: Board) -> None:
    """Runs trials until the study is complete, waiting for those of other workers: one of them may die.

    Raises:
        FitInterrupted: the process was told to stop; its trial is left to whoever comes next.
    """
    with _stop_signals() as stop, Progress("search", bench.settings.n_trials, "trials", done=board.n_done) as progress:
        while not stop():
            progress.reach(board.n_done)
            taken = board.take()
            if taken is not None:
                _run(bench, board, *taken, stop)
            elif board.n_running == 0:
                return
            else:
                wait_a_moment(bench.settings.beat_seconds)
    raise FitInterrupted(f"{board.n_done} of {bench.settings.n_trials} trials are done.")


def _run(
    bench: Bench, board: Board, trial: optuna.trial.Trial, values: Mapping[str, Value], stop: Callable[[], bool]
) -> None:
    places: list[int] = []

    def report(place: int, loss: float) -> bool:
        if bench.settings.second is not None:  # Optuna keeps no losses where there are two objectives
            return False
        trial.report(bench.settings.loss_sign * loss, place)
        places.append(place)
        return bench.settings.prune and len(places) >= _FEWEST_LOSSES and trial.should_prune()

    try:
        with board.alive(trial):
            try:
                result = bench.run(values, stop, report)
            except Pruned:
                board.prune(trial)
                log.info("trial %d: ended early", trial.number)
            except FitInterrupted:
                board.hand_back(trial, values)
            except Exception as error:  # such as a GPU without memory for these values: the search outlives it
                reason = " ".join(str(error).split())
                if not isinstance(error, ExobenchError):
                    reason = f"{type(error).__name__}: {reason}"
                    log.debug("trial %d", trial.number, exc_info=error)
                board.fail(trial, reason)
                log.warning("trial %d failed: %s", trial.number, reason)
                if board.only_failures():
                    raise ExobenchError(f"the first {FEWEST} trials failed, the last one so: {reason}") from error
            else:
                board.finish(trial, _objectives(bench, result), _facts(bench, result))
                log.info("trial %d: %s", trial.number, _text(bench, result))
    except TakenAway as taken:
        log.warning("%s", taken)


def _objectives(bench: Bench, result: Result) -> list[float]:
    second = bench.settings.second
    return [result.value] if second is None else [result.value, float(getattr(result, second))]


def _facts(bench: Bench, result: Result) -> dict[str, float | int | None]:
    return {
        "standard_error": result.standard_error,
        "training_seconds": result.training_seconds,
        "seconds_per_posterior": result.seconds_per_posterior,
        "n_parameters": result.n_parameters,
    }


def _text(bench: Bench, result: Result) -> str:
    error = "" if result.standard_error is None else f" ±{result.standard_error:.2g}"
    return f"{bench.settings.metric.name} {result.value:.4g}{error}, trained {result.training_seconds:.0f} s"


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM end the search after the present step of its fit; a second SIGINT ends it at once."""
    told = threading.Event()

    def handle(number: int, frame: object) -> None:
        if told.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        told.set()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told.is_set
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
