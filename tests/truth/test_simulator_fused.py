"""The compiled kernel against the literal formulas, the torch simulator and the taurex package."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_opacities import GASES, synthetic_opacities
from test_simulator_transmission import NAMES, largest_ppm, prior_corners, prior_draws
from torch.autograd import forward_ad

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.tables import OpacitySet
from exobench.simulators.build import build_simulator
from exobench.simulators.literal import LiteralTransmissionSimulator
from exobench.simulators.transmission import TransmissionSimulator

pytest.importorskip("numba", reason="numba, which compiles the kernel, is not installed")

from exobench.simulators.fused import FusedTransmissionSimulator

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def opacities() -> OpacitySet:
    return synthetic_opacities(130)


@pytest.fixture(scope="module")
def fused(opacities) -> FusedTransmissionSimulator:
    return FusedTransmissionSimulator(opacities, NAMES)


@pytest.mark.parametrize("name", ["taurex3", "taurex2"])
@pytest.mark.parametrize("same_grids", [True, False])
def test_equals_the_torch_simulator_and_the_literal_formulas(name, same_grids):
    tables = synthetic_opacities(95, seed=6, same_grids=same_grids)
    theta = torch.cat([prior_draws(172, seed=8), prior_corners()])
    found = FusedTransmissionSimulator(tables, NAMES, flavour=name)(theta)
    double = TransmissionSimulator(tables, NAMES, flavour=name, dtype=torch.float64)(theta)
    assert found.dtype == torch.float32
    assert largest_ppm(found, double) < 0.005
    assert largest_ppm(found, TransmissionSimulator(tables, NAMES, flavour=name)(theta)) < 0.005
    some = torch.arange(0, len(theta), 15)
    assert largest_ppm(found[some], LiteralTransmissionSimulator(tables, NAMES, flavour=name)(theta[some])) < 0.005


@pytest.mark.parametrize(
    "settings",
    [
        {"n_layer": 1},
        {"n_layer": 33, "pressure_bottom_pa": 2e4},
        {"n_layer": 181, "star_radius_rsun": 1.4},
        {"pressure_top_pa": 1e2, "star_radius_rsun": 0.7},
    ],
)
def test_other_layers_pressures_and_stars(opacities, settings):
    theta = prior_draws(40)
    double = TransmissionSimulator(opacities, NAMES, dtype=torch.float64, **settings)(theta)
    assert largest_ppm(FusedTransmissionSimulator(opacities, NAMES, **settings)(theta), double) < 0.005


@pytest.mark.parametrize("n_bin", [1, 39, 40, 41])
def test_any_number_of_bins(n_bin):
    tables = synthetic_opacities(n_bin, seed=4)
    theta = prior_draws(20)
    double = TransmissionSimulator(tables, NAMES, dtype=torch.float64)(theta)
    assert largest_ppm(FusedTransmissionSimulator(tables, NAMES)(theta), double) < 0.005


def test_more_columns_than_a_tile_and_more_collisions(opacities):
    fine = _with_pressures_of_their_own(opacities)
    others = tuple(replace(opacities.cia[0], pair=pair) for pair in (("H2", "CH4"), ("CO2", "CO2")))
    tables = replace(fine, cia=(*opacities.cia, *others))
    theta = prior_draws(40)
    simulator = FusedTransmissionSimulator(tables, NAMES)
    assert simulator._nodes.table.shape[2] > 40
    double = TransmissionSimulator(tables, NAMES, dtype=torch.float64)(theta)
    assert largest_ppm(simulator(theta), double) < 0.005


def _with_pressures_of_their_own(opacities: OpacitySet) -> OpacitySet:
    """Every gas with pressures of its own, close together."""
    gases = {}
    for number, (gas, table) in enumerate(opacities.gases.items()):
        pressure = 10.0 ** np.linspace(-2.0 + 0.14 * number, 5.5 + 0.14 * number, len(table.pressure_pa))
        gases[gas] = replace(table, pressure_pa=pressure)
    return replace(opacities, gases=gases)


def test_a_spectrum_has_the_same_bits_in_any_batch(fused):
    theta = torch.cat([prior_draws(700, seed=3), prior_corners()])
    theta[::7, 4:] = torch.tensor([0.25, 1.4, 2000.0], dtype=torch.float64)  # beyond the series
    theta[::7, :4] = -6.0
    whole = fused(theta)
    order = torch.randperm(len(theta), generator=torch.Generator().manual_seed(1))
    assert torch.equal(fused(theta[order]), whole[order])
    for size in (1, 2, 7, 17, 64, 129):
        rows = order[: 3 * size]
        assert torch.equal(torch.cat([fused(theta[part]) for part in rows.split(size)]), whole[rows]), size
    many = torch.cat([theta] * 10)
    assert len(many) > 8192
    assert torch.equal(fused(many), torch.cat([whole] * 10))


def test_transparent_and_opaque_atmospheres(opacities):
    theta = prior_draws(30)
    for factor in (0.0, 1e-6, 1e3, 1e8):
        tables = replace(
            opacities,
            gases={
                gas: replace(table, cross_section_m2=factor * table.cross_section_m2)
                for gas, table in opacities.gases.items()
            },
        )
        double = TransmissionSimulator(tables, NAMES, dtype=torch.float64)(theta)
        assert largest_ppm(FusedTransmissionSimulator(tables, NAMES)(theta), double) < 0.01, factor


def test_puffy_planets_leave_the_series(fused, opacities):
    theta = prior_draws(30)
    theta[::2, 4], theta[::2, 5], theta[::2, 6], theta[::2, :4] = 0.25, 1.4, 2000.0, -6.0
    double = TransmissionSimulator(opacities, NAMES, dtype=torch.float64)(theta)
    assert float((fused(theta) / double - 1.0).abs().max()) < 2.0 * torch.finfo(torch.float32).eps
    theta[3, 4] = 0.05
    with pytest.raises(ExobenchError, match="unbound"):
        fused(theta)


def test_equals_taurex(opacities, fused):
    pytest.importorskip("taurex", reason="taurex (extra 'forward') is not installed")
    theta = torch.cat([prior_draws(12, seed=11), prior_corners()[::16]])
    assert largest_ppm(fused(theta), build_simulator("taurex3", opacities, NAMES)(theta)) < 0.01


def test_gradients_are_those_of_torch(fused, opacities):
    theta = prior_draws(5)
    leaves = [theta.clone().requires_grad_(True) for _ in range(2)]
    fused(leaves[0]).sum().backward()
    TransmissionSimulator(opacities, NAMES)(leaves[1]).sum().backward()
    assert torch.equal(leaves[0].grad, leaves[1].grad)
    with torch.no_grad():
        found = fused(leaves[0])
    assert not found.requires_grad
    assert torch.equal(found, fused(theta))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(theta, torch.ones_like(theta))
        assert forward_ad.unpack_dual(fused(dual)).tangent is not None


def test_which_implementation_is_chosen(opacities):
    def kind(name: str = "transmission", **settings: object) -> type:
        return type(build_simulator(name, opacities, NAMES, **settings))

    assert kind() is FusedTransmissionSimulator
    assert kind(max_chunk_bytes=10**6, n_layer=20, device="cpu") is FusedTransmissionSimulator
    assert kind(differentiable=True) is TransmissionSimulator
    assert kind(dtype=torch.float64) is TransmissionSimulator
    assert kind("transmission_torch") is TransmissionSimulator
    assert kind("transmission_fused") is FusedTransmissionSimulator
    description = build_simulator("transmission", opacities, NAMES).describe()
    assert description == build_simulator("transmission_torch", opacities, NAMES).describe()
    with pytest.raises(ExobenchError, match=r"cannot be differentiated; use 'transmission_torch'"):
        kind("transmission_fused", differentiable=True)
    with pytest.raises(ExobenchError, match=r"torch.float32 only, not torch.float64"):
        kind("transmission_fused", dtype=torch.float64)
    with pytest.raises(ExobenchError, match="n_layer"):
        kind("transmission_fused", n_layers=3)


def test_wrong_theta_is_named(fused):
    theta = prior_draws(9000)
    theta[8500, 6] = 800.0
    with pytest.raises(ExobenchError, match="row 8500: temperature_k is 800"):
        fused(theta)
    with pytest.raises(ExobenchError, match=r"\(0, 6\), expected \(n, 7\)"):
        fused(theta[:0, :6])
    with pytest.raises(ExobenchError, match="floating-point"):
        fused(theta.long())
    assert fused(theta[:0]).shape == (0, 130)


def test_switched_off_numba_is_named(opacities, monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(MissingDependencyError, match="NUMBA_DISABLE_JIT"):
        build_simulator("transmission_fused", opacities, NAMES)
    assert type(build_simulator("transmission", opacities, NAMES)) is TransmissionSimulator


_WITHOUT_NUMBA = """
import logging, sys
sys.modules["numba"] = None
logging.basicConfig(level=logging.INFO, format="%(message)s")
from synthetic_opacities import synthetic_opacities
from test_simulator_transmission import NAMES, prior_draws
from exobench.errors import MissingDependencyError
from exobench.simulators.build import build_simulator
tables = synthetic_opacities(20)
simulator = build_simulator("transmission", tables, NAMES)
print(type(simulator).__name__, tuple(simulator(prior_draws(3)).shape))
try:
    build_simulator("transmission_fused", tables, NAMES)
except MissingDependencyError as error:
    print(error)
"""


def test_without_numba_torch_does_the_work_and_says_so():
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_NUMBA],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TransmissionSimulator (3, 20)" in done.stdout
    assert "FusedTransmissionSimulator" not in done.stdout
    assert "run: pip install numba" in done.stdout
    assert "made by torch" in done.stderr


def test_code_is_compiled_anew_where_there_is_no_place_to_keep_it(monkeypatch):
    import numba

    from exobench.simulators import fused_kernel

    def without_place(*args: object, **kwargs: object):
        if kwargs.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **kwargs)

    real = numba.njit
    monkeypatch.setattr(numba, "njit", without_place)
    assert fused_kernel._njit(lambda x: x + 1)(1) == 2


def test_gases_in_another_order_and_fewer_of_them():
    tables = synthetic_opacities(45, gases=GASES[:2])
    names = ("temperature_k", "log10_co2", "mass_mjup", "log10_h2o", "radius_rjup")
    theta = prior_draws(20)[:, [6, 1, 4, 0, 5]]
    double = TransmissionSimulator(tables, names, dtype=torch.float64)(theta)
    assert largest_ppm(FusedTransmissionSimulator(tables, names)(theta), double) < 0.005
