"""Rayleigh scattering cross-sections from refractive indices."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from exobench.errors import unknown_name

Array = NDArray[np.float64]

LOSCHMIDT_M3 = 2.6867805e25
"""Molecules per m3 of an ideal gas at 0 C and 1 atm, where the refractive indices were measured."""


def rayleigh_cross_section_m2(gas: str, wavelength_um: Array) -> Array:
    """Rayleigh cross-section of one molecule, with the formulas that TauREx 3 uses.

    Args:
        gas: H2, He, H2O, CO2, CO or CH4.
        wavelength_um: in um, any shape.

    Returns:
        Cross-sections in m2, of the same shape.

    Raises:
        ExobenchError: there is no formula for this gas.
    """
    if gas not in _FORMULAS:
        raise unknown_name("Rayleigh cross-section for gas", gas, _FORMULAS)
    return _FORMULAS[gas](np.asarray(wavelength_um, dtype=np.float64))


def rayleigh_gases() -> tuple[str, ...]:
    """Formulas of the gases that have a cross-section."""
    return tuple(_FORMULAS)


def _hydrogen(wavelength_um: Array) -> Array:
    # Dalgarno & Williams 1962, ApJ 136, 690: an expansion in the wavelength in angstrom, result in cm2.
    inverse_square = (wavelength_um * 1e4) ** -2.0
    return 1e-4 * 8.14e-13 * inverse_square**2 * (1.0 + 1.572e6 * inverse_square + 1.981e12 * inverse_square**2)


def _helium(wavelength_um: Array) -> Array:
    # Chan & Dalgarno 1965, Proc. Phys. Soc. 85, 227, to second order; angstrom and cm2 as above.
    inverse_square = (wavelength_um * 1e4) ** -2.0
    return 1e-4 * 5.484e-14 * inverse_square**2 * (1.0 + 2.44e5 * inverse_square)


def _water(wavelength_um: Array) -> Array:
    # 85 % of the refractivity of air (Allen's Astrophysical Quantities), air from Ciddor's two-term dispersion formula;
    # depolarisation 0.17 (Marshall & Smith 1990).
    wavenumber2 = wavelength_um**-2.0
    air = 0.05792105 / (238.0185 - wavenumber2) + 0.00167917 / (57.362 - wavenumber2)
    depolarisation = 0.17
    return _lorentz_lorenz(wavelength_um, 0.85 * air, (6 + 3 * depolarisation) / (6 - 7 * depolarisation))


def _carbon_dioxide(wavelength_um: Array) -> Array:
    # Bideau-Mehu et al. 1973, Opt. Commun. 9, 432 (0.18-1.7 um); King factor of Sneep & Ubachs 2005. Its last term has
    # a pole at 4.136 um, kept as TauREx has it: there CO2's own absorption is larger by many orders of magnitude.
    wavenumber2 = wavelength_um**-2.0
    refractivity = (
        6.991e-2 / (166.175 - wavenumber2)
        + 1.44720e-3 / (79.609 - wavenumber2)
        + 6.42941e-5 / (56.3064 - wavenumber2)
        + 5.21306e-5 / (46.0196 - wavenumber2)
        + 1.46847e-6 / (0.0584738 - wavenumber2)
    )
    return _lorentz_lorenz(wavelength_um, refractivity, 1.1364)


def _carbon_monoxide(wavelength_um: Array) -> Array:
    # Allen's Astrophysical Quantities (Cox 2000), dispersion A (1 + B / wavelength^2); King factor 1.016.
    return _lorentz_lorenz(wavelength_um, 32.7e-5 * (1.0 + 8.1e-3 / wavelength_um**2), 1.016)


def _methane(wavelength_um: Array) -> Array:
    # Sneep & Ubachs 2005, JQSRT 92, 293: wavenumber in cm-1; a spherical top does not depolarise.
    wavenumber_cm = 1e4 / wavelength_um
    return _lorentz_lorenz(wavelength_um, 1e-8 * (46662.0 + 4.02e-6 * wavenumber_cm**2), 1.0)


def _lorentz_lorenz(wavelength_um: Array, refractivity: Array, king: float) -> Array:
    """Scattering by molecules of refractive index 1 + refractivity at standard density (Sneep & Ubachs 2005, eq. 2)."""
    square = (1.0 + refractivity) ** 2
    polarisation = (square - 1.0) / (LOSCHMIDT_M3 * (square + 2.0))
    return 24.0 * np.pi**3 * king * polarisation**2 / (wavelength_um * 1e-6) ** 4


_FORMULAS: MappingProxyType[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "H2": _hydrogen,
        "He": _helium,
        "H2O": _water,
        "CO2": _carbon_dioxide,
        "CO": _carbon_monoxide,
        "CH4": _methane,
    }
)
