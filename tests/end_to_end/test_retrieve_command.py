"""A spectrum through the command line: what comes out, what is refused, and TauREx 3 going on from there."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.retrieve.__main__ import main
from exobench.retrieve.answer import Retrieval
from exobench.retrieve.read import read_spectrum
from exobench.retrieve.simulate import main as simulate
from exobench.retrieve.table import printed
from exobench.retrieve.taurex_file import parameter_text

FILES = ("posterior.csv", "summary.txt", "corner.png", "corner.svg", "spectrum.png", "draws.nc", "spectrum.dat")
ATMOSPHERE = ["method=npe", "task=hotjupiter_varied", "budget=300", "limits.steps=30", "n_test=2", "n_draws=50"]


def make_run(cwd, data_root, settings):
    command = [sys.executable, "-m", "exobench", *settings, f"paths.data={data_root}", "workers=1", "report=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_root):
    """A folder with a short fit of npe on atmospheres, and one simulated spectrum of its test set."""
    cwd = tmp_path_factory.mktemp("retrieve")
    make_run(cwd, data_root, ATMOSPHERE)
    simulate(
        [f"run={cwd / 'runs/hotjupiter_varied/npe'}", "row=1", f"out={cwd / 'planet.dat'}", f"paths.data={data_root}"]
    )
    return cwd


@pytest.fixture(scope="module")
def options(place, data_root):
    return [f"run={place / 'runs/hotjupiter_varied/npe'}", f"paths.data={data_root}", "device=cpu", "n_draws=400"]


@pytest.fixture(scope="module")
def answered(place, options):
    main([str(place / "planet.dat"), *options, f"out={place / 'out'}"])
    return place / "out"


def refused(capsys, *arguments):
    """The one line that the command ends with."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def copy_of(place, tmp_path, change, name="a.dat"):
    """The spectrum's numbers, changed, without the header that says it is simulated."""
    table = change(np.loadtxt(place / "planet.dat"))
    np.savetxt(tmp_path / name, table, fmt="%.10g")
    return tmp_path / name


