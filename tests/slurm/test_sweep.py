"""A sweep through sbatch: each run is a job of its own, and one that is killed is named and holds nothing up."""

from __future__ import annotations

import os
import re
import signal

from conftest import LAUNCHER, TINY, array_of, ended, fact, processes_of, records, slurm, start, wait_until

SWEEP = ["-m", "method=mdn,normflow,random_forest", "task=linear_gaussian,hotjupiter_wfc3"]
BRIEF = ["n_test=25", "n_draws=50", "limits.steps=150", "report=false", *TINY[:3]]


def test_three_methods_on_two_tasks_with_one_job_killed(tmp_path, spectra):
    process = start(tmp_path, "-m", "exobench", *SWEEP, *BRIEF, *LAUNCHER, f"paths.data={spectra}")
    array = array_of(tmp_path)
    # Hydra goes through the last list fastest: job 2 is normflow on linear_gaussian.
    wait_until(lambda: list(tmp_path.glob("runs/linear_gaussian/normflow/*/0/work")))
    assert fact(f"{array}_2", "NumCPUs") == "1"
    victims = processes_of(f"{array}_2")
    assert any("method=normflow task=linear_gaussian" in text for _, text in victims)
    for pid, _ in victims:
        assert len(os.sched_getaffinity(pid)) == 1
        os.kill(pid, signal.SIGKILL)
    status, said = ended(process, tmp_path)
    assert status == 2, said
    failures = [line for line in said.splitlines() if line.startswith("error: job")]
    assert len(failures) == 1, said
    assert re.search(
        r"job 2 \(method=normflow, task=linear_gaussian\): Slurm job \d+_2 .*killed by signal 9", failures[0]
    )
    assert "error: 1 of the 6 jobs failed: job 2" in said.splitlines()[-1]
    assert "Traceback" not in said
    found = {
        key for key, record in records(tmp_path / "runs").items() if record["status"] == "ok" and key[1] != "prior"
    }
    wanted = {(task, method) for task in ("linear_gaussian", "hotjupiter_wfc3") for method in ("mdn", "random_forest")}
    assert found == wanted | {("hotjupiter_wfc3", "normflow")}
    assert slurm("squeue", "--me", "--noheader") == ""

    # Sent again, the missing run is made and a finished one is not.
    part = ["-m", "method=normflow,mdn", "task=linear_gaussian"]
    again = start(tmp_path, "-m", "exobench", *part, *BRIEF, *LAUNCHER, f"paths.data={spectra}")
    status, said = ended(again, tmp_path)
    assert status == 0, said
    assert ("linear_gaussian", "normflow") in records(tmp_path / "runs")
    newest = max(path.parent for path in tmp_path.glob("runs/slurm/*/0.log"))
    assert [path.name for path in newest.glob("?.log") if "finished already" in path.read_text()] == ["1.log"]


def test_a_run_that_fails_is_named_with_its_own_reason(tmp_path, spectra):
    sweep = ["-m", "method=prior", "task=linear_gaussian", "budget=1000,5", "n_test=25", "report=false", *TINY[1:3]]
    process = start(tmp_path, "-m", "exobench", *sweep, *LAUNCHER, f"paths.data={spectra}")
    status, said = ended(process, tmp_path)
    assert status == 2, said
    assert re.search(r"error: job 1 \(budget=5\): .*budget=5", said), said
    assert len(records(tmp_path / "runs")) == 1


def test_what_slurm_refuses_is_said_in_one_line(tmp_path):
    sweep = ["-m", "method=prior", "task=linear_gaussian", "seed=0,1", "hydra.launcher.partition=nowhere"]
    process = start(tmp_path, "-m", "exobench", *sweep, *LAUNCHER)
    status, said = ended(process, tmp_path)
    assert status == 2
    assert said.splitlines()[-1] == "error: sbatch refuses the jobs: invalid partition specified: nowhere", said
