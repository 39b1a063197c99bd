"""Readers of k-table files: NEMESIS `.kta`, ExoMolOP and TauREx HDF5 and pickle, and photochem-clima HDF5."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.k_distributions import SourceKTable, on_bins
from exobench.opacities.load_nemesis import HEADER_WORDS, load_kta
from exobench.opacities.load_taurex import HDF5_SUFFIXES, PASCAL, PICKLE_SUFFIXES, _require, _text
from exobench.opacities.numpy_pickle import load_arrays
from exobench.opacities.tables import KTable

Array = NDArray[np.float64]

_GAS_WORD = 8
_LONGEST_UM = 1000.0
_SQUARE_METRES = {"cm": 1e-4, "m": 1.0}
# Radtran gas numbers, which follow HITRAN's up to 28.
_NEMESIS_GASES = dict(
    enumerate(
        [
            "H2O",
            "CO2",
            "O3",
            "N2O",
            "CO",
            "CH4",
            "O2",
            "NO",
            "SO2",
            "NO2",
            "NH3",
            "HNO3",
            "OH",
            "HF",
            "HCl",
            "HBr",
            "HI",
            "ClO",
            "OCS",
            "H2CO",
            "HOCl",
            "N2",
            "HCN",
            "CH3Cl",
            "H2O2",
            "C2H2",
            "C2H6",
            "PH3",
        ],
        start=1,
    )
) | {32: "C2H4", 36: "H2S", 39: "H2", 40: "He", 60: "Na", 61: "K", 62: "TiO", 63: "VO"}


def is_k_table(path: Path) -> bool:
    """Whether a file is a k-table in one of the formats read here; looks inside HDF5 and pickle files."""
    if path.suffix == ".kta":
        return True
    if path.suffix in HDF5_SUFFIXES:
        with h5py.File(path) as handle:
            return "kcoeff" in handle or "log10k" in handle
    if path.suffix in PICKLE_SUFFIXES and path.stat().st_size > 0:
        # The name of the key stands in the pickle as it is, so nothing has to be unpickled to see it.
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(b"kcoeff") >= 0
    return False


def gas_of_k_table(path: Path) -> str:
    """The gas that a k-table describes: from its header where that says, else the first word of the file's name."""
    named = re.split(r"[._]", path.name)[0]
    if path.suffix == ".kta":
        with path.open("rb") as stream:
            header = np.frombuffer(stream.read(4 * HEADER_WORDS).ljust(4 * HEADER_WORDS, b"\0"), dtype="<i4")
        return _NEMESIS_GASES.get(int(header[_GAS_WORD]), named)
    if path.suffix in HDF5_SUFFIXES:
        with h5py.File(path) as handle:
            for key in ("mol_name", "species"):
                if key in handle:
                    return _text(handle[key][()]).strip()
    return named


def load_k_table(path: Path, gas: str, bin_edges_um: Array) -> KTable:
    """Reads a k-table file and brings it to a task's bins.

    Args:
        path: a file for which `is_k_table` holds.
        gas: formula to give to the table.
        bin_edges_um: of the task, shape (n_bin + 1,) or (n_bin, 2), ascending.

    Raises:
        ExobenchError: the file is broken, or its bins are wider than the task's.
    """
    return on_bins(read_k_table(path, gas), bin_edges_um)


def read_k_table(path: Path, gas: str) -> SourceKTable:
    """Reads a k-table file on its own bins; arguments and errors as `load_k_table`."""
    if path.suffix == ".kta":
        return _read_nemesis(path, gas)
    if path.suffix in PICKLE_SUFFIXES:
        return _read_exomol(path, gas, load_arrays(path), "bar", "cm")
    try:
        with h5py.File(path) as handle:
            if "log10k" in handle:
                return _read_clima(path, gas, handle)
            _require(path, handle, ("kcoeff", "p"))
            unit = _text(handle["kcoeff"].attrs.get("units", "cm^2"))
            pressure_unit = _text(handle["p"].attrs.get("units", "bar"))
            return _read_exomol(path, gas, handle, pressure_unit, unit.strip().split("^")[0].rstrip("2"))
    except OSError as error:
        raise ExobenchError(f"{path}: not a readable HDF5 file ({error}).") from error


