"""One door to opacities: the band model that comes with the project, or a folder of files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.band_model import (
    BAND_MODEL_GASES,
    CIA_PAIRS,
    band_model_cia,
    band_model_opacities,
    rayleigh_by_gas,
)
from exobench.opacities.folder import OpacityFolder
from exobench.opacities.load_cia import load_pair
from exobench.opacities.load_exok import load_with_exo_k
from exobench.opacities.load_ktables import load_k_table
from exobench.opacities.load_taurex import HDF5_SUFFIXES, load_hdf5, load_pickle
from exobench.opacities.plausible import check_pair, check_table, check_temperatures
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, KTable, OpacitySet

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)


def load_opacities(
    path: str | Path | None,
    wavelength_um: Array,
    bin_edges_um: Array,
    gases: Sequence[str],
    *,
    flavour: str = "taurex3",
    temperature_range_k: tuple[float, float] | None = None,
    average: str = "transmission",
) -> OpacitySet:
    """Opacities of the given gases on a wavelength grid.

    Args:
        path: None for the band model; else a folder that holds, in itself or one level below, a k-table (NEMESIS
            `.kta`, ExoMolOP or TauREx HDF5 or pickle) or cross-sections (TauREx HDF5 or pickle) for each gas; formats
            beyond these are read by the optional package exo_k. A k-table goes before cross-sections. Collision-induced
            absorption is taken from `H2-H2*` and `H2-He*` (`.db`, `.cia`, `.h5`) or a NEMESIS `*cia*.tab` there, where
            present, else from the band model; the source line says which.
        wavelength_um: bin centres, ascending, shape (n_bin,).
        bin_edges_um: ascending, shape (n_bin + 1,), or lower and upper edge of each bin, shape (n_bin, 2).
        gases: formulas.
        flavour: ``"taurex3"`` or ``"taurex2"``, see `band_model_opacities`.
        temperature_range_k: temperatures that every table must bracket strictly, such as those of the prior.
        average: how files of cross-sections become bin values: ``"transmission"`` or ``"mean"``, see
            `transmission_means`; of no effect on k-tables and on the band model.

    Returns:
        The set. What a file does not cover in wavelength is zero, with a warning.

    Raises:
        ExobenchError: no folder, no file for a gas, two files for one, a broken file, values in another unit, k-tables
            coarser than the grid, or too narrow temperatures.
    """
    edges = np.asarray(bin_edges_um, dtype=np.float64)
    tables: dict[str, CrossSections | KTable]
    if path is None:
        full = band_model_opacities(wavelength_um, edges, flavour=flavour)
        absent = [gas for gas in gases if gas not in full.gases]
        if absent:
            raise unknown_name("gas in the band model", absent[0], BAND_MODEL_GASES)
        tables = {gas: full.gases[gas] for gas in gases}
        cia, source = full.cia, full.source
        for gas, table in tables.items():
            check_temperatures("the band model", gas, table.temperature_k, temperature_range_k)
    else:
        folder = OpacityFolder.open(path)
        tables = {gas: _load_gas(folder, gas, edges, temperature_range_k, average) for gas in gases}
        cia, origin = _load_pairs(folder, edges, temperature_range_k)
        kinds = {"k-tables" if isinstance(table, KTable) else "cross-sections" for table in tables.values()}
        source = f"{' and '.join(sorted(kinds))} of {folder.path.name}; {origin}"
    return OpacitySet(
        wavelength_um=np.asarray(wavelength_um, dtype=np.float64),
        bin_edges_um=edges,
        gases={gas: table for gas, table in tables.items() if isinstance(table, CrossSections)},
        cia=cia,
        rayleigh_m2=rayleigh_by_gas(edges, flavour=flavour),
        source=source,
        k_tables={gas: table for gas, table in tables.items() if isinstance(table, KTable)},
    )


def _load_gas(
    folder: OpacityFolder, gas: str, edges: Array, temperature_range_k: tuple[float, float] | None, average: str
) -> CrossSections | KTable:
    file, table = _read_gas(folder, gas, edges, average)
    logger.info("Opacities of %s: %s", gas, file)
    check_table(str(file), table, edges)
    check_temperatures(str(file), gas, table.temperature_k, temperature_range_k)
    return table


def _read_gas(folder: OpacityFolder, gas: str, edges: Array, average: str) -> tuple[Path, CrossSections | KTable]:
    file = folder.k_table(gas)
    if file is not None:
        return file, load_k_table(file, gas, edges)
    file = folder.cross_section(gas)
    if file is not None:
        load = load_hdf5 if file.suffix in HDF5_SUFFIXES else load_pickle
        return file, load(file, gas, edges, average)
    file = folder.for_exo_k(gas)
    if file is not None:
        return file, load_with_exo_k(file, gas, edges, average)
    raise ExobenchError(
        f"no cross-sections of {gas} in '{folder.path}' and no k-table: looked for a .h5 or .hdf5 file with mol_name "
        f"{gas}, for {gas}.*.pickle or {gas}_*.pickle, and for a .kta file of {gas}."
    )


def _load_pairs(
    folder: OpacityFolder, edges: Array, temperature_range_k: tuple[float, float] | None
) -> tuple[tuple[CollisionInducedAbsorption, ...], str]:
    entries, origin = [], []
    for number, pair in enumerate(CIA_PAIRS):
        name, file = "-".join(pair), folder.pair(pair)
        if file is None:
            entries.append(band_model_cia(edges)[number])
        else:
            entries.append(load_pair(file, pair, edges))
            check_pair(str(file), entries[-1], edges)
            check_temperatures(str(file), name, entries[-1].temperature_k, temperature_range_k, strict=False)
        origin.append(f"{name} of {file.name if file else 'the band model'}")
    return tuple(entries), ", ".join(origin)
