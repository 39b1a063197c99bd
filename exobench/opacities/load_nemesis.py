"""Reader of NEMESIS k-tables (`.kta`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

PASCAL_PER_ATMOSPHERE = 101325.0
K_UNIT_M2 = 1e-24
"""The file counts k in 1e-20 cm2."""

HEADER_WORDS = 10


@dataclass(frozen=True)
class KTable:
    """A k-distribution of one gas.

    Attributes:
        wavelength_um: channel centres, ascending, shape (n_bin,).
        pressure_pa: shape (n_pressure,).
        temperature_k: shape (n_temperature,).
        weights: quadrature weights in g, summing to one, shape (n_g,).
        k_m2: shape (n_bin, n_pressure, n_temperature, n_g), per molecule.
    """

    wavelength_um: Array
    pressure_pa: Array
    temperature_k: Array
    weights: Array
    k_m2: Array

    def mean_m2(self) -> Array:
        """Mean over each channel, shape (n_bin, n_pressure, n_temperature)."""
        return np.asarray(self.k_m2 @ self.weights)

    def nearest_pressure(self, pressure_pa: float) -> int:
        """Index of the pressure node nearest in the logarithm."""
        return int(np.argmin(np.abs(np.log(self.pressure_pa / pressure_pa))))


def load_kta(path: Path) -> KTable:
    """Reads a `.kta` file with an explicit list of channels.

    The file is a run of four-byte words: ten of header (first word of k counted from one, number of channels, first
    wavelength, step, width, numbers of pressures, temperatures and ordinates, gas, isotope), the ordinates and
    weights in g, two unused words, pressures in atm, temperatures in K, channels in um, and k with g running fastest.

    Args:
        path: the file.

    Returns:
        The table, in SI units.

    Raises:
        ExobenchError: the file is missing, truncated, or has a regular grid in place of a list of channels.
    """
    if not path.is_file():
        raise ExobenchError(f"{path}: no such k-table; expected a NEMESIS .kta file.")
    raw = path.read_bytes()
    words = np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<i4")
    if len(words) < HEADER_WORDS:
        raise ExobenchError(f"{path}: too short for a NEMESIS .kta header ({len(raw)} bytes).")
    reals = words.view("<f4").astype(np.float64)
    first, n_bin, step = int(words[0]) - 1, int(words[1]), reals[3]
    n_pressure, n_temperature, n_g = (int(n) for n in words[5:8])
    if step >= 0:
        raise ExobenchError(f"{path}: wavelength step {step} in the header; only tables that list channels are read.")
    shape = (n_bin, n_pressure, n_temperature, n_g)
    size = int(np.prod(shape))
    if min(shape) <= 0 or first < HEADER_WORDS or first + size > len(reals):
        raise ExobenchError(f"{path}: header announces k of shape {shape} from word {first}, file has {len(reals)}.")
    _, weights, _, pressure, temperature, wavelength = np.split(
        reals[HEADER_WORDS:first], np.cumsum([n_g, n_g, 2, n_pressure, n_temperature])
    )
    return KTable(
        wavelength_um=wavelength[:n_bin],
        pressure_pa=pressure * PASCAL_PER_ATMOSPHERE,
        temperature_k=temperature,
        weights=weights / weights.sum(),
        k_m2=reals[first : first + size].reshape(shape) * K_UNIT_M2,
    )
