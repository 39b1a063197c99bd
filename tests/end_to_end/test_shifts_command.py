"""A finished run under shifts through the command line: records, tables, and what a second start does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from exobench.results import read_arrays
from exobench.shifts.__main__ import main

SETTINGS = ["task=linear_gaussian", "task.shard_rows=500", "budget=2000", "limits.steps=60", "n_test=120", "n_draws=60"]
SHIFTS = "noise_truly_double,missing_random,cloud_1e3pa,outliers_1pct"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_root):
    """A short fit of npe and one of random_forest, which takes no missing bins; the prior stands beside them."""
    cwd = tmp_path_factory.mktemp("shifts")
    for method in (["method=npe"], ["method=random_forest", "method.trees=20"]):
        command = [sys.executable, "-m", "exobench", *method, *SETTINGS, f"paths.data={data_root}", "workers=1"]
        done = subprocess.run(
            [*command, "report=false"],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
    return cwd / "runs" / "linear_gaussian"


def content(finished, method, shift):
    (path,) = finished.glob(f"{method}/*/*/shifts/{shift}/shift.json")
    return json.loads(path.read_text(encoding="utf-8")), path.parent


def energy(record):
    return next(s["value"] for s in record["scores"] if s["metric"] == "energy_score")


def test_every_shift_leaves_a_record_or_a_reason(finished, data_root, capsys):
    main([str(finished / "npe"), f"shift={SHIFTS}", f"paths.data={data_root}"])
    shown = capsys.readouterr().out
    for word in ("none", "noise_truly_double", "outliers_1pct", "AUROC", "±", "not available: cloud_1e3pa: task"):
        assert word in shown, shown
    unshifted, folder = content(finished, "npe", "none")
    assert unshifted["n_test"] == 120
    run = json.loads((folder.parents[1] / "run.json").read_text(encoding="utf-8"))
    # The same spectra, draws and random numbers: the run's own score comes back.
    assert energy(unshifted) == pytest.approx(energy(run), rel=1e-6)
    told_wrong, folder = content(finished, "npe", "noise_truly_double")
    assert told_wrong["status"] == "ok"
    assert told_wrong["noise_ppm"]["told_median"] == pytest.approx(100.0, rel=1e-6)
    assert told_wrong["noise_ppm"]["rms_about_unshifted_depth"] == pytest.approx(200.0, rel=0.05)
    assert told_wrong["auroc"]["value"] > 0.95
    assert told_wrong["energy_score_change"]["difference"] > 5 * told_wrong["energy_score_change"]["standard_error"]
    assert told_wrong["exact"]["calibration"]["status"] == "fail"
    assert "told sigma" in told_wrong["compared_with"]["posterior"]
    assert not told_wrong["compared_with"]["is_right_for_these_spectra"]
    assert {"energy_score", "rank", "theta_true"} <= set(read_arrays(folder / "scores.h5"))
    assert not (folder / "draws.h5").exists()
    refused, _ = content(finished, "npe", "missing_random")
    assert refused["status"] == "not available"
    assert "the training spectra had none" in refused["reason"]


def test_finished_shifts_are_not_scored_again_and_others_are(finished, data_root, capsys):
    arguments = [str(finished / "npe"), f"paths.data={data_root}"]
    main([*arguments, "shift=outliers_1pct"])
    _, folder = content(finished, "npe", "outliers_1pct")
    before = (folder / "shift.json").stat().st_mtime_ns
    main([*arguments, "shift=outliers_1pct"])
    assert (folder / "shift.json").stat().st_mtime_ns == before
    (folder / "shift.json").unlink()  # as after a run that was cut off
    main([*arguments, "shift=outliers_1pct,noise_5ppm", "keep_draws=true"])
    assert (folder / "shift.json").stat().st_mtime_ns > before
    assert (folder / "draws.h5").exists()
    main([*arguments, "shift=outliers_1pct", "n_draws=30"])
    again, _ = content(finished, "npe", "outliers_1pct")
    assert again["n_draws"] == 30
    assert not (folder / "draws.h5").exists()
    main([*arguments, "shift=outliers_1pct", "n_draws=30", "keep_draws=true"])
    kept, _ = content(finished, "npe", "outliers_1pct")
    assert read_arrays(folder / "draws.h5")["theta"].shape[:2] == (120, 30)
    assert energy(kept) == energy(again)
    capsys.readouterr()


def test_a_method_that_lacks_something_says_so(finished, data_root, capsys):
    main([str(finished / "random_forest"), "shift=missing_middle,noise_truly_double", f"paths.data={data_root}"])
    missing, _ = content(finished, "random_forest", "missing_middle")
    assert missing["reason"] == "the method does not declare Capability.MISSING_BINS"
    noisy, _ = content(finished, "random_forest", "noise_truly_double")
    assert noisy["status"] == "ok"
    assert noisy["auroc"]["value"] > 0.9
    main([str(finished / "prior"), "shift=noise_50ppm", "n_draws=60", f"paths.data={data_root}"])
    blind, _ = content(finished, "prior", "noise_50ppm")
    assert blind["auroc"]["status"] == "not available"
    assert "no measure of surprise" in blind["auroc"]["reason"]
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["{runs}", "shift=clouds"], "there is no shift 'clouds'"),
        (["{runs}", "n_test=many"], "n_test=many must be a whole number of at least 2"),
        (["{runs}", "rerun=yes"], "rerun=yes must be true or false"),
        (["{runs}", "draws=5"], "there is no setting 'draws'"),
        (["{empty}"], "there is no finished run below"),
        (["n_test=5"], "name the folder of a run"),
    ],
)
def test_wrong_input_ends_with_one_line(finished, tmp_path, capsys, arguments, why):
    given = [argument.format(runs=finished, empty=tmp_path) for argument in arguments]
    with pytest.raises(SystemExit) as caught:
        main(given)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1


def test_help_and_list_name_the_shifts(capsys):
    main(["--help"])
    assert "shift=all" in capsys.readouterr().out
    main(["shift=list"])
    assert "absorber_hcn" in capsys.readouterr().out