def test_help_needs_no_heavy_package():
    code = (
        "import sys; from exobench.retrieve.__main__ import main; main(['--help']);"
        "assert not {'torch', 'astropy', 'matplotlib', 'arviz'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "usage: python -m exobench.retrieve" in done.stdout


def test_every_file_is_there_and_they_agree(answered, place):
    assert all((answered / name).stat().st_size > 0 for name in FILES)
    table = list(csv.DictReader((answered / "posterior.csv").open()))
    assert [row["parameter"] for row in table][:2] == ["log10_h2o", "log10_co2"]
    record = json.loads(next((place / "runs").rglob("npe/*/*/run.json")).read_text())
    assert record["n_test"] == 2
    arviz = pytest.importorskip("arviz", reason="arviz is not installed")
    data = arviz.from_netcdf(str(answered / "draws.nc"))
    for row in table:
        ends = [float(row[key]) for key in ("low_95", "low_68", "median", "high_68", "high_95")]
        assert ends == sorted(ends)
        draws = data.posterior[row["parameter"]].values[0]
        assert ends[2] == pytest.approx(np.quantile(draws, 0.5, method="inverted_cdf"), rel=1e-6)
        # The .par beside the spectrum says what it was made with.
        assert float(row["prior_low"]) <= float(row["given"]) <= float(row["prior_high"])
    assert data.posterior_predictive["depth"].shape[-1] == 515
    assert all(row["mark"] == "" for row in table)


def test_a_real_spectrum_is_marked_everywhere_and_what_is_unlike_training_is_named(place, options, tmp_path, capsys):
    """One instrument's range, larger errors, a smaller star, and no header that says it is simulated."""

    def one_instrument(table):
        return table[(table[:, 0] > 1.1) & (table[:, 0] < 1.7)] * [1, 1, 40, 1]

    path, out = copy_of(place, tmp_path, one_instrument), tmp_path / "out"
    assert "give demo=true (marked 'not for science')" in refused(capsys, path, *options, f"out={out}")
    assert not out.exists()
    main([str(path), *options, f"out={out}", "demo=true", "star_radius_rsun=0.9"])
    shown = capsys.readouterr().out
    for words in (
        "NOT FOR SCIENCE",
        "WARNING: this spectrum is not like those the run was trained on",
        "of the bins are missing; in training at most",
        "the median error is",
        "multiplied by (0.9/1)^2 = 0.81",
    ):
        assert words in shown, shown
    given, used = np.loadtxt(path), np.loadtxt(out / "spectrum.dat")
    assert used[:, 1:3] == pytest.approx(0.81 * given[:, 1:3], rel=1e-6)
    for name in ("posterior.csv", "summary.txt", "taurex3.par", "spectrum.dat"):
        assert "not for science" in (out / name).read_text().lower(), name
    arviz = pytest.importorskip("arviz", reason="arviz is not installed")
    assert "not for science" in arviz.from_netcdf(str(out / "draws.nc")).attrs["mark"]


@pytest.fixture(scope="module")
def retrieval(place, data_root):
    return Retrieval.open(place / "runs/hotjupiter_varied/npe", device="cpu", data=str(data_root))


def test_several_runs_below_a_folder_are_told_apart(place, data_root, tmp_path):
    own = next((place / "runs").rglob("npe/*/0"))
    for seed in (0, 1):
        target = tmp_path / "runs/hotjupiter_varied/npe" / own.parent.name / str(seed)
        shutil.copytree(own, target)
        record = json.loads((target / "run.json").read_text())
        (target / "run.json").write_text(json.dumps(record | {"seed": seed}))
    with pytest.raises(ExobenchError, match=r"means 2 runs; name one of them: .*0 \(seed=0\); .*1 \(seed=1\)"):
        Retrieval.open(tmp_path / "runs", device="cpu", data=str(data_root))


def test_the_same_spectrum_in_percent_and_from_the_other_end(place, retrieval, tmp_path):
    path = copy_of(place, tmp_path, lambda table: (table * [1, 100, 100, 1])[::-1])
    spectra = [read_spectrum(place / "planet.dat"), read_spectrum(path, depth_unit="percent")]
    first, again = (retrieval.answer(each, simulated=True, compared=False, n_draws=200) for each in spectra)
    assert again.x == pytest.approx(first.x, rel=1e-8, nan_ok=True)
    assert again.theta == pytest.approx(first.theta, rel=1e-2, abs=0.2)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table * [1, 100, 100, 1], "give depth_unit=percent"),
        (lambda table: table * [1, 1e6, 1e6, 1], "give depth_unit=ppm"),
        (lambda table: np.c_[table[:, 0], np.sqrt(table[:, 1]), table[:, 2:]], "radius_ratio"),
        (lambda table: table * [1e3, 1, 1, 1e3], "give wavelength_unit=nm"),
    ],
)
def test_wrong_units_and_ranges_are_refused_in_one_line(place, retrieval, tmp_path, change, why):
    with pytest.raises(ExobenchError) as caught:
        retrieval.answer(read_spectrum(copy_of(place, tmp_path, change)), simulated=True, compared=False)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "refine",
    ["importance", pytest.param("smc", marks=pytest.mark.slow), pytest.param("nested", marks=pytest.mark.slow)],
)
def test_the_exact_likelihood_sharpens_the_answer(place, retrieval, refine):
    """The refined draws fit: a short fit's own do not."""
    spectrum = read_spectrum(place / "planet.dat")
    rough = retrieval.answer(spectrum, compared=False, n_draws=300)
    sharp = retrieval.answer(spectrum, compared=False, n_draws=300, refine=refine)

    def misfit(answer):
        return np.nanmedian(((answer.x - answer.predicted) / answer.sigma) ** 2)

    assert misfit(sharp) < 0.2 * misfit(rough)
    for text in texts(sharp, retrieval.run.task):
        assert "the run, refined by " in text.splitlines()[0]
    for text in texts(rough, retrieval.run.task):
        assert "the run" in text.splitlines()[0]
        assert "refined by" not in text


def texts(answer, task):
    """Summary and TauREx file."""
    return printed(answer, "the run"), parameter_text(answer, task, "the run", opacities="")


@pytest.fixture
def taurex_left_clean():
    """TauREx keeps tables and paths for the life of the process; other tests shall not find this one's."""
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    from taurex.cache import CIACache, GlobalCache, OpacityCache

    settings = dict(GlobalCache().variable_dict)
    yield
    OpacityCache().opacity_dict = {}
    CIACache().cia_dict = {}
    GlobalCache().variable_dict.clear()
    GlobalCache().variable_dict.update(settings)


