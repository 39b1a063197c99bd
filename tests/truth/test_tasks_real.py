"""Tasks on real line data: channels, what the files hold, spectra, and the noise of their tasks."""

from __future__ import annotations

import importlib.util
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.noise_varied import InstrumentNoise, VariedNoise, photon_noise_shape
from exobench.opacities.grids import bin_centres
from exobench.opacities.installed import package_folder
from exobench.opacities.load_cia import load_pair
from exobench.opacities.load_nemesis import load_kta
from exobench.simulators.ktable import OVERLAPS
from exobench.simulators.recipe import K_TABLE_OVERLAPS
from exobench.task import TaskRequest
from exobench_tasks.ariel.task import build as build_ariel
from exobench_tasks.ariel.task import channels as ariel_channels
from exobench_tasks.hotjupiter.task import PARAMETERS
from exobench_tasks.hotjupiter.task import build as build_hotjupiter
from exobench_tasks.hotjupiter_varied.task import build as build_varied
from exobench_tasks.hotjupiter_wfc3.task import build as build_wfc3
from exobench_tasks.hotjupiter_wfc3.task import channels as wfc3_channels

OPACITIES = os.environ.get("EXOBENCH_TEST_OPACITIES")
needs_files = pytest.mark.skipif(OPACITIES is None, reason="EXOBENCH_TEST_OPACITIES is not set")
needs_nemesispy = pytest.mark.skipif(
    importlib.util.find_spec("nemesispy") is None, reason="the package nemesispy is not installed"
)
NOISES = {
    "instrument": InstrumentNoise(15.0, (20.0, 100.0), (0.5, 1.0, 1.0, 2.0)),
    "varied": VariedNoise(),
    "fixed levels": VariedNoise(fixed_levels_ppm=(20.0, 50.0, 100.0)),
}


def request(folder):
    return TaskRequest(opacities_path=str(Path(OPACITIES) / folder))


def real_task(name):
    return build_wfc3(TaskRequest()) if name == "wfc3" else build_ariel(request("ariel52"))


REAL = [pytest.param("wfc3", marks=needs_nemesispy), pytest.param("ariel", marks=needs_files)]


def draws(task, n, seed=0):
    return torch.as_tensor(task.prior.sample(n, np.random.default_rng(seed)))


def test_channels_of_both_instruments():
    wfc3, ariel = wfc3_channels(), ariel_channels()
    assert wfc3.shape == (17, 2)
    assert ariel.shape == (52, 2)
    np.testing.assert_allclose(np.diff(wfc3[:15], axis=1), 0.035, atol=1e-6)
    assert ariel[0, 0] == 0.5
    assert ariel[-1, 1] == pytest.approx(7.51, abs=0.005)
    np.testing.assert_allclose(ariel[9:42, 1] / ariel[9:42, 0], 1.0201, rtol=1e-4)
    for edges in (wfc3, ariel):
        assert np.all(edges[:, 0] < edges[:, 1])
        overlap = edges[:-1, 1] - edges[1:, 0]
        assert np.sum(overlap > 1e-5) == (0 if edges is wfc3 else 1)  # two runs of Ariel's channels share 25 nm
        assert np.all(overlap < 0.026)


@needs_nemesispy
def test_wfc3_channels_are_those_of_the_installed_tables():
    table = load_kta(package_folder("nemesispy", "data", "ktables") / "h2o.kta")
    np.testing.assert_allclose(bin_centres(wfc3_channels()), table.wavelength_um, atol=1e-5)


@needs_files
def test_ariel_channels_are_those_of_the_tables():
    table = load_kta(Path(OPACITIES) / "ariel52" / "H2O_Katy_ARIEL_test.kta")
    np.testing.assert_allclose(bin_centres(ariel_channels()), table.wavelength_um, rtol=2e-5)


@pytest.mark.parametrize("name", REAL)
def test_coefficients_are_the_files_own(name):
    task = real_task(name)
    opacities = task.simulator._opacities()
    folder = package_folder("nemesispy", "data", "ktables") if name == "wfc3" else Path(OPACITIES) / "ariel52"
    for gas, table in opacities.k_tables.items():
        file = folder / (f"{gas.lower()}.kta" if name == "wfc3" else f"{gas}_Katy_ARIEL_test.kta")
        raw = load_kta(file)
        np.testing.assert_array_equal(table.coefficient_m2, np.moveaxis(raw.k_m2, 0, 2))
        np.testing.assert_allclose(table.g_weights, raw.weights, rtol=1e-14)
    assert not opacities.gases
    assert opacities.bin_edges_um.shape == (len(task.wavelength_um), 2)


@pytest.mark.parametrize("overlap", ["random", "equal_g"])
@pytest.mark.parametrize("name", REAL)
def test_float32_spectra_equal_the_literal_formulas(name, overlap):
    recipe = replace(real_task(name).simulator, k_table_overlap=overlap)
    theta = draws(real_task(name), 6)
    literal = replace(recipe, kind="transmission_literal").build()(theta)
    single = pickle.loads(pickle.dumps(recipe)).build()(theta)
    assert 1e6 * float((single.double() - literal).abs().max()) < 0.01


