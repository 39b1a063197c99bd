"""What the tests against a running Slurm share; without one they are skipped."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

LAUNCHER = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10", "hydra.launcher.mem_gb=1"]
TINY = ["budget=1000", "device=cpu", "workers=1", "method.embedding={size:16,blocks:1}"]


def slurm(*command: str) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def _why_not() -> str | None:
    if shutil.which("sinfo") is None:
        return "Slurm is not installed: make test-slurm installs and starts one"
    try:
        return None if "idle" in slurm("sinfo", "-h", "-o", "%T") or slurm("squeue", "-h") else "no node is idle"
    except subprocess.SubprocessError:
        return "no Slurm answers here: make test-slurm starts one"


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = _why_not() if any("not slurm" not in item.config.option.markexpr for item in here) else None
    for item in here:
        item.add_marker(pytest.mark.slurm)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def spectra(tmp_path_factory):
    """A data folder for all of these tests."""
    return tmp_path_factory.mktemp("spectra")


def environment(**extra: str) -> dict[str, str]:
    """Of a user on a login node: one thread, no variables of a job."""
    foreign = ("SLURM_JOB", "SLURM_NTASKS", "SLURM_PROCID", "MASTER_", "RANK", "LOCAL_RANK", "WORLD_SIZE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "COLUMNS": "100", **extra}


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _nothing_left():
    """Ends what a failed test leaves under way."""
    yield
    for process in _started:
        process.kill()
        process.wait()
    _started.clear()
    if _why_not() is None:
        slurm("scancel", "--me")


def start(cwd: Path, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    """Starts ``python`` with what it says in one file, ``said.txt``."""
    with open(cwd / "said.txt", "a", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=cwd, env=environment(**extra), stdout=said, stderr=said, text=True
        )
    _started.append(process)
    return process


def ended(process: subprocess.Popen[str], cwd: Path, within: float = 540) -> tuple[int, str]:
    """Exit status, and what was said."""
    try:
        status = process.wait(within)
    finally:
        process.kill()
    return status, (cwd / "said.txt").read_text(encoding="utf-8")


def wait_until(happened: Callable[[], object], within: float = 240) -> None:
    """Looks again and again, and fails where it does not happen."""
    end = time.monotonic() + within
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def array_of(cwd: Path) -> str:
    """The Slurm job that a command said it sent."""
    found: list[str] = []

    def said() -> bool:
        text = (cwd / "said.txt").read_text(encoding="utf-8")
        found.extend(re.findall(r"with Slurm as (\d+)", text))
        return bool(found)

    wait_until(said)
    return found[-1]


def processes_of(task: str) -> list[tuple[int, str]]:
    """Numbers and command lines of a job's processes, those of its shell left out."""
    lines = slurm("squeue", "--me", "--noheader", "--array", "--format=%i %A").splitlines()
    number = dict(line.split() for line in lines)[task]
    pids = [int(line.split()[0]) for line in slurm("scontrol", "listpids", number).splitlines()[1:]]
    commands = []
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "python" in text and "srun" not in text:
            commands.append((pid, text))
    return commands


def fact(job: str, name: str) -> str:
    """One field of ``scontrol show job``."""
    return dict(each.partition("=")[::2] for each in slurm("scontrol", "show", "job", job, "-o").split())[name]


def preempt(cwd: Path) -> None:
    """Sends a job that takes the place of all others for a moment."""
    slurm("sbatch", "--partition=urgent", "--mem=0", f"--output={cwd}/urgent.out", "--wrap=true")


def records(runs: Path) -> dict[tuple[str, str], dict]:
    """Finished runs by task and method."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/*/*/*/run.json")]
    return {(record["task"], record["method"]): record for record in found}
