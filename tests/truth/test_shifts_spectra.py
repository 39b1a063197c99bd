"""Shifted spectra against what they claim: limits, closed forms, and the taurex package."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.opacities.grids import bin_centres
from exobench.prior import UniformPrior
from exobench.shifts.absorber import TEMPERATURE_NODES_K, band_cross_sections
from exobench.shifts.bins import MissingAtRandom, MissingBlock, Outliers
from exobench.shifts.catalogue import find_shift, find_shifts, shipped_names
from exobench.shifts.noise import KnownNoise, MisstatedNoise
from exobench.shifts.physics import (
    CloudDeck,
    OtherFlavour,
    TemperatureGradient,
    UnseenAbsorber,
    layered,
    opacities_of,
    simulated,
)
from exobench.shifts.shift import Unshifted
from exobench.shifts.spectra import shifted
from exobench.simulators.literal import LiteralTransmissionSimulator
from exobench.task import Task, TaskRequest
from exobench_tasks.hotjupiter.task import build as build_hotjupiter
from exobench_tasks.linear_gaussian.task import build as build_linear

PPM = 1e-6
OPACITIES = os.environ.get("EXOBENCH_TEST_OPACITIES")


def base_of(task: Task, n: int, opacities_path: str | None = None) -> Unshifted:
    theta = task.prior.sample(n, np.random.default_rng(3))
    depth = simulated(task.simulator.build(), theta)
    x, sigma = task.noise.sample(depth, seed=task.test_noise_seed())
    return Unshifted(task, depth, TestSpectra(theta, x, sigma), opacities_path)


@pytest.fixture(scope="module")
def hot() -> Unshifted:
    return base_of(build_hotjupiter(TaskRequest()), 6)


@pytest.fixture(scope="module")
def linear() -> Unshifted:
    return base_of(build_linear(TaskRequest()), 3000)


def first(base: Unshifted, n: int) -> Unshifted:
    test = base.test
    return Unshifted(base.task, base.depth[:n], TestSpectra(test.theta_true[:n], test.x[:n], test.sigma[:n]))


def noise_free(shift, base):
    """The shifted depths: physics shifts keep the noise of the test set, number by number."""
    return shift.apply(base).x - base.test.sigma * base.normal


def literal_depth(base):
    recipe = base.task.simulator
    simulator = LiteralTransmissionSimulator(opacities_of(recipe), recipe.parameter_names)
    return simulated(simulator, base.test.theta_true)


def test_layer_by_layer_without_a_profile_is_the_isothermal_spectrum(hot):
    depth = noise_free(TemperatureGradient(0.0), hot)
    assert np.abs(depth - literal_depth(hot)).max() < 1e-6 * PPM
    assert np.abs(depth - hot.depth).max() < 0.02 * PPM  # the fast simulator works in float32


def test_a_profile_beyond_the_tables_is_refused_in_one_line(hot):
    with pytest.raises(ExobenchError, match=r"the profile reaches .* the opacity tables cover 800 to 2200 K") as caught:
        TemperatureGradient(400.0).apply(hot)
    assert "\n" not in str(caught.value)


def test_a_cloud_below_the_atmosphere_changes_nothing(hot):
    assert np.abs(noise_free(CloudDeck(1e7), hot) - literal_depth(hot)).max() < 1e-6 * PPM


def test_a_cloud_up_to_the_top_is_an_opaque_disc(hot):
    """(R + z_top)^2 = R^2 + sum over layers of 2 (R + z) d + d^2, of which the rings leave out d^2."""
    depth = noise_free(CloudDeck(1e-9), hot)
    assert np.ptp(depth, axis=1).max() < 1e-6 * PPM
    recipe = hot.task.simulator
    simulator = layered(recipe)
    atmosphere = simulator._reader.read(torch.as_tensor(hot.test.theta_true))
    levels = 10.0 ** np.linspace(6, -5, 101)
    gravity = simulator.flavour.gravity_m3_kg_s2 * atmosphere.mass_kg.numpy()
    energy = simulator.flavour.boltzmann_j_k * (atmosphere.temperature_k / atmosphere.mean_molecule_kg).numpy()
    radius = atmosphere.radius_m.numpy()
    z, squares = np.zeros_like(radius), np.zeros_like(radius)
    for below, above in pairwise(levels):
        d = energy * (radius + z) ** 2 / gravity * np.log(below / above)
        z, squares = z + d, squares + d**2
    expected = ((radius + z) ** 2 - squares) / simulator.flavour.r_sun_m**2
    np.testing.assert_allclose(depth[:, 0], expected, rtol=1e-10)


def test_higher_clouds_only_add_to_the_depth(hot):
    low, high = noise_free(CloudDeck(1e3), hot), noise_free(CloudDeck(1e2), hot)
    clear = literal_depth(hot)
    assert (low >= clear - 1e-12).all()
    assert (high >= low - 1e-12).all()
    assert (high - clear).max() > 100 * PPM


def taurex_depths(base, profile_k=None, cloud_top_pa=None):
    """The taurex package with a temperature for each layer, or with its own grey deck."""
    pytest.importorskip("taurex", reason="the package taurex is not installed")
    from taurex.contributions import SimpleCloudsContribution
    from taurex.data.profiles.temperature.temparray import TemperatureArray

    from exobench.simulators import taurex3

    recipe = base.task.simulator
    simulator = taurex3.TauREx3Simulator(opacities_of(recipe), recipe.parameter_names, early_exit=False)
    depths = []
    with simulator._tables(), taurex3._quiet():
        model = simulator._model
        if cloud_top_pa is not None:
            model.add_contribution(SimpleCloudsContribution(clouds_pressure=cloud_top_pa))
        for row in base.test.theta_true:
            parameters = dict(zip(recipe.parameter_names, row, strict=True))
            if profile_k is not None:
                model._temperature_profile = TemperatureArray(tp_array=profile_k + parameters["temperature_k"])
            model.build()
            model["planet_mass"], model["planet_radius"] = parameters["mass_mjup"], parameters["radius_rjup"]
            if profile_k is None:
                model["T"] = parameters["temperature_k"]
            for gas in recipe.gases:
                model[gas] = 10.0 ** parameters[f"log10_{gas.lower()}"]
            depths.append(np.asarray(model.model()[1])[::-1])
    return np.array(depths)


def test_a_profile_agrees_with_taurex(hot):
    few = first(hot, 2)
    levels = 10.0 ** np.linspace(6, -5, 101)
    layers = np.sqrt(levels[:-1] * levels[1:])
    offset = 50.0 * np.log10(np.clip(layers, 1.0, 1e5) / 1e3)
    expected = taurex_depths(few, profile_k=offset)
    assert np.abs(noise_free(TemperatureGradient(50.0), few) - expected).max() < 0.01 * PPM
    assert np.abs(expected - few.depth).max() > 20 * PPM


def test_a_cloud_deck_agrees_with_taurex(hot):
    few = first(hot, 2)
    expected = taurex_depths(few, cloud_top_pa=1e3)
    assert np.abs(noise_free(CloudDeck(1e3), few) - expected).max() < 0.01 * PPM


def test_the_other_flavour_is_that_simulator(hot):
    other = build_hotjupiter(TaskRequest(), flavour="taurex2")
    expected = simulated(other.simulator.build(), hot.test.theta_true)
    np.testing.assert_allclose(noise_free(OtherFlavour("taurex2"), hot), expected, atol=1e-6 * PPM)
    assert np.abs(expected - hot.depth).max() > 100 * PPM
    assert "already" in OtherFlavour("taurex3").refuse(hot)


def test_an_absorber_that_is_not_there_changes_nothing(hot):
    bands = find_shift("absorber_hcn").shift.bands
    absent = noise_free(UnseenAbsorber("HCN", -30.0, bands), hot)
    assert np.abs(absent - hot.depth).max() < 0.02 * PPM
    present = noise_free(UnseenAbsorber("HCN", -4.0, bands), hot)
    change = np.abs(present - hot.depth).mean(axis=0)
    wavelength = hot.task.wavelength_um
    assert (
        change[(wavelength > 2.9) & (wavelength < 3.1)].mean() > 10 * change[(wavelength > 1) & (wavelength < 2)].mean()
    )


def test_a_band_integrates_to_its_strength():
    edges = 1e4 / np.linspace(6000.0, 100.0, 400)
    table = band_cross_sections("HCN", np.array([[-17.0, 0.0, 3300.0, 80.0, 60.0, 0.5]]), edges)
    width_cm = 1e4 / edges[:-1] - 1e4 / edges[1:]
    strength = (table.cross_section_m2[0] * 1e4 * width_cm).sum(axis=1)
    assert len(strength) == len(TEMPERATURE_NODES_K)
    np.testing.assert_allclose(strength, 1e-17, rtol=1e-6)


def test_noise_has_the_level_that_the_shift_names(linear):
    same = KnownNoise(100.0).apply(linear)
    np.testing.assert_allclose(same.x, linear.test.x, atol=1e-9 * PPM)
    for shift, true_ppm, told_ppm in (
        (KnownNoise(5.0), 5.0, 5.0),
        (MisstatedNoise(0.0), 0.0, 100.0),
        (MisstatedNoise(2.0), 200.0, 100.0),
    ):
        spectra = shift.apply(linear)
        np.testing.assert_allclose(spectra.sigma, told_ppm * PPM)
        residual = (spectra.x - linear.depth) / PPM
        assert residual.std() == pytest.approx(true_ppm, rel=5 / np.sqrt(2 * residual.size), abs=1e-6)
        np.testing.assert_array_equal(spectra.theta_true, linear.test.theta_true)


def test_hotjupiter_at_its_own_noise_is_unshifted(hot):
    np.testing.assert_allclose(KnownNoise(20.0).apply(hot).x, hot.test.x, atol=1e-9 * PPM)


def test_missing_and_struck_bins_have_the_stated_shares(linear):
    n = linear.depth.size
    missing = MissingAtRandom(0.2).apply(linear)
    gone = np.isnan(missing.x)
    np.testing.assert_array_equal(gone, np.isinf(missing.sigma))
    np.testing.assert_array_equal(missing.x[~gone], linear.test.x[~gone])
    assert abs(gone.mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / n)
    struck = Outliers(0.05).apply(linear)
    error = (struck.x - linear.depth) / struck.sigma
    moved = struck.x != linear.test.x
    assert abs(moved.mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / n)
    assert np.abs(error[moved]).min() > 5.0 - 1e-6
    assert np.abs(error[moved]).max() < 10.0 + 1e-6
    assert abs(np.abs(error[moved]).mean() - 7.5) < 0.1
    assert abs((error[moved] > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(moved.sum())


def test_a_block_takes_whole_bins_and_no_others(hot, linear):
    gone = np.isnan(MissingBlock(wavelength_um=(5.0, 12.0)).apply(hot).x)
    centres = bin_centres(hot.task.bin_edges_um)
    assert (centres[gone[0]] > 5.0).all()
    assert (centres[gone[0]] < 12.0).all()
    assert gone.sum() == len(gone) * gone[0].sum() > 0
    assert np.isnan(MissingBlock(grid_share=(0.4, 0.6)).apply(linear).x[0]).sum() == 8
    assert "no bin of linear_gaussian" in MissingBlock(wavelength_um=(5.0, 12.0)).refuse(linear)


@pytest.mark.parametrize("name", [name for name in shipped_names() if name != "real_tables"])
def test_the_first_spectra_do_not_depend_on_how_many_there_are(name, linear):
    named = find_shift(name)
    few = first(linear, 10)
    all_of_them, few_of_them = shifted(named, linear), shifted(named, few)
    if isinstance(few_of_them, str):
        assert "linear_gaussian" in few_of_them
        return
    np.testing.assert_array_equal(all_of_them.x[:10], few_of_them.x)
    np.testing.assert_array_equal(all_of_them.sigma[:10], few_of_them.sigma)


def test_every_shipped_shift_says_what_it_is_and_where_it_is_from():
    for named in find_shifts("all"):
        assert named.summary, named.name
        assert named.source, named.name
        assert named.shift.exact


def test_real_tables_need_a_folder(hot):
    named = find_shift("real_tables")
    assert shifted(named, hot) == "it needs real opacities: opacities.path=FOLDER"
    assert named.shift.opacity_hash(hot) is None


def test_the_band_model_takes_the_place_of_tables_on_a_task_of_tables(hot):
    from exobench_tasks.hotjupiter_wfc3.task import build as build_wfc3

    named = find_shift("band_model")
    assert shifted(named, hot) == "task hotjupiter rests on the band model already"
    base = base_of(build_wfc3(TaskRequest()), 40)
    assert shifted(find_shift("real_tables"), base) == "task hotjupiter_wfc3 rests on opacities of files already"
    made = shifted(named, base)
    difference = made.x - base.test.sigma * base.normal - base.depth
    # The card of the band model: tens of ppm from real line data, where depths are a hundred times as large.
    assert 10 * PPM < np.sqrt(np.mean(difference**2)) < 120 * PPM
    edges = base.task.simulator.bin_edges_um
    band = replace(base.task.simulator, opacities_path=None, k_table_overlap=None)
    assert band.bin_edges_um == edges
    np.testing.assert_allclose(difference + base.depth, simulated(band.build(), base.test.theta_true), atol=1e-9)


@pytest.mark.skipif(OPACITIES is None, reason="EXOBENCH_TEST_OPACITIES is not set")
@pytest.mark.parametrize("folder", ["ariel52", "clima80"])
def test_tables_that_are_too_coarse_say_what_is_needed(folder, hot):
    base = Unshifted(hot.task, hot.depth, hot.test, str(Path(OPACITIES) / folder))
    with pytest.raises(ExobenchError, match=r"resolving power of at least 101 over 0\.3-50\.4 um.*1000-2000 K"):
        shifted(find_shift("real_tables"), base)


@pytest.mark.skipif(OPACITIES is None, reason="EXOBENCH_TEST_OPACITIES is not set")
def test_real_tables_are_the_same_atmosphere_through_the_files_opacities():
    from exobench_tasks.ariel.task import channels

    hot = build_hotjupiter(TaskRequest())
    edges = channels()
    recipe = replace(hot.simulator, bin_edges_um=tuple(map(tuple, edges)))
    task = replace(hot, wavelength_um=bin_centres(edges), bin_edges_um=edges, simulator=recipe)
    assert isinstance(task.prior, UniformPrior)
    folder = str(Path(OPACITIES) / "ariel52")
    base = base_of(task, 20, folder)
    depth = shifted(find_shift("real_tables"), base).x - base.test.sigma * base.normal
    numbers = find_shift("real_tables").shift.opacity_hash(base)
    assert numbers == replace(recipe, opacities_path=folder).describe()["opacity_hash"]
    assert numbers != recipe.describe()["opacity_hash"]
    difference = depth - base.depth
    assert 5 * PPM < np.sqrt(np.mean(difference**2)) < 60 * PPM  # the card of the band model measured 29
