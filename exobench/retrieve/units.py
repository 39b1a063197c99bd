"""Units of wavelengths and depths, by the names that files use for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

DEPTH_FACTOR = {"fraction": 1.0, "percent": 1e-2, "ppm": 1e-6}
"""To a transit depth fraction; ``radius_ratio`` is squared instead."""
RADIUS_RATIO = "radius_ratio"
DEPTH_UNITS = (*DEPTH_FACTOR, RADIUS_RATIO)

_DEPTH_NAMES = {
    "": "fraction",
    "1": "fraction",
    "fraction": "fraction",
    "dimensionless": "fraction",
    "%": "percent",
    "pct": "percent",
    "percent": "percent",
    "ppm": "ppm",
    "1e-6": "ppm",
    "1e-06": "ppm",
    "radius_ratio": RADIUS_RATIO,
}
_LENGTH_NAMES = {
    "microns": "micron",
    "um": "micron",
    "μm": "micron",
    "µm": "micron",
    "a": "Angstrom",
    "nanometer": "nm",
    "nanometers": "nm",
    "angstroms": "Angstrom",
    "meters": "m",
}


def depth_unit(name: str, where: str) -> str:
    """One of `DEPTH_UNITS` for the name that a file has for it.

    Raises:
        ExobenchError: it is none.
    """
    found = _DEPTH_NAMES.get(name.strip().lower())
    if found is None:
        raise ExobenchError(f"{where}: unit '{name}' is none of a depth; expected one of {', '.join(DEPTH_UNITS)}.")
    return found


def to_depth(values: Array, sigma: Array, unit: str, sigma_unit: str | None = None) -> tuple[Array, Array]:
    """Depth fractions and their errors, (row,) each; a radius ratio r has depth r^2 and error 2 r sigma."""
    if unit == RADIUS_RATIO:
        factor = DEPTH_FACTOR.get(sigma_unit or "fraction", 1.0)
        return values**2, 2.0 * np.abs(values) * sigma * factor
    return values * DEPTH_FACTOR[unit], sigma * DEPTH_FACTOR[sigma_unit or unit]


def length_unit(name: str, where: str) -> Any:
    """An astropy unit that wavelengths can be in: a length, a frequency, a wavenumber or a photon's energy.

    Raises:
        ExobenchError: it is none.
    """
    from astropy import units

    text = name.strip()
    try:
        unit = units.Unit(_LENGTH_NAMES.get(text.lower(), text))
        (1.0 * unit).to(units.um, equivalencies=units.spectral())
    except (ValueError, TypeError, units.UnitsError) as error:
        raise ExobenchError(
            f"{where}: unit '{name}' is none of a wavelength; expected um, nm, Angstrom, m, cm-1, Hz or eV."
        ) from error
    return unit


def to_um(values: Array, unit: Any) -> Array:
    """Wavelengths in um."""
    from astropy import units

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((values * unit).to_value(units.um, equivalencies=units.spectral()), dtype=np.float64)
