"""A command inside a job: it is told to wind up in time, and the job goes back into the queue until it is done."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from exobench.cluster.queue import is_preempted

_STOPPED = (130, -signal.SIGTERM)
"""Exit statuses of a command that was told to stop: it wrote a checkpoint, or had nothing to write."""


@dataclass(frozen=True)
class Command:
    """What a job runs. ``submitit`` calls it on the node, and ``checkpoint`` before the job is queued again.

    Attributes:
        arguments: of the process.
        log: what it says, appended to.
        seconds_to_stop: that it is given from being told to stop until it is killed.
    """

    arguments: tuple[str, ...]
    log: Path
    seconds_to_stop: float

    def __call__(self) -> int:
        """Runs it to its end.

        Returns:
            Its exit status, negative for the signal that killed it. Does not return where the job is to go on later.
        """
        return _Child(self).status()

    def checkpoint(self) -> Any:
        """What the queued job starts with: the same command, which goes on from its own files."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass
class _Child:
    """The command's process, and what Slurm asked of it."""

    command: Command
    _process: subprocess.Popen[bytes] | None = None
    _asked: list[int] = field(default_factory=list)
    _deadline: threading.Timer | None = None
    _killed: bool = False

    def status(self) -> int:
        with self._told_by_slurm() as requeue:
            status = self._run()
        if not self._asked or not (self._killed or status in _STOPPED):
            return status
        if _wind_up_signal() in self._asked:
            requeue()
        elif is_preempted(os.environ.get("SLURM_JOB_ID", "")):
            # Slurm queues again what it kills at the end of the time of grace, not what ends by itself within it.
            with contextlib.suppress(subprocess.CalledProcessError):  # it has just done so
                requeue()
        _leave()

    def _run(self) -> int:
        with self.command.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_ignore_wind_up,
            )
        if self._asked:  # while it was being started
            self._stop()
        return self._process.wait()

    @contextlib.contextmanager
    def _told_by_slurm(self) -> Iterator[Callable[[], None]]:
        """Passes Slurm's signals on as SIGTERM, after which exobench stops at its next step."""
        wind_up = _wind_up_signal()
        submitits = signal.getsignal(wind_up)

        def pass_on(number: int, frame: object) -> None:
            self._asked.append(number)
            self._stop()

        # SIGTERM comes with a preemption and with scancel.
        old = {number: signal.signal(number, pass_on) for number in (wind_up, signal.SIGTERM)}
        try:
            yield lambda: submitits(wind_up, None) if callable(submitits) else None
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        if self._deadline is None:
            self._deadline = threading.Timer(self.command.seconds_to_stop, self._kill)
            self._deadline.daemon = True
            self._deadline.start()

    def _kill(self) -> None:
        assert self._process is not None  # it is started before the deadline is set
        self._killed = self._process.returncode is None
        self._process.kill()


def _wind_up_signal() -> int:
    from submitit.core.job_environment import JobEnvironment

    return int(JobEnvironment._usr_sig())


def _ignore_wind_up() -> None:
    # Slurm signals every process of a job, and the usual answer to this one is to die.
    signal.signal(_wind_up_signal(), signal.SIG_IGN)


def _leave() -> NoReturn:
    """Ends the job without a result: it is not over."""
    sys.stdout.flush()
    os._exit(128 + signal.SIGTERM)