def _read_nemesis(path: Path, gas: str) -> SourceKTable:
    table = load_kta(path)
    if np.any(table.wavelength_um > _LONGEST_UM) or np.any(np.diff(table.wavelength_um) <= 0):
        low, high = table.wavelength_um.min(), table.wavelength_um.max()
        raise ExobenchError(
            f"{path}: channels run from {low:g} to {high:g}; they must be wavelengths in um, ascending "
            "(tables in wavenumber are not read)."
        )
    values = np.moveaxis(table.k_m2, 0, 2)
    return SourceKTable.from_centres(
        path, gas, table.temperature_k, table.pressure_pa, table.weights, values, table.wavelength_um
    )


def _read_exomol(path: Path, gas: str, content: Any, pressure_unit: str, area_unit: str) -> SourceKTable:
    _require(path, content, ("bin_centers", "t", "p", "kcoeff", "weights"))
    if pressure_unit not in PASCAL:
        raise ExobenchError(f"{path}: pressure unit '{pressure_unit}'; expected one of {', '.join(PASCAL)}.")
    if area_unit not in _SQUARE_METRES:
        raise ExobenchError(f"{path}: kcoeff is in '{area_unit}^2'; expected cm^2/molecule or m^2/molecule.")
    arrays = {key: _array(path, content, key) for key in ("bin_centers", "t", "p", "kcoeff", "weights")}
    centres = arrays["bin_centers"]
    if centres.ndim != 1 or not (np.all(np.diff(centres) > 0) and np.all(centres > 0)):
        raise ExobenchError(f"{path}: bin_centers must be ascending wavenumbers in cm-1.")
    edges = _array(path, content, "bin_edges") if "bin_edges" in content else None
    if edges is not None and (edges.shape != (len(centres) + 1,) or not np.all(np.diff(edges) > 0) or edges[0] <= 0):
        raise ExobenchError(f"{path}: bin_edges must be {len(centres) + 1} ascending wavenumbers in cm-1.")
    pressure = arrays["p"] * PASCAL[pressure_unit]
    values = (
        arrays["kcoeff"][:, :, ::-1] * _SQUARE_METRES[area_unit] if arrays["kcoeff"].ndim == 4 else arrays["kcoeff"]
    )
    common = (path, gas, arrays["t"], pressure, arrays["weights"], values)
    if edges is None:
        return SourceKTable.from_centres(*common, 1e4 / centres[::-1])
    pairs = 1e4 / np.stack([edges[1:], edges[:-1]], axis=1)[::-1]
    return SourceKTable(*common, pairs, True, pairs.mean(axis=1))


def _read_clima(path: Path, gas: str, handle: h5py.File) -> SourceKTable:
    _require(path, handle, ("wavelengths", "T", "log10P", "log10k", "weights"))
    arrays = {key: _array(path, handle, key) for key in ("wavelengths", "T", "log10P", "log10k", "weights")}
    edges = arrays["wavelengths"]
    if arrays["log10k"].ndim != 4 or len(edges) != len(arrays["log10k"]) + 1 or not np.all(np.diff(edges) > 0):
        raise ExobenchError(f"{path}: wavelengths must be the ascending edges in um of the bins of log10k.")
    values = np.moveaxis(10.0 ** arrays["log10k"], (2, 1), (0, 1)) * _SQUARE_METRES["cm"]
    pairs = np.stack([edges[:-1], edges[1:]], axis=1)
    pressure = 10.0 ** arrays["log10P"] * PASCAL["bar"]
    return SourceKTable(path, gas, arrays["T"], pressure, arrays["weights"], values, pairs, True, pairs.mean(axis=1))


def _array(path: Path, content: h5py.File | Mapping[str, Any], key: str) -> Array:
    try:
        return np.asarray(content[key][()], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExobenchError(f"{path}: '{key}' does not hold numbers.") from error
