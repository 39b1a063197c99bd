"""Priors and truths from tables that a person can write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

FILE_COLUMN = "file"


@dataclass(frozen=True, eq=False)
class PriorBox:
    """Parameters and the ends of their uniform prior.

    Attributes:
        names: in the order of theta.
        units: in the same order, empty where not known.
        low: (param,).
        high: (param,).
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    low: Array
    high: Array

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ExobenchError(f"parameter names must differ: {', '.join(self.names)}.")
        for key, values in (("units", self.units), ("low", self.low), ("high", self.high)):
            if np.shape(values) != (len(self.names),):
                raise ExobenchError(f"{key} has shape {np.shape(values)}; {len(self.names)} names ask for one each.")


def read_prior(path: Path) -> PriorBox:
    """Reads a CSV with columns name, low, high, and perhaps unit.

    Raises:
        ExobenchError: if it cannot be read, or lacks a column or a number.
    """
    table = _read_csv(path)
    missing = [column for column in ("name", "low", "high") if column not in table]
    if missing or not len(table):
        raise ExobenchError(
            f"{path} lacks {', '.join(missing) or 'rows'}; it needs name, low, high, a parameter a row."
        )
    names = tuple(str(name) for name in table["name"])
    units = (
        tuple("" if unit != unit else str(unit) for unit in table["unit"]) if "unit" in table else ("",) * len(names)
    )
    return PriorBox(names, units, _column(table, "low", path), _column(table, "high", path))


def read_truths(path: Path, names: Sequence[str], files: Sequence[Path] | None) -> Array:
    """Reads truths, (obs, param).

    Args:
        path: CSV with a column for each parameter, or HDF5 with theta_true (obs, param).
        names: parameters, in the order of theta.
        files: files of draws, one for each spectrum, whose truths the CSV names by its column ``file``; None where the
            rows are the spectra in their order.

    Raises:
        ExobenchError: if it cannot be read, or lacks a parameter, a spectrum or a number.
    """
    if path.suffix.lower() in (".h5", ".hdf5"):
        try:
            with h5py.File(path, "r") as file:
                return np.asarray(file["theta_true"][()], dtype=np.float64)
        except (OSError, KeyError, ValueError, AttributeError) as error:
            raise ExobenchError(
                f"{path} cannot be read: it needs a dataset theta_true (obs, param). {error}"
            ) from error
    table = _read_csv(path)
    missing = [name for name in names if name not in table]
    if missing:
        raise ExobenchError(f"{path} has no column {', '.join(missing)}; it needs one for each parameter.")
    if files is not None:
        table = _rows_of(table, files, path)
    return np.stack([_column(table, name, path) for name in names], axis=1)


def _rows_of(table: DataFrame, files: Sequence[Path], path: Path) -> DataFrame:
    """One row for each file, in the order of the files."""
    if FILE_COLUMN not in table:
        raise ExobenchError(f"{path} needs a column {FILE_COLUMN} that says which spectrum each truth is of.")
    stored = [Path(str(name)).name for name in table[FILE_COLUMN]]
    wanted = [file.name for file in files]
    for names, where in ((stored, str(path)), (wanted, "the files of draws")):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ExobenchError(f"{where}: {twice[0]} occurs more than once; a spectrum is known by its file's name.")
    absent = [name for name in wanted if name not in stored]
    if absent:
        raise ExobenchError(f"{path} has no truth of {absent[0]} ({len(absent)} of {len(wanted)} files lack one).")
    unused = [name for name in stored if name not in wanted]
    if unused:
        raise ExobenchError(f"{path} has a truth of {unused[0]}, which is not among the files of draws.")
    return table.iloc[[stored.index(name) for name in wanted]]


def _read_csv(path: Path) -> DataFrame:
    import pandas as pd

    try:
        table: DataFrame = pd.read_csv(path, skipinitialspace=True)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise ExobenchError(f"{path} cannot be read as CSV: {error}.") from error
    return table


def _column(table: DataFrame, name: str, path: Path) -> Array:
    try:
        return np.asarray(table[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ExobenchError(f"{path}: column {name} must hold numbers ({error}).") from error