def test_taurex3_runs_the_file_and_agrees(answered, taurex_left_clean, monkeypatch):
    """The same draws have the same spectra and chi-squares in TauREx 3, set up from the file alone."""
    arviz = pytest.importorskip("arviz", reason="arviz is not installed")
    from exobench.registry import build_task
    from exobench.task import TaskRequest

    monkeypatch.chdir(answered)
    optimizer, observed, model = taurex_setup("taurex3.par")
    data = arviz.from_netcdf("draws.nc")
    task = build_task({"name": "hotjupiter_varied"}, TaskRequest())
    theta = np.stack([data.posterior[name].values[0] for name in task.parameters.names], axis=1)
    check_bounds(optimizer, theta, task.parameters)
    simulator = task.simulator.build()
    x, sigma = np.asarray(data.observed_data["depth"]), np.asarray(data.constant_data["sigma"])
    depth = simulate_depths(simulator, theta)
    chi2 = np.nansum(((x - depth) / sigma) ** 2, axis=1)
    best = np.argsort(chi2)[:4]
    seen = np.isfinite(x)
    theirs = [taurex_depth(optimizer, observed, model, theta[row], task.parameters.names) for row in best]
    for row, (their_depth, their_chi2) in zip(best, theirs, strict=True):
        # TauREx bins its model from edges half way between wavenumbers: a quarter of a per cent of a neighbour.
        steps = np.abs(np.diff(depth[row], prepend=depth[row][0], append=depth[row][-1]))
        allowed = 0.1e-6 + 0.005 * np.maximum(steps[1:], steps[:-1])[seen]
        assert (np.abs(their_depth - depth[row][seen]) < allowed).all()
        assert their_chi2 == pytest.approx(chi2[row], rel=1e-3)
    # So the maximum of the likelihood over these draws is at the same one, and its depth is the same.
    assert int(np.argmin([chi for _, chi in theirs])) == 0


def taurex_setup(path):
    from taurex.log import disableLogging
    from taurex.parameter import ParameterParser

    disableLogging()
    parser = ParameterParser()
    parser.read(path)
    parser.setup_globals()
    observed = parser.generate_observation()
    model = parser.generate_appropriate_model(obs=observed)
    model.build()
    model.model()
    optimizer = parser.generate_optimizer()
    optimizer.set_model(model)
    optimizer.set_observed(observed)
    parser.setup_optimizer(optimizer)
    return optimizer, observed, model


def column_of(parameter, names):
    fixed = {"planet_mass": "mass_mjup", "planet_radius": "radius_rjup", "T": "temperature_k"}
    return names.index(fixed.get(parameter.name, f"log10_{parameter.name.lower()}"))


def check_bounds(optimizer, theta, space):
    """Search bounds hold every draw and lie inside the prior; their volume is the one that the file names."""
    ratio, fitted = 0.0, optimizer.fitting_parameters
    assert len(fitted) == len(space)
    for parameter in fitted:
        column = column_of(parameter, list(space.names))
        low, high = np.log10(parameter.bounds) if parameter.mode == "log" else parameter.bounds
        assert low <= theta[:, column].min() + 1e-6 * abs(theta[:, column].min())
        assert high >= theta[:, column].max() - 1e-6 * abs(theta[:, column].max())
        assert low >= space.low[column] - 1e-6
        assert high <= space.high[column] + 1e-6
        ratio += np.log((high - low) / (space.high - space.low)[column])
    text = Path("taurex3.par").read_text()
    assert "SEARCH BOUNDS" in text
    named = next(line for line in text.splitlines() if "log volume ratio" in line)
    assert float(named.split(":")[1]) == pytest.approx(ratio, abs=1e-4)


def simulate_depths(simulator, theta):
    import torch

    with torch.no_grad():
        return simulator(torch.as_tensor(theta)).double().numpy()


def taurex_depth(optimizer, observed, model, theta, names):
    """Depth in ascending wavelength and chi-square, by the path that the optimizer itself takes."""
    values = [theta[column_of(parameter, list(names))] for parameter in optimizer.fitting_parameters]
    optimizer.update_model(values)
    depth = optimizer._binner.bin_model(model.model(wngrid=observed.wavenumberGrid))[1]
    return np.asarray(depth)[::-1], optimizer.chisq_trans(values, observed.spectrum, observed.errorBar)
