"""A training that does not fit into the wall time of a job goes on in the next ones, and ends with the same bits."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from conftest import LAUNCHER, TINY, array_of, ended, fact, slurm, start, wait_until
from safetensors.numpy import load_file

RUN = ["method=mdn", "task=linear_gaussian", "n_test=25", "n_draws=50", "report=false", *TINY]
ONE_MINUTE = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=8"]
"""Slurm looks at the time every 30 s, and warns early rather than late: after 22 to 52 s."""
SECONDS = 180
"""Of training: twice what two jobs have room for when they are warned as late as can be."""


def training_of(steps: int) -> str:
    """As long as told to be; so slow to learn that the best weights are the last ones, to which each job added."""
    return f"method.training={{steps:{steps},patience:null,learning_rate:1e-5}}"


def weights(runs: Path) -> dict[str, np.ndarray]:
    (path,) = runs.glob("linear_gaussian/mdn/*/0/posterior/*.safetensors")
    return load_file(path)


def cpu_seconds_of(steps: int, cwd: Path, spectra: Path) -> float:
    """What a run costs the processor, however busy the machine is."""
    before = os.times()
    run = ["-m", "exobench", *RUN, training_of(steps), f"paths.data={spectra}", "paths.runs=measured"]
    status, said = ended(start(cwd, *run), cwd)
    assert status == 0, said
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def steps_that_take(seconds: float, cwd: Path, spectra: Path) -> int:
    """Training steps that a free core of this machine makes in a time; the first hundreds are the slow ones."""
    few, many = 500, 2500
    cost = cpu_seconds_of(many, cwd, spectra) - cpu_seconds_of(few, cwd, spectra)
    return round((many - few) * seconds / cost)


def stops(cwd: Path) -> list[int]:
    """Steps at which the training was stopped, without jobs that came to none."""
    texts = [path.read_text() for path in cwd.glob("runs/slurm/*/0.log")]
    return sorted({int(step) for text in texts for step in re.findall(r"training stopped at step (\d+)", text)})


def test_a_training_that_hits_its_wall_time_twice_ends_as_if_it_had_not(tmp_path, spectra):
    run = [*RUN, training_of(steps_that_take(SECONDS, tmp_path, spectra)), f"paths.data={spectra}"]
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    alone = start(tmp_path / "one", "-m", "exobench", *run)
    sent = start(tmp_path / "many", "-m", "exobench", "-m", *run, *LAUNCHER, *ONE_MINUTE)
    job = array_of(tmp_path / "many")
    wait_until(lambda: len(stops(tmp_path / "many")) == 2 or sent.poll() is not None, within=600)
    assert sent.poll() is None, f"the training ended after {len(stops(tmp_path / 'many'))} stops: make SECONDS longer"
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=30")  # enough for the rest
    status, said = ended(sent, tmp_path / "many", within=1200)
    assert status == 0, said
    assert int(fact(job, "Restarts")) >= 2

    status, said = ended(alone, tmp_path / "one")
    assert status == 0, said
    whole, pieces = weights(tmp_path / "one" / "runs"), weights(tmp_path / "many" / "runs")
    assert whole.keys() == pieces.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(pieces[name], value)
