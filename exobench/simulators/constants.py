"""Constants and conventions of the two generations of TauREx, under the name of a flavour."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

from exobench.errors import ExobenchError, unknown_name

HELIUM_TO_HYDROGEN = 0.17647
"""Number of helium atoms per hydrogen molecule in the gas that fills the atmosphere."""

_ELEMENT_MASS = MappingProxyType(
    {"H": 1.00794, "He": 4.002602, "C": 12.011, "N": 14.00674, "O": 15.9994, "Na": 22.989768, "K": 39.0983, "S": 32.066}
    | {"P": 30.973762, "Si": 28.0855, "Ti": 47.88, "V": 50.9415, "Fe": 55.847}
)
_KNOWN_GASES = (
    "H2",
    "He",
    "H2O",
    "CO2",
    "CO",
    "CH4",
    "NH3",
    "HCN",
    "C2H2",
    "C2H4",
    "N2",
    "O2",
    "H2S",
    "PH3",
    "SO2",
    "SO",
)
_KNOWN_METALS = ("Na", "K", "TiO", "VO", "SiO", "SiO2", "FeH")


@dataclass(frozen=True)
class Flavour:
    """One set of constants and conventions; every number here moves the spectrum.

    Attributes:
        name: ``"taurex3"`` or ``"taurex2"``.
        r_jup_m: radius of Jupiter, in m.
        r_sun_m: radius of the Sun, in m.
        m_jup_kg: mass of Jupiter, in kg.
        atomic_mass_kg: atomic mass constant, in kg.
        boltzmann_j_k: Boltzmann's constant, in J/K.
        gravity_m3_kg_s2: Newton's constant, in m3 kg-1 s-2.
        molar_mass: mass of a molecule over the atomic mass constant, by formula.
        helium_rayleigh: whether helium scatters.
        pressure_interpolation: whether cross-sections are linear in log10 P (``"log"``) or in P (``"linear"``).
        helium_ratio: number of He per H2.
        k_temperature_interpolation: whether k-tables are linear in T (``"linear"``) or in log T (``"log"``).
    """

    name: str
    r_jup_m: float
    r_sun_m: float
    m_jup_kg: float
    atomic_mass_kg: float
    boltzmann_j_k: float
    gravity_m3_kg_s2: float
    molar_mass: Mapping[str, float]
    helium_rayleigh: bool
    pressure_interpolation: Literal["log", "linear"]
    helium_ratio: float = HELIUM_TO_HYDROGEN
    k_temperature_interpolation: Literal["log", "linear"] = "linear"

    def molecule_kg(self, gas: str) -> float:
        """Mass of one molecule, in kg.

        Raises:
            ExobenchError: the flavour has no molar mass for this gas.
        """
        if gas not in self.molar_mass:
            raise unknown_name(f"molar mass in flavour {self.name} for gas", gas, self.molar_mass)
        return self.molar_mass[gas] * self.atomic_mass_kg

    def scatters(self, gas: str) -> bool:
        """Whether the gas's Rayleigh cross-section is used."""
        return gas != "He" or self.helium_rayleigh

    def describe(self) -> dict[str, object]:
        """Every number of the flavour, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"molar_mass": dict(self.molar_mass)}


def formula_mass(formula: str) -> float:
    """Molar mass of a formula such as ``"CH4"`` from TauREx 3's atomic masses, in g/mol.

    Raises:
        ExobenchError: an element of the formula is not known.
    """
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if not parts or "".join(element + count for element, count in parts) != formula:
        raise ExobenchError(f"'{formula}' is not a chemical formula such as CH4.")
    unknown = [element for element, _ in parts if element not in _ELEMENT_MASS]
    if unknown:
        raise unknown_name(f"atomic mass (in formula {formula}) for element", unknown[0], _ELEMENT_MASS)
    return sum(_ELEMENT_MASS[element] * int(count or 1) for element, count in parts)


TAUREX3 = Flavour(
    # taurex 3.3.2 with the constants of astropy 7 (CODATA 2022 atomic mass unit, IAU 2015 nominal radii and masses).
    name="taurex3",
    r_jup_m=7.1492e7,
    r_sun_m=6.957e8,
    m_jup_kg=1.8981245973360505e27,
    atomic_mass_kg=1.66053906892e-27,
    boltzmann_j_k=1.380649e-23,
    gravity_m3_kg_s2=6.6743e-11,
    molar_mass=MappingProxyType({gas: formula_mass(gas) for gas in _KNOWN_GASES + _KNOWN_METALS}),
    helium_rayleigh=True,
    pressure_interpolation="log",
)

TAUREX2 = Flavour(
    # TauREx 2, library/library_constants.py and library/library_general.py of ucl-exoplanets/TauREx_public.
    name="taurex2",
    r_jup_m=6.9911e7,
    r_sun_m=6.955e8,
    m_jup_kg=1.898e27,
    atomic_mass_kg=1.660538921e-27,
    boltzmann_j_k=1.380648813e-23,
    gravity_m3_kg_s2=6.67384e-11,
    molar_mass=MappingProxyType(
        {"H2": 2.0, "He": 4.0, "H2O": 18.0, "CO2": 44.0, "CO": 28.01, "CH4": 16.0, "NH3": 17.0, "N2": 28.0, "O2": 32.0}
        | {"HCN": 27.0253, "C2H2": 26.04, "H2S": 34.0809, "Na": 23.0, "K": 39.0983, "SO2": 64.066, "SO": 48.064}
        | {"TiO": 79.866, "VO": 66.9409, "SiO": 44.084, "SiO2": 60.08}
    ),
    helium_rayleigh=False,
    pressure_interpolation="linear",
    k_temperature_interpolation="log",
)

_FLAVOURS = MappingProxyType({flavour.name: flavour for flavour in (TAUREX3, TAUREX2)})


def flavour(name: str) -> Flavour:
    """Looks a flavour up by name.

    Raises:
        ExobenchError: there is no such flavour.
    """
    if name not in _FLAVOURS:
        raise unknown_name("flavour", name, _FLAVOURS)
    return _FLAVOURS[name]


def resolve_flavour(given: str | Flavour) -> Flavour:
    """The flavour itself, from its name where a name is given."""
    return flavour(given) if isinstance(given, str) else given
