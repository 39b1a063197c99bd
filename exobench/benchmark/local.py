"""Runs on this machine: one single-threaded process a core, bound to a core of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from exobench.benchmark.claims import Claim
from exobench.benchmark.launcher import AbstractLauncher, Job
from exobench.benchmark.runs import BENCHMARK, PlannedRun
from exobench.errors import ExobenchError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class LocalLauncher(AbstractLauncher):
    """Starts a child for each run. Cores are claimed like runs, so that two commands on one machine share them.

    Raises:
        ExobenchError: more runs at a time than cores.
    """

    def __init__(self, slots: int | None = None) -> None:
        self._cores = sorted(os.sched_getaffinity(0))
        if slots is not None and slots > len(self._cores):
            raise ExobenchError(f"workers={slots}: this process may use {len(self._cores)} cores, one for each run.")
        self._slots = slots or len(self._cores)

    @property
    def slots(self) -> int:
        """One a core."""
        return self._slots

    def start(self, run: PlannedRun, claim: Claim) -> Job | None:
        """Starts a child on a free core, or returns None where there is none."""
        for core in self._cores:
            seat = Claim.take(_seat(run, core), f"{run.cell}")
            if seat is not None:
                return _start_on(core, run, (claim, seat), self._cores.index(core))
        return None


@dataclass
class LocalJob(Job):
    """A child process.

    Attributes:
        process: the child.
        log: what it says.
        seat: its core, free when the child is dead.
    """

    process: subprocess.Popen[bytes]
    log: Path
    asked: bool = False

    def ended(self) -> str | None:
        """See ``Job.ended``: the signal that killed it, or the last line that it said."""
        status = self.process.poll()
        if status is None:
            return None
        if status < 0:
            name = signal.Signals(-status).name
            hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
            return f"was killed by signal {-status} ({name}{hint})"
        return last_words(self.log) or f"ended with status {status} and said nothing"

    def stop(self) -> None:
        """See ``Job.stop``."""
        self.process.send_signal(signal.SIGKILL if self.asked else signal.SIGTERM)
        self.asked = True


def last_words(log: Path) -> str:
    """The last error in a log, else its last line that is not empty."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    said = [line for line in lines if line]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return [*said[-1:], *errors[-1:]][-1] if said else ""


def _start_on(core: int, run: PlannedRun, claims: tuple[Claim, Claim], place: int) -> LocalJob:
    """Starts the child, which inherits the claims: they hold for as long as it lives, whatever becomes of us."""
    own, seat = claims
    run.notes.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "exobench", *run.overrides]
    with run.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_ONE_THREAD, **_own_gpu(place)},
            pass_fds=(own.descriptor, seat.descriptor),
            start_new_session=True,  # Ctrl-C is for us, who then ask the children
        )
    os.sched_setaffinity(process.pid, {core})  # before it has threads, which inherit it
    own.note(f"process {process.pid} on {socket.gethostname()}")
    seat.let_go()
    return LocalJob(process, run.log)


def _seat(run: PlannedRun, core: int) -> Path:
    return run.settings.places.runs / BENCHMARK / "cores" / f"{socket.gethostname()}-{core}"


def _own_gpu(place: int) -> dict[str, str]:
    """Where CUDA_VISIBLE_DEVICES names several GPUs, runs take them in turn."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return {"CUDA_VISIBLE_DEVICES": visible[place % len(visible)]} if len(visible) > 1 else {}
