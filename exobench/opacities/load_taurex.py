"""Readers of TauREx cross-sections (HDF5 and pickle) and of collision-induced absorption (pickle and HITRAN `.cia`)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.binning import bin_means, bin_values
from exobench.opacities.grids import bin_bounds
from exobench.opacities.numpy_pickle import load_arrays
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

PASCAL = {"bar": 1e5, "Pa": 1.0, "pa": 1.0, "atm": 101325.0, "mbar": 100.0, "hPa": 100.0}
SQUARE_METRES_PER_CM2 = 1e-4
M5_PER_CM5 = 1e-10
HDF5_SUFFIXES = (".h5", ".hdf5")
PICKLE_SUFFIXES = (".pickle",)
CIA_SUFFIXES = (".db", ".cia")


def gas_of_file(path: Path) -> str:
    """The gas that a file describes: `mol_name` of an HDF5 file, the first word of a pickle's name."""
    if path.suffix in HDF5_SUFFIXES:
        with h5py.File(path) as handle:
            if "mol_name" not in handle:
                return ""
            return _text(handle["mol_name"][()])
    return re.split(r"[._]", path.name)[0]


def load_hdf5(path: Path, gas: str, bin_edges_um: Array, average: str = "mean") -> CrossSections:
    """Reads an ExoMolOP cross-section file in TauREx HDF5, averaged over the bins.

    Args:
        path: file with `bin_edges` (cm-1), `t` (K), `p` (with attribute `units`) and `xsecarr` (cm2, pressure x
            temperature x wavenumber).
        gas: formula to give to the table.
        bin_edges_um: ascending, shape (n_bin + 1,), or lower and upper edge of each bin, shape (n_bin, 2).
        average: ``"mean"`` or ``"transmission"``, see `exobench.opacities.binning.bin_values`.

    Returns:
        The table in SI units; zero outside the file's wavenumbers, with a warning in the log.

    Raises:
        ExobenchError: a key or unit is missing or unknown, or shapes do not agree.
    """
    with h5py.File(path) as handle:
        _require(path, handle, ("bin_edges", "t", "p", "xsecarr"))
        unit = _text(handle["p"].attrs.get("units", "bar"))
        if unit not in PASCAL:
            raise ExobenchError(f"{path}: pressure unit '{unit}'; expected one of {', '.join(PASCAL)}.")
        pressure = np.asarray(handle["p"][()], dtype=np.float64) * PASCAL[unit]
        grids = handle["bin_edges"][()], handle["t"][()], pressure
        return _average(path, gas, *grids, handle["xsecarr"], bin_edges_um, average)


def load_pickle(path: Path, gas: str, bin_edges_um: Array, average: str = "mean") -> CrossSections:
    """Reads a TauREx cross-section pickle (keys `wno`, `t`, `p` in bar, `xsecarr` in cm2), averaged over the bins.

    The file cannot run code: only numpy arrays, containers, strings and numbers are built. Arguments, result and
    errors are those of `load_hdf5`.
    """
    content = load_arrays(path)
    _require(path, content, ("wno", "t", "p", "xsecarr"))
    pressure = np.asarray(content["p"], dtype=np.float64) * PASCAL["bar"]
    return _average(path, gas, content["wno"], content["t"], pressure, content["xsecarr"], bin_edges_um, average)


def load_cia(path: Path, pair: tuple[str, str], bin_edges_um: Array) -> CollisionInducedAbsorption:
    """Reads collision-induced absorption: a TauREx pickle (`.db`, cm5) or a HITRAN `.cia` file (cm5 molecule-2).

    Args:
        path: the file.
        pair: formulas to give to the table.
        bin_edges_um: ascending, shape (n_bin + 1,).

    Returns:
        Bin means in m5, zero outside the file's wavenumbers.
    """
    if path.suffix == ".cia":
        blocks = list(_hitran_blocks(path))
        if not blocks:
            raise ExobenchError(f"{path}: is empty; expected blocks of a HITRAN .cia file.")
    else:
        content = load_arrays(path)
        _require(path, content, ("wno", "t", "xsecarr"))
        grid, values = np.asarray(content["wno"], dtype=np.float64), np.asarray(content["xsecarr"], dtype=np.float64)
        blocks = [(float(t), grid, row) for t, row in zip(content["t"], values, strict=True)]
    temperature, table = _merge_bands(blocks, bin_edges_um)
    return CollisionInducedAbsorption(pair, temperature, table * M5_PER_CM5)