@pytest.mark.parametrize("name", REAL)
def test_taurex_gives_the_same_spectra_at_equal_g(name):
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    from taurex.constants import AMU

    from exobench.simulators.constants import TAUREX3
    from exobench.simulators.ktable import KTableTransmissionSimulator
    from exobench.simulators.taurex3_ktable import TauREx3KTableSimulator

    task = real_task(name)
    opacities, names = task.simulator._opacities(), task.parameters.names
    theta = draws(task, 4, seed=1)
    ours = KTableTransmissionSimulator(
        opacities,
        names,
        overlap="equal_g",
        dtype=torch.float64,
        flavour=replace(TAUREX3, atomic_mass_kg=float(AMU)),
    )(theta)
    package = TauREx3KTableSimulator(opacities, names, early_exit=False)(theta)
    assert 1e6 * float((ours - package).abs().max()) < 1e-6


@pytest.mark.parametrize("name", REAL)
def test_overlap_is_part_of_the_task(name):
    task = real_task(name)
    other = replace(task, simulator=replace(task.simulator, k_table_overlap="equal_g"))
    assert task.describe()["simulator"]["k_table_overlap"] == "random"
    assert other.task_id != task.task_id


@needs_nemesispy
def test_more_water_deepens_the_band_at_1_4_um():
    task = build_wfc3(TaskRequest())
    theta = draws(task, 1).repeat(2, 1)
    theta[:, :4] = -8.0
    theta[1, 0] = -3.0
    dry, wet = task.simulator.build()(theta) * 1e6
    band = int(np.abs(task.wavelength_um - 1.4).argmin())
    assert wet[band] - wet[3] > 100.0
    assert dry[band] - dry[3] < 20.0


def test_tasks_share_the_parameters_of_hotjupiter():
    for task in (build_varied(TaskRequest()), build_wfc3(TaskRequest(opacities_path="elsewhere"))):
        assert task.parameters == PARAMETERS


def test_ariel_without_tables_says_which_are_needed():
    with pytest.raises(ExobenchError, match=r"task ariel needs opacities\.path.*H2O, CO2, CO and CH4.*\.kta"):
        build_ariel(TaskRequest())


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(MissingDependencyError, match=r"no_such_package is not installed.*opacities\.path"):
        package_folder("no_such_package", "data")


@needs_files
@pytest.mark.parametrize(
    ("build", "folder"), [(build_hotjupiter, "ariel52"), (build_hotjupiter, "clima80"), (build_ariel, "clima80")]
)
def test_tables_coarser_than_the_task_are_refused(build, folder):
    with pytest.raises(ExobenchError, match=rf"{folder}/H2O.*times as wide as the task's bin.*not split"):
        build(request(folder)).simulator.build()


@needs_files
def test_collisions_of_two_sources_agree():
    edges = np.array([[1e4 / high, 1e4 / (high - 400.0)] for high in np.arange(8000.0, 900.0, -400.0)])
    for pair in (("H2", "H2"), ("H2", "He")):
        files = [f"clima_{'-'.join(pair)}.h5", "exocia_hitran12_200-3800K.tab"]
        tables = [load_pair(Path(OPACITIES) / "cia" / file, pair, edges) for file in files]
        rows = [t.coefficient_m5[np.abs(t.temperature_k - 1400.0).argmin()] for t in tables]
        np.testing.assert_allclose(rows[0], rows[1], rtol=0.015)


@pytest.mark.parametrize("name", NOISES)
def test_noise_of_a_row_does_not_depend_on_its_batch(name):
    noise, depth = NOISES[name], np.full((40, 4), 0.01)
    x, sigma = noise.sample(depth, seed=7)
    tail_x, tail_sigma = noise.sample(depth[25:], seed=7, first_row=25)
    np.testing.assert_array_equal(tail_x, x[25:])
    np.testing.assert_array_equal(tail_sigma, sigma[25:])
    rows = torch.tensor([3, 0, 17])
    some_x, some_sigma = noise.add(torch.full((3, 4), 0.01, dtype=torch.float64), seed=7, rows=rows)
    np.testing.assert_array_equal(some_x.numpy(), x[rows])
    np.testing.assert_array_equal(some_sigma.numpy(), sigma[rows])
    assert not np.array_equal(noise.sample(depth, seed=8)[1], sigma) or name == "fixed levels"


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_sigma_that_is_given(name):
    x, sigma = NOISES[name].sample(np.full((20_000, 4), 0.01), seed=1)
    present = np.isfinite(sigma)
    np.testing.assert_array_equal(present, np.isfinite(x))
    z = (x[present] - 0.01) / sigma[present]
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert z.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * z.size))
    assert NOISES[name].log_likelihood(np.full((20_000, 4), 0.01), x, sigma).shape == (20_000,)


