"""What Slurm says about jobs, with accounting or without."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field

_WORDS = {
    "TIMEOUT": "reached its time limit and did not stop in time",
    "OUT_OF_MEMORY": "ran out of memory",
    "CANCELLED": "was cancelled",
    "NODE_FAIL": "was lost with its node",
    "PREEMPTED": "was preempted, and not queued again",
    "BOOT_FAIL": "was lost with its node",
    "DEADLINE": "missed its deadline",
}


@dataclass
class Queue:
    """Jobs of this user that wait or run.

    Attributes:
        seconds: for which an answer is good, so that the controller is not asked all the time.
    """

    seconds: float = 15.0
    _jobs: frozenset[str] | None = field(default=None, init=False)
    _asked: float = field(default=float("-inf"), init=False)

    def holds(self, job_id: str) -> bool | None:
        """Whether a job waits or runs; None where Slurm does not answer.

        Args:
            job_id: such as "12", or "12_3" for a task of an array.
        """
        if time.monotonic() - self._asked >= self.seconds:
            said = _said(["squeue", "--me", "--noheader", "--array", "--format=%i"])
            self._jobs = None if said is None else frozenset(said.split())
            self._asked = time.monotonic()
        return None if self._jobs is None else job_id in self._jobs


def how_it_ended(job_id: str) -> str:
    """In words: as the controller remembers for some minutes, else from accounting, where there is some."""
    # sacct takes 128 off a status, and a signal then looks like a small one.
    state, exit_code = _from_controller(job_id) or _from_accounting(job_id) or ("", "")
    if not state:
        return "left the queue, and Slurm does not know how"
    if state == "COMPLETED":
        return "ended without an error"
    return _WORDS.get(state) or f"ended as {state}{_exit_words(exit_code)}"


def is_preempted(job_id: str) -> bool:
    """Whether a job runs for its time of grace only, since another one is to have its place."""
    facts = _facts(job_id) if job_id else {}
    return facts.get("JobState") == "RUNNING" and facts.get("PreemptTime", "None") != "None"


def _exit_words(exit_code: str) -> str:
    """``137:0`` is a status, ``0:9`` a signal; shells report a signal as status 128 + signal."""
    status, _, number = exit_code.partition(":")
    killed = int(number) if number.isdecimal() else 0
    if not killed and status.isdecimal() and int(status) > 128:
        killed = int(status) - 128
    if killed:
        return f": {signal_words(killed)}"
    return f" with status {status}" if status.isdecimal() else ""


def signal_words(number: int) -> str:
    """What a signal did."""
    return f"killed by signal {number}{', as the system does when memory runs out' if number == 9 else ''}"


def _from_accounting(job_id: str) -> tuple[str, str] | None:
    said = _said(["sacct", "-j", job_id, "-n", "-P", "-X", "-o", "State,ExitCode"])
    if not said:
        return None
    state, _, exit_code = said.splitlines()[0].partition("|")
    return state.split()[0], exit_code


def _from_controller(job_id: str) -> tuple[str, str] | None:
    facts = _facts(job_id)
    return (facts.get("JobState", ""), facts.get("ExitCode", "")) if facts else None


def _facts(job_id: str) -> dict[str, str]:
    """What the controller knows about a job, by its own names; nothing where it has forgotten the job."""
    said = _said(["scontrol", "show", "job", job_id, "-o"])
    return dict(part.partition("=")[::2] for part in said.splitlines()[0].split() if "=" in part) if said else {}


def _said(command: list[str]) -> str | None:
    """What a command of Slurm printed, or None where it failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
