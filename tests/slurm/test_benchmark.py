"""A plan whose runs are jobs of Slurm."""

from __future__ import annotations

import os
import signal

from conftest import LAUNCHER, ended, processes_of, records, slurm, start, wait_until

PLAN = """
about: Two methods, small.
runs:
  - {methods: [mdn, random_forest], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {n_test: 25, n_draws: 50, limits.steps: 300, device: cpu}, training_seconds: 10}
"""


def test_a_plan_is_made_by_jobs_and_a_killed_one_is_named_and_made_again(tmp_path, spectra):
    (tmp_path / "small.yaml").write_text(PLAN)
    command = ["-m", "exobench.benchmark", "plan=small.yaml", "launcher=slurm", *LAUNCHER, f"paths.data={spectra}"]
    process = start(tmp_path, *command, "hydra.launcher.gone_seconds=5")
    wait_until(lambda: list(tmp_path.glob("runs/linear_gaussian/mdn/*/0/work")))
    names = [line.split() for line in slurm("squeue", "--me", "--noheader", "--format=%i %j").splitlines()]
    (job,) = [number for number, name in names if name == "exobench-mdn"]
    for pid, _ in processes_of(job):
        os.kill(pid, signal.SIGKILL)
    status, said = ended(process, tmp_path)
    assert status == 1, said
    assert f"Slurm job {job} ended as FAILED: killed by signal 9" in said
    assert {method for _, method in records(tmp_path / "runs")} == {"random_forest", "prior"}

    status, said = ended(start(tmp_path, *command), tmp_path)
    assert status == 0, said
    assert {method for _, method in records(tmp_path / "runs")} == {"mdn", "random_forest", "prior"}
    assert "mdn" in next(tmp_path.glob("runs/benchmark/linear_gaussian/mdn/*/0/log.txt")).read_text()
