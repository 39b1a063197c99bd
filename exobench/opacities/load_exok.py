"""Formats that the optional package exo_k reads: Exo-Transmit, Exo-REM, ARCiS and others.

exo_k (Leconte 2021, A&A 645, A20) is licensed under the GPL; nothing in this project needs it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.binning import bin_values
from exobench.opacities.k_distributions import SourceKTable, on_bins
from exobench.opacities.tables import CrossSections, KTable

Array = NDArray[np.float64]

CROSS_SECTION_ENDINGS = (".dat",)
K_TABLE_ENDINGS = (".ktable.exorem.txt", ".fits", ".nc", ".ncdf")


def is_for_exo_k(path: Path, gas: str) -> bool:
    """Whether a file's name says that it holds this gas in a format that only exo_k reads."""
    name = path.name
    if not name.lower().endswith(CROSS_SECTION_ENDINGS + K_TABLE_ENDINGS):
        return False
    return re.search(rf"(^|opac|[^A-Za-z0-9]){re.escape(gas)}([^A-Za-z0-9]|$)", name) is not None


def load_with_exo_k(path: Path, gas: str, bin_edges_um: Array, average: str = "mean") -> CrossSections | KTable:
    """Reads a file with exo_k and brings it to a task's bins.

    Args:
        path: a file for which `is_for_exo_k` holds.
        gas: formula to give to the table.
        bin_edges_um: of the task, shape (n_bin + 1,) or (n_bin, 2), ascending.
        average: of cross-sections, ``"mean"`` or ``"transmission"``.

    Raises:
        MissingDependencyError: exo_k is not installed.
        ExobenchError: exo_k refuses the file, or its bins are wider than the task's.
    """
    exo_k = _require_exo_k(path)
    plain = path.name.lower().endswith(CROSS_SECTION_ENDINGS)
    reader = exo_k.Xtable if plain else exo_k.Ktable
    try:
        table = reader(filename=str(path), mol=gas, p_unit="Pa", kdata_unit="m^2", remove_zeros=False)
    except Exception as error:  # whatever a package raises on a file that it does not understand
        raise ExobenchError(f"{path}: exo_k does not read it ({type(error).__name__}: {error}).") from error
    pressure, temperature = (np.asarray(grid, dtype=np.float64) for grid in (table.pgrid, table.tgrid))
    values = np.asarray(table.kdata, dtype=np.float64)
    if plain:
        means = bin_values(average)(np.asarray(table.wns, dtype=np.float64), values, bin_edges_um)
        p, t = np.argsort(pressure), np.argsort(temperature)
        return CrossSections(gas, temperature[t], pressure[p], means[p][:, t])
    edges = np.asarray(table.wnedges, dtype=np.float64)
    pairs = 1e4 / np.stack([edges[1:], edges[:-1]], axis=1)[::-1]
    weights = np.asarray(table.weights, dtype=np.float64)
    source = SourceKTable(
        path, gas, temperature, pressure, weights, values[:, :, ::-1], pairs, True, pairs.mean(axis=1)
    )
    return on_bins(source, bin_edges_um)


def _require_exo_k(path: Path) -> Any:
    try:
        import exo_k
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: this format is read by the optional package exo_k ({error}); run: pip install 'exobench[exok]', "
            "or convert the file to TauREx HDF5."
        ) from error
    return exo_k
