"""``python -m exobench.tune method=... task=... n_trials=...``: searches for better settings of a method."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from exobench.cluster.settings import offer_slurm, uses_slurm
from exobench.command_line import compose_settings, settings_lines, wants_help
from exobench.errors import ExobenchError
from exobench.launch import is_one_of_several
from exobench.progress import NO_BARS, Progress
from exobench.small_commands import GOES_ON, command_arguments, failing_in_one_line, verbosity_flags, with_output_help
from exobench.tune.worker import WORKER, worker_number

if TYPE_CHECKING:
    from exobench.tune.settings import TuneSettings
    from exobench.tune.study import Board

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_COUNTS = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches; wrong input ends with one line on stderr and exit status 2, an interruption with 130."""
    given = command_arguments(arguments, stream="stdout")
    if given[:1] == ["report"]:
        _report(given[1:])
        return
    if wants_help(given) or not given:
        print(_help_text(), end="")
        return
    from exobench.method import FitInterrupted

    with failing_in_one_line(stopped=GOES_ON):
        try:
            _search(given)
        except FitInterrupted as interrupted:
            print(f"stopped: {interrupted} The same command goes on from there.", file=sys.stderr)
            sys.exit(130)


def _report(given: Sequence[str]) -> None:
    from exobench.tune.search_page import HELP, report

    if wants_help(given):
        print(with_output_help(HELP), end="")
        return
    with failing_in_one_line():
        print(f"Page: {report(given)}")


def _search(given: Sequence[str]) -> None:
    from exobench.seeds import derived_seed
    from exobench.tune.best import write_experiment, write_summary
    from exobench.tune.settings import TuneSettings
    from exobench.tune.starts import best_of
    from exobench.tune.study import Board, open_study, sign
    from exobench.tune.trial import open_bench
    from exobench.tune.worker import work

    if is_one_of_several():
        raise ExobenchError("a search is made of independent workers: start it without torchrun and MASTER_ADDR.")
    offer_slurm(given)
    settings = TuneSettings.from_config(compose_settings("tune", given))
    on_slurm = uses_slurm(given)
    if on_slurm:
        from exobench.tune.on_slurm import run_workers

        run_workers(given, settings)
    starts = best_of(settings.start_from, settings.space, settings.run.method["name"]) if settings.start_from else []
    bench = open_bench(settings)
    bench.problem(settings.space.defaults)  # refuses a method that cannot run here before anything is tried
    seed = derived_seed("tune sampler", settings.run.seed, worker_number()) % 2**32
    study = open_study(settings, bench.folder, seed)
    sign(study, bench.folder, bench.device)
    board = Board(study, settings.space, bench.folder, settings, starts)
    write_summary(study, settings, bench.folder, bench.task.task_id)  # so that a report finds it under way
    try:
        if settings.workers > 1 and not on_slurm:
            _run_workers(given, settings, bench.device, board)
        elif not on_slurm:
            work(bench, board)
    finally:
        write_summary(study, settings, bench.folder, bench.task.task_id)
    if WORKER in os.environ:
        return
    if board.n_done < settings.n_trials and board.n_running:
        log.info("%d trials are with other workers.", board.n_running)
    path = write_experiment(study, settings, bench.folder)
    log.info("Trials: %s", bench.folder / "trials.csv")
    print(f"Best:   {path}; run it with experiment={settings.save_as}", flush=True)


def _run_workers(given: Sequence[str], settings: TuneSettings, device: str, board: Board) -> None:
    """Starts workers and waits for them; one that dies leaves its trial to the others."""
    n_workers = settings.workers
    threads = max(1, len(os.sched_getaffinity(0)) // n_workers)
    workers = {}
    for number in range(n_workers):
        environment = {
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            **_own_gpu(number, device),
            WORKER: str(number),
            NO_BARS: "1",
        }
        command = [sys.executable, "-m", "exobench.tune", *given, "workers=1", *verbosity_flags()]
        workers[number] = subprocess.Popen(command, env=environment, start_new_session=True)

    def pass_on(signal_number: int, frame: object) -> None:
        for worker in workers.values():
            worker.send_signal(signal_number)

    old = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Progress("search", settings.n_trials, "trials", done=board.n_done) as progress:
            while any(worker.poll() is None for worker in workers.values()):
                time.sleep(_SECONDS_BETWEEN_COUNTS)
                progress.reach(board.n_done)
        statuses = {number: worker.wait() for number, worker in workers.items()}
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    _judge(statuses)


def _own_gpu(number: int, device: str) -> dict[str, str]:
    """Where there are several GPUs and none is named, workers take them in turn."""
    import torch

    if device != "cuda:0" or torch.cuda.device_count() < 2:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(torch.cuda.device_count())))
    return {"CUDA_VISIBLE_DEVICES": visible.split(",")[number % torch.cuda.device_count()]}


def _judge(statuses: dict[int, int]) -> None:
    if 130 in statuses.values():
        raise KeyboardInterrupt("the workers stopped.")
    lost = [number for number, status in statuses.items() if status]
    for number in lost:
        status = statuses[number]
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        log.warning("worker %d %s.", number, how)
    if len(lost) == len(statuses):
        raise ExobenchError("no worker came to the end; the same command goes on from there.")


def _help_text() -> str:
    lines = [
        "usage: python -m exobench.tune method=NAME task=NAME [KEY=VALUE ...]",
        "",
        "Searches for better settings of a method: each trial is a fit, scored on validation spectra it never saw.",
        "Test spectra are not touched. The same command goes on from where it was stopped, and joins a search that is",
        "under way; the best settings become an experiment.",
        "",
        "settings (KEY=VALUE), with their defaults:",
        *(f"  {line}" for line in settings_lines("tune")),
        "",
        "Trials take the settings of a run as well (python -m exobench --help): budget, limits.seconds, method.KEY.",
        "conf/tune holds the search spaces; tune=NAME takes another one.",
        "With hydra/launcher=submitit_slurm the workers are jobs of Slurm (exobench/cluster/README.md).",
        "",
        "example: python -m exobench.tune method=npe task=hotjupiter budget=1e4 n_trials=60 workers=2",
        "a page of searches, finished or under way: python -m exobench.tune report (--help says more)",
    ]
    return with_output_help("\n".join(lines))


if __name__ == "__main__":
    main()
