"""Compares the band model with real opacities: dex on bin means, and ppm on transit depths.

    python scripts/compare_band_model.py OPACITIES [--draws 100] [--seed 1] [--json FILE]

OPACITIES holds `ariel52/` (ExoMolOP k-tables), `clima80/` (HELIOS-K with HITEMP/HITRAN; in no fit, comparison only)
and `cia/`. The depths are computed here in plain float64 numpy, apart from the simulator of the package.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_tables import GASES, Spectra, ariel_channels, ariel_file, ariel_means, cia_points, clima_means

from exobench.opacities.band_model import (
    PRESSURE_NODES_PA,
    TEMPERATURE_NODES_K,
    band_model_cia,
    effective_ratio_of,
    interval_mean_m2,
    rayleigh_by_gas,
)
from exobench.opacities.line_overlap import transit_effective
from exobench.opacities.load_nemesis import KTable, load_kta
from exobench.opacities.tables import CollisionInducedAbsorption

Array = NDArray[np.float64]
Transmission = Callable[[Array, float, Array, Array], Array]

STRONG_CM2 = 1e-24
BOLTZMANN, GRAVITATION, ATOMIC_MASS = 1.380649e-23, 6.6743e-11, 1.66053906892e-27
JUPITER_RADIUS, SUN_RADIUS, JUPITER_MASS = 7.1492e7, 6.957e8, 1.8981245973e27
HYDROGEN, CARBON, OXYGEN, HELIUM = 1.00794, 12.011, 15.9994, 4.002602
MOLAR_MASS = {
    "H2O": 2 * HYDROGEN + OXYGEN,
    "CO2": CARBON + 2 * OXYGEN,
    "CO": CARBON + OXYGEN,
    "CH4": CARBON + 4 * HYDROGEN,
}
HELIUM_RATIO = 0.17647
LEVELS_PA = np.logspace(6, -5, 101)
LAYERS_PA = np.sqrt(LEVELS_PA[1:] * LEVELS_PA[:-1])
LOSCHMIDT_M3 = 2.6867805e25


def main() -> None:
    """Prints both comparisons and writes them as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("opacities", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {"dex": compare_means(options.opacities)}
    result["ppm"] = compare_depths(options.opacities, options.draws, options.seed)  # type: ignore[assignment]
    _print(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compare_means(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Absolute differences of log10 bin means, 0.5-15 um, 1000-2000 K, 10 mbar, where the real mean exceeds 1e-24 cm2.

    Returns:
        By gas and by set (``ariel52``, ``clima80``, ``both``): number of values, median, 90th percentile, largest.
    """
    result: dict[str, dict[str, dict[str, float]]] = {}
    for gas in GASES:
        ariel = differences(gas, ariel_means(gas, folder / "ariel52", np.arange(1000.0, 2001.0, 100.0)))
        clima = differences(gas, clima_means(gas, folder / "clima80"))
        sets = {"ariel52": ariel, "clima80": clima, "both": np.concatenate([ariel, clima])}
        result[gas] = {name: _summary(values) for name, values in sets.items()}
    return result


def differences(gas: str, real: Spectra) -> Array:
    """Absolute differences in dex, flat, of the values above the threshold."""
    model_cm2 = interval_mean_m2(gas, real.low_cm, real.high_cm, real.temperature_k) * 1e4
    strong = real.mean_cm2 > STRONG_CM2
    return np.abs(np.log10(model_cm2[strong]) - np.log10(real.mean_cm2[strong]))


def compare_depths(folder: Path, n_draws: int, seed: int) -> dict[str, float]:
    """Rms differences of transit depth on the 52 channels, in ppm, from the real k-tables with random overlap.

    Returns:
        ``band_model_all`` (everything as shipped), ``band_model`` (its effective cross-sections with real CIA),
        ``band_model_mean`` (its plain means), and two that need no band model: ``real_mean`` (means of the real
        tables) and ``real_effective`` (their effective cross-sections). The last three belong to ``band_model_all``.
    """
    tables = {gas: load_kta(ariel_file(folder / "ariel52", gas)) for gas in GASES}
    means = {gas: table.mean_m2() for gas, table in tables.items()}
    effective = {gas: transit_effective(table.k_m2, table.weights) for gas, table in tables.items()}
    low, high = ariel_channels()
    ways = {
        "real": _random_overlap(tables),
        "real_mean": _grey(lambda gas: (tables[gas], means[gas])),
        "real_effective": _grey(lambda gas: (tables[gas], effective[gas])),
        "band_model": _band_model(low, high, tables["H2O"], effective=True),
        "band_model_mean": _band_model(low, high, tables["H2O"], effective=False),
    }
    background = Background(folder / "cia" / "exocia_hitran12_200-3800K.tab", low, high)
    own = Background(None, low, high)
    depth: dict[str, list[Array]] = {name: [] for name in [*ways, "band_model_all"]}
    for draw in prior_draws(n_draws, seed):
        for name, way in ways.items():
            depth[name].append(transit_depth(draw, way, background))
        depth["band_model_all"].append(transit_depth(draw, ways["band_model"], own))
    real = np.array(depth.pop("real"))
    error = {name: 1e6 * (np.array(values) - real) for name, values in depth.items()}
    rms = {name: float(np.sqrt((values**2).mean())) for name, values in error.items()}
    shipped = error["band_model_all"]
    return rms | {
        "bias_ppm": float(shipped.mean()),
        "largest_ppm": float(np.abs(shipped).max()),
        "worst_channel_rms_ppm": float(np.sqrt((shipped**2).mean(axis=0)).max()),
    }


def prior_draws(n: int, seed: int) -> Array:
    """The hot-Jupiter prior: four mixing ratios (log-uniform), mass, radius and temperature, shape (n, 7)."""
    rng = np.random.default_rng(seed)
    mixing = 10 ** rng.uniform(-8, -1, (n, 4))
    return np.column_stack([mixing, rng.uniform(0.8, 2.0, n), rng.uniform(0.8, 1.5, n), rng.uniform(1e3, 2e3, n)])


class Background:
    """Collision-induced absorption and Rayleigh scattering on the channels; CIA of the band model without a table."""

    def __init__(self, cia_table: Path | None, low_um: Array, high_um: Array) -> None:
        channels = [np.array(pair) for pair in zip(low_um, high_um, strict=True)]
        self.rayleigh = {
            gas: np.concatenate([rayleigh_by_gas(channel)[gas] for channel in channels])
            for gas in rayleigh_by_gas(channels[0])
        }
        self.pairs: list[CollisionInducedAbsorption] = []
        by_channel = [band_model_cia(channel) for channel in channels]
        for i, entry in enumerate(by_channel[0]):
            temperature, values = entry.temperature_k, np.concatenate([c[i].coefficient_m5 for c in by_channel], axis=1)
            if cia_table is not None:
                wavenumber, temperature, points = cia_points(cia_table, "-".join(entry.pair))
                fine = [np.linspace(1e4 / b, 1e4 / a, 41) for a, b in zip(low_um, high_um, strict=True)]
                per_amagat2 = [[np.interp(x, wavenumber, row).mean() for x in fine] for row in points]
                values = np.array(per_amagat2) * 100.0 / LOSCHMIDT_M3**2
            self.pairs.append(CollisionInducedAbsorption(entry.pair, temperature, values))

    def cia(self, pair: int, temperature_k: float) -> Array:
        """Coefficient of a pair in m5, shape (n_bin,)."""
        table = self.pairs[pair]
        return np.array([np.interp(temperature_k, table.temperature_k, column) for column in table.coefficient_m5.T])


def transit_depth(draw: Array, transmission: Transmission, background: Background) -> Array:
    """Transit depth on the channels, shape (n_bin,), in the geometry of TauREx."""
    mixing, (mass, radius, temperature) = draw[:4], draw[4:]
    radius, mass = radius * JUPITER_RADIUS, mass * JUPITER_MASS
    hydrogen = (1 - mixing.sum()) / (1 + HELIUM_RATIO)
    helium = HELIUM_RATIO * hydrogen
    molar = (
        hydrogen * 2 * HYDROGEN
        + helium * HELIUM
        + sum(x * MOLAR_MASS[gas] for x, gas in zip(mixing, GASES, strict=True))
    )
    altitude = np.zeros(len(LEVELS_PA))
    for i, ratio in enumerate(np.log(LEVELS_PA[:-1] / LEVELS_PA[1:])):
        gravity = GRAVITATION * mass / (radius + altitude[i]) ** 2
        altitude[i + 1] = altitude[i] + BOLTZMANN * temperature / (molar * ATOMIC_MASS * gravity) * ratio
    thickness, base = np.diff(altitude), altitude[:-1]
    tangent = radius + thickness[0] / 2 + base
    outer = tangent + thickness / 2
    half = np.sqrt(np.maximum(outer[None, :] ** 2 - tangent[:, None] ** 2, 0.0))
    path = 2 * np.diff(np.concatenate([np.zeros((len(half), 1)), half], axis=1), axis=1)
    density = LAYERS_PA / (BOLTZMANN * temperature)
    column = path * density

    cia = hydrogen**2 * background.cia(0, temperature) + hydrogen * helium * background.cia(1, temperature)
    abundance = dict(zip(GASES, mixing, strict=True)) | {"H2": hydrogen, "He": helium}
    rayleigh = sum(abundance[gas] * values for gas, values in background.rayleigh.items())
    tau = np.outer((path * density**2).sum(axis=1), cia) + np.outer(column.sum(axis=1), rayleigh)
    clear = np.exp(-tau) * transmission(mixing, temperature, LAYERS_PA, column)
    return (radius**2 + 2 * ((radius + base) * thickness) @ (1 - clear)) / SUN_RADIUS**2


def _random_overlap(tables: dict[str, KTable]) -> Transmission:
    def transmission(mixing: Array, temperature: float, pressure: Array, column: Array) -> Array:
        total = np.ones(())
        for x, gas in zip(mixing, GASES, strict=True):
            k = _at_layers(tables[gas], tables[gas].k_m2, temperature, pressure)
            tau = np.einsum("lk,wkg->lwg", x * column, k, optimize=True)
            total = total * (np.exp(-tau) @ tables[gas].weights)
        return total

    return transmission


def _grey(values: Callable[[str], tuple[KTable, Array]]) -> Transmission:
    def transmission(mixing: Array, temperature: float, pressure: Array, column: Array) -> Array:
        tau = 0.0
        for x, gas in zip(mixing, GASES, strict=True):
            table, numbers = values(gas)
            tau = tau + x * column @ _at_layers(table, numbers, temperature, pressure).T
        return np.exp(-tau)

    return transmission


def _band_model(low_um: Array, high_um: Array, grid: KTable, *, effective: bool) -> Transmission:
    """The band model tabulated on the nodes that the shipped set has."""
    centres = 0.5 * (low_um + high_um)
    tables = {}
    for gas in GASES:
        mean = interval_mean_m2(gas, 1e4 / high_um, 1e4 / low_um, TEMPERATURE_NODES_K).T
        ratio = effective_ratio_of(gas, centres, TEMPERATURE_NODES_K, PRESSURE_NODES_PA).transpose(2, 0, 1)
        values = mean[:, None, :] * (ratio if effective else np.ones_like(ratio))
        tables[gas] = (KTable(centres, PRESSURE_NODES_PA, TEMPERATURE_NODES_K, grid.weights, values), values)
    return _grey(lambda gas: tables[gas])


def _at_layers(table: KTable, values: Array, temperature_k: float, pressure_pa: Array) -> Array:
    """Values (n_bin, n_pressure, n_temperature, ...) at one temperature and the layers, bilinear in T and log P."""
    t, p = table.temperature_k, np.log10(table.pressure_pa)
    i = int(np.clip(np.searchsorted(t, temperature_k) - 1, 0, len(t) - 2))
    f = (temperature_k - t[i]) / (t[i + 1] - t[i])
    at_t = values[:, :, i] * (1 - f) + values[:, :, i + 1] * f
    position = np.clip(np.log10(pressure_pa), p[0], p[-1])
    j = np.clip(np.searchsorted(p, position) - 1, 0, len(p) - 2)
    w = ((position - p[j]) / (p[j + 1] - p[j])).reshape(1, -1, *[1] * (values.ndim - 3))
    return at_t[:, j] * (1 - w) + at_t[:, j + 1] * w


def _summary(values: Array) -> dict[str, float]:
    return {
        "n": len(values),
        "median": float(np.median(values)),
        "p90": float(np.percentile(values, 90)),
        "max": float(values.max()),
    }


def _print(result: dict) -> None:
    print("bin means, absolute difference in dex     n  median   p90    max")
    for gas, sets in result["dex"].items():
        for name, s in sets.items():
            print(f"  {gas:4} {name:8} {s['n']:30d} {s['median']:7.3f} {s['p90']:6.3f} {s['max']:6.2f}")
    print("transit depth on 52 channels, ppm (rms unless named otherwise)")
    for name, value in result["ppm"].items():
        print(f"  {name:24} {value:8.1f}")


if __name__ == "__main__":
    main()
