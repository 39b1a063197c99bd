"""Whole runs through the command line: what they leave on disk, and what a second start does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from exobench.score_files import main as score_main

EXOGAN = ["method=exogan", "task=hotjupiter", "budget=1500", "task.shard_rows=500", "n_test=25", "n_draws=100"]
"""The real method on real spectra, small enough for every test run."""


def command(data_root, *settings):
    return [sys.executable, "-m", "exobench", *settings, f"paths.data={data_root}", "workers=1"]


def run(cwd: Path, data_root: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    cwd.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(
        command(data_root, *settings), cwd=cwd, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done


def records(cwd: Path, method: str) -> list[Path]:
    return sorted(cwd.glob(f"runs/*/{method}/*/*/run.json"))


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def truths(record: Path) -> np.ndarray:
    with h5py.File(record.parent / "scores.h5") as file:
        return file["theta_true"][()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_root):
    """One finished run of ExoGAN."""
    cwd = tmp_path_factory.mktemp("finished")
    done = run(cwd, data_root, *EXOGAN, "limits.steps=30")
    return cwd, done


def test_a_run_ends_with_a_table_a_record_and_a_page(finished):
    cwd, done = finished
    (path,) = records(cwd, "exogan")
    record = read(path)
    assert record["status"] == "ok"
    assert record["n_train"] + record["n_validation"] == record["budget"] == 1500
    assert record["cost"]["simulations"] == 1500
    assert record["cost"]["n_parameters"] > 0
    assert {"commit", "exobench", "torch", "python"} <= set(record["versions"])
    assert all((path.parent / figure).is_file() for figure in record["figures"])
    assert record["figures"]
    for word in ("log10_h2o", "temperature_k", "Energy score", "within 10 %", str(cwd / "reports" / "index.html")):
        assert word in done.stdout, done.stdout
    assert (cwd / "reports" / "index.html").is_file()


def test_the_table_is_printed_even_where_the_pages_cannot_be_written(finished, data_root):
    cwd, _ = finished
    (cwd / "pages").mkdir()
    (cwd / "pages" / "tasks").write_text("a file where a folder is to be")
    arguments = command(data_root, *EXOGAN, "limits.steps=30", "paths.reports=pages")
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "Energy score" in done.stdout
    assert "pages" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_prior_is_the_floor_of_the_same_test_spectra(finished):
    cwd, _ = finished
    (exogan,), (prior,) = records(cwd, "exogan"), records(cwd, "prior")
    assert read(exogan)["task_id"] == read(prior)["task_id"]
    assert np.array_equal(truths(exogan), truths(prior))


def test_a_finished_run_is_not_run_again(finished, data_root):
    cwd, _ = finished
    (path,) = records(cwd, "exogan")
    before = path.stat().st_mtime_ns
    done = run(cwd, data_root, *EXOGAN, "limits.steps=30")
    assert "finished already" in done.stdout + done.stderr
    assert path.stat().st_mtime_ns == before


def test_every_file_of_a_run_reads_back(finished):
    cwd, _ = finished
    (path,) = records(cwd, "exogan")
    with h5py.File(path.parent / "draws.h5") as file:
        theta = file["theta"][()]
    assert theta.shape == (25, read(path)["n_draws_returned"], 7)
    assert np.isfinite(theta).all()
    assert (path.parent / "scalars.csv").read_text(encoding="utf-8").count("\n") > 3


def test_killed_in_training_and_started_again_ends_the_same(finished, tmp_path, data_root):
    cwd, _ = finished
    (whole,) = records(cwd, "exogan")
    settings = [*EXOGAN, "limits.steps=30"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command(data_root, *settings), cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/*/exogan/*/*/work/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not records(tmp_path, "exogan"), "it was killed before it could finish"
    run(tmp_path, data_root, *settings)
    (resumed,) = records(tmp_path, "exogan")
    first, second = ({(s["metric"], s["parameter"]): s["value"] for s in read(p)["scores"]} for p in (whole, resumed))
    assert first.keys() == second.keys()
    for key, value in first.items():
        if value is None:
            assert second[key] is None, key
        else:
            assert second[key] == pytest.approx(value, rel=1e-3, abs=1e-6), key


def test_a_polite_stop_is_answered_at_once_and_resumed(tmp_path, data_root):
    settings = [*EXOGAN, "limits.steps=100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        command(data_root, *settings), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/*/exogan/*/*/scalars.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(3)
    child.send_signal(signal.SIGTERM)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "goes on from there" in error
    assert list(tmp_path.glob("runs/*/exogan/*/*/work/*"))


def test_the_seed_moves_fitting_and_never_the_data(tmp_path, data_root):
    for seed in (0, 1):
        run(tmp_path, data_root, "method=prior", "task=linear_gaussian", "n_test=25", f"seed={seed}", "report=false")
    first, second = records(tmp_path, "prior")
    assert np.array_equal(truths(first), truths(second))
    assert read(first)["scores"] != read(second)["scores"]


def test_test_sets_are_nested(tmp_path, data_root):
    for n_test in (25, 100):
        run(tmp_path, data_root, "method=prior", "task=linear_gaussian", f"n_test={n_test}", "report=false")
    sets = sorted((truths(path) for path in records(tmp_path, "prior")), key=len)
    assert [len(truth) for truth in sets] == [25, 100]
    assert np.array_equal(sets[1][:25], sets[0])


def scores_by_name(scores: list[dict]) -> dict:
    return {(score["metric"], score["parameter"]): score for score in scores}


def test_a_runs_own_draws_score_as_the_run(tmp_path, data_root):
    """All but what is random (ranks between equal draws) or rests on spectra and densities, which are not stored."""
    run(tmp_path, data_root, "method=prior", "task=linear_gaussian", "n_test=100", "report=false")
    (path,) = records(tmp_path, "prior")
    draws, expected = path.parent / "draws.h5", scores_by_name(read(path)["scores"])
    random = ("sbc_", "coverage_")
    score_main([str(draws), f"out={tmp_path / 'out'}"])
    document = read(tmp_path / "out/scores.json")
    found = scores_by_name(document["scores"])
    assert found.keys() == expected.keys()
    compared = [key for key in found if found[key]["status"] != "not available" and not key[0].startswith(random)]
    assert {"energy_score", "rmse", "crps", "nltp", "hit_rate_10"} <= {metric for metric, _ in compared}
    assert {key: found[key] for key in compared} == {key: expected[key] for key in compared}
    units = [parameter["unit"] for parameter in read(path)["parameters"]]
    assert [parameter["unit"] for parameter in document["parameters"]] == units
    # A file of an earlier version holds arrays alone; the record beside it has the rest.
    with h5py.File(draws, "a") as file:
        for name in ("names", "units", "low", "high"):
            del file.attrs[name]
    score_main([str(draws), f"out={tmp_path / 'old'}"])
    older = read(tmp_path / "old/scores.json")
    assert older["scores"] == document["scores"]
    assert "names, low and high are those of run.json beside draws.h5" in older["notes"]


def test_rerun_runs_again(tmp_path, data_root):
    settings = ["method=prior", "task=linear_gaussian", "n_test=25", "report=false"]
    run(tmp_path, data_root, *settings)
    before = {path: path.stat().st_mtime_ns for path in records(tmp_path, "prior")}
    run(tmp_path, data_root, *settings, "rerun=true")
    after = {path: path.stat().st_mtime_ns for path in records(tmp_path, "prior")}
    assert any(after[path] != before[path] for path in before)
    assert after.keys() == before.keys()


def test_more_test_spectra_use_the_same_fit(finished, data_root):
    cwd, _ = finished
    done = run(cwd, data_root, *EXOGAN, "limits.steps=30", "n_test=30")
    assert "is used again" in done.stdout + done.stderr
    large, small = sorted((read(path) for path in records(cwd, "exogan")), key=lambda record: -record["n_test"])
    assert (large["n_test"], small["n_test"]) == (30, 25)
    assert large["cost"]["training_seconds"] == small["cost"]["training_seconds"]


def test_a_damaged_note_of_the_fit_means_fitting_again(tmp_path, data_root):
    settings = ["method=prior", "task=linear_gaussian", "n_test=25", "report=false"]
    run(tmp_path, data_root, *settings)
    for path in records(tmp_path, "prior"):
        path.unlink()
        (path.parent / "fit.json").write_text("", encoding="utf-8")
    run(tmp_path, data_root, *settings)
    assert all(read(path)["status"] == "ok" for path in records(tmp_path, "prior"))


def test_equal_runs_at_once_wait_for_each_other(tmp_path, data_root):
    settings = ["method=prior", "task=linear_gaussian", "n_test=100", "report=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            command(data_root, *settings), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    errors = [child.communicate(timeout=300)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], errors
    assert len(records(tmp_path, "prior")) == 1
