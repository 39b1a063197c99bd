"""Reference posteriors as files, the two samplers behind them, and the row "exact", through the commands."""

import json
import re

import numpy as np
import pytest

from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.reference import published as files
from exobench.reference.__main__ import main
from exobench.reference.agreement import Criteria, SamplerAnswer, judge
from exobench.reference.named import named_observations
from exobench.reference.published import Published, load_published, read_published, write_published
from exobench.reference.request import scaled, sort_arguments
from exobench.reference.spectra import SpectrumDraws
from exobench.registry import build_task
from exobench.results import read_arrays, write_arrays
from exobench.shifts.catalogue import find_shift
from exobench.shifts.exact import exact_row_beside, exact_row_folder, exact_row_key, how_to_make
from exobench.shifts.physics import simulated
from exobench.shifts.record import find_shift_record
from exobench.task import TaskRequest

N_OBS, N_DRAWS = 5, 800
TASK = {"name": "linear_gaussian"}


@pytest.fixture(scope="module")
def task():
    return build_task(TASK, TaskRequest())


@pytest.fixture(scope="module")
def test_set(task, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    return data, open_data(task, data, n_train=0, n_validation=0, n_test=N_OBS, workers=1).test


def write_run(root, method, task, test, theta, diagnostics, log_weight=None):
    """The files that a run leaves, with draws of our choice."""
    folder = root / "linear_gaussian" / method / "a" / "0"
    folder.mkdir(parents=True)
    arrays = {"theta": theta.astype(np.float32), "theta_true": test.theta_true}
    write_arrays(folder / "draws.h5", arrays | ({} if log_weight is None else {"log_weight": log_weight}))
    write_arrays(folder / "diagnostics.h5", diagnostics)
    write_arrays(folder / "scores.h5", {"median": np.median(theta, axis=1)})
    space = task.parameters
    record = {
        "schema_version": 1, "metrics_version": 1, "status": "ok", "task": task.name, "task_id": task.task_id,
        "task_description": task.describe(), "method": method, "seed": 0, "budget": 1000, "n_test": N_OBS,
        "n_train": 900, "n_validation": 100, "capabilities": [],
        "parameters": [
            {"name": p.name, "unit": p.unit, "label": p.label, "low": p.low, "high": p.high} for p in space.parameters
        ],
        "config": {
            "task": TASK, "simulator": "auto", "method": {"name": method}, "budget": 1000, "n_test": N_OBS,
            "n_draws": theta.shape[1],
        },
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def runs(task, test_set, tmp_path_factory):
    """A sampler and a check of it with exact draws, but for one spectrum whose evidence is off."""
    root = tmp_path_factory.mktemp("runs")
    _, test = test_set
    rng = np.random.default_rng(0)
    exact = task.exact.log_evidence(test.x, test.sigma).value
    off = np.array([0.0, 0.0, 0.5, 0.0, 0.0])
    numbers = {"log_evidence_error": np.full(N_OBS, 0.02), "effective_sample_size": np.full(N_OBS, 800.0)}
    draws = [task.exact.sample(test.x, test.sigma, N_DRAWS, rng=rng) for _ in range(2)]
    write_run(root, "nested", task, test, draws[0], {"log_evidence": exact - off, **numbers})
    wide = task.exact.sample(test.x, 1.2 * test.sigma, 2 * N_DRAWS, rng=rng)
    log_weight = task.exact.log_prob(wide, test.x, test.sigma) - task.exact.log_prob(wide, test.x, 1.2 * test.sigma)
    k = np.array([0.1, 0.9, 0.1, 0.1, 0.1])
    write_run(root, "importance", task, test, wide, {"log_evidence": exact, "psis_k": k, **numbers}, log_weight)
    return root / "linear_gaussian"


def made(runs, data, out, *arguments):
    main(
        [
            "make", "task=linear_gaussian", f"sampler={runs / 'nested/a/0'}", f"check={runs / 'importance/a/0'}",
            "n_obs=5", f"n_draws={N_DRAWS}", "n_stored=600", "rerun_factor=1", f"out={out}", f"paths.data={data}",
            f"paths.runs={runs.parent}", *arguments,
        ]
    )  # fmt: skip
    return read_published(out)


@pytest.fixture(scope="module")
def published(runs, test_set, tmp_path_factory):
    return made(runs, test_set[0], tmp_path_factory.mktemp("out") / "reference" / "posteriors.h5")


def test_what_disagrees_is_published_as_unresolved(published, task, test_set):
    assert published.status == ("agreed", "agreed", "unresolved", "agreed", "agreed")
    assert published.task_id == task.task_id
    assert published.theta.shape == (N_OBS, 600, 4)
    assert published.columns["evidence_difference"] == pytest.approx([0, 0, -0.5, 0, 0], abs=1e-9)
    assert published.notes["closed_form"]["largest_difference"] == pytest.approx(0.5, abs=0.01)
    assert len(set(published.named.values())) == 5
    assert published.x == pytest.approx(test_set[1].x, rel=1e-6)
    assert isinstance(published.notes["taurex"], str)


def test_draws_survive_the_file_to_a_ten_thousandth_of_their_spread(published, task, test_set, tmp_path):
    write_published(tmp_path / "again.h5", published)
    again = read_published(tmp_path / "again.h5")
    spread = published.theta.std(axis=1, keepdims=True)
    assert np.abs((again.theta - published.theta) / spread).max() < 1e-4
    assert again.notes == published.notes
    assert (tmp_path / "again.h5").stat().st_size < 100_000
    # The stored draws are draws of the sampler's run, each of them once.
    assert all(len(np.unique(draws, axis=0)) > 590 for draws in again.theta)


def test_only_runs_of_the_same_task_id_are_compared(published, runs, tmp_path, monkeypatch, capsys):
    path = tmp_path / "reference" / "posteriors.h5"
    monkeypatch.setattr(files, "published_path", lambda name: path)
    with pytest.raises(ExobenchError, match="publishes no reference posteriors"):
        load_published("linear_gaussian", published.task_id)
    write_published(path, published)
    assert load_published("linear_gaussian", published.task_id).status == published.status
    with pytest.raises(ExobenchError, match="not of 0123"):
        load_published("linear_gaussian", "0123")
    out = tmp_path / "c.json"
    main([str(runs / "importance"), "reference=task", "n_obs=5", "n_draws=300", f"out={out}"])
    summary = json.loads(out.read_text())["comparisons"][0]["summary"]
    assert summary["n_compared"] == 5
    assert summary["c2st_mean"] == pytest.approx(summary["c2st_floor_mean"], abs=0.06)
    path.write_bytes(b"not HDF5")
    with pytest.raises(ExobenchError, match="cannot be read"):
        read_published(path)


def test_the_exact_row_and_the_gaps_to_it(runs, test_set, task, tmp_path, capsys):
    arguments = [
        "exact", "task=linear_gaussian", "n_test=5", f"importance={runs / 'importance/a/0'}",
        f"fallback={runs / 'nested/a/0'}", f"paths.runs={tmp_path}", f"paths.data={test_set[0]}",
    ]  # fmt: skip
    main(arguments)
    (path,) = (tmp_path / "linear_gaussian" / "exact").glob("*/0/run.json")
    record = json.loads(path.read_text())
    assert record["limit"]["n_by_source"] == {"importance": 4, "fallback": 1}
    limit = read_arrays(path.parent / "limit.h5")
    assert limit["source"].tolist() == [0, 1, 0, 0, 0]
    draws = task.exact.sample(test_set[1].x, test_set[1].sigma, 20_000, rng=np.random.default_rng(1))
    assert np.sqrt(limit["squared_error_best"]) == pytest.approx(draws.std(axis=1) / 2, rel=0.1)
    main(["gap", str(runs / "nested"), f"paths.runs={tmp_path}", f"out={tmp_path / 'gap.json'}"])
    rows = json.loads((tmp_path / "gap.json").read_text())["gaps"][0]["gaps"]
    energy = next(row for row in rows if row["metric"] == "energy_score")
    assert energy["share"] == pytest.approx(1.0, abs=0.02)
    assert energy["share_low"] <= energy["share"] <= energy["share_high"]
    hits = [row for row in rows if row["metric"] == "hit_rate_1" and row["of"] == "best"]
    assert all(not row["reached"] for row in hits)
    shown = capsys.readouterr().out
    assert "skill" in shown
    assert re.search(r"energy_score .*\d ± 0\.\d", shown)


def test_rows_are_drawn_once_and_as_a_run_would(task, test_set, tmp_path):
    from exobench.reference.request import run_settings
    from exobench.reference.rows import sample_rows

    tiny = ["n_live=50", "n_networks=0", "n_effective=50", "effective_per_draw=1", "max_calls=300", "batch_size=100"]
    settings = run_settings(
        [
            "task=linear_gaussian", "method=nested", "n_test=5", "n_draws=50", f"paths.runs={tmp_path}",
            f"paths.data={test_set[0]}", *(f"method.{each}" for each in tiny),
        ]
    )  # fmt: skip
    first = sample_rows(settings, [3])
    stamp = next(tmp_path.glob(".rows-*/row-3.h5")).stat().st_mtime_ns
    both = sample_rows(settings, [1, 3])
    assert next(tmp_path.glob(".rows-*/row-3.h5")).stat().st_mtime_ns == stamp
    assert np.array_equal(first[3].theta, both[3].theta)
    assert set(both) == {1, 3}
    assert both[1].theta.shape == (50, 4)
    assert "log_evidence" in both[1].diagnostics


@pytest.mark.slow
def test_the_exact_row_of_a_shift_is_that_posterior_and_stands_beside_runs(task, test_set, tmp_path, capsys):
    data, test = test_set
    arguments = [
        "exact", "task=linear_gaussian", "shift=noise_50ppm", "n_test=2", "n_draws=400", "importance=nested",
        "fallback=nested", f"paths.runs={tmp_path}", f"paths.data={data}", "method.n_live=100", "method.n_networks=0",
        "method.n_effective=600", "method.effective_per_draw=1.0",
    ]  # fmt: skip
    main(arguments)
    assert "noise_50ppm, 2 spectra (2 by nested, 0 by nested)" in capsys.readouterr().out
    runs_of_task = tmp_path / "linear_gaussian"
    folder = exact_row_folder(runs_of_task, "noise_50ppm")
    stored = read_arrays(folder / "draws.h5")
    depth = simulated(task.simulator.build(), test.theta_true[:2])
    x = depth + 50e-6 * (test.x[:2] - depth) / test.sigma[:2]
    truth = task.exact.sample(x, np.full_like(x, 50e-6), 4000, rng=np.random.default_rng(0))
    z = (stored["theta"].mean(axis=1) - truth.mean(axis=1)) / truth.std(axis=1) * np.sqrt(300)
    assert np.abs(z).max() < 4
    named = find_shift("noise_50ppm")
    key = exact_row_key(named, task.task_id)
    found = exact_row_beside(runs_of_task, "noise_50ppm", key, folder)
    assert found["n_test"] == found["n_compared"] == 2
    assert found["energy_score_beyond_exact"]["difference"] == 0.0
    assert exact_row_beside(runs_of_task, "noise_50ppm", "another", folder) is None
    assert "shift=none n_test=25" in how_to_make("linear_gaussian", "none")
    assert find_shift_record(folder, key)["limit"]


def test_two_samplers_agree_only_where_draws_do_too():
    rng = np.random.default_rng(0)

    def answer(shift, value):
        return SamplerAnswer(
            SpectrumDraws(shift + rng.standard_normal((1000, 2)), None),
            {"log_evidence": value, "log_evidence_error": 0.01},
        )

    criteria = Criteria(n_draws=500)
    assert judge(0, answer(0.0, 1.0), answer(0.0, 1.05), criteria).agrees
    assert not judge(0, answer(0.0, 1.0), answer(0.0, 1.15), criteria).agrees
    apart = judge(0, answer(0.0, 1.0), answer(1.0, 1.0), criteria)
    assert apart.evidence_agrees
    assert not apart.agrees
    silent = SamplerAnswer(answer(0.0, 0.0).draws, {})
    assert judge(0, answer(0.0, 1.0), silent, criteria).agrees


def test_the_five_names_follow_their_rules():
    rng = np.random.default_rng(0)
    names = ("log10_h2o", "log10_co2", "log10_co")
    low, high = np.array([-8.0, -8.0, -8.0]), np.full(3, -1.0)
    theta_true = np.full((6, 3), -4.5) + 0.1 * rng.random((6, 3))
    theta_true[2, 0] = -7.5
    theta_true[4] = [-1.1, -1.1, -7.9]
    x = np.tile(np.linspace(0.0, 1.0, 50), (6, 1)) * np.array([3.0, 9.0, 3.0, 1.0, 3.0, 3.0])[:, None]
    theta = rng.standard_normal((6, 500, 3))
    theta[5, :, 2] = -theta[5, :, 1] + 0.01 * theta[5, :, 2]
    found = named_observations(names, low, high, theta_true, x, np.ones_like(x), theta)
    assert found == {"bright": 1, "low_signal": 3, "water_poor": 2, "co_co2_degenerate": 5, "prior_corner": 4}


def test_arguments_go_to_those_whom_they_concern():
    found = sort_arguments(
        ["n_obs=7", "sampler.method.n_live=9", "task=hotjupiter"], {"n_obs": "25", "out": ""}, ("sampler", "check")
    )
    assert found.own == {"n_obs": "7", "out": ""}
    assert found.parts == {"sampler": ("method.n_live=9",), "check": ()}
    assert found.shared == ("task=hotjupiter",)
    assert found.whole("n_obs", 5) == 7
    with pytest.raises(ExobenchError, match="at least 8"):
        found.whole("n_obs", 8)
    with pytest.raises(ExobenchError, match="KEY=VALUE"):
        sort_arguments(["hotjupiter"], {}, ())
    assert scaled({"name": "nested", "n_live": 500, "n_networks": 1}, 4) == {
        "name": "nested", "n_live": 2000, "n_networks": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "task=nowhere"], "nowhere"),
        (["make", "task=linear_gaussian", "sampler=nobody"], "nobody"),
        (["make", "task=linear_gaussian", "n_obs=2"], "at least 5"),
        (["make", "task=linear_gaussian", "taurex=perhaps"], "true or false"),
        (["exact", "task=linear_gaussian", "n_test=x"], "n_test=x"),
        (["exact", "task=linear_gaussian", "shift=noise_51ppm"], "noise_51ppm"),
        (["exact", "task=linear_gaussian", "shift=cloud_1e3pa", "n_test=2"], "has no atmosphere"),
        (["gap", "wrong=1"], "wrong"),
    ],
)
def test_wrong_input_is_one_line(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        main([*arguments, f"paths.runs={tmp_path}"])
    assert end.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]


def test_a_published_file_is_compared_as_a_run_is(published):
    assert isinstance(published, Published)
    stored = published.stored_draws(3)
    assert stored.theta.shape == (3, 600, 4)
    assert stored.evidence() is not None
