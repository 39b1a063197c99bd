"""Opacities for TauREx 3: the embedded ones written as its files, or the folders that the run was made with."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from exobench.opacities.load import load_opacities
from exobench.task import Task

FOLDER = "opacities"
_CM2_PER_M2 = 1e4


def global_lines(task: Task, opacities_path: str | None, out: Path) -> str:
    """Lines of TauREx's section Global; writes the embedded opacities into a folder of ``out`` where they are needed.

    Args:
        task: an atmosphere.
        opacities_path: of the run, None for the embedded band model.
        out: folder of the parameter file.
    """
    if opacities_path is None:
        _write_embedded(task, out / FOLDER)
        return f"xsec_path = {FOLDER}\ncia_path = {FOLDER}"
    folder = Path(opacities_path).absolute()
    hint = "# TauREx looks into this one folder, not below it: the files of all gases and pairs must lie there."
    if task.simulator.describe().get("k_table_overlap"):
        return f"{hint}\nopacity_method = ktables\nktable_path = {folder}\ncia_path = {folder}"
    return f"{hint}\nxsec_path = {folder}\ncia_path = {folder}"


def _write_embedded(task: Task, folder: Path) -> None:
    described: dict[str, Any] = dict(task.simulator.describe())
    opacities = load_opacities(
        None, task.wavelength_um, task.bin_edges_um, described["gases"], flavour=str(described["flavour"])
    )
    folder.mkdir(parents=True, exist_ok=True)
    wavenumber_cm = 1e4 / task.wavelength_um[::-1]
    for gas, table in opacities.gases.items():
        with h5py.File(folder / f"{gas}.h5", "w") as file:
            file["mol_name"] = np.array([gas.encode()])
            file["bin_edges"] = wavenumber_cm
            file["t"] = table.temperature_k
            file["p"] = table.pressure_pa
            file["p"].attrs["units"] = "Pa"
            file["xsecarr"] = table.cross_section_m2[:, :, ::-1] * _CM2_PER_M2
    for pair in opacities.cia:
        content = {"wno": wavenumber_cm, "t": pair.temperature_k, "xsecarr": pair.coefficient_m5[:, ::-1].copy()}
        # TauREx reads this kind of file as a pickle; nothing here reads one.
        (folder / f"{'-'.join(pair.pair)}.db").write_bytes(pickle.dumps(content, protocol=4))
