"""Runs as jobs of a Slurm cluster, one a run; a run that reaches its wall time goes on in the next one."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from exobench.benchmark.claims import Claim
from exobench.benchmark.launcher import AbstractLauncher, Job
from exobench.benchmark.runs import RUN_CONFIG, PlannedRun
from exobench.cluster import jobs
from exobench.cluster.launcher import register
from exobench.cluster.settings import Resources, compose_resources, without_launcher


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

    @property
    def slots(self) -> int:
        """Runs in the queue or running, at most."""
        return self._slots

    def start(self, run: PlannedRun, claim: Claim) -> Job | None:
        """Sends one run; the claim stays with the caller, whose nodes may not share locks with those of the jobs.

        Raises:
            ExobenchError: Slurm refuses the job.
        """
        kept = without_launcher(run.overrides)
        resources = self._asked_for(tuple(each for each in run.overrides if each not in kept))
        run.notes.mkdir(parents=True, exist_ok=True)
        run.log.write_bytes(b"")
        command = [sys.executable, "-u", "-m", "exobench", *kept]
        folder = resources.folder_in(run.settings.places)
        (job,) = jobs.submit([command], resources, folder, f"exobench-{run.cell.method}", [run.log])
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
