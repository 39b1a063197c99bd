"""One door to opacities: the band model that comes with the project, or a folder of files in TauREx formats."""

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
from exobench.opacities.load_taurex import (
    CIA_SUFFIXES,
    HDF5_SUFFIXES,
    PICKLE_SUFFIXES,
    gas_of_file,
    load_cia,
    load_hdf5,
    load_pickle,
)
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet

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
) -> OpacitySet:
    """Opacities of the given gases on a wavelength grid.

    Args:
        path: None for the band model; else a folder that holds, in itself or one level below, a TauREx HDF5 or pickle
            cross-section file for each gas. Collision-induced absorption is taken from `H2-H2*.db` or `.cia` and
            `H2-He*.db` or `.cia` there, where present, else from the band model; the source line says which.
        wavelength_um: bin centres, ascending, shape (n_bin,).
        bin_edges_um: ascending, shape (n_bin + 1,).
        gases: formulas.
        flavour: ``"taurex3"`` or ``"taurex2"``, see `band_model_opacities`.
        temperature_range_k: temperatures that every table must bracket strictly, such as those of the prior.

    Returns:
        The set. Cross-sections are averaged over bins, and zero, with a warning, beyond a file's wavelengths.

    Raises:
        ExobenchError: no folder, no file for a gas, two files for one, a broken file, or too narrow temperatures.
    """
    if path is None:
        full = band_model_opacities(wavelength_um, bin_edges_um, flavour=flavour)
        absent = [gas for gas in gases if gas not in full.gases]
        if absent:
            raise unknown_name("gas in the band model", absent[0], BAND_MODEL_GASES)
        tables = {gas: full.gases[gas] for gas in gases}
        cia, source = full.cia, full.source
    else:
        folder = Path(path).expanduser()
        files = _cross_section_files(folder)
        tables = {gas: _load_gas(folder, files, gas, bin_edges_um) for gas in gases}
        cia, origin = _load_pairs(folder, bin_edges_um)
        source = f"cross-sections of {folder.name}; {origin}"
    for gas, table in tables.items():
        _check_temperatures(gas, table, temperature_range_k, "the band model" if path is None else str(path))
    return OpacitySet(
        wavelength_um=np.asarray(wavelength_um, dtype=np.float64),
        bin_edges_um=np.asarray(bin_edges_um, dtype=np.float64),
        gases=tables,
        cia=cia,
        rayleigh_m2=rayleigh_by_gas(bin_edges_um, flavour=flavour),
        source=source,
    )


def _cross_section_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ExobenchError(f"opacities path '{folder}' is not a folder; give one with TauREx .h5 or .pickle files.")
    suffixes = HDF5_SUFFIXES + PICKLE_SUFFIXES
    files = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(file for file in files if file.suffix in suffixes and "-" not in gas_of_file(file))


def _load_gas(folder: Path, files: list[Path], gas: str, bin_edges_um: Array) -> CrossSections:
    found = [file for file in files if gas_of_file(file) == gas]
    if not found:
        raise ExobenchError(
            f"no cross-sections of {gas} in '{folder}': looked for a .h5 or .hdf5 file with mol_name {gas}, "
            f"and for {gas}.*.pickle or {gas}_*.pickle."
        )
    # A gas may come as HDF5 and as the older pickle; the sort order is HDF5 first.
    found.sort(key=lambda file: (file.suffix not in HDF5_SUFFIXES, file.name))
    if len(found) > 1 and (found[0].suffix in HDF5_SUFFIXES) == (found[1].suffix in HDF5_SUFFIXES):
        raise ExobenchError(f"two files for {gas} in '{folder}': {found[0].name} and {found[1].name}; keep one.")
    logger.info("%s: %s", gas, found[0])
    load = load_hdf5 if found[0].suffix in HDF5_SUFFIXES else load_pickle
    return load(found[0], gas, bin_edges_um)


def _load_pairs(folder: Path, bin_edges_um: Array) -> tuple[tuple[CollisionInducedAbsorption, ...], str]:
    entries, origin = [], []
    for number, pair in enumerate(CIA_PAIRS):
        name = "-".join(pair)
        named = [*folder.glob(f"{name}*"), *folder.glob(f"*/{name}*")]
        files = sorted(file for file in named if file.suffix in CIA_SUFFIXES)
        if files:
            entries.append(load_cia(files[0], pair, bin_edges_um))
        else:
            entries.append(band_model_cia(bin_edges_um)[number])
        origin.append(f"{name} of {files[0].name if files else 'the band model'}")
    return tuple(entries), ", ".join(origin)


def _check_temperatures(gas: str, table: CrossSections, needed: tuple[float, float] | None, where: str) -> None:
    if needed is None:
        return
    low, high = table.temperature_k[0], table.temperature_k[-1]
    if low >= needed[0] or high <= needed[1]:
        raise ExobenchError(
            f"opacity of {gas} in {where} covers {low:g}-{high:g} K; "
            f"the task needs temperatures on both sides of {needed[0]:g}-{needed[1]:g} K."
        )
