"""How far each run of a plan is, as its files say."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from exobench.benchmark.claims import Claim, owner_of
from exobench.benchmark.runs import PlannedRun
from exobench.files import LOCK_NAME, write_atomically

_CLAIM, _FAILURE = "claim", "failure.json"


class State(StrEnum):
    """Of one run."""

    FINISHED = "finished"
    SKIPPED = "skipped"
    FAILED = "failed"
    RUNNING = "running"
    BEGUN = "begun"
    WAITING = "waiting"


DONE = (State.FINISHED, State.SKIPPED)
"""States of runs that are never started again, and count as good."""


@dataclass(frozen=True)
class Standing:
    """A run's state, and the words that belong to it.

    Attributes:
        state: how far it is.
        words: why it was skipped or failed, or who has it.
    """

    state: State
    words: str = ""


def by_record(run: PlannedRun) -> Standing | None:
    """What the run's record says, or None where there is none."""
    record = run.record()
    if record is None:
        return None
    state = {"ok": State.FINISHED, "skipped": State.SKIPPED}.get(record["status"], State.FAILED)
    return Standing(state, str(record.content.get("reason") or ""))


def standing(run: PlannedRun) -> Standing:
    """How far a run is: its record first, then who has it, then what is left of an earlier start."""
    recorded = by_record(run)
    if recorded is not None:
        return recorded
    owner = owner_of(_claim(run))
    if owner is not None:
        return Standing(State.RUNNING, owner)
    reason = failure_since(run, 0.0)
    if reason is not None:
        return Standing(State.FAILED, reason)
    begun = run.folder.is_dir() and any(path.name != LOCK_NAME for path in run.folder.iterdir())
    return Standing(State.BEGUN if begun else State.WAITING)


def claim(run: PlannedRun) -> Claim | None:
    """Takes a run for this process, or returns None where another has it."""
    return Claim.take(_claim(run))


def note_failure(run: PlannedRun, reason: str) -> None:
    """Keeps the reason for the next start, and for other commands that share the plan."""
    content = {"reason": reason, "time": time.time()}
    run.notes.mkdir(parents=True, exist_ok=True)
    write_atomically(run.notes / _FAILURE, json.dumps(content).encode())


def forget_failure(run: PlannedRun) -> None:
    """To be called when the run is started again."""
    (run.notes / _FAILURE).unlink(missing_ok=True)


def failure_since(run: PlannedRun, since: float) -> str | None:
    """Why the run failed after a moment, in seconds of the epoch, or None where it did not."""
    try:
        content = json.loads((run.notes / _FAILURE).read_text(encoding="utf-8"))
        return str(content["reason"]) if float(content["time"]) >= since else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _claim(run: PlannedRun) -> Path:
    return run.notes / _CLAIM
