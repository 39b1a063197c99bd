"""The batched simulator against the literal formulas, and its invariances."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_opacities import GASES, synthetic_opacities

from exobench.errors import ExobenchError
from exobench.opacities.tables import CollisionInducedAbsorption, OpacitySet
from exobench.simulators.build import build_simulator
from exobench.simulators.constants import TAUREX2, TAUREX3, flavour, formula_mass
from exobench.simulators.geometry import layer_geometry
from exobench.simulators.literal import LiteralTransmissionSimulator
from exobench.simulators.nodes import hat_weights
from exobench.simulators.transmission import TransmissionSimulator

NAMES = ("log10_h2o", "log10_co2", "log10_co", "log10_ch4", "mass_mjup", "radius_rjup", "temperature_k")
LOW = torch.tensor([-8.0, -8.0, -8.0, -8.0, 0.8, 0.8, 1000.0], dtype=torch.float64)
HIGH = torch.tensor([-1.0, -1.0, -1.0, -1.0, 2.0, 1.5, 2000.0], dtype=torch.float64)
PPM = 1e6


def prior_draws(n: int, seed: int = 0) -> torch.Tensor:
    return LOW + (HIGH - LOW) * torch.rand(n, len(NAMES), generator=torch.Generator().manual_seed(seed)).double()


def prior_corners() -> torch.Tensor:
    ends = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(NAMES))), dtype=torch.float64)
    return LOW + (HIGH - LOW) * ends


def largest_ppm(a: torch.Tensor, b: torch.Tensor) -> float:
    return PPM * float((a.double() - b.double()).abs().max())


@pytest.fixture(scope="module")
def opacities() -> OpacitySet:
    return synthetic_opacities()


@pytest.fixture(scope="module")
def different_grids() -> OpacitySet:
    return synthetic_opacities(40, seed=3, same_grids=False)


@pytest.mark.parametrize("name", ["taurex3", "taurex2"])
@pytest.mark.parametrize("grids", ["opacities", "different_grids"])
def test_node_form_equals_the_literal_formulas(name, grids, request):
    tables = request.getfixturevalue(grids)
    theta = torch.cat([prior_draws(60), prior_corners()[::5]])
    literal = LiteralTransmissionSimulator(tables, NAMES, flavour=name)(theta)
    double = TransmissionSimulator(tables, NAMES, flavour=name, dtype=torch.float64)(theta)
    single = TransmissionSimulator(tables, NAMES, flavour=name)(theta)
    assert largest_ppm(double, literal) < 1e-7
    assert single.dtype == torch.float32
    assert largest_ppm(single, literal) < 0.005


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layer": 1},
        {"n_layer": 33, "pressure_bottom_pa": 2e4},
        {"pressure_top_pa": 1e2, "star_radius_rsun": 0.7},
    ],
)
def test_other_layers_pressures_and_stars(opacities, settings):
    theta = prior_draws(20)
    literal = LiteralTransmissionSimulator(opacities, NAMES, **settings)(theta)
    double = TransmissionSimulator(opacities, NAMES, dtype=torch.float64, **settings)(theta)
    assert largest_ppm(double, literal) < 1e-7


def test_puffy_planets_leave_the_series_and_stay_exact(opacities):
    theta = prior_draws(30)
    theta[::2, 4], theta[::2, 5], theta[::2, 6] = 0.25, 1.4, 2000.0
    theta[::2, :4] = -6.0
    literal = LiteralTransmissionSimulator(opacities, NAMES)(theta)
    simulator = TransmissionSimulator(opacities, NAMES, dtype=torch.float64)
    assert largest_ppm(simulator(theta), literal) < 1e-7
    theta[3, 4] = 0.05
    with pytest.raises(ExobenchError, match="unbound"):
        simulator(theta)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunks_and_order_do_not_matter(opacities, dtype):
    # Matrix libraries may add in another order for another shape, hence rounding and not equality.
    theta = prior_draws(90)
    whole = TransmissionSimulator(opacities, NAMES, dtype=dtype)(theta)
    tolerance = 8 * torch.finfo(dtype).eps * float(whole.max())
    for max_chunk_bytes in (1, 100_000, 10**9):
        parts = TransmissionSimulator(opacities, NAMES, dtype=dtype, max_chunk_bytes=max_chunk_bytes)(theta)
        assert torch.allclose(parts, whole, rtol=0, atol=tolerance)
    order = torch.randperm(90, generator=torch.Generator().manual_seed(1))
    shuffled = TransmissionSimulator(opacities, NAMES, dtype=dtype)(theta[order])
    assert torch.allclose(shuffled, whole[order], rtol=0, atol=tolerance)
    single = torch.cat([TransmissionSimulator(opacities, NAMES, dtype=dtype)(row[None]) for row in theta[:5]])
    assert torch.allclose(single, whole[:5], rtol=0, atol=tolerance)


def test_columns_are_read_by_name(opacities):
    theta = prior_draws(10)
    order = [6, 2, 5, 0, 3, 4, 1]
    simulator = TransmissionSimulator(opacities, [NAMES[i] for i in order], dtype=torch.float64)
    expected = TransmissionSimulator(opacities, NAMES, dtype=torch.float64)(theta)
    assert torch.allclose(simulator(theta[:, order]), expected, rtol=1e-13, atol=0)


def test_gradient_equals_central_differences(opacities):
    simulator = TransmissionSimulator(opacities, NAMES, dtype=torch.float64, max_chunk_bytes=200_000)
    theta = prior_draws(12, seed=5)
    theta[:, 6] = 70.0 + 100.0 * (theta[:, 6] / 100.0).floor()  # away from the kinks at temperature nodes
    weight = torch.rand(simulator.n_bin, generator=torch.Generator().manual_seed(2)).double()
    leaf = theta.clone().requires_grad_(True)
    (simulator(leaf) @ weight).sum().backward()
    step = 3e-5 * (HIGH - LOW)
    for column, width in enumerate(step):
        shift = torch.zeros(len(NAMES), dtype=torch.float64)
        shift[column] = width
        # Fourth-order differences: the error of second order would not reach 1e-6.
        near = (simulator(theta + shift) - simulator(theta - shift)) @ weight
        far = (simulator(theta + 2 * shift) - simulator(theta - 2 * shift)) @ weight
        difference = (8 * near - far) / (12 * width)
        assert torch.allclose(leaf.grad[:, column], difference, rtol=1e-6, atol=1e-6 * float(difference.abs().max()))


def test_gradient_in_float32_and_in_the_far_geometry(opacities):
    theta = prior_draws(6)
    theta[::2, 4], theta[::2, 5], theta[::2, 6], theta[::2, :4] = 0.25, 1.4, 1990.0, -6.0
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = theta.clone().requires_grad_(True)
        TransmissionSimulator(opacities, NAMES, dtype=dtype)(leaf).sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-6 * float(gradients[1].abs().max()))


def test_autocast_and_coarse_matmul_settings_do_not_reach_the_simulator(opacities):
    theta = prior_draws(20)
    simulator = TransmissionSimulator(opacities, NAMES)
    expected = simulator(theta)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = simulator(theta)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found, expected)


def test_transparent_atmosphere_leaves_the_bare_disc(opacities):
    nothing = replace(
        opacities,
        gases={
            gas: replace(table, cross_section_m2=0 * table.cross_section_m2) for gas, table in opacities.gases.items()
        },
        cia=(),
        rayleigh_m2={},
    )
    theta = prior_draws(5)
    disc = (theta[:, 5] * TAUREX3.r_jup_m / TAUREX3.r_sun_m) ** 2
    depth = TransmissionSimulator(nothing, NAMES, dtype=torch.float64)(theta)
    assert torch.allclose(depth, disc[:, None].expand_as(depth), rtol=1e-14, atol=0)


def test_opaque_atmosphere_is_a_disc_of_its_rings(opacities):
    opaque = replace(
        opacities,
        gases={
            gas: replace(table, cross_section_m2=1.0 + 0 * table.cross_section_m2)
            for gas, table in opacities.gases.items()
        },
    )
    theta = prior_draws(4)
    simulator = TransmissionSimulator(opaque, NAMES, dtype=torch.float64, n_layer=300, pressure_top_pa=1.0)
    constants = TAUREX3
    mixing = 10 ** theta[:, :4]
    mass = torch.tensor([constants.molar_mass[gas] for gas in GASES], dtype=torch.float64)
    hydrogen = (1 - mixing.sum(1)) / (1 + constants.helium_ratio)
    mu = (mixing * mass).sum(1) + hydrogen * (constants.molar_mass["H2"] + constants.helium_ratio * 4.002602)
    h = constants.boltzmann_j_k * theta[:, 6] * theta[:, 5] * constants.r_jup_m
    h = h / (mu * constants.atomic_mass_kg * constants.gravity_m3_kg_s2 * theta[:, 4] * constants.m_jup_kg)
    # With gravity falling as 1/r^2 the level of pressure P lies at R / (1 - h ln(P_0/P)).
    top = theta[:, 5] * constants.r_jup_m / (1 - h * np.log(1e6))
    expected = (top / constants.r_sun_m) ** 2
    assert torch.allclose(simulator(theta)[:, 0], expected, rtol=1e-3, atol=0)


def test_paths_of_a_ray_add_up_to_its_chord():
    log_step = torch.full((40,), 0.3, dtype=torch.float64)
    path, _ = layer_geometry(torch.tensor([0.002, 0.01], dtype=torch.float64), log_step)
    for number, h in enumerate((0.002, 0.01)):
        altitude, bottoms, thicknesses = 0.0, [], []
        for step in log_step.tolist():
            thickness = h * (1 + altitude) ** 2 * step
            bottoms.append(altitude)
            thicknesses.append(thickness)
            altitude += thickness
        ray = 1 + thicknesses[0] / 2 + np.array(bottoms)
        chord = 2 * np.sqrt((ray[-1] + thicknesses[-1] / 2) ** 2 - ray**2)
        assert np.allclose(path[number].sum(dim=1).numpy(), chord, rtol=1e-11)


def test_hat_weights_are_linear_interpolation():
    rng = np.random.default_rng(0)
    nodes, points = np.sort(rng.normal(size=9)), rng.normal(scale=2.0, size=200)
    values = rng.normal(size=9)
    assert np.allclose(hat_weights(nodes, points) @ values, np.interp(points, nodes, values), atol=1e-13)
    assert np.allclose(hat_weights(nodes, points).sum(axis=1), 1.0)
    assert np.array_equal(hat_weights(nodes, nodes), np.eye(9))


def test_flavours_differ_as_specified(opacities):
    theta = prior_draws(20)
    expected = LiteralTransmissionSimulator(opacities, NAMES, flavour="taurex2")(theta)
    # The second flavour, put together from the first one change at a time.
    steps = {
        "r_jup_m": 6.9911e7,
        "r_sun_m": 6.955e8,
        "m_jup_kg": 1.898e27,
        "atomic_mass_kg": 1.660538921e-27,
        "boltzmann_j_k": 1.380648813e-23,
        "gravity_m3_kg_s2": 6.67384e-11,
        "molar_mass": {"H2": 2.0, "He": 4.0, "H2O": 18.0, "CO2": 44.0, "CO": 28.01, "CH4": 16.0},
        "pressure_interpolation": "linear",
    }
    built = replace(TAUREX3, **steps, helium_rayleigh=False)
    assert torch.allclose(LiteralTransmissionSimulator(opacities, NAMES, flavour=built)(theta), expected, rtol=1e-15)
    for name, value in {**steps, "helium_rayleigh": False}.items():
        one = LiteralTransmissionSimulator(opacities, NAMES, flavour=replace(TAUREX3, **{name: value}))(theta)
        assert largest_ppm(one, LiteralTransmissionSimulator(opacities, NAMES)(theta)) > 1e-6, name
    without_helium = replace(
        opacities, rayleigh_m2={gas: values for gas, values in opacities.rayleigh_m2.items() if gas != "He"}
    )
    assert torch.equal(LiteralTransmissionSimulator(without_helium, NAMES, flavour="taurex2")(theta), expected)
    assert TAUREX2.scatters("H2")


def test_molar_masses():
    assert TAUREX3.molar_mass["H2O"] == pytest.approx(2 * 1.00794 + 15.9994, abs=1e-12)
    assert formula_mass("C2H2") == pytest.approx(2 * 12.011 + 2 * 1.00794, abs=1e-12)
    with pytest.raises(ExobenchError, match="formula"):
        formula_mass("h2o")
    with pytest.raises(ExobenchError, match="taurex4"):
        flavour("taurex4")


def test_cia_of_a_trace_gas_and_of_an_absent_one(opacities):
    rng = np.random.default_rng(4)
    temperature = np.array([950.0, 1500.0, 2050.0])
    extra = CollisionInducedAbsorption(
        ("CO2", "CO2"), temperature, 1e-52 * rng.random((3, len(opacities.wavelength_um)))
    )
    mixed = CollisionInducedAbsorption(
        ("H2", "CH4"), temperature, 1e-52 * rng.random((3, len(opacities.wavelength_um)))
    )
    absent = CollisionInducedAbsorption(("N2", "N2"), temperature, np.ones((3, len(opacities.wavelength_um))))
    tables = replace(opacities, cia=(*opacities.cia, extra, mixed, absent))
    theta = prior_draws(30)
    literal = LiteralTransmissionSimulator(tables, NAMES)(theta)
    assert largest_ppm(literal, LiteralTransmissionSimulator(opacities, NAMES)(theta)) > 0.1
    assert largest_ppm(TransmissionSimulator(tables, NAMES, dtype=torch.float64)(theta), literal) < 1e-7


def test_edges_of_the_temperature_tables(opacities):
    theta = prior_draws(4)
    theta[0, 6], theta[1, 6], theta[2, 6] = 900.0, 2100.0, 1500.0
    literal = LiteralTransmissionSimulator(opacities, NAMES)(theta)
    assert largest_ppm(TransmissionSimulator(opacities, NAMES, dtype=torch.float64)(theta), literal) < 1e-7


@pytest.mark.parametrize("kind", ["transmission", "transmission_literal"])
def test_empty_batch(opacities, kind):
    assert build_simulator(kind, opacities, NAMES)(torch.zeros(0, 7)).shape == (0, len(opacities.wavelength_um))


@pytest.mark.parametrize("kind", ["transmission", "transmission_literal"])
def test_wrong_theta_is_named(opacities, kind):
    simulator = build_simulator(kind, opacities, NAMES)
    good = prior_draws(3)
    cases = [
        ((2, 6), 800.0, "row 2: temperature_k is 800; the opacity tables cover 900 to 2100 K"),
        ((1, 6), float("nan"), "row 1: temperature_k is nan"),
        ((1, 4), 0.0, "row 1: mass_mjup is 0"),
        ((0, 5), -1.0, "row 0: radius_rjup is -1"),
        ((2, 0), 0.1, "row 2: the mixing ratios add up to"),
    ]
    for where, value, message in cases:
        theta = good.clone()
        theta[where] = value
        with pytest.raises(ExobenchError, match=message):
            simulator(theta)
    with pytest.raises(ExobenchError, match=r"\(3, 6\), expected \(n, 7\)"):
        simulator(good[:, :6])
    with pytest.raises(ExobenchError, match="floating-point"):
        simulator(good.long())


def test_wrong_settings_are_named(opacities):
    cases = [
        (lambda: build_simulator("transmision", opacities, NAMES), "Did you mean 'transmission'"),
        (lambda: build_simulator("transmission", opacities, NAMES, n_layers=3), "n_layer"),
        (lambda: build_simulator("transmission", opacities, NAMES, flavour="taurex"), "taurex2, taurex3"),
        (lambda: build_simulator("transmission", opacities, (*NAMES, "log10_nh3")), "log10_nh3"),
        (lambda: build_simulator("transmission", opacities, NAMES[:-1]), "temperature_k"),
        (lambda: build_simulator("transmission", opacities, (*NAMES, "log10_h2o")), "distinct"),
        (lambda: build_simulator("transmission", opacities, NAMES, n_layer=0), "n_layer is 0"),
        (lambda: build_simulator("transmission", opacities, NAMES, pressure_top_pa=1e7), "pressure_top_pa"),
        (lambda: build_simulator("transmission", opacities, NAMES, dtype=torch.float16), "float16"),
        (lambda: build_simulator("transmission", opacities, NAMES, star_radius_rsun=0.0), "star_radius_rsun"),
    ]
    for build, message in cases:
        with pytest.raises(ExobenchError, match=message):
            build()


def test_description_follows_what_moves_the_spectrum(opacities):
    base = build_simulator("transmission", opacities, NAMES).describe()
    assert base == build_simulator("transmission", opacities, NAMES, max_chunk_bytes=1000).describe()
    changed = [
        build_simulator("transmission", opacities, NAMES, flavour="taurex2"),
        build_simulator("transmission", opacities, NAMES, n_layer=50),
        build_simulator("transmission", opacities, NAMES, star_radius_rsun=0.9),
        build_simulator("transmission", opacities, NAMES, dtype=torch.float64),
        build_simulator("transmission", synthetic_opacities(seed=1), NAMES),
        build_simulator("transmission_literal", opacities, NAMES),
    ]
    assert all(simulator.describe() != base for simulator in changed)
