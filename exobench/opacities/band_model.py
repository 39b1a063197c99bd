"""The opacities that come with the project: a compact spectroscopic band model of H2O, CO2, CO and CH4.

Nothing here is a table: `band_coefficients.json` holds some hundred numbers a gas, from which cross-sections follow on
any wavelength grid between 0.3 and 50.4 um. `CARD.md` says how far they are from line lists.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.band_shapes import band_integral
from exobench.opacities.grids import bin_bounds
from exobench.opacities.line_overlap import effective_ratio
from exobench.opacities.linear_bands import Family, LinearMolecule, binned_integral
from exobench.opacities.rayleigh import rayleigh_cross_section_m2
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet

Array = NDArray[np.float64]

BAND_MODEL_GASES = ("H2O", "CO2", "CO", "CH4")
CIA_PAIRS = (("H2", "H2"), ("H2", "He"))
SHORTEST_UM, LONGEST_UM = 0.29, 51.0
TEMPERATURE_NODES_K = np.arange(800.0, 2201.0, 100.0)
"""One node or more beyond 1000-2000 K on either side: some simulators extrapolate at the edge of a table."""
PRESSURE_NODES_PA = 10.0 ** np.arange(1.0, 7.0)
"""One a decade: nodes four times as dense change depths by 1.7 ppm rms."""
SQUARE_METRES_PER_CM2 = 1e-4
LOSCHMIDT_M3 = 2.6867805e25
RAYLEIGH_GASES = ("H2", "He", "H2O", "CO2", "CO", "CH4")
RAYLEIGH_POINTS_PER_BIN = 8
FLAVOURS = ("taurex3", "taurex2")
QUANTITIES = ("effective", "mean")


def band_model_opacities(
    wavelength_um: Array, bin_edges_um: Array, *, flavour: str = "taurex3", quantity: str = "effective"
) -> OpacitySet:
    """Opacities of H2O, CO2, CO, CH4, of H2-H2 and H2-He collisions and of Rayleigh scattering, as bin values.

    A bin holds many lines, so the transmission of a column is not that of the mean cross-section: strong lines saturate
    while the gaps between them stay clear. ``effective`` gives, at each pressure, the cross-section whose transmission
    equals that of the lines of the bin where the slant column has optical depth 0.56, the depth that sets the transit
    radius (Lecavelier des Etangs et al. 2008, A&A 481, L83). ``mean`` gives the plain mean over the bin.

    Args:
        wavelength_um: bin centres in um, ascending, shape (n_bin,).
        bin_edges_um: ascending, within 0.29-51 um, shape (n_bin + 1,).
        flavour: ``"taurex3"``, or ``"taurex2"``, which has no Rayleigh scattering by He.
        quantity: ``"effective"`` or ``"mean"``.

    Returns:
        The set, with temperatures 800-2200 K and, for ``effective``, pressures 10-1e6 Pa.

    Raises:
        ExobenchError: unknown flavour or quantity, or a grid outside the model's range.
    """
    _check(bin_edges_um, flavour, quantity)
    effective = quantity == "effective"
    pressure = PRESSURE_NODES_PA if effective else PRESSURE_NODES_PA[[0, -1]]
    gases = {}
    for gas in BAND_MODEL_GASES:
        values = mean_cross_section_m2(gas, bin_edges_um, TEMPERATURE_NODES_K)[None]
        ratio = effective_ratio_of(gas, wavelength_um, TEMPERATURE_NODES_K, pressure) if effective else 1.0
        table = values * ratio * np.ones((len(pressure), 1, 1))
        gases[gas] = CrossSections(gas, TEMPERATURE_NODES_K, pressure, table)
    return OpacitySet(
        wavelength_um=np.asarray(wavelength_um, dtype=np.float64),
        bin_edges_um=np.asarray(bin_edges_um, dtype=np.float64),
        gases=gases,
        cia=band_model_cia(bin_edges_um),
        rayleigh_m2=rayleigh_by_gas(bin_edges_um, flavour=flavour),
        source=f"exobench band model, version {_coefficients()['version']}, {quantity} cross-sections",
    )


def mean_cross_section_m2(gas: str, bin_edges_um: Array, temperature_k: Array) -> Array:
    """Mean cross-section of each bin, over wavenumber.

    Args:
        gas: H2O, CO2, CO or CH4.
        bin_edges_um: ascending, shape (n_bin + 1,).
        temperature_k: shape (n_temperature,); fitted at 900-2100 K.

    Returns:
        m2 per molecule, shape (n_temperature, n_bin).
    """
    low, high = _wavenumber_bounds(bin_edges_um)
    return interval_mean_m2(gas, low, high, temperature_k)


def interval_mean_m2(gas: str, low_cm: Array, high_cm: Array, temperature_k: Array) -> Array:
    """As `mean_cross_section_m2`, over wavenumber intervals in any order, each (n_bin,): (n_temperature, n_bin)."""
    entry = _gas_entry(gas)
    temperature = np.asarray(temperature_k, dtype=np.float64)
    total = band_integral(_band_table(entry["bands"]), temperature, low_cm, high_cm)
    if "families" in entry:
        families = [Family(*family) for family in entry["families"]]
        molecule = LinearMolecule.from_mapping(entry["molecule"])
        total = total + binned_integral(molecule, families, temperature, low_cm, high_cm)
    return np.asarray(total / (high_cm - low_cm) * SQUARE_METRES_PER_CM2)


def effective_ratio_of(gas: str, wavelength_um: Array, temperature_k: Array, pressure_pa: Array) -> Array:
    """Effective over mean cross-section, shape (n_pressure, n_temperature, n_bin), between 0 and 1."""
    return effective_ratio(_gas_entry(gas)["line_overlap"], wavelength_um, temperature_k, pressure_pa)


def band_model_cia(bin_edges_um: Array) -> tuple[CollisionInducedAbsorption, ...]:
    """H2-H2 and H2-He collision-induced absorption as bin means, from closed-form bands.

    Args:
        bin_edges_um: ascending, shape (n_bin + 1,).

    Returns:
        One entry a pair, in m5 per molecule squared.
    """
    low, high = _wavenumber_bounds(bin_edges_um)
    entries = []
    for pair in CIA_PAIRS:
        bands = _band_table(_coefficients()["cia"]["-".join(pair)])
        per_amagat2 = band_integral(bands, TEMPERATURE_NODES_K, low, high) / (high - low)
        coefficient = per_amagat2 * 100.0 / LOSCHMIDT_M3**2
        entries.append(CollisionInducedAbsorption(pair, TEMPERATURE_NODES_K, coefficient))
    return tuple(entries)


def rayleigh_by_gas(bin_edges_um: Array, *, flavour: str = "taurex3") -> dict[str, Array]:
    """Rayleigh cross-sections (m2) averaged over each bin, by formula; TauREx 2 has none for He."""
    fraction = (np.arange(RAYLEIGH_POINTS_PER_BIN) + 0.5) / RAYLEIGH_POINTS_PER_BIN
    low, high = bin_bounds(bin_edges_um)
    points = low[:, None] + fraction * (high - low)[:, None]
    names = [gas for gas in RAYLEIGH_GASES if not (flavour == "taurex2" and gas == "He")]
    return {gas: rayleigh_cross_section_m2(gas, points).mean(axis=1) for gas in names}


def _check(bin_edges_um: Array, flavour: str, quantity: str) -> None:
    if flavour not in FLAVOURS:
        raise unknown_name("flavour", flavour, FLAVOURS)
    if quantity not in QUANTITIES:
        raise unknown_name("cross-section quantity", quantity, QUANTITIES)
    shortest, longest = np.min(bin_edges_um), np.max(bin_edges_um)
    if shortest < SHORTEST_UM or longest > LONGEST_UM:
        raise ExobenchError(
            f"bin_edges_um {shortest:g}-{longest:g} um: the band model covers {SHORTEST_UM:g}-{LONGEST_UM:g} um."
        )


def _gas_entry(gas: str) -> dict[str, Any]:
    gases: dict[str, Any] = _coefficients()["gases"]
    if gas not in gases:
        raise unknown_name("gas in the band model", gas, gases)
    entry: dict[str, Any] = gases[gas]
    return entry


def _band_table(entry: dict[str, Any]) -> Array:
    """Rows of a band entry with the width power, which they share, as the sixth column."""
    rows = np.asarray(entry["rows"], dtype=np.float64).reshape(-1, 5)
    return np.column_stack([rows, np.full(len(rows), entry["width_power"])])


def _wavenumber_bounds(bin_edges_um: Array) -> tuple[Array, Array]:
    low, high = bin_bounds(bin_edges_um)
    return 1e4 / high, 1e4 / low


@functools.cache
def _coefficients() -> dict[str, Any]:
    text = resources.files("exobench.opacities").joinpath("band_coefficients.json").read_text(encoding="utf-8")
    coefficients: dict[str, Any] = json.loads(text)
    return coefficients
