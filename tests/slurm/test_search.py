"""A search whose workers are the tasks of one array: nothing is tried twice or lost, though a worker is killed."""

from __future__ import annotations

import json
import os
import signal

import pytest
from conftest import LAUNCHER, TINY, array_of, ended, processes_of, start, wait_until

pytest.importorskip("optuna", reason="needs the extra 'tune'")

SPACE = """
objective: nltp
space:
  components: {kind: whole, low: 1, high: 8, default: 4}
  hidden: {kind: choice, values: [8, 16, 32], default: 16}
  training.learning_rate: {kind: real, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""
SEARCH = ["method=mdn", "task=linear_gaussian", *TINY[:2], TINY[3], "n_draws=20", "limits.steps=30", "n_trials=100"]
OFTEN = ["beat_seconds=1", "stale_seconds=10", "workers=4"]


def test_a_hundred_trials_of_four_tasks_one_of_which_is_killed(tmp_path, spectra):
    (tmp_path / "conf" / "tune").mkdir(parents=True)
    (tmp_path / "conf" / "tune" / "mdn.yaml").write_text(SPACE)
    command = ["-m", "exobench.tune", *SEARCH, *OFTEN, *LAUNCHER, f"paths.data={spectra}"]
    process = start(tmp_path, *command)
    array = array_of(tmp_path)
    wait_until(lambda: any("trial" in path.read_text() for path in tmp_path.glob("runs/slurm/*/1.log")))
    (victim,) = [pid for pid, text in processes_of(f"{array}_1") if "exobench.tune" in text]
    wait_until(lambda: len(list(tmp_path.glob("runs/tune/*/*/*/fits/*/work"))) == 4)
    os.kill(victim, signal.SIGKILL)
    status, said = ended(process, tmp_path)
    assert status == 0, said
    assert "worker 1 was killed by signal 9" in said

    (path,) = tmp_path.glob("runs/tune/*/*/*/study.json")
    trials = json.loads(path.read_text(encoding="utf-8"))["trials"]
    counted = [trial for trial in trials if trial["counted"]]
    sets = [json.dumps(trial["params"], sort_keys=True) for trial in counted]
    assert {trial["state"] for trial in counted} <= {"complete", "pruned"}
    assert len(sets) == len(set(sets)) == 100
    (dead,) = [trial for trial in trials if trial["reason"] == "its worker died, try 1 of 2"]
    assert sets.count(json.dumps(dead["params"], sort_keys=True)) == 1
    busy = [path for path in tmp_path.glob("runs/slurm/*/?.log") if "trial " in path.read_text()]
    assert len(busy) == 4, "every task of the array has tried some"
