"""A small set of made-up opacities with the size, slope and roughness of real ones, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.opacities.grids import constant_ratio_grid
from exobench.opacities.rayleigh import rayleigh_cross_section_m2
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet

Array = NDArray[np.float64]

GASES = ("H2O", "CO2", "CO", "CH4")
TEMPERATURE_K = np.arange(900.0, 2200.0, 100.0)
PRESSURE_PA = 10.0 ** np.arange(0.0, 7.01, 0.5)


def synthetic_opacities(
    n_bin: int = 60, *, seed: int = 0, same_grids: bool = True, gases: tuple[str, ...] = GASES
) -> OpacitySet:
    """Random bands: log cross-sections that wander over ten decades with wavelength, change with T and broaden with P.

    Args:
        n_bin: number of bins between 0.3 and 50 um.
        seed: decides every number.
        same_grids: give every gas the same temperatures and pressures; else each has its own.
        gases: formulas.
    """
    rng = np.random.default_rng(seed)
    wavelength, edges = constant_ratio_grid(0.3, (50.4 / 0.3) ** (1.0 / n_bin), n_bin)
    tables = {}
    for number, gas in enumerate(gases):
        temperature, pressure = TEMPERATURE_K, PRESSURE_PA
        if not same_grids:
            temperature = np.linspace(900.0 - 7.0 * number, 2100.0 + 13.0 * number, 7 + number)
            pressure = 10.0 ** np.linspace(-1.0 + 0.3 * number, 6.2 + 0.4 * number, 9 + 2 * number)
        tables[gas] = CrossSections(gas, temperature, pressure, _bands(rng, wavelength, temperature, pressure))
    cia_temperature = np.array([400.0, 800.0, 1150.0, 1450.0, 1900.0])
    cia = tuple(
        CollisionInducedAbsorption(("H2", other), cia_temperature, _collisions(rng, wavelength, cia_temperature))
        for other in ("H2", "He")
    )
    rayleigh = {gas: rayleigh_cross_section_m2(gas, wavelength) for gas in ("H2", "He", *gases)}
    return OpacitySet(wavelength, edges, tables, cia, rayleigh, source=f"synthetic opacities, seed {seed}")


def _bands(rng: np.random.Generator, wavelength: Array, temperature: Array, pressure: Array) -> Array:
    position = np.log(wavelength / 0.3)
    waves = sum(
        rng.normal(scale=1.2) * np.sin(2 * np.pi * rng.uniform(0.3, 6.0) * position + rng.uniform(0, 2 * np.pi))
        for _ in range(6)
    )
    log10 = -26.0 + 1.5 * np.tanh(position - 1.0) + waves + rng.normal(scale=0.5, size=len(wavelength))
    warm = rng.normal(scale=1.5, size=len(wavelength)) * 1.0
    broad = rng.normal(scale=0.15, size=len(wavelength))
    grid = (
        log10
        + warm * np.log10(temperature / 1500.0)[None, :, None]
        + broad * np.log10(pressure / 1e4)[:, None, None] / (1.0 + 0.1 * np.log10(pressure / 1e4)[:, None, None] ** 2)
    )
    return 10.0 ** np.clip(grid, -50.0, -20.0)


def _collisions(rng: np.random.Generator, wavelength: Array, temperature: Array) -> Array:
    centre = rng.uniform(2.0, 2.6)
    log10 = -56.5 - 1.2 * np.abs(np.log(wavelength / centre))
    return 10.0 ** (log10 + 0.6 * np.log10(temperature / 1000.0)[:, None])
