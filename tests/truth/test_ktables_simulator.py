"""Spectra from k-tables: against plain loops, against the taurex package, and in their limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_k_tables import synthetic_k_tables
from synthetic_opacities import GASES, synthetic_opacities
from test_simulator_transmission import NAMES, largest_ppm, prior_corners, prior_draws

from exobench.errors import ExobenchError
from exobench.opacities.tables import KTable
from exobench.simulators.build_ktable import build_k_table_simulator
from exobench.simulators.constants import TAUREX3
from exobench.simulators.ktable import KTableTransmissionSimulator
from exobench.simulators.ktable_literal import LiteralKTableSimulator
from exobench.simulators.literal import LiteralTransmissionSimulator


@pytest.fixture(scope="module")
def theta():
    return torch.cat([prior_draws(12), prior_corners()[::16]])


def held_interpolation(nodes, point):
    """Weights of linear interpolation, held beyond the nodes, by a plain search."""
    if point <= nodes[0]:
        return [(0, 1.0)]
    if point >= nodes[-1]:
        return [(len(nodes) - 1, 1.0)]
    i = max(j for j in range(len(nodes) - 1) if nodes[j] <= point)
    f = (point - nodes[i]) / (nodes[i + 1] - nodes[i])
    return [(i, 1.0 - f), (i + 1, f)]


def plain_loop_depth(opacities, row, overlap):
    """The depth of one spectrum by loops over numbers, with nothing shared with the package but constants."""
    c, n_layer = TAUREX3, 100
    values = dict(zip(NAMES, row.tolist(), strict=True))
    mixing = {gas: 10.0 ** values[f"log10_{gas.lower()}"] for gas in GASES}
    hydrogen = (1.0 - sum(mixing.values())) / (1.0 + 0.17647)
    mixing |= {"H2": hydrogen, "He": 0.17647 * hydrogen}
    mass_molecule = sum(x * c.molecule_kg(gas) for gas, x in mixing.items())
    radius, mass, t = values["radius_rjup"] * c.r_jup_m, values["mass_mjup"] * c.m_jup_kg, values["temperature_k"]
    level = [10.0 ** (6.0 - 11.0 * i / n_layer) for i in range(n_layer + 1)]
    layer = [math.sqrt(level[i] * level[i + 1]) for i in range(n_layer)]
    z, d = [0.0], []
    for i in range(n_layer):
        gravity = c.gravity_m3_kg_s2 * mass / (radius + z[i]) ** 2
        d.append(c.boltzmann_j_k * t / (mass_molecule * gravity) * math.log(level[i] / level[i + 1]))
        z.append(z[i] + d[i])
    density = [p / (c.boltzmann_j_k * t) for p in layer]

    def k_of(table, p, w, g):
        t_part = held_interpolation(list(table.temperature_k), t)
        p_part = held_interpolation([math.log10(q) for q in table.pressure_pa], math.log10(p))
        return sum(a * b * table.coefficient_m2[i, j, w, g] for i, a in p_part for j, b in t_part)

    depths = []
    for w in range(len(opacities.wavelength_um)):
        ray = sum(mixing[gas] * values_m2[w] for gas, values_m2 in opacities.rayleigh_m2.items())
        cia = sum(
            mixing[pair.pair[0]]
            * mixing[pair.pair[1]]
            * sum(a * pair.coefficient_m5[j, w] for j, a in held_interpolation(list(pair.temperature_k), t))
            for pair in opacities.cia
        )
        n_g = len(opacities.k_tables["H2O"].g_weights)
        k = {
            gas: [[mixing[gas] * k_of(table, p, w, g) for p in layer] for g in range(n_g)]
            for gas, table in opacities.k_tables.items()
        }
        blocked = 0.0
        for lowest in range(n_layer):
            u = radius + d[0] / 2 + z[lowest]
            s, path = 0.0, []
            for i in range(lowest, n_layer):
                v = radius + d[0] / 2 + z[i] + d[i] / 2
                s_next = math.sqrt(v * v - u * u)
                path.append(2.0 * (s_next - s))
                s = s_next
            upper = range(lowest, n_layer)
            continuum = sum(
                length * (density[i] * ray + density[i] ** 2 * cia) for i, length in zip(upper, path, strict=True)
            )
            tau = {
                gas: [
                    sum(length * density[i] * of_g[i] for i, length in zip(upper, path, strict=True)) for of_g in rows
                ]
                for gas, rows in k.items()
            }
            weights = opacities.k_tables["H2O"].g_weights
            if overlap == "random":
                passed = math.prod(
                    sum(a * math.exp(-one) for a, one in zip(weights, taus, strict=True)) for taus in tau.values()
                )
            else:
                passed = sum(a * math.exp(-sum(taus[g] for taus in tau.values())) for g, a in enumerate(weights))
            blocked += (radius + z[lowest]) * d[lowest] * (1.0 - math.exp(-continuum) * passed)
        depths.append((radius**2 + 2.0 * blocked) / c.r_sun_m**2)
    return depths


@pytest.mark.parametrize("overlap", ["random", "equal_g"])
def test_a_plain_loop_gives_the_same_spectrum(overlap):
    opacities = synthetic_k_tables(3, n_g=4)
    theta = prior_draws(2, seed=5)
    loops = torch.tensor([plain_loop_depth(opacities, row, overlap) for row in theta], dtype=torch.float64)
    fast = KTableTransmissionSimulator(opacities, NAMES, overlap=overlap, dtype=torch.float64)(theta)
    literal = LiteralKTableSimulator(opacities, NAMES, overlap=overlap)(theta)
    assert largest_ppm(fast, loops) < 1e-6
    assert largest_ppm(literal, loops) < 1e-6


@pytest.mark.parametrize("overlap", ["random", "equal_g"])
@pytest.mark.parametrize("flavour", ["taurex3", "taurex2"])
@pytest.mark.parametrize("same_grids", [True, False])
def test_node_form_equals_the_literal_formulas(theta, overlap, flavour, same_grids):
    opacities = synthetic_k_tables(10, seed=3, same_grids=same_grids)
    settings = {"overlap": overlap, "flavour": flavour}
    literal = LiteralKTableSimulator(opacities, NAMES, **settings)(theta)
    double = KTableTransmissionSimulator(opacities, NAMES, **settings, dtype=torch.float64)(theta)
    single = KTableTransmissionSimulator(opacities, NAMES, **settings)(theta)
    assert largest_ppm(double, literal) < 1e-6
    assert single.dtype == torch.float32
    assert largest_ppm(single, literal) < 0.02


def test_equal_g_is_taurex(theta):
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    from taurex.constants import AMU

    from exobench.simulators.taurex3_ktable import TauREx3KTableSimulator

    installed = replace(TAUREX3, atomic_mass_kg=float(AMU))
    opacities = synthetic_k_tables(20, n_g=12)
    theta = theta[::2]
    package = TauREx3KTableSimulator(opacities, NAMES, early_exit=False)(theta)
    ours = KTableTransmissionSimulator(opacities, NAMES, overlap="equal_g", flavour=installed, dtype=torch.float64)(
        theta
    )
    random = KTableTransmissionSimulator(opacities, NAMES, flavour=installed, dtype=torch.float64)(theta)
    assert largest_ppm(package, ours) < 1e-6
    assert largest_ppm(package, random) > 10.0  # the two rules do differ


def test_the_package_leaves_its_global_state_as_it_was():
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    from taurex.cache import GlobalCache
    from taurex.cache.ktablecache import KTableCache

    from exobench.simulators.taurex3_ktable import TauREx3KTableSimulator

    before = GlobalCache()["opacity_method"]
    TauREx3KTableSimulator(synthetic_k_tables(4), NAMES)(prior_draws(1))
    assert GlobalCache()["opacity_method"] == before
    assert not KTableCache().opacity_dict
    with pytest.raises(ExobenchError, match="equal g only"):
        TauREx3KTableSimulator(synthetic_k_tables(4), NAMES, overlap="random")


@pytest.mark.parametrize("overlap", ["random", "equal_g"])
def test_a_flat_distribution_is_a_cross_section(theta, overlap):
    plain = synthetic_opacities(15)
    flat = {
        gas: KTable(
            gas,
            table.temperature_k,
            table.pressure_pa,
            np.array([0.2, 0.3, 0.5]),
            np.repeat(table.cross_section_m2[..., None], 3, axis=-1),
        )
        for gas, table in plain.gases.items()
    }
    expected = LiteralTransmissionSimulator(plain, NAMES)(theta)
    given = replace(plain, gases={}, k_tables=flat)
    got = KTableTransmissionSimulator(given, NAMES, overlap=overlap, dtype=torch.float64)(theta)
    assert largest_ppm(got, expected) < 1e-6
    mixed = replace(plain, gases={"CO": plain.gases["CO"]}, k_tables={g: t for g, t in flat.items() if g != "CO"})
    got = KTableTransmissionSimulator(mixed, NAMES, overlap=overlap, dtype=torch.float64)(theta)
    assert largest_ppm(got, expected) < 1e-6


def test_random_overlap_of_one_gas_is_equal_g(theta):
    opacities = synthetic_k_tables(8, gases=("H2O",))
    names = ("log10_h2o", *NAMES[4:])
    spectra = [
        KTableTransmissionSimulator(opacities, names, overlap=overlap, dtype=torch.float64)(theta[:, [0, 4, 5, 6]])
        for overlap in ("random", "equal_g")
    ]
    assert largest_ppm(*spectra) < 1e-7


def test_gases_may_have_their_own_g_points_under_random_overlap(theta):
    opacities, other = synthetic_k_tables(6, n_g=8), synthetic_k_tables(6, n_g=5)
    tables = {**opacities.k_tables, "CH4": other.k_tables["CH4"]}
    mixed = replace(opacities, k_tables=tables)
    double = KTableTransmissionSimulator(mixed, NAMES, dtype=torch.float64)(theta)
    assert largest_ppm(double, LiteralKTableSimulator(mixed, NAMES)(theta)) < 1e-6
    with pytest.raises(ExobenchError, match="share their g weights"):
        KTableTransmissionSimulator(mixed, NAMES, overlap="equal_g")


def test_zeros_in_a_table_are_no_absorption(theta):
    opacities = synthetic_k_tables(6)
    k = opacities.k_tables["CO"]
    holes = replace(k, coefficient_m2=np.where(np.arange(len(k.g_weights)) < 3, 0.0, k.coefficient_m2))
    given = replace(opacities, k_tables={**opacities.k_tables, "CO": holes})
    single = KTableTransmissionSimulator(given, NAMES)(theta)
    assert torch.isfinite(single).all()
    assert largest_ppm(single, LiteralKTableSimulator(given, NAMES)(theta)) < 0.02


def test_batches_chunks_and_order_do_not_change_a_spectrum():
    opacities, theta = synthetic_k_tables(10), prior_draws(70, seed=8)
    whole = KTableTransmissionSimulator(opacities, NAMES)(theta)
    small = KTableTransmissionSimulator(opacities, NAMES, max_chunk_bytes=1)(theta)
    assert largest_ppm(whole, small) < 0.01
    shuffled = torch.randperm(len(theta), generator=torch.Generator().manual_seed(0))
    assert largest_ppm(KTableTransmissionSimulator(opacities, NAMES)(theta[shuffled]), whole[shuffled]) < 0.01
    assert KTableTransmissionSimulator(opacities, NAMES)(theta[:0]).shape == (0, 10)


@pytest.mark.parametrize("overlap", ["random", "equal_g"])
def test_gradient_is_that_of_central_differences(overlap):
    simulator = KTableTransmissionSimulator(synthetic_k_tables(6), NAMES, overlap=overlap, dtype=torch.float64)
    theta = prior_draws(4, seed=2)
    theta[:, 6] = 70.0 + 100.0 * (theta[:, 6] / 100.0).floor()  # away from the kinks at temperature nodes
    weights = torch.linspace(1.0, 2.0, 6, dtype=torch.float64)
    point = theta.clone().requires_grad_(True)
    (simulator(point) @ weights).sum().backward()
    for column in range(theta.shape[1]):
        step = 1e-5 * float(theta[:, column].abs().mean())
        ahead, behind = theta.clone(), theta.clone()
        ahead[:, column] += step
        behind[:, column] -= step
        numeric = (simulator(ahead) - simulator(behind)) @ weights / (2 * step)
        assert torch.allclose(point.grad[:, column], numeric, rtol=1e-6, atol=1e-6 * float(numeric.abs().max()))


def test_wrong_settings_are_named():
    opacities = synthetic_k_tables(4)
    with pytest.raises(ExobenchError, match=r"no k-table overlap 'ramdom'.*'random'"):
        KTableTransmissionSimulator(opacities, NAMES, overlap="ramdom")
    with pytest.raises(ExobenchError, match="has a k-table"):
        KTableTransmissionSimulator(synthetic_opacities(4), NAMES)
    with pytest.raises(ExobenchError, match="cross-sections and a k-table"):
        replace(opacities, gases={"CO": synthetic_opacities(4).gases["CO"]})


def test_the_description_names_the_overlap_and_the_tables():
    opacities = synthetic_k_tables(4)
    described = [KTableTransmissionSimulator(opacities, NAMES, overlap=o).describe() for o in ("random", "equal_g")]
    assert [d["k_table_overlap"] for d in described] == ["random", "equal_g"]
    assert described[0]["opacities"] == opacities.content_hash()
    k = opacities.k_tables["CO"]
    moved = {**opacities.k_tables, "CO": replace(k, coefficient_m2=k.coefficient_m2 * 1.01)}
    assert replace(opacities, k_tables=moved).content_hash() != opacities.content_hash()


def test_wrong_k_tables_are_refused():
    k = synthetic_k_tables(4).k_tables["CO"]
    for change, message in [
        ({"g_weights": k.g_weights * 2}, "add up to one"),
        ({"g_weights": k.g_weights[:-1] / k.g_weights[:-1].sum()}, "coefficient_m2 has shape"),
        ({"coefficient_m2": -k.coefficient_m2}, "not negative"),
        ({"coefficient_m2": np.where(k.coefficient_m2 > 0, np.nan, 0)}, "finite"),
        ({"pressure_pa": k.pressure_pa[::-1]}, "ascending"),
    ]:
        with pytest.raises(ExobenchError, match=message):
            replace(k, **change)


@pytest.mark.parametrize("kind", ["transmission", "transmission_literal", "taurex3"])
def test_a_wrong_setting_of_the_builder_is_named(kind):
    with pytest.raises(ExobenchError, match=r"no setting of simulator '\w+' with k-tables 'n_layers'.*'n_layer'"):
        build_k_table_simulator(kind, synthetic_k_tables(4), NAMES, n_layers=50)