def _average(
    path: Path,
    gas: str,
    wavenumber: Any,
    temperature: Any,
    pressure: Array,
    values: Any,
    bin_edges_um: Array,
    average: str,
) -> CrossSections:
    grid, nodes = np.asarray(wavenumber, dtype=np.float64), np.asarray(temperature, dtype=np.float64)
    if values.shape != (len(pressure), len(nodes), len(grid)):
        raise ExobenchError(
            f"{path}: xsecarr has shape {tuple(values.shape)}, "
            f"expected (pressure, temperature, wavenumber) = ({len(pressure)}, {len(nodes)}, {len(grid)})."
        )
    if not np.all(np.diff(grid) > 0):
        raise ExobenchError(f"{path}: wavenumbers must ascend.")
    _warn_beyond(path, grid, bin_edges_um)
    # One pressure at a time: whole files of ExoMolOP are gigabytes.
    in_bins = bin_values(average)
    rows = [in_bins(grid, np.asarray(values[i], dtype=np.float64), bin_edges_um) for i in range(len(pressure))]
    table = np.stack(rows) * SQUARE_METRES_PER_CM2
    p, t = np.argsort(pressure), np.argsort(nodes)
    return CrossSections(gas, nodes[t], pressure[p], table[p][:, t])


def _warn_beyond(path: Path, grid: Array, bin_edges_um: Array) -> None:
    shortest, longest = 1e4 / grid[-1], 1e4 / grid[0]
    low, high = bin_bounds(bin_edges_um)
    # A table that ends within half a bin of the grid's end is meant to cover it.
    if 0.5 * (low[0] + high[0]) < shortest or 0.5 * (low[-1] + high[-1]) > longest:
        logger.warning(
            "%s covers %.4g-%.4g um; cross-sections are zero in the rest of %.4g-%.4g um.",
            path,
            shortest,
            longest,
            low[0],
            high[-1],
        )


def _hitran_blocks(path: Path) -> Iterator[tuple[float, Array, Array]]:
    """Yields (temperature, wavenumbers, cm5) of each block; a header holds pair, range, count and temperature."""
    lines = path.read_text(encoding="ascii", errors="replace").rstrip().splitlines()
    i = 0
    while i < len(lines):
        header = lines[i]
        try:
            count, temperature = int(header[40:47]), float(header[47:54])
            numbers = np.array([line.split()[:2] for line in lines[i + 1 : i + 1 + count]], dtype=np.float64)
        except ValueError as error:
            raise ExobenchError(f"{path}: line {i + 1} is not the header of a HITRAN .cia block.") from error
        if numbers.shape != (count, 2) or count < 2:
            raise ExobenchError(f"{path}: the block of line {i + 1} should have {count} lines of two numbers.")
        yield temperature, numbers[:, 0], np.maximum(numbers[:, 1], 0.0)
        i += count + 1


def _merge_bands(blocks: list[tuple[float, Array, Array]], bin_edges_um: Array) -> tuple[Array, Array]:
    """Adds up the bands of a file, each with temperatures of its own, on the union of their temperatures."""
    temperature = np.unique([t for t, _, _ in blocks])
    total = np.zeros((len(temperature), len(bin_bounds(bin_edges_um)[0])))
    for low in sorted({round(float(grid[0])) for _, grid, _ in blocks}):
        band = sorted((b for b in blocks if round(float(b[1][0])) == low), key=lambda block: block[0])
        nodes = np.array([t for t, _, _ in band])
        rows = np.array([bin_means(grid, values, bin_edges_um) for _, grid, values in band])
        total += np.stack([np.interp(temperature, nodes, column) for column in rows.T], axis=1)
    return temperature, total


def _require(path: Path, content: Any, keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if key not in content]
    if missing:
        raise ExobenchError(f"{path}: no '{missing[0]}'; expected the keys {', '.join(keys)}.")


def _text(value: Any) -> str:
    value = np.asarray(value).ravel()[0]
    return value.decode() if isinstance(value, bytes) else str(value)
