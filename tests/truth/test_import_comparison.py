"""Imports against second implementations: the published example of ExoGAN, taurex's own reader, closed forms."""

import numpy as np
import pytest
import torch

from exobench.data.comparison import compare_with_simulator
from exobench.data.taurex_parfile import read_par
from exobench.registry import build_task
from exobench.simulators.linear_gaussian import LinearGaussianSimulator
from exobench.task import TaskRequest

# Some points (um, depth in 1e-3) of the example spectrum that ucl-exoplanets/ExoGAN_public ships, made by
# TauREx 2 with line lists for the parameters below.
EXAMPLE = """
50.1734 8.084756  40.3091 8.075188  30.2053 8.078071  20.0866 8.071188  15.0518 8.079861  12.0925 8.069822
10.0095 8.064832   9.0614 8.093152   8.0416 8.125449   7.0658 8.120533   6.5252 8.109478   6.0861 8.094868
 5.5648 8.103904   5.0377 8.088804   4.5154 8.077171   4.2963 8.084364   4.1287 8.058258   3.8127 8.065066
 3.4861 8.111188   3.1875 8.129582   2.7456 8.115381   2.5104 8.107233   2.3415 8.080351   2.1623 8.052438
 1.9969 8.087874   1.8441 8.088432   1.6529 8.035626   1.5417 8.067746   1.4237 8.097426   1.2635 8.010840
 1.1785 8.044491   1.0668 7.982805   0.9658 8.024514   0.8831 7.964001   0.7915 7.946642   0.6886 7.921187
 0.5814 7.906501   0.5008 7.897231   0.4489 7.900083   0.4024 7.906937   0.3605 7.916201   0.3015 7.932635
"""
EXAMPLE_THETA = np.array([[-1.0, np.log10(1.29e-5), np.log10(2.15e-6), np.log10(0.0028), 0.8, 0.88, 1117.0]])


def example_on(wavelength_um):
    """The example in the bins that hold its points; NaN in the others."""
    points = np.array(EXAMPLE.split(), dtype=float).reshape(-1, 2)
    depth = np.full((1, len(wavelength_um)), np.nan)
    bins = np.abs(wavelength_um[None, :] - points[:, :1]).argmin(axis=1)
    np.testing.assert_allclose(wavelength_um[bins], points[:, 0], rtol=2e-3)
    depth[0, bins] = 1e-3 * points[:, 1]
    return depth


def test_the_published_example_fits_the_flavour_that_made_it():
    """Units, order and constants together: the band model is some 40 ppm from line lists, a wrong flavour 400."""
    found = {}
    for flavour in ("taurex2", "taurex3"):
        task = build_task({"name": "hotjupiter", "flavour": flavour}, TaskRequest())
        simulator = task.simulator.build()
        found[flavour] = compare_with_simulator(EXAMPLE_THETA, example_on(task.wavelength_um), simulator)
    assert found["taurex2"].median_ppm < 100
    assert found["taurex3"].median_ppm > 300
    assert not found["taurex2"].looks_reversed
    assert found["taurex2"].correlation > 0.8


def test_differences_are_those_that_were_put_in():
    simulator = LinearGaussianSimulator(3, 40)
    theta = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    depth = simulator(torch.from_numpy(theta)).double().numpy()
    found = compare_with_simulator(theta, depth + 30e-6, simulator)
    assert found.median_ppm == pytest.approx(30, rel=1e-3)
    assert found.max_ppm == pytest.approx(30, rel=1e-2)
    assert found.correlation == pytest.approx(1.0)
    depth[:, ::3] = np.nan
    assert compare_with_simulator(theta, depth, simulator).median_ppm < 1e-3
    turned = compare_with_simulator(theta, depth[:, ::-1], simulator)
    assert turned.looks_reversed
    assert turned.correlation_reversed == pytest.approx(1.0)


def test_parameter_files_are_read_as_taurex_reads_them(tmp_path):
    parser_module = pytest.importorskip("taurex.parameter", reason="the taurex package is not installed")
    path = tmp_path / "a.par"
    path.write_text(
        "[Chemistry]\nchemistry_type = taurex\nfill_gases = H2,He\nratio = 0.17647\n"
        "  [[H2O]]\n  gas_type = constant\n  mix_ratio=1.5e-4\n  [[CH4]]\n  gas_type = constant\n  mix_ratio = 2e-6\n"
        "[Temperature]\nprofile_type = isothermal\nT = 1265.9\n"
        "[Planet]\nplanet_type = Simple\nplanet_mass = 1.4\nplanet_radius = 0.99\n"
        "[Star]\nstar_type = blackbody\nradius = 0.9\n"
    )
    parser = parser_module.ParameterParser()
    parser.read(str(path))
    planet, star = parser.generate_planet(), parser.generate_star()
    temperature, chemistry = parser.generate_temperature_profile(), parser.generate_chemistry_profile()
    ours = read_par(path)
    assert ours.mass_mjup == pytest.approx(planet.mass)
    assert ours.radius_rjup == pytest.approx(planet.radius)
    assert ours.temperature_k == pytest.approx(temperature.isoTemperature)
    assert ours.star_radius_rsun * 6.957e8 == pytest.approx(star.radius)
    theirs = {gas.molecule: np.log10(gas._mix_ratio) for gas in chemistry._gases}
    assert ours.log10_abundance == pytest.approx(theirs)
