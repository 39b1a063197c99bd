"""Where runs are started: on this machine, or by whatever else a launcher is written for."""

from __future__ import annotations

import abc
import importlib

from exobench.benchmark.claims import Claim
from exobench.benchmark.runs import PlannedRun
from exobench.errors import unknown_name

LAUNCHERS = {
    "local": "exobench.benchmark.local:LocalLauncher",
    "slurm": "exobench.benchmark.slurm:SlurmLauncher",
}
"""Where the class of each launcher is; its constructor takes the number of runs at a time, or None."""


class Job(abc.ABC):
    """A run under way."""

    @abc.abstractmethod
    def ended(self) -> str | None:
        """How it ended, in a few words, or None while it is under way.

        Whether the run is finished, its record alone says; the words are kept where there is no record.
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """Asks it to write a checkpoint and end; asked again, ends it at once."""


class AbstractLauncher(abc.ABC):
    """Starts runs. Each is ``python -m exobench`` with the run's overrides and ``run.log`` for what it says."""

    poll_seconds: float = 0.5
    """Between two looks at the jobs."""

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """Runs at a time, at most."""

    @abc.abstractmethod
    def start(self, run: PlannedRun, claim: Claim) -> Job | None:
        """Starts a run, or returns None where there is no room for it now.

        Args:
            run: to be started.
            claim: of the run. The caller keeps it until the job has ended; a launcher hands it on where the job may
                outlive the caller, and lets go of it never.
        """


def open_launcher(name: str, slots: int | None) -> AbstractLauncher:
    """Builds a launcher.

    Args:
        name: of ``LAUNCHERS``.
        slots: runs at a time, or None for as many as it can.

    Raises:
        ExobenchError: there is no such launcher, or it cannot start so many.
    """
    if name not in LAUNCHERS:
        raise unknown_name("launcher", name, LAUNCHERS)
    module, _, cls = LAUNCHERS[name].partition(":")
    launcher: AbstractLauncher = getattr(importlib.import_module(module), cls)(slots)
    return launcher
