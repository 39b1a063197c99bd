"""Both simulators against the taurex package, on the same tables."""

from __future__ import annotations

import builtins
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_opacities import GASES, synthetic_opacities
from test_simulator_transmission import NAMES, largest_ppm, prior_corners, prior_draws

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.rayleigh import rayleigh_cross_section_m2, rayleigh_gases
from exobench.simulators.build import build_simulator
from exobench.simulators.constants import TAUREX3


@pytest.fixture(scope="module")
def taurex():
    return pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")


@pytest.fixture(scope="module")
def opacities():
    return synthetic_opacities(120)


@pytest.fixture(scope="module")
def theta():
    return torch.cat([prior_draws(84), prior_corners()[::8]])


@pytest.fixture(scope="module")
def installed_flavour(taurex):
    """The flavour with the atomic mass unit of the installed astropy, which follows CODATA's revisions."""
    from taurex.constants import AMU

    assert pytest.approx(float(AMU), rel=3e-9) == TAUREX3.atomic_mass_kg
    return replace(TAUREX3, atomic_mass_kg=float(AMU))


@pytest.fixture(scope="module")
def literal(opacities, theta, installed_flavour):
    return build_simulator("transmission_literal", opacities, NAMES, flavour=installed_flavour)(theta)


def test_constants_are_those_of_the_package(taurex):
    from taurex import constants
    from taurex.util import calculate_weight

    assert TAUREX3.boltzmann_j_k == constants.KBOLTZ
    assert float(constants.G) == TAUREX3.gravity_m3_kg_s2
    assert TAUREX3.r_sun_m == constants.RSOL
    assert TAUREX3.r_jup_m == constants.RJUP
    assert pytest.approx(constants.MJUP, rel=1e-15) == TAUREX3.m_jup_kg
    for gas, mass in TAUREX3.molar_mass.items():
        assert mass == pytest.approx(calculate_weight(gas), rel=1e-14), gas


@pytest.mark.parametrize("gas", rayleigh_gases())
def test_rayleigh_is_that_of_the_package(taurex, gas):
    from taurex.util.scattering import rayleigh_sigma_from_name

    wavelength = np.geomspace(0.3, 50.0, 700)
    ours = rayleigh_cross_section_m2(gas, wavelength)
    # Close to a pole of a refractive index the last digits of the wavelength show, and 1 - n cancels.
    assert np.allclose(ours, rayleigh_sigma_from_name(gas, 1e4 / wavelength), rtol=1e-9, atol=0)


@pytest.fixture(scope="module")
def package_spectra(opacities, theta):
    return build_simulator("taurex3", opacities, NAMES)(theta)


def test_literal_form_equals_taurex_without_its_early_exit(opacities, theta, literal):
    package = build_simulator("taurex3", opacities, NAMES, early_exit=False)
    assert largest_ppm(package(theta), literal) < 1e-6


def test_rayleigh_of_the_set_gives_the_spectra_of_the_packages_own(opacities, theta, literal):
    package = build_simulator("taurex3", opacities, NAMES, early_exit=False, native_rayleigh=True)
    assert largest_ppm(package(theta[::10]), literal[::10]) < 1e-6


def test_early_exit_is_a_small_artefact(package_spectra, literal):
    assert 1e-6 < largest_ppm(package_spectra, literal) < 0.01


def test_float32_equals_taurex(opacities, theta, package_spectra):
    single = build_simulator("transmission", opacities, NAMES)(theta)
    assert largest_ppm(single, package_spectra) < 0.01


def test_different_grids_other_layers_and_star(taurex, installed_flavour):
    tables = synthetic_opacities(30, seed=2, same_grids=False)
    settings = {"n_layer": 40, "pressure_bottom_pa": 5e5, "pressure_top_pa": 1e-2, "star_radius_rsun": 0.8}
    theta = prior_draws(10)
    package = build_simulator("taurex3", tables, NAMES, early_exit=False, **settings)(theta)
    double = build_simulator("transmission", tables, NAMES, flavour=installed_flavour, dtype=torch.float64, **settings)(
        theta
    )
    assert largest_ppm(package, double) < 1e-6


def test_two_adapters_keep_their_own_tables(taurex, opacities):
    from taurex.cache import OpacityCache

    shared = dict(OpacityCache().opacity_dict)
    theta = prior_draws(2)
    first = build_simulator("taurex3", opacities, NAMES)
    before = first(theta)
    second = build_simulator("taurex3", synthetic_opacities(20, seed=9, gases=GASES[:2]), (*NAMES[:2], *NAMES[4:]))
    assert second(theta[:, [0, 1, 4, 5, 6]]).shape == (2, 20)
    assert torch.equal(first(theta), before)
    assert OpacityCache().opacity_dict == shared


def test_wrong_theta_is_named(taurex, opacities):
    simulator = build_simulator("taurex3", opacities, NAMES)
    theta = prior_draws(2)
    theta[1, 6] = 3000.0
    with pytest.raises(ExobenchError, match="row 1: temperature_k is 3000"):
        simulator(theta)
    with pytest.raises(ExobenchError, match="taurex3' only, not 'taurex2"):
        build_simulator("taurex3", opacities, NAMES, flavour="taurex2")


def test_missing_package_names_the_extra(opacities, monkeypatch):
    real = builtins.__import__

    def without_taurex(name, *args, **kwargs):
        if name.split(".")[0] == "taurex":
            raise ImportError("No module named 'taurex'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_taurex)
    with pytest.raises(MissingDependencyError, match=r"pip install 'exobench\[forward\]'"):
        build_simulator("taurex3", opacities, NAMES)
