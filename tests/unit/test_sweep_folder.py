"""A sweep leaves nothing in the working folder: Hydra's note of it lies with the runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from exobench.sweep_folder import SweepInRuns

SWEEP = ["-m", "-q", "method=prior", "task=linear_gaussian", "seed=1,2", "budget=300", "n_test=25", "n_draws=50"]


def swept(cwd, data_root, *settings):
    """Files and folders that a sweep leaves where it was started, and how it ended."""
    cwd.mkdir()
    command = [sys.executable, "-m", "exobench", *SWEEP, "workers=1", "report=false", *settings]
    known = {key: value for key, value in os.environ.items() if key != "EXOBENCH_RUNS"}
    environment = {**known, "EXOBENCH_DATA": str(data_root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    return sorted(path.name for path in cwd.iterdir()), done


def test_the_note_of_a_sweep_lies_with_its_runs(tmp_path, data_root):
    left, done = swept(tmp_path / "one", data_root)
    assert done.returncode == 0, done.stderr
    assert left == ["runs"]
    settings = OmegaConf.load(tmp_path / "one" / "runs" / "multirun.yaml")
    assert "seed=1,2" in settings.hydra.overrides.task
    assert len(list((tmp_path / "one" / "runs").glob("linear_gaussian/prior/*/[12]/run.json"))) == 2


def test_a_folder_of_runs_that_cannot_be_is_named_once(tmp_path, data_root):
    left, done = swept(tmp_path / "one", data_root, "paths.runs=/dev/null/runs")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "paths.runs=/dev/null/runs" in line
    assert left == []


@pytest.mark.parametrize(
    ("given", "runs", "environment", "used"),
    [
        (".", "told", "known", "told"),
        (".", None, "known", "known"),
        (".", None, "", "runs"),
        ("kept", "told", "known", "kept"),
    ],
)
def test_it_goes_where_the_runs_go_unless_the_user_says_where(tmp_path, monkeypatch, given, runs, environment, used):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXOBENCH_RUNS", environment)
    paths = {"data": str(tmp_path), "runs": runs, "reports": None}
    config = OmegaConf.create({"paths": paths, "hydra": {"sweep": {"dir": given, "subdir": "."}}})
    OmegaConf.set_readonly(config.hydra, True)
    SweepInRuns().on_multirun_start(config)
    assert (tmp_path / config.hydra.sweep.dir) == tmp_path / used
    assert list(tmp_path.iterdir()) == []
