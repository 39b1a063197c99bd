"""Writes small k-table files in every format that is read, from the band model's means."""

from __future__ import annotations

import pickle
import struct

import h5py
import numpy as np

from exobench.opacities.band_model import mean_cross_section_m2
from exobench.opacities.grids import bin_centres

EDGES_UM = np.geomspace(1.0, 5.0, 9)
CENTRES_UM = bin_centres(EDGES_UM)
TEMPERATURE_K = np.array([500.0, 1000.0, 1500.0, 2500.0])
PRESSURE_PA = np.array([1.0, 1e3, 1e5, 1e7])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)
G, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
GAS_NUMBER = {"H2O": 1, "CO2": 2, "CO": 5, "CH4": 6}


def k_values(gas="H2O", edges=EDGES_UM):
    """The band model's means spread over two decades within each bin, shape (P, T, bin, g), in m2."""
    mean = mean_cross_section_m2(gas, edges, TEMPERATURE_K.clip(900, 2100))
    spread = 10.0 ** (2 * G) / (10.0 ** (2 * G) @ WEIGHTS)
    broad = np.array([0.9, 0.95, 1.0, 1.1])[:, None, None, None]
    return broad * mean[None, :, :, None] * spread


def write_kta(path, gas="H2O", k=None, channels=CENTRES_UM):
    k = k_values(gas) if k is None else k
    body = [G, WEIGHTS, [0.0, 0.0], PRESSURE_PA / 101325.0, TEMPERATURE_K, channels]
    floats = np.concatenate([np.asarray(part, dtype="<f4") for part in body])
    counts = (len(PRESSURE_PA), len(TEMPERATURE_K), len(G), GAS_NUMBER[gas], 0)
    head = struct.pack("<2i3f5i", 11 + len(floats), len(channels), channels[0], -1.0, 0.0, *counts)
    path.write_bytes(head + floats.tobytes() + (np.moveaxis(k, 2, 0) / 1e-24).astype("<f4").tobytes())
    return path


def taurex_content(gas="H2O", k=None, edges=EDGES_UM, *, cm2=True):
    k = k_values(gas, edges) if k is None else k
    wavenumber = 1e4 / edges[::-1]
    return {
        "bin_edges": wavenumber,
        "bin_centers": 0.5 * (wavenumber[1:] + wavenumber[:-1]),
        "kcoeff": k[:, :, ::-1] * (1e4 if cm2 else 1.0),
        "weights": WEIGHTS,
        "samples": G,
        "ngauss": len(G),
        "t": TEMPERATURE_K,
        "p": PRESSURE_PA / 1e5,
        "name": gas,
    }


def write_hdf5(path, gas="H2O", *, unit="cm^2/molecule", p_unit="bar", **content):
    with h5py.File(path, "w") as handle:
        for key, value in (taurex_content(gas, cm2=unit.startswith("c")) | content).items():
            if key != "name" and value is not None:
                handle[key] = value
        handle["kcoeff"].attrs["units"], handle["p"].attrs["units"] = unit, p_unit
        handle.create_dataset("mol_name", data=np.array([gas.encode()], dtype=object), dtype=h5py.string_dtype())
    return path


def write_pickle(path, gas="H2O", **content):
    path.write_bytes(pickle.dumps(taurex_content(gas) | content, protocol=2))
    return path


def write_clima(path, gas="H2O"):
    with h5py.File(path, "w") as handle:
        handle["wavelengths"], handle["T"] = EDGES_UM.astype("f4"), TEMPERATURE_K
        handle["log10P"], handle["weights"] = np.log10(PRESSURE_PA / 1e5), WEIGHTS
        handle["log10k"] = np.log10(np.transpose(k_values(gas), (2, 1, 0, 3)) * 1e4)
        handle["species"] = np.bytes_(gas.ljust(20))
    return path


WRITERS = {
    "x.kta": write_kta,
    "any.h5": write_hdf5,
    "H2O.R50.ktable.TauREx.pickle": write_pickle,
    "c.hdf5": write_clima,
}
