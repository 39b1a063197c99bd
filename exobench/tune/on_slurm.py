"""The workers of a search as the tasks of one Slurm array."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from exobench.cluster.jobs import submit, wait_for
from exobench.cluster.settings import compose_resources, without_launcher
from exobench.errors import ExobenchError
from exobench.small_commands import verbosity_flags
from exobench.tune.settings import TuneSettings
from exobench.tune.worker import WORKER

log = logging.getLogger(__name__)


def run_workers(given: Sequence[str], settings: TuneSettings) -> None:
    """Sends the workers to Slurm and waits for them; one that dies leaves its trial to the others.

    The jobs make the data that is missing and open the study: nothing heavy happens where this is called.

    Args:
        given: the command line of the search.
        settings: what it resolves to.

    Raises:
        ExobenchError: Slurm refuses the jobs, or no worker came to the end.
    """
    resources = compose_resources("tune", given)
    folder = resources.folder_in(settings.run.places)
    common = [sys.executable, "-u", "-m", "exobench.tune", *without_launcher(given), "workers=1", *verbosity_flags()]
    commands = [["env", f"{WORKER}={number}", *common] for number in range(settings.workers)]
    jobs = submit(commands, resources, folder, "exobench-tune")
    name = jobs[0].job_id.partition("_")[0]
    count = "1 worker is" if len(jobs) == 1 else f"{len(jobs)} workers are"
    log.info("%s with Slurm as %s; what they say is in %s", count, name, jobs[0].log.parent)

    def tell(number: int, words: str) -> None:
        if words:
            log.warning("worker %d %s (log: %s).", number, words, jobs[number].log)

    try:
        words = wait_for(jobs, tell)
    except KeyboardInterrupt:
        log.warning("The workers go on without this command; scancel %s ends them.", name)
        raise
    if all(words):
        raise ExobenchError(f"no worker came to the end, the last one so: {words[-1]}; the same command goes on.")
