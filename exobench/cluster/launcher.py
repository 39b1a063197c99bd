"""``python -m exobench -m ... hydra/launcher=submitit_slurm``: Hydra's sweeps as jobs of Slurm."""

from __future__ import annotations

import importlib.resources
import logging
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from exobench.cluster.jobs import Job, submit, wait_for
from exobench.cluster.settings import Resources
from exobench.errors import ExobenchError
from exobench.places import Places
from exobench.small_commands import verbosity_flags

log = logging.getLogger(__name__)

TARGET = "hydra_plugins.exobench_cluster.SlurmLauncher"


class SlurmLauncher(Launcher):
    """Sends each run of a sweep to Slurm as a command of its own, and waits for all of them.

    A run that fails, or whose job is killed, is named when all are over; the others are not touched.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in settings.items()
        }
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before ``launch``; the command line stands for the task function."""
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Sends the runs, waits, and builds the page.

        Raises:
            SystemExit: with status 2, where a run failed; every failure is named on stderr.
        """
        config = self._config
        assert config is not None  # Hydra calls setup first
        paths, shared = config.paths, [each for each in config.hydra.overrides.hydra if "searchpath" in each]
        places = Places.resolve(paths.data, paths.runs, paths.reports)
        flags = verbosity_flags()
        commands = [
            [sys.executable, "-u", "-m", "exobench", *each, *shared, "report=false", *flags] for each in job_overrides
        ]
        try:
            resources = Resources.of(self._settings)
            jobs = submit(commands, resources, resources.folder_in(places), str(config.hydra.job.name))
        except ExobenchError as error:
            _fail(str(error))
        names = [f"job {initial_job_idx + i} ({each})" for i, each in enumerate(_what_differs(job_overrides))]
        failures = _follow(jobs, names)
        if config.report:
            from exobench.report.page import build_page

            log.info("Page: %s", build_page(places.runs, places.reports))
        if failures:
            _fail(f"{len(failures)} of the {len(jobs)} jobs failed: {'; '.join(failures)}")
        return [
            JobReturn(overrides=list(each), status=JobStatus.COMPLETED, _return_value=None) for each in job_overrides
        ]


def register() -> None:
    """Lets Hydra find the launcher and its settings, in place of those of the package hydra-submitit-launcher."""
    # Stores the settings of all installed plugins first. Hydra takes plugins by names of this form alone.
    Plugins.instance().class_name_to_class[TARGET] = SlurmLauncher
    text = (importlib.resources.files("exobench.cluster") / "submitit_slurm.yaml").read_text(encoding="utf-8")
    ConfigStore.instance().store("submitit_slurm", OmegaConf.create(text), group="hydra/launcher", provider="exobench")


def _what_differs(runs: Sequence[Sequence[str]]) -> list[str]:
    """The settings in which each run differs from others; all of them where there is one run."""
    shared = set.intersection(*map(set, runs)) if len(runs) > 1 else set()
    return [", ".join(each for each in run if each not in shared) for run in runs]


def _follow(jobs: Sequence[Job], names: Sequence[str]) -> list[str]:
    """Waits for the jobs and says how each ends.

    Returns:
        Name and reason of those that failed.
    """
    number = jobs[0].job_id.partition("_")[0]
    count = "1 job is" if len(jobs) == 1 else f"{len(jobs)} jobs are"
    log.info("%s with Slurm as %s; what they say is in %s", count, number, jobs[0].log.parent)

    def tell(place: int, words: str) -> None:
        if words:
            print(f"error: {names[place]}: {words} (log: {jobs[place].log})", file=sys.stderr)
        else:
            log.info("done: %s", names[place])

    try:
        words = wait_for(jobs, tell)
    except KeyboardInterrupt:
        print(f"The jobs go on without this command; scancel {number} ends them.", file=sys.stderr)
        raise
    return [f"{names[i]}: {each}" for i, each in enumerate(words) if each]


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
