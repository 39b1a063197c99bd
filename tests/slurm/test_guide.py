"""The scripts of the guide, sent as they stand there."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, ended, environment, fact, preempt, records, slurm, start, wait_until

GUIDE = Path(__file__).resolve().parents[2] / "exobench" / "cluster" / "README.md"
RUN = ["method=mdn", "task=linear_gaussian", "n_test=25", "n_draws=50", "report=false", *TINY]
SMALL = ("--nodes=1", "--ntasks=2", "--gpus-per-task=0", "--cpus-per-task=1", "--mem=4G", "--overcommit")
OFTEN = "method.training={validate_every:20,report_every:5}"


def script(name: str) -> str:
    """The block of the guide that is introduced as a file of this name."""
    found = re.search(rf"^`{name}`.*?```bash\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert found is not None, f"the guide has no {name}"
    return found.group(1)


@pytest.fixture
def home(tmp_path, spectra):
    """A home folder with the guide's scripts, and a site file for this machine."""
    for name in ("run.sbatch", "ranks.sbatch"):
        (tmp_path / name).write_text(script(name))
    (tmp_path / "exobench-site.sh").write_text(f"export EXOBENCH_DATA={spectra} EXOBENCH_RUNS={tmp_path}/runs\n")
    return tmp_path


def send(home: Path, name: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Sends a script; returns the job's number."""
    path = f"{Path(sys.executable).parent}:{environment()['PATH']}"
    command = ["sbatch", "--parsable", *options, name, *arguments]
    sent = subprocess.run(
        command, cwd=home, env=environment(HOME=str(home), PATH=path), capture_output=True, text=True, check=True
    )
    return sent.stdout.strip()


def is_over(job: str) -> bool:
    return fact(job, "JobState") not in ("PENDING", "RUNNING", "COMPLETING")


def said(home: Path) -> str:
    return "\n".join(path.read_text() for path in home.glob("slurm-*.out"))


def test_the_script_of_the_guide_winds_up_and_goes_on(home):
    job = send(home, "run.sbatch", *RUN, "limits.steps=1500", options=("--mem=2G",))

    def learns_again(times: int) -> bool:
        return said(home).count("training on cpu") == times

    wait_until(lambda: learns_again(1))
    wait_until(lambda: [p for p in home.glob("runs/linear_gaussian/mdn/*/0/scalars.csv") if "loss" in p.read_text()])
    slurm("scancel", "--signal=USR1", "--batch", job)  # what Slurm itself sends before the end of the wall time
    wait_until(lambda: learns_again(2))
    assert fact(job, "Restarts") == "1"
    preempt(home)
    wait_until(lambda: learns_again(3))
    assert fact(job, "Restarts") == "2"
    assert len(re.findall(r"training stopped at step \d+", said(home))) == 2
    wait_until(lambda: is_over(job))
    assert fact(job, "JobState") == "COMPLETED", said(home)
    assert records(home / "runs")["linear_gaussian", "mdn"]["status"] == "ok"


def test_the_script_of_the_guide_fails_with_its_run_and_ends_with_scancel(home):
    failed = send(home, "run.sbatch", "method=no_such", options=("--mem=1G",))
    cancelled = send(home, "run.sbatch", *RUN, "limits.steps=1500", options=("--mem=2G",))
    wait_until(lambda: "training on cpu" in said(home))
    slurm("scancel", cancelled)
    wait_until(lambda: is_over(failed) and is_over(cancelled))
    assert (fact(failed, "JobState"), fact(failed, "ExitCode")) == ("FAILED", "2:0")
    assert (fact(cancelled, "JobState"), fact(cancelled, "Restarts")) == ("CANCELLED", "0")


def curve(folder: Path) -> dict[tuple[str, int], float]:
    (path,) = folder.glob("linear_gaussian/mdn/*/0/scalars.csv")
    with open(path, encoding="utf-8") as file:
        return {(name, int(step)): float(value) for name, step, value in csv.reader(file) if "loss" in name}


def test_two_tasks_learn_what_one_learns_from_the_joint_batch(home, spectra):
    run = [*RUN, "limits.steps=60", OFTEN]
    job = send(home, "ranks.sbatch", *run, options=SMALL)
    alone = start(home, "-m", "exobench", *run, f"paths.data={spectra}", "paths.runs=alone")
    status, words = ended(alone, home)
    assert status == 0, words
    wait_until(lambda: is_over(job))
    assert fact(job, "JobState") == "COMPLETED", said(home)
    assert records(home / "runs")["linear_gaussian", "mdn"]["hardware"]["processes"] == 2
    one, both = curve(home / "alone"), curve(home / "runs")
    assert one.keys() == both.keys()
    assert len(one) > 10
    np.testing.assert_allclose([both[key] for key in one], list(one.values()), rtol=1e-5)
