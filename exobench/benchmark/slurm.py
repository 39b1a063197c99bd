"""Runs as jobs of a Slurm cluster, one a run; a run that reaches its wall time goes on in the next one."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from exobench.benchmark.claims import Claim
from exobench.benchmark.launcher import AbstractLauncher, Job
from exobench.benchmark.runs import RUN_CONFIG, PlannedRun
from exobench.cluster import jobs
from exobench.cluster.launcher import register
from exobench.cluster.queue import Queue
from exobench.cluster.settings import Resources, compose_resources, without_launcher
from exobench.files import write_atomically

_NOTE = "slurm.json"
"""Beside a run's log: which job has it."""


class SlurmLauncher(AbstractLauncher):
    """Sends each run to Slurm when there is room for it.

    What a job asks for is set by ``hydra/launcher=submitit_slurm hydra.launcher.KEY=VALUE`` beside the plan.

    Args:
        slots: runs in the queue at a time, or None for as many as one array may have.
    """

    poll_seconds = 2.0

    def __init__(self, slots: int | None = None) -> None:
        register()
        self._slots = slots or Resources().array_parallelism
        self._resources: dict[tuple[str, ...], Resources] = {}
        self._queue: Queue | None = None

    @property
    def slots(self) -> int:
        """Runs in the queue or running, at most."""
        return self._slots

    def start(self, run: PlannedRun, claim: Claim) -> Job | None:
        """Sends one run, or finds the job again that an earlier command sent and Slurm still has.

        The claim stays with the caller, whose nodes may not share locks with those of the jobs.

        Raises:
            ExobenchError: Slurm refuses the job.
        """
        kept = without_launcher(run.overrides)
        resources = self._asked_for(tuple(each for each in run.overrides if each not in kept))
        if self._queue is None:
            self._queue = jobs.queue_for(resources)
        job = _sent_before(run, resources, self._queue) or _send(run, kept, resources, self._queue)
        claim.note(f"Slurm job {job.job_id}")
        return SlurmJob(job)

    def _asked_for(self, overrides: tuple[str, ...]) -> Resources:
        if overrides not in self._resources:
            self._resources[overrides] = compose_resources(RUN_CONFIG, overrides)
        return self._resources[overrides]


@dataclass
class SlurmJob(Job):
    """A job in the queue, running, or over."""

    job: jobs.Job
    asked: bool = False

    def ended(self) -> str | None:
        """See ``Job.ended``."""
        words = self.job.ended()
        return "ended without an error, and left no record" if words == "" else words

    def stop(self) -> None:
        """See ``Job.stop``."""
        self.job.cancel(at_once=self.asked)
        self.asked = True


def _send(run: PlannedRun, overrides: list[str], resources: Resources, queue: Queue) -> jobs.Job:
    run.notes.mkdir(parents=True, exist_ok=True)
    run.log.write_bytes(b"")
    command = [sys.executable, "-u", "-m", "exobench", *overrides]
    folder = resources.folder_in(run.settings.places)
    (job,) = jobs.submit([command], resources, folder, f"exobench-{run.cell.method}", [run.log], queue)
    note = {"job_id": job.job_id, "result": str(job.result)}
    write_atomically(run.notes / _NOTE, json.dumps(note).encode())
    return job


def _sent_before(run: PlannedRun, resources: Resources, queue: Queue) -> jobs.Job | None:
    try:
        note = json.loads((run.notes / _NOTE).read_text(encoding="utf-8"))
        job = jobs.Job(note["job_id"], run.log, Path(note["result"]), queue, resources.gone_seconds)
    except (OSError, ValueError, KeyError):
        return None
    return job if queue.holds(job.job_id) and not job.result.exists() else None
