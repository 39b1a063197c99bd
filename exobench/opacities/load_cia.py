"""Collision-induced absorption from a file of any format that is known by its suffix."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.band_model import LOSCHMIDT_M3
from exobench.opacities.binning import bin_means
from exobench.opacities.load_taurex import CIA_SUFFIXES, HDF5_SUFFIXES, M5_PER_CM5, _require, load_cia
from exobench.opacities.tables import CollisionInducedAbsorption

Array = NDArray[np.float64]

NEMESIS_SUFFIX = ".tab"
PAIR_SUFFIXES = (*CIA_SUFFIXES, *HDF5_SUFFIXES)
"""Suffixes of files that hold one pair and are named after it."""

_NEMESIS_PAIRS = {("H2", "H2"): 0, ("H2", "He"): 1}
_NEMESIS_N_PAIR = 9
_NEMESIS_STEP_CM = 10.0


def load_pair(path: Path, pair: tuple[str, str], bin_edges_um: Array) -> CollisionInducedAbsorption:
    """Reads one pair, averaged over the bins.

    Args:
        path: `.cia` (HITRAN), `.db` (TauREx pickle), `.h5` (photochem-clima) or `.tab` (NEMESIS, with all pairs).
        pair: formulas, ``("H2", "H2")`` or ``("H2", "He")`` for NEMESIS.
        bin_edges_um: shape (n_bin + 1,) or (n_bin, 2), ascending.

    Returns:
        Bin means in m5, zero outside the file's wavenumbers.

    Raises:
        ExobenchError: the file is broken or lacks the pair.
    """
    if path.suffix in CIA_SUFFIXES:
        return load_cia(path, pair, bin_edges_um)
    temperature, wavenumber, values = _clima(path) if path.suffix in HDF5_SUFFIXES else _nemesis(path, pair)
    return CollisionInducedAbsorption(pair, temperature, bin_means(wavenumber, values, bin_edges_um))


def _clima(path: Path) -> tuple[Array, Array, Array]:
    """Temperatures, wavenumbers and m5 of a photochem-clima file; its values are cm5 although it says cm2."""
    with h5py.File(path) as handle:
        _require(path, handle, ("wavelengths", "T", "log10xs"))
        wavelength, temperature, log10 = (
            np.asarray(handle[key][()], dtype=np.float64) for key in ("wavelengths", "T", "log10xs")
        )
    if log10.shape != (len(wavelength), len(temperature)) or not np.all(np.diff(wavelength) > 0):
        raise ExobenchError(f"{path}: log10xs has shape {log10.shape}, expected (wavelength, temperature), ascending.")
    return temperature, 1e4 / wavelength[::-1], 10.0 ** log10[::-1].T * M5_PER_CM5


def _nemesis(path: Path, pair: tuple[str, str]) -> tuple[Array, Array, Array]:
    """Temperatures, wavenumbers and m5 of a NEMESIS table.

    Two Fortran records: float64 temperatures, then float32 coefficients in cm-1 amagat-2, in order of wavenumber (from
    zero by 10 cm-1), temperature and pair.
    """
    if pair not in _NEMESIS_PAIRS:
        raise ExobenchError(f"{path}: pair {'-'.join(pair)} is not read from NEMESIS tables; only H2-H2 and H2-He are.")
    first, second = _fortran_records(path)
    temperature = np.frombuffer(first, dtype="<f8").astype(np.float64)
    numbers = np.frombuffer(second, dtype="<f4").astype(np.float64)
    if len(temperature) == 0 or len(numbers) % (len(temperature) * _NEMESIS_N_PAIR):
        raise ExobenchError(
            f"{path}: {len(numbers)} coefficients do not fill {len(temperature)} temperatures, 9 pairs."
        )
    table = numbers.reshape(-1, len(temperature), _NEMESIS_N_PAIR)[:, :, _NEMESIS_PAIRS[pair]].T
    wavenumber = _NEMESIS_STEP_CM * np.arange(table.shape[1], dtype=np.float64)
    return temperature, wavenumber, np.maximum(table, 0.0) * 100.0 / LOSCHMIDT_M3**2


def _fortran_records(path: Path) -> tuple[bytes, bytes]:
    raw, records, start = path.read_bytes(), [], 0
    for _ in range(2):
        length = int.from_bytes(raw[start : start + 4], "little")
        end = start + 4 + length
        if length == 0 or raw[end : end + 4] != raw[start : start + 4]:
            raise ExobenchError(f"{path}: not a NEMESIS collision table of two Fortran records.")
        records.append(raw[start + 4 : end])
        start = end + 4
    return records[0], records[1]
