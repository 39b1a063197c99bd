"""Jobs that were sent to Slurm, and how each of them ends: with a result, or gone without one."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exobench.cluster.command import Command
from exobench.cluster.queue import Queue, how_it_ended, signal_words
from exobench.cluster.settings import CHOICE, Resources
from exobench.errors import ExobenchError, MissingDependencyError

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 1.0


@dataclass
class Job:
    """One command in the queue, running, or over.

    Attributes:
        job_id: of Slurm.
        log: what the command says.
        result: file that a job leaves when its command has ended.
        queue: of Slurm.
        gone_seconds: from leaving the queue without a result to being called dead.
    """

    job_id: str
    log: Path
    result: Path
    queue: Queue
    gone_seconds: float
    _missed_at: float | None = field(default=None, init=False)

    def ended(self) -> str | None:
        """None while it waits or runs, "" where its command succeeded, else why not."""
        _look_anew(self.result.parent)
        if self.result.exists():
            return self._by_result()
        if self.queue.holds(self.job_id) is not False:
            self._missed_at = None
            return None
        now = time.monotonic()
        self._missed_at = now if self._missed_at is None else self._missed_at
        if now - self._missed_at < self.gone_seconds:
            return None
        return f"Slurm job {self.job_id} {how_it_ended(self.job_id)}; it left no result"

    def cancel(self, *, at_once: bool = False) -> None:
        """Takes it out of the queue, or ends it.

        Args:
            at_once: kill it; else a run writes its checkpoint first.
        """
        how = ["--signal=KILL", "--full"] if at_once else []
        subprocess.run(["scancel", *how, self.job_id], capture_output=True, check=False)
        self.gone_seconds = 0.0  # its leaving the queue is expected

    def _by_result(self) -> str:
        from submitit.core.utils import pickle_load

        try:
            outcome, content = pickle_load(self.result)
        except EOFError:  # a shared disk that shows the name before the content
            return f"Slurm job {self.job_id} left a result that cannot be read: {self.result}"
        if outcome != "success":
            return str(content).strip().splitlines()[-1]
        if content < 0:
            return f"was {signal_words(-content)}"
        if content > 0:
            return last_words(self.log) or f"ended with status {content}"
        return ""


def submit(
    commands: Sequence[Sequence[str]],
    resources: Resources,
    folder: Path,
    name: str,
    logs: Sequence[Path] | None = None,
    queue: Queue | None = None,
) -> list[Job]:
    """Sends commands to Slurm; several make one array.

    Args:
        commands: arguments of each.
        resources: of each.
        folder: for scripts, results and logs; a new one below it is made for this submission.
        name: of the jobs.
        logs: what each says; None for files in the new folder.
        queue: to look for the jobs in; None for one of their own.

    Returns:
        The jobs, in the order of the commands.

    Raises:
        ExobenchError: there is no Slurm here, or it refuses the jobs.
    """
    submitit = _load_submitit()
    if shutil.which("sbatch") is None:
        raise ExobenchError(f"{CHOICE}: there is no sbatch here; start on a machine that sends jobs to Slurm.")
    own = folder / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
    own.mkdir(parents=True, exist_ok=True)
    where = [own / f"{number}.log" for number in range(len(commands))] if logs is None else logs
    executor = submitit.SlurmExecutor(folder=own, max_num_timeout=resources.max_requeues)
    executor.update_parameters(**resources.for_submitit(name))
    try:
        with _environment_of_a_user(), executor.batch():
            sent = [
                executor.submit(Command(tuple(each), path, 0.6 * resources.signal_delay_s))
                for each, path in zip(commands, where, strict=True)
            ]
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        raise ExobenchError(f"sbatch refuses the jobs: {_reason(error)}") from error
    shared = queue or queue_for(resources)
    return [
        Job(job.job_id, path, Path(job.task(0).paths.result_pickle), shared, resources.gone_seconds)
        for job, path in zip(sent, where, strict=True)
    ]


def queue_for(resources: Resources) -> Queue:
    """A queue that is asked often enough to see that a job is gone."""
    return Queue(min(15.0, resources.gone_seconds / 4))


def wait_for(jobs: Sequence[Job], tell: Callable[[int, str], None] = lambda number, words: None) -> list[str]:
    """Waits until all are over.

    Args:
        jobs: to wait for.
        tell: called with each that is over: its place among them, and ``Job.ended``.

    Returns:
        ``Job.ended`` of each.
    """
    words: dict[int, str] = {}
    while len(words) < len(jobs):
        for number, job in enumerate(jobs):
            if number in words:
                continue
            ended = job.ended()
            if ended is not None:
                words[number] = ended
                tell(number, ended)
        if len(words) < len(jobs):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return [words[number] for number in range(len(jobs))]


def last_words(path: Path) -> str:
    """The last error that a command named in its log, else its last line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return [*said[-1:], *errors[-1:]][-1] if said else ""


def _load_submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise MissingDependencyError(f"{CHOICE} needs the package submitit: pip install 'exobench[slurm]'.") from error
    return submitit


@contextlib.contextmanager
def _environment_of_a_user() -> Iterator[None]:
    """Inside a job, sbatch would hand that job's own settings on to the new ones."""
    from submitit.helpers import clean_env

    where = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
    with clean_env():
        os.environ.update(where)
        yield


def _look_anew(folder: Path) -> None:
    """Network file systems remember that a file was not there until its folder is read again."""
    with contextlib.suppress(OSError):
        os.listdir(folder)


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    lines = [line.strip() for line in text.splitlines() if "sbatch: error:" in line]
    return (lines or text.strip().splitlines())[0].removeprefix("sbatch: error: ")
