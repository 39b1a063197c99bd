"""Finished runs beside the closed form and beside each other, through the command."""

import json

import numpy as np
import pytest

from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.reference.__main__ import main, parse
from exobench.reference.spectra import SpectrumDraws
from exobench.registry import build_task
from exobench.results import write_arrays
from exobench.task import TaskRequest

N_OBS, N_DRAWS = 3, 600
TASK = {"name": "linear_gaussian"}


def write_run(folder, task, theta_true, theta, *, log_weight=None, diagnostics=None, status="ok"):
    """The files that a run leaves, with draws of our choice."""
    folder.mkdir(parents=True)
    arrays = {"theta": theta.astype(np.float32), "theta_true": theta_true}
    write_arrays(folder / "draws.h5", arrays | ({} if log_weight is None else {"log_weight": log_weight}))
    if diagnostics:
        write_arrays(folder / "diagnostics.h5", diagnostics)
    record = {
        "schema_version": 1, "metrics_version": 1, "status": status, "task": task.name, "task_id": task.task_id,
        "method": folder.parts[-3], "seed": 0, "budget": 1000, "n_test": N_OBS,
        "config": {"task": TASK, "simulator": "auto"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    task = build_task(TASK, TaskRequest())
    test = open_data(task, root / "data", n_train=0, n_validation=0, n_test=N_OBS, workers=1).test
    rng = np.random.default_rng(0)
    draws = task.exact.sample(test.x, test.sigma, N_DRAWS, rng=rng)
    evidence = task.exact.log_evidence(test.x, test.sigma)
    k = np.array([0.2, 0.9, 0.5])
    near = {
        "psis_k": k,
        "log_evidence": evidence.value + np.array([0.1, -0.1, 0.05]),
        "log_evidence_error": np.full(N_OBS, 0.1),
    }
    write_run(root / "linear_gaussian/good/a/0", task, test.theta_true, draws, diagnostics=near)
    mean = draws.mean(axis=1, keepdims=True)
    write_run(root / "linear_gaussian/narrow/a/0", task, test.theta_true, mean + 0.5 * (draws - mean))
    wide = task.exact.sample(test.x, 1.4 * test.sigma, 4 * N_DRAWS, rng=rng)
    log_weight = task.exact.log_prob(wide, test.x, test.sigma) - task.exact.log_prob(wide, test.x, 1.4 * test.sigma)
    write_run(root / "linear_gaussian/weighted/a/0", task, test.theta_true, wide, log_weight=log_weight)
    write_run(root / "linear_gaussian/skipped/a/0", task, test.theta_true, draws, status="skipped")
    spoiled = draws.copy()
    spoiled[1, 10:] = np.nan
    spoiled[2, :50] = np.nan
    write_run(root / "spoiled/nan/a/0", task, test.theta_true, spoiled)
    return root


def compared(runs, out, *arguments):
    main([*arguments, f"paths.data={runs / 'data'}", f"out={out}", "n_obs=3", "n_draws=600"])
    return {entry["run"].split("/")[1]: entry for entry in json.loads(out.read_text())["comparisons"]}


def test_runs_beside_the_closed_form(runs, tmp_path, capsys):
    found = compared(runs, tmp_path / "c.json", str(runs / "linear_gaussian"))
    assert set(found) == {"good", "narrow", "weighted"}
    for name, low, high in (("good", 0.44, 0.56), ("weighted", 0.44, 0.56), ("narrow", 0.62, 0.85)):
        numbers = found[name]["summary"]
        assert low < numbers["c2st_mean"] < high, name
        assert 0.44 < numbers["c2st_floor_mean"] < 0.56
        assert numbers["n_compared"] == numbers["n_spectra"] == 3
        assert numbers["n_draws"] == 600
    assert found["weighted"]["summary"]["ess_min"] < 2400
    assert min(found["narrow"]["summary"]["jsd"]) > 2 * max(found["narrow"]["summary"]["jsd_floor"])
    evidence = found["good"]["summary"]["log_evidence"]
    assert evidence["mean_z"] == pytest.approx(0.05 / 0.1 / 3, abs=0.01)
    assert found["good"]["spectra"][0]["log_evidence_z"] == pytest.approx(1.0, abs=0.01)
    assert evidence["n_trusted"] == 2
    assert evidence["mean_z_trusted"] == pytest.approx(0.75, abs=0.01)
    assert evidence["psis_k_above_0.7"] == pytest.approx(1 / 3)
    assert found["good"]["summary"]["diagnostics_median"]["psis_k"] == 0.5
    assert "log_evidence" not in found["narrow"]["summary"]
    shown = capsys.readouterr()
    assert "is 'skipped'" in shown.err
    assert "linear_gaussian/good/a/0" in shown.out
    numbers = found["good"]["summary"]
    assert f"{numbers['c2st_mean']:.4f} ± {numbers['c2st_standard_error']:.4f}" in shown.out


def test_a_run_beside_another_run(runs, tmp_path):
    folder, other = (str(runs / "linear_gaussian" / name / "a/0") for name in ("good", "weighted"))
    numbers = compared(runs, tmp_path / "c.json", folder, f"reference={other}")["good"]
    assert numbers["reference"] == "linear_gaussian/weighted/a/0"
    assert 0.44 < numbers["summary"]["c2st_mean"] < 0.56


def test_spectra_without_draws_are_named_and_nan_draws_counted(runs, tmp_path):
    numbers = compared(runs, tmp_path / "c.json", str(runs / "spoiled"))["nan"]["summary"]
    assert numbers["n_compared"] == 2
    assert "fewer than 100" in numbers["undefined"]["1"]
    assert numbers["n_not_finite"] == 590 + 50


def test_halves_share_no_draw():
    draws = SpectrumDraws(np.arange(10.0)[:, None], None)
    first, second = draws.halves(0)
    assert sorted([*first.theta[:, 0], *second.theta[:, 0]]) == list(range(10))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the folder of a run"),
        (["nowhere"], "no such folder"),
        (["refrence=exact"], "Did you mean 'reference'"),
        (["n_draws=many"], "n_draws=many must be a whole number"),
        (["classifier=forest"], "no classifier 'forest'"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ExobenchError, match=words):
        parse(arguments)


def test_a_task_without_a_closed_form_and_unequal_tasks_are_refused(runs, tmp_path, capsys):
    task = build_task({**TASK, "noise_ppm": 50.0}, TaskRequest())
    theta = np.zeros((N_OBS, 200, 4))
    write_run(tmp_path / "linear_gaussian/other/a/0", task, np.zeros((N_OBS, 4)), theta)
    with pytest.raises(SystemExit):
        main([str(tmp_path / "linear_gaussian"), f"paths.data={runs / 'data'}", f"out={tmp_path / 'x.json'}"])
    assert "another task" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(tmp_path / "linear_gaussian"), f"reference={runs / 'linear_gaussian/good/a/0'}"])
    assert "only draws of one task_id" in capsys.readouterr().err
