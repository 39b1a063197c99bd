"""A plan of jobs: its command dies, one job is preempted, one is killed, and in the end every run is made once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from conftest import LAUNCHER, environment, fact, preempt, processes_of, records, slurm, start, wait_until

ROOT = Path(__file__).resolve().parents[2]
PLAN = """
about: Three methods, small.
runs:
  - {methods: [mdn, normflow, random_forest], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {n_test: 25, n_draws: 50, limits.steps: 300, device: cpu}, training_seconds: 10}
  - {methods: [mdn], set: {limits.steps: null, "+method.embedding.size": 16, "+method.training.steps": 1000}}
"""


def said(cwd: Path) -> str:
    return (cwd / "said.txt").read_text(encoding="utf-8")


def folder_of(runs: Path, method: str, name: str) -> Path | None:
    return next(runs.glob(f"linear_gaussian/{method}/*/0/{name}"), None)


def job_of(method: str) -> str:
    """The Slurm job of a method's run."""
    names = [line.split() for line in slurm("squeue", "--me", "--noheader", "--format=%i %j").splitlines()]
    (number,) = [number for number, name in names if name == f"exobench-{method}"]
    return number


def has_begun_to_learn(runs: Path, method: str) -> bool:
    path = folder_of(runs, method, "scalars.csv")
    return path is not None and "loss" in path.read_text()


def test_a_plan_outlives_a_killed_job_a_preemption_and_its_command(tmp_path, spectra):
    runs, plan = tmp_path / "runs", tmp_path / "small.yaml"
    plan.write_text(PLAN)
    settings = [
        f"plan={plan}",
        *LAUNCHER,
        "hydra.launcher.gone_seconds=5",
        f"paths.data={spectra}",
        f"paths.runs={runs}",
    ]
    process = start(tmp_path, "-m", "exobench.benchmark", "launcher=slurm", *settings)
    wait_until(lambda: folder_of(runs, "normflow", "work"))
    killed = job_of("normflow")
    for pid, _ in processes_of(killed):
        assert len(os.sched_getaffinity(pid)) == 1
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: f"Slurm job {killed} ended as FAILED: killed by signal 9" in said(tmp_path))
    assert "failed: normflow on linear_gaussian" in said(tmp_path)

    wait_until(lambda: has_begun_to_learn(runs, "mdn"))
    preempted = job_of("mdn")
    preempt(tmp_path)
    wait_until(lambda: fact(preempted, "Restarts") == "1")
    process.kill()
    process.wait()
    finished = records(runs)

    make = ["make", "-C", str(ROOT), "-o", "setup", f"VENV={sys.prefix}", "benchmark", "LAUNCHER=slurm"]
    again = subprocess.run(
        [*make, f"ARGS={' '.join(settings)}"], env=environment(), capture_output=True, text=True, timeout=540
    )
    assert again.returncode == 0, again.stdout + again.stderr
    whole = records(runs)
    assert {method for _, method in whole} == {"mdn", "normflow", "random_forest", "prior"}
    assert {key: whole[key] for key in finished} == finished, "finished runs are not made again"
    log = folder_of(runs / "benchmark", "mdn", "log.txt")
    assert log is not None
    assert len(re.findall(r"training stopped at step \d+", log.read_text())) == 1
    note = folder_of(runs / "benchmark", "mdn", "slurm.json")
    assert note is not None
    assert json.loads(note.read_text())["job_id"] == preempted, "the job that is on its way is not sent again"