def test_instrument_noise_is_a_floor_and_photons():
    noise = NOISES["instrument"]
    sigma = noise.sample(np.zeros((50_000, 4)), seed=0)[1] * 1e6
    photon = np.sqrt(sigma**2 - 15.0**2)
    np.testing.assert_allclose(photon[:, 3], 4 * photon[:, 0], rtol=1e-4)
    log_level = np.log(photon[:, 1] / 20.0) / np.log(5.0)
    assert 0 <= log_level.min() < 1e-3
    assert 1 - 1e-3 < log_level.max() <= 1 + 1e-6
    quantiles = np.quantile(log_level, [0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(quantiles, [0.1, 0.25, 0.5, 0.75, 0.9], atol=0.01)


def test_photon_noise_goes_as_the_inverse_root_of_the_photons():
    edges = np.array([[1.0, 1.01], [1.01, 1.05], [50.0, 50.01]])
    hot = photon_noise_shape(edges, 1e6)
    assert hot[0] / hot[1] == pytest.approx(2.0, rel=0.06)  # four times as wide
    # Far beyond the peak a black body's photons go as wavelength^-3 at a fixed width.
    assert hot[2] / hot[0] == pytest.approx(50.0**1.5, rel=0.03)


def test_varied_noise_has_its_levels_shape_and_gaps():
    n_bin = 515
    sigma = VariedNoise().row_sigma(torch.arange(4000), n_bin, 3).numpy()
    missing = np.isinf(sigma)
    share = missing.mean(axis=1)
    assert 0.0 <= share.min() < 0.01
    assert 0.28 < share.max() < 0.4
    assert share.mean() == pytest.approx(0.15, abs=0.01)
    log10 = np.log10(np.where(missing, np.nan, sigma) * 1e6)
    level = np.nanmean(log10, axis=1)
    assert level.mean() == pytest.approx(np.log10(np.sqrt(5 * 200)), abs=0.03)
    assert np.nanmean(np.nanvar(log10, axis=1)) == pytest.approx(0.1**2, rel=0.1)
    steps = np.abs(np.diff(log10, axis=1))
    assert np.nanmax(steps) < 0.02  # smooth


def test_test_spectra_of_the_varied_task_have_the_named_levels():
    task = build_varied(TaskRequest())
    assert task.test_noise is not None
    sigma = task.test_noise.sample(np.zeros((90, 515)), seed=task.test_noise_seed())[1] * 1e6
    level = 10 ** np.log10(np.where(np.isinf(sigma), np.nan, sigma)).mean(axis=1, where=np.isfinite(sigma))
    np.testing.assert_allclose(level.reshape(-1, 3), np.tile([20.0, 50.0, 100.0], (30, 1)), rtol=0.05)
    plain = replace(task, test_noise=None)
    assert plain.task_id != task.task_id
    assert task.task_id != build_hotjupiter(TaskRequest()).task_id


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InstrumentNoise(-1.0, (20.0, 100.0), (1.0,)), "floor -1"),
        (lambda: InstrumentNoise(1.0, (100.0, 20.0), (1.0,)), "lower one first"),
        (lambda: InstrumentNoise(1.0, (20.0, 100.0), (0.0,)), "shape must be positive"),
        (lambda: VariedNoise(largest_missing=1.0), r"\[0, 1\)"),
        (lambda: VariedNoise(fixed_levels_ppm=(0.0,)), "positive numbers of ppm"),
        (lambda: VariedNoise(level_ppm=(0.0, 1.0)), "positive numbers"),
        (lambda: VariedNoise(shape_dex=-1.0), "shape_dex=-1"),
    ],
)
def test_wrong_noise_is_refused(build, message):
    with pytest.raises(ExobenchError, match=message):
        build()


@pytest.mark.parametrize("build", [build_hotjupiter, build_varied])
def test_overlap_of_the_task_reaches_the_recipe_and_changes_nothing_without_k_tables(build):
    random, equal_g = build(TaskRequest()), build(TaskRequest(), k_table_overlap="equal_g")
    assert random.simulator.k_table_overlap == "random"
    assert equal_g.simulator.k_table_overlap == "equal_g"
    assert random.task_id == equal_g.task_id
    assert OVERLAPS == K_TABLE_OVERLAPS
    with pytest.raises(ExobenchError, match=r"no k-table overlap 'ramdom'.*'random'"):
        build(TaskRequest(), k_table_overlap="ramdom")


@needs_files
def test_taurex_with_k_tables_says_which_overlap_it_takes():
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    asked = replace(request("ariel52"), simulator="taurex3")
    with pytest.raises(ExobenchError, match=r"task\.k_table_overlap=equal_g"):
        build_ariel(asked).simulator.build()
    assert build_ariel(asked, k_table_overlap="equal_g").simulator.build() is not None


@pytest.mark.parametrize("temperature", [0.0, -5800.0, float("nan")])
def test_a_star_without_heat_is_refused(temperature):
    with pytest.raises(ExobenchError, match=r"star_temperature_k=.*positive"):
        build_wfc3(TaskRequest(opacities_path="elsewhere"), star_temperature_k=temperature)


def test_no_test_noise_is_refused_by_name():
    with pytest.raises(ExobenchError, match=r"task\.test_noise_ppm=\[\]"):
        build_varied(TaskRequest(), test_noise_ppm=[])
