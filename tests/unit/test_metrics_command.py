"""``python -m exobench.metrics`` on files that other programs wrote."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import exobench.metrics
from exobench.metrics import METRICS, ScoringInputs, aggregate, per_spectrum, reference_points
from exobench.results import read_arrays
from exobench.score_files import main

NAMES, LOW, HIGH = ("log10_h2o", "radius_rjup"), np.array([-8.0, 0.8]), np.array([-1.0, 1.5])
N_OBS, N_DRAWS = 120, 40


def case(seed=0):
    rng = np.random.default_rng(seed)
    sd = np.array([0.3, 0.02])
    centre = rng.uniform(LOW + 4 * sd, HIGH - 4 * sd, size=(N_OBS, 2))
    truth = np.clip(centre + sd * rng.normal(size=(N_OBS, 2)), LOW, HIGH)
    theta = centre[:, None] + sd * rng.normal(size=(N_OBS, N_DRAWS, 2))
    return centre, truth, theta


def write_hdf5(path, **changes):
    """A complete file; a field that is None is left out."""
    _, truth, theta = case()
    fields = {"theta": theta, "theta_true": truth, "names": list(NAMES), "low": LOW, "high": HIGH} | changes
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            if values is not None:
                file[name] = values
    return path


def write_prior(path):
    path.write_text("name,low,high,unit\nlog10_h2o,-8,-1,dex\nradius_rjup,0.8,1.5,R_jup\n")
    return path


def write_truths(path, truth, files=None):
    lines = [",".join([*NAMES, *(["file"] if files else [])])]
    for row, values in enumerate(truth.tolist()):
        lines.append(",".join([*map(repr, values), *([str(files[row])] if files else [])]))
    path.write_text("\n".join(lines) + "\n")
    return path


def scored(folder):
    document = json.loads((folder / "scores.json").read_text())
    return document, {(s["metric"], s["parameter"]): s for s in document["scores"]}


def run(*arguments):
    main([str(argument) for argument in arguments])


def test_hdf5_gives_the_librarys_own_numbers(tmp_path, capsys):
    centre, truth, theta = case()
    x, sigma = 0.01 + 1e-3 * centre, np.full((N_OBS, 2), 2e-5)
    sigma[60:] = 5e-5
    sd = np.array([0.3, 0.02])
    density = -0.5 * np.sum(((theta - centre[:, None]) / sd) ** 2, axis=-1)
    of_truth = -0.5 * np.sum(((truth - centre) / sd) ** 2, axis=-1)
    path = write_hdf5(tmp_path / "d.h5", x=x, sigma=sigma, log_prob=density, log_prob_true=of_truth, other=np.ones(3))
    run(path, f"out={tmp_path / 'out'}", "n_bootstrap=100", "seed=3")
    document, found = scored(tmp_path / "out")
    inputs = ScoringInputs(
        NAMES, ("", ""), LOW, HIGH, truth, theta, log_prob=density, log_prob_true=of_truth,
        prior_log_prob=np.full(N_OBS, -np.log(7 * 0.7)), reference_point=reference_points(x, truth, LOW, HIGH),
    )  # fmt: skip
    arrays = per_spectrum(inputs, np.random.default_rng(3))
    for score in aggregate(arrays, NAMES, LOW, HIGH, n_bootstrap=100, seed=3):
        assert found[score.metric, score.parameter] == score.to_dict()
    stored = read_arrays(tmp_path / "out/scores.h5")
    assert stored.keys() == {*arrays, "noise_ppm"}
    np.testing.assert_array_equal(stored["energy_score"], arrays["energy_score"])
    text = capsys.readouterr().out
    assert all(metric.name in text for metric in METRICS)
    assert re.search(r"hit_rate_10 +[\d.]+ ± [\d.]+ +[\d.]+ ±", text)
    assert "not read from d.h5: other" in text
    assert "the prior is taken as uniform" in text
    assert {"all", "noise_ppm", *NAMES} == {row["group"] for row in document["regions"]}
    whole = [row for row in document["regions"] if row["group"] == "all"]
    assert all(row["standard_error"] == found[row["metric"], row["parameter"]]["standard_error"] for row in whole)
    assert [p["name"] for p in document["parameters"]] == list(NAMES)


def dataset(tmp_path, name, posterior, constants=None, sample_stats=None, dims=None):
    arviz = pytest.importorskip("arviz", reason="arviz is not installed")
    data = arviz.from_dict(posterior, constant_data=constants, sample_stats=sample_stats, dims=dims)
    data.to_netcdf(str(tmp_path / name))
    return tmp_path / name


def same_accuracy(folder, other):
    one, two = (read_arrays(each / "scores.h5") for each in (folder, other))
    for key in ("median", "sd", "energy_score", "theta_true", "q84"):
        np.testing.assert_allclose(one[key], two[key], rtol=1e-10)


def test_netcdf_of_all_spectra_scores_as_hdf5(tmp_path):
    _, truth, theta = case()
    run(write_hdf5(tmp_path / "d.h5"), f"out={tmp_path / 'a'}", "n_bootstrap=2")
    chains = np.moveaxis(theta, 0, 1).reshape(4, N_DRAWS // 4, N_OBS, 2)
    named = {name: chains[..., k] for k, name in enumerate(NAMES)}
    constants = {name: truth[:, k] for k, name in enumerate(NAMES)}
    dims = {name: ["obs"] for name in NAMES}
    prior = f"prior={write_prior(tmp_path / 'prior.csv')}"
    run(dataset(tmp_path, "all.nc", named, constants, dims=dims), prior, f"out={tmp_path / 'b'}", "n_bootstrap=2")
    same_accuracy(tmp_path / "a", tmp_path / "b")
    one = dataset(tmp_path, "theta.nc", {"theta": chains}, dims={"theta": ["obs", "param"]})
    truths = f"truths={write_truths(tmp_path / 't.csv', truth)}"
    run(one, prior, truths, f"out={tmp_path / 'c'}", "n_bootstrap=2")
    same_accuracy(tmp_path / "a", tmp_path / "c")
    assert scored(tmp_path / "c")[0]["parameters"][0]["unit"] == "dex"


def test_netcdf_with_densities_has_the_scores_of_densities(tmp_path):
    _, truth, theta = case()
    density, of_truth = -np.sum(theta**2, axis=-1), -np.sum(truth**2, axis=-1)
    run(write_hdf5(tmp_path / "d.h5", log_prob=density, log_prob_true=of_truth), f"out={tmp_path / 'a'}")
    posterior = {name: theta[None, ..., k].swapaxes(1, 2) for k, name in enumerate(NAMES)}
    constants = {name: truth[:, k] for k, name in enumerate(NAMES)} | {"log_prob_true": of_truth}
    stats = {"log_prob": density.T[None]}
    dims = {name: ["obs"] for name in (*NAMES, "log_prob")}
    files = dataset(tmp_path, "all.nc", posterior, constants, stats, dims)
    run(files, f"prior={write_prior(tmp_path / 'prior.csv')}", f"out={tmp_path / 'b'}")
    one, two = (read_arrays(tmp_path / folder / "scores.h5") for folder in "ab")
    for key in ("nltp", "log_prob_rank"):
        np.testing.assert_allclose(one[key], two[key])


def test_parameters_with_other_axes_end_with_one_line(tmp_path, capsys):
    _, truth, theta = case()
    posterior = {NAMES[0]: theta[None, ..., 0].swapaxes(1, 2), NAMES[1]: theta[None, 0, :, 1]}
    path = dataset(tmp_path, "all.nc", posterior, dims={NAMES[0]: ["obs"]})
    with pytest.raises(SystemExit):
        run(path, f"prior={write_prior(tmp_path / 'prior.csv')}", f"truths={write_truths(tmp_path / 't.csv', truth)}")
    error = capsys.readouterr().err
    assert "differ in their axes" in error
    assert error.count("\n") == 1


def test_one_netcdf_for_each_spectrum_in_any_order_with_uneven_draws(tmp_path):
    _, truth, theta = case()
    files = []
    for row in range(6):
        n = N_DRAWS - 10 * (row % 2)
        named = {name: theta[row, :n, k].reshape(2, n // 2) for k, name in enumerate(NAMES)}
        weight = {"log_weight": np.linspace(0.0, 0.1, n).reshape(2, n // 2)} if row == 2 else None
        files.append(dataset(tmp_path, f"spectrum_{row}.nc", named, sample_stats=weight))
    order = [3, 1, 5, 0, 2, 4]
    truths = write_truths(tmp_path / "t.csv", truth[order], [f"spectrum_{row}.nc" for row in order])
    prior = f"prior={write_prior(tmp_path / 'prior.csv')}"
    run(*files, prior, f"truths={truths}", f"out={tmp_path / 'a'}", "n_bootstrap=2")
    stored = read_arrays(tmp_path / "a/scores.h5")
    np.testing.assert_allclose(stored["theta_true"], truth[:6])
    np.testing.assert_array_equal(stored["ess"][[0, 1]], [40, 30])
    assert 39 < stored["ess"][2] < 40
    np.testing.assert_allclose(stored["mean"][1], theta[1, :30].mean(axis=0))


def test_the_first_spectra_alone(tmp_path):
    run(write_hdf5(tmp_path / "d.h5"), f"out={tmp_path}", "n_obs=30", "n_bootstrap=2")
    document, found = scored(tmp_path)
    assert document["n_obs"] == found["energy_score", None]["n_obs"] == 30
    assert document["regions"] == []
    assert document["calibration"]["status"] == "undefined"


def bad(values, index, value):
    values = values.copy()
    values[index] = value
    return values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"theta_true": bad(case()[1], (3, 1), 2.0)}, "radius_rjup, spectrum 3, is 2; it must lie in"),
        ({"theta_true": bad(case()[1], (3, 1), np.nan)}, "radius_rjup, spectrum 3, is nan"),
        ({"theta_true": case()[1][:50]}, "theta_true has shape"),
        ({"theta_true": case()[1][:, :1]}, "theta_true has shape"),
        ({"log_weight": np.zeros((N_OBS, 3))}, "log_weight has shape"),
        ({"log_weight": np.full((N_OBS, N_DRAWS), np.nan)}, "log_weight of spectrum 0"),
        ({"log_prob": np.zeros(N_OBS)}, "log_prob has shape"),
        ({"theta": case()[2][0]}, "theta has shape"),
        ({"theta": np.zeros((N_OBS, 0, 2))}, "none of them zero"),
        ({"theta": np.array([b"a"])}, "real numbers"),
        ({"theta": None}, "no dataset theta "),
        ({"theta_true": None}, "no dataset theta_true"),
        ({"low": None}, "has no low"),
        ({"low": HIGH}, "low < high"),
        ({"names": ["a"]}, "1 names ask"),
        ({"names": ["a", "a"]}, "must differ"),
        ({"sigma": np.zeros((N_OBS, 3))}, "sigma must be positive"),
        ({"x": np.zeros((N_OBS - 1, 3))}, "x has shape"),
    ],
)
def test_bad_files_end_with_one_line(tmp_path, capsys, changes, words):
    with pytest.raises(SystemExit) as end:
        run(write_hdf5(tmp_path / "d.h5", **changes), f"out={tmp_path / 'out'}")
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert words in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "metric", "words"),
    [
        ({"theta": bad(case()[2], (3,), np.nan)}, "energy_score", "undefined for 1 of 120 spectra"),
        ({"theta": np.repeat(case()[2][:, :1], N_DRAWS, axis=1)}, "z_score_rms", "no spread of the draws"),
        ({"theta": case()[2][:, :1]}, "crps", "fewer than two finite draws"),
        ({"log_weight": bad(np.zeros((N_OBS, N_DRAWS)), (5,), -np.inf)}, "rmse", "undefined for 1 of 120 spectra"),
    ],
    ids=["NaN", "constant", "one draw", "no weight"],
)
def test_what_has_no_meaning_is_undefined_and_says_why(tmp_path, capsys, changes, metric, words):
    run(write_hdf5(tmp_path / "d.h5", **changes), f"out={tmp_path}", "n_bootstrap=10")
    _, found = scored(tmp_path)
    gaps = [s for (name, _), s in found.items() if name == metric]
    assert {s["status"] for s in gaps} == {"undefined"}
    assert all(s["value"] is None and words in s["reason"] for s in gaps)
    assert words in capsys.readouterr().out


def test_some_nan_draws_are_left_out_and_counted(tmp_path):
    run(write_hdf5(tmp_path / "d.h5", theta=bad(case()[2], (3, slice(10)), np.nan)), f"out={tmp_path}", "n_bootstrap=2")
    _, found = scored(tmp_path)
    assert found["nan_draw_share", None]["value"] == pytest.approx(10 / N_DRAWS / N_OBS)
    assert "not finite were left out" in found["rmse", "log10_h2o"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.h5"], "there is no such file"),
        (["d.h5", "seeds=1"], "Did you mean 'seed'?"),
        (["d.h5", "n_obs=0"], "at least 1"),
        (["d.h5", "n_obs=1000"], "there are 120 spectra"),
        (["d.h5", "d.h5"], "HDF5 holds all spectra in one"),
        (["n_obs=3"], "name a file of draws"),
        (["d.h5", "prior=nothing.csv"], "nothing.csv: there is no such file"),
        (["d.h5", "prior=text.h5"], "lacks name, low, high"),
        (["text.h5"], "cannot be read as HDF5: it is none. Draws are HDF5 with datasets theta and theta_true, or"),
        (["cut.h5"], "cannot be read as HDF5: Unable to"),
        (["run"], "run is a folder; name the file of draws in it: run/draws.h5."),
        (["empty"], "empty is a folder, and there is no draws.h5 in it"),
        (["d.h5", "prior=empty"], "empty is a folder"),
        (["text.nc"], "prior=FILE.csv"),
        (["text.nc", "prior=prior.csv"], "InferenceData layout: it is no NetCDF-4 file, such as ArviZ writes"),
        (["cut.nc", "prior=prior.csv"], "InferenceData layout: Unable to"),
        (["d.h5", "truths=t.csv"], "has no column radius_rjup"),
        (["d.h5", "truths=text.h5"], "theta_true"),
        (["d.h5", "out=d.h5"], "cannot be written"),
    ],
)
def test_wrong_arguments_end_with_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    write_hdf5(tmp_path / "d.h5")
    write_prior(tmp_path / "prior.csv")
    Path("text.h5").write_text("plain text\n")
    Path("text.nc").write_text("plain text\n")
    for cut in ("cut.h5", "cut.nc"):
        Path(cut).write_bytes(Path("d.h5").read_bytes()[:3000])
    for folder in ("run", "empty"):
        Path(folder).mkdir()
    write_hdf5(tmp_path / "run" / "draws.h5")
    Path("t.csv").write_text("log10_h2o\n-3\n")
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_truths_must_name_every_file_once(tmp_path, capsys):
    _, truth, theta = case()
    named = [{name: theta[row, :, k][None] for k, name in enumerate(NAMES)} for row in range(2)]
    files = [dataset(tmp_path, f"{row}.nc", posterior) for row, posterior in enumerate(named)]
    prior = f"prior={write_prior(tmp_path / 'prior.csv')}"
    for stored, words in (
        (None, "column file"),
        (["0.nc", "0.nc"], "more than once"),
        (["0.nc", "2.nc"], "no truth of 1.nc"),
        (["0.nc", "1.nc", "2.nc"], "truth of 2.nc, which is not among"),
    ):
        truths = write_truths(tmp_path / "t.csv", truth[: len(stored or "12")], stored)
        with pytest.raises(SystemExit):
            run(*files, prior, f"truths={truths}", f"out={tmp_path}")
        assert words in capsys.readouterr().err


def test_help_is_quick_and_needs_no_torch():
    code = (
        "import sys; from exobench.score_files import main; main(['--help'])\n"
        "import exobench.metrics; assert 'torch' not in sys.modules and 'scipy.stats' not in sys.modules"
    )
    before = os.times()
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    after = os.times()
    assert text.startswith("usage: python -m exobench.metrics DRAWS_FILE")
    # Processor time, so that other work on the machine does not count.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 3.0


def test_the_example_of_the_card_runs(tmp_path):
    """The blocks of the section on other programs' draws, as they stand."""
    card = (Path(exobench.metrics.__file__).parent / "README.md").read_text(encoding="utf-8")
    section = card.split("## Draws that other programs made")[1].split("\n## ")[0]
    blocks = dict(re.findall(r"```(python|sh)\n(.*?)```", section, flags=re.DOTALL))
    subprocess.run([sys.executable, "-c", blocks["python"]], cwd=tmp_path, check=True)
    for line in blocks["sh"].strip().splitlines():
        command = [sys.executable if word == "python" else word for word in line.split("  #")[0].split()]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        assert "Calibration: pass" in done.stdout
    document, found = scored(tmp_path / "scores")
    assert document["n_obs"] == 300
    assert found["coverage_68", "log10_h2o"]["value"] == pytest.approx(0.68, abs=0.1)
