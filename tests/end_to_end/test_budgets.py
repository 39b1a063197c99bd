"""Budgets, tracks and repetitions: one record each, no training twice, no more simulations than allowed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exobench.method import Capability
from exobench.problem import BudgetExceeded
from exobench.registry import build_task
from exobench.task import TaskRequest

SMALL = ["task=linear_gaussian", "task.shard_rows=500", "limits.steps=20", "n_test=25", "n_draws=20", "report=false"]


def run(cwd: Path, data_root: Path, *settings: str) -> str:
    cwd.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "exobench", *settings, *SMALL, f"paths.data={data_root}", "workers=1"],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def records(cwd: Path, method: str) -> list[dict]:
    found = [json.loads(path.read_text()) for path in cwd.glob(f"runs/linear_gaussian/{method}/*/*/run.json")]
    return sorted(found, key=lambda record: (record["budget"], record["seed"]))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, data_root):
    """A learning curve of two budgets and two seeds."""
    cwd = tmp_path_factory.mktemp("swept")
    run(cwd, data_root, "-m", "method=mdn", "budget=3e2,6e2", "seed=0,1")
    return cwd


def test_a_sweep_of_budgets_and_seeds_gives_one_record_each(swept):
    found = records(swept, "mdn")
    assert [(record["budget"], record["seed"]) for record in found] == [(300, 0), (300, 1), (600, 0), (600, 1)]
    assert [record["cost"]["simulations"] for record in found] == [300, 300, 600, 600]
    assert {record["track"] for record in found} == {"amortised"}
    assert len({record["task_id"] for record in found}) == 1


def test_a_finished_sweep_is_not_run_again(swept, data_root):
    said = run(swept, data_root, "-m", "method=mdn", "budget=3e2,6e2", "seed=0,1")
    assert said.count("finished already") == 4
    assert "training on" not in said


def test_a_method_on_top_of_another_uses_its_finished_fit(swept, data_root):
    said = run(swept, data_root, "method=importance", "method.proposal=mdn", "budget=600")
    assert "is used" in said
    (importance,) = records(swept, "importance")
    mdn = records(swept, "mdn")[2]
    assert importance["track"] == "likelihood-using"
    assert importance["cost"]["simulations"] == mdn["cost"]["simulations"]
    assert importance["cost"]["training_seconds"] >= mdn["cost"]["training_seconds"]
    assert importance["cost"]["likelihood_calls"] > 0
    assert mdn["cost"]["likelihood_calls"] == 0


def test_simulations_beyond_the_budget_are_refused():
    task = build_task({"name": "linear_gaussian"}, TaskRequest())
    problem = task.problem(None, Capability.NEEDS_SIMULATOR, simulation_budget=100)
    problem.simulate(task.prior.sample(100, np.random.default_rng(0)))
    with pytest.raises(BudgetExceeded, match="101 simulations asked for, the budget is 100"):
        problem.simulate(task.prior.sample(1, np.random.default_rng(0)))
