"""A training that does not fit into the wall time of a job goes on in the next ones, and ends with the same bits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from conftest import LAUNCHER, TINY, array_of, ended, fact, records, start
from safetensors.numpy import load_file

RUN = ["method=mdn", "task=linear_gaussian", "n_test=25", "n_draws=50", "report=false", *TINY]
TWO_MINUTES = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=30"]
"""Slurm keeps time limits to the minute and warns up to a minute early: a job has 60 to 90 s before the warning."""
SECONDS = 220
"""Of training: more than two jobs have room for."""


def weights(runs: Path) -> dict[str, np.ndarray]:
    (path,) = runs.glob("linear_gaussian/mdn/*/0/posterior/*.safetensors")
    return load_file(path)


def steps_that_take(seconds: float, cwd: Path, spectra: Path) -> int:
    """Training steps that this machine makes in a time."""
    steps = 2000
    measured = ["-m", "exobench", *RUN, f"limits.steps={steps}", f"paths.data={spectra}", "paths.runs=measured"]
    status, said = ended(start(cwd, *measured), cwd)
    assert status == 0, said
    return round(steps * seconds / records(cwd / "measured")["linear_gaussian", "mdn"]["cost"]["training_seconds"])


def test_a_training_that_hits_its_wall_time_twice_ends_as_if_it_had_not(tmp_path, spectra):
    run = [*RUN, f"limits.steps={steps_that_take(SECONDS, tmp_path, spectra)}", f"paths.data={spectra}"]
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    alone = start(tmp_path / "one", "-m", "exobench", *run)
    sent = start(tmp_path / "many", "-m", "exobench", "-m", *run, *LAUNCHER, *TWO_MINUTES)
    job = array_of(tmp_path / "many")
    status, said = ended(sent, tmp_path / "many", within=1200)
    assert status == 0, said
    assert int(fact(job, "Restarts")) >= 2
    (log,) = (tmp_path / "many").glob("runs/slurm/*/0.log")
    stops = [int(step) for step in re.findall(r"training stopped at step (\d+)", log.read_text())]
    assert len(stops) >= 2
    assert stops == sorted(stops), "each job goes on from where the last one was"
    assert len(set(stops)) >= 2

    status, said = ended(alone, tmp_path / "one")
    assert status == 0, said
    whole, pieces = weights(tmp_path / "one" / "runs"), weights(tmp_path / "many" / "runs")
    assert whole.keys() == pieces.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(pieces[name], value)
