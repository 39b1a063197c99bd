"""Real opacities as bin means, for the calibration of the band model and for the comparison with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.opacities.load_nemesis import load_kta

Array = NDArray[np.float64]

GASES = ("H2O", "CO2", "CO", "CH4")
CHECK_PRESSURE_PA = 1000.0
CIA_PAIR_INDEX = {"H2-H2": 0, "H2-He": 1}


@dataclass(frozen=True)
class Spectra:
    """Mean cross-sections of one gas on wavenumber bins.

    Attributes:
        low_cm: lower bin ends in cm-1, shape (n_bin,).
        high_cm: upper bin ends, shape (n_bin,).
        temperature_k: shape (n_temperature,).
        mean_cm2: shape (n_temperature, n_bin).
        weight_from: values below have no weight in a fit.
        weight_to: values above have full weight.
    """

    low_cm: Array
    high_cm: Array
    temperature_k: Array
    mean_cm2: Array
    weight_from: float = 3e-28
    weight_to: float = 1e-24

    def weight(self) -> Array:
        """Weight of each value in a fit, from 0 to 1, shape of `mean_cm2`."""
        low, high = np.log10(self.weight_from), np.log10(self.weight_to)
        return np.asarray(np.clip((np.log10(np.maximum(self.mean_cm2, 1e-60)) - low) / (high - low), 0, 1))

    def bin_edges_um(self) -> Array:
        """Lower and upper wavelength of each bin, shape (n_bin, 2)."""
        return np.stack([1e4 / self.high_cm, 1e4 / self.low_cm], axis=1)


def ariel_channels() -> tuple[Array, Array]:
    """Lower and upper edges in um of the 52 Ariel channels: three broad ones, then three runs of constant ratio."""
    runs = [
        np.array([0.50, 0.60, 0.81, 1.10]),
        1.10 * 1.1025 ** np.arange(7),
        np.geomspace(1.95, 3.76, 34),
        np.geomspace(3.90, 7.51, 11),
    ]
    return np.concatenate([run[:-1] for run in runs]), np.concatenate([run[1:] for run in runs])


def ariel_file(folder: Path, gas: str) -> Path:
    """The k-table of a gas."""
    return folder / f"{gas}_Katy_ARIEL_test.kta"


def ariel_means(gas: str, folder: Path, temperature_k: Array) -> Spectra:
    """Channel means at 10 mbar for temperatures that are nodes of the table."""
    table = load_kta(ariel_file(folder, gas))
    nodes = [int(np.argmin(np.abs(table.temperature_k - t))) for t in temperature_k]
    mean = table.mean_m2()[:, table.nearest_pressure(CHECK_PRESSURE_PA)][:, nodes].T * 1e4
    low, high = ariel_channels()
    return Spectra(1e4 / high, 1e4 / low, table.temperature_k[nodes], mean)


def clima_means(gas: str, folder: Path, low_um: float = 0.48, high_um: float = 15.1) -> Spectra:
    """Bin means at 10 mbar and 1000-2000 K of a photochem-clima k-distribution (HDF5)."""
    with h5py.File(folder / f"{gas}.h5") as handle:
        edges, temperature_k = handle["wavelengths"][:].astype(float), handle["T"][:].astype(float)
        pressure = int(np.argmin(np.abs(handle["log10P"][:] + 2.0)))
        weights = handle["weights"][:].astype(float)
        k = 10.0 ** handle["log10k"][:, :, pressure].astype(float)
    bins = (edges[:-1] > low_um) & (edges[1:] < high_um)
    nodes = (temperature_k >= 1000) & (temperature_k <= 2000)
    mean = (k @ (weights / weights.sum()))[bins][:, nodes].T
    return Spectra(1e4 / edges[1:][bins], 1e4 / edges[:-1][bins], temperature_k[nodes], mean)


def bt2_means(folder: Path) -> Spectra:
    """H2O at 1000 and 1500 K below 2.0 um (R = 37) and over 7.5-40 um (R = 18), from point-sampled cross-sections."""
    short, long = np.geomspace(0.4, 2.0, 61), np.geomspace(7.5, 40.0, 31)
    low = np.concatenate([short[:-1], long[:-1]])
    high = np.concatenate([short[1:], long[1:]])
    means = []
    for temperature in (1000, 1500):
        wavelength, value = np.loadtxt(folder / f"h2o_{temperature}K.abs").T
        wavenumber = 1e4 / wavelength
        order = np.argsort(wavenumber)
        means.append(_bin_mean(wavenumber[order], value[order], 1e4 / high, 1e4 / low))
    return Spectra(1e4 / high, 1e4 / low, np.array([1000.0, 1500.0]), np.array(means))


def _bin_mean(wavenumber: Array, value: Array, low_cm: Array, high_cm: Array) -> Array:
    steps = 0.5 * (value[1:] + value[:-1]) * np.diff(wavenumber)
    integral = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(
        (np.interp(high_cm, wavenumber, integral) - np.interp(low_cm, wavenumber, integral)) / (high_cm - low_cm)
    )


def cia_points(path: Path, pair: str) -> tuple[Array, Array, Array]:
    """Collision-induced absorption of the NEMESIS table at 150-14000 cm-1 and about 800-2300 K.

    The file holds two Fortran records: 25 temperatures as float64, then float32 coefficients of shape (1501
    wavenumbers by 10 cm-1, 25 temperatures, 9 pairs) in cm-1 amagat-2.

    Returns:
        Wavenumber (n,), temperature (n_temperature,) and values (n_temperature, n).
    """
    raw = path.read_bytes()
    temperature_k = np.frombuffer(raw, "<f8", 25, 4)
    table = np.frombuffer(raw, "<f4", 1501 * 9 * 25, 4 + 200 + 4 + 4).reshape(1501, 25, 9)
    rows = np.arange(15, 1400, 5)
    nodes = (temperature_k >= 800) & (temperature_k <= 2300)
    values = table[rows][:, nodes, CIA_PAIR_INDEX[pair]].T.astype(float)
    return 10.0 * rows, temperature_k[nodes], values
