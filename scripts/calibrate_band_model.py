"""Fits the coefficients of the band model and writes them to `exobench/opacities/band_coefficients.json`.

    python scripts/calibrate_band_model.py ARIEL52 CIA_TABLE [--bt2 FOLDER] [--out FILE]

ARIEL52 holds ExoMolOP k-tables of H2O, CO2, CO and CH4 as NEMESIS `.kta` on the 52 Ariel channels (CC-BY-SA 4.0, Chubb
et al. 2021), CIA_TABLE is the NEMESIS table of HITRAN collision-induced absorption, and the folder of `--bt2` has the
BT2 water cross-sections of TauREx (`h2o_1000K.abs`, `h2o_1500K.abs`, CC-BY 4.0), used where the channels end or are
broad. Takes about two minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import band_model_start as start
import numpy as np
from numpy.typing import NDArray
from real_tables import GASES, Spectra, ariel_file, ariel_means, bt2_means, cia_points
from scipy.optimize import least_squares

from exobench.opacities.band_shapes import band_integral
from exobench.opacities.line_overlap import effective_ratio, transit_effective
from exobench.opacities.linear_bands import Family, LinearMolecule, binned_integral
from exobench.opacities.load_nemesis import KTable, load_kta

Array = NDArray[np.float64]

OUT = Path(__file__).parents[1] / "exobench" / "opacities" / "band_coefficients.json"
ATTRIBUTION = (
    "Fitted to ExoMolOP opacities (Chubb et al. 2021, A&A 646, A21; CC-BY-SA 4.0; line lists POKAZATEL for H2O, "
    "UCL-4000 for CO2, Li2015 for CO, YT34to10 for CH4), to BT2 H2O cross-sections of TauREx (Barber et al. 2006; "
    "CC-BY 4.0) and to HITRAN collision-induced absorption (Richard et al. 2012; Karman et al. 2019). "
    "These coefficients: CC-BY-SA 4.0."
)
TEMPERATURES_K = np.arange(900.0, 2101.0, 200.0)
"""Of the fit, the same for every gas."""
SHAPE = {"H2O": "bands", "CH4": "bands", "CO2": "linear", "CO": "linear"}
FLOOR_CM2 = 1e-29
ROBUST_DEX = 0.1
PRIOR_WEIGHT = 0.02
FAMILY_STEPS = {
    "log10_strength": 0.3,
    "bend_power": 0.4,
    "shift_bend_cm": 1.5,
    "spread_cm": 8.0,
    "herman_wallis": 0.003,
}


def main() -> None:
    """Fits every gas and pair, and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ariel52", type=Path)
    parser.add_argument("cia_table", type=Path)
    parser.add_argument("--bt2", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    gases = {gas: fit_gas(gas, options.ariel52, options.bt2) for gas in GASES}
    cia = {pair: fit_cia(pair, options.cia_table) for pair in start.CIA_BANDS}
    write(options.out, {"attribution": ATTRIBUTION, "version": 1, "gases": gases, "cia": cia})
    print(f"wrote {options.out} ({options.out.stat().st_size} bytes)")


def fit_gas(gas: str, folder: Path, bt2: Path | None) -> dict[str, object]:
    """Fits one gas and returns its entry of the coefficient file."""
    data = [ariel_means(gas, folder, TEMPERATURES_K)]
    if gas == "H2O" and bt2 is not None:
        data.append(bt2_means(bt2))
    if SHAPE[gas] == "bands":
        bands = {"H2O": start.H2O_BANDS, "CH4": start.CH4_BANDS}[gas]
        entry = fit_bands(bands, data, start.CH4_TIGHT if gas == "CH4" else {})
    else:
        molecule, families, free, bands = {
            "CO": (start.CO, start.CO_FAMILIES, start.CO_FREE, []),
            "CO2": (start.CO2, start.CO2_FAMILIES, start.CO2_FREE, start.CO2_BANDS),
        }[gas]
        entry = fit_linear(molecule, families, free, bands, data)
    entry["line_overlap"] = fit_overlap(gas, load_kta(ariel_file(folder, gas)))
    print(f"{gas}: {entry.pop('n_free')} numbers for the means, {2 * len(start.OVERLAP_KNOTS_UM[gas]) + 2} for overlap")
    return entry


def fit_bands(bands: list[tuple], data: list[Spectra], tight: dict[int, float]) -> dict[str, object]:
    """Fits a sum of two-sided bands that share the power of temperature of their widths."""
    first = np.array([[s, 0.0, c, np.log(left), np.log(right)] for c, s, left, right in bands])
    scale = np.tile([0.3, 2.0, 40.0, 0.5, 0.5], (len(bands), 1))
    for index, factor in tight.items():
        scale[index] *= factor

    def unpack(x: Array) -> dict[str, object]:
        rows = x[:-1].reshape(first.shape).copy()
        rows[:, 3:] = np.exp(rows[:, 3:])
        return {"bands": {"width_power": x[-1], "rows": rows.tolist()}, "n_free": len(x)}

    def means(x: Array) -> list[Array]:
        table = band_table(unpack(x)["bands"])
        return [band_integral(table, s.temperature_k, s.low_cm, s.high_cm) / (s.high_cm - s.low_cm) for s in data]

    x0, steps = np.append(first.ravel(), 0.6), np.append(scale.ravel(), 0.2)
    return unpack(solve(means, x0, steps, data, reach=4.0, evaluations=120))


def fit_linear(
    molecule: LinearMolecule,
    families: list[Family],
    free: dict[int, tuple[str, ...]],
    bands: list[tuple],
    data: list[Spectra],
) -> dict[str, object]:
    """Fits the free numbers of the families, and strength, power and width of the bands between them."""
    names = [(i, name) for i, group in free.items() for name in group]
    x0 = [getattr(families[i], name) for i, name in names] + [v for _, s, w, _ in bands for v in (s, 2.0, np.log(w))]
    steps = [FAMILY_STEPS[name] for _, name in names] + [0.5, 2.0, 0.4] * len(bands)

    def unpack(x: Array) -> tuple[list[Family], Array]:
        changes: dict[int, dict[str, float]] = {}
        for (i, name), value in zip(names, x, strict=False):
            changes.setdefault(i, {})[name] = float(abs(value) if name == "spread_cm" else value)
        fitted = [dataclasses.replace(family, **changes.get(i, {})) for i, family in enumerate(families)]
        rest = x[len(names) :].reshape(-1, 3)
        rows = [[s, a, band[0], np.exp(w), np.exp(w)] for (s, a, w), band in zip(rest, bands, strict=True)]
        return fitted, np.array(rows).reshape(-1, 5)

    known: dict[tuple[Family, int], Array] = {}

    def family_mean(family: Family, index: int) -> Array:
        if (family, index) not in known:
            s = data[index]
            known[family, index] = binned_integral(molecule, [family], s.temperature_k, s.low_cm, s.high_cm)
        return known[family, index] / (data[index].high_cm - data[index].low_cm)

    def means(x: Array) -> list[Array]:
        fitted, rows = unpack(x)
        table = band_table({"width_power": 0.5, "rows": rows})
        if len(known) > 2000:
            known.clear()
        return [
            sum(family_mean(family, i) for family in fitted)
            + band_integral(table, s.temperature_k, s.low_cm, s.high_cm) / (s.high_cm - s.low_cm)
            for i, s in enumerate(data)
        ]

    x = solve(means, np.array(x0), np.array(steps), data, reach=5.0, evaluations=40)
    fitted, rows = unpack(x)
    return {
        "molecule": dataclasses.asdict(molecule),
        "families": [list(dataclasses.astuple(family)) for family in fitted],
        "bands": {"width_power": 0.5, "rows": rows.tolist()},
        "n_free": len(x),
    }


def solve(
    means: Callable[[Array], list[Array]],
    x0: Array,
    steps: Array,
    data: list[Spectra],
    *,
    reach: float,
    evaluations: int,
) -> Array:
    """Least squares in log10, robust against single bins, each number drawn weakly to its start."""

    def residuals(x: Array) -> Array:
        parts = [
            s.weight() * (np.log10(m + FLOOR_CM2) - np.log10(s.mean_cm2 + FLOOR_CM2))
            for m, s in zip(means(x), data, strict=True)
        ]
        return np.concatenate([*(part.ravel() for part in parts), PRIOR_WEIGHT * (x - x0) / steps])

    bounds = (x0 - reach * steps, x0 + reach * steps)
    options = {"loss": "soft_l1", "f_scale": ROBUST_DEX, "max_nfev": evaluations, "x_scale": steps}
    return np.asarray(least_squares(residuals, x0, bounds=bounds, diff_step=1e-4, **options).x)


def fit_overlap(gas: str, table: KTable) -> dict[str, object]:
    """Fits effective over mean cross-section of the k-distribution where the gas absorbs."""
    temperatures = [int(i) for i in np.flatnonzero((table.temperature_k >= 1000) & (table.temperature_k <= 2000))][::2]
    pressures = [int(i) for i in np.flatnonzero((table.pressure_pa >= 1) & (table.pressure_pa <= 1.1e6))][::2]
    k = table.k_m2[:, pressures][:, :, temperatures] * 1e4
    mean = k @ table.weights
    target = np.log10(transit_effective(k, table.weights) / np.maximum(mean, 1e-60))
    weight = np.clip((np.log10(np.maximum(mean, 1e-60)) + 26.0) / 3.0, 0, 1)
    knots = np.log10(start.OVERLAP_KNOTS_UM[gas])
    n = len(knots)

    def entry(x: Array) -> dict[str, object]:
        return {
            "log10_wavelength": knots,
            "log10_collision": x[:n],
            "log10_thermal": x[n : 2 * n],
            "collision_power": x[-2],
            "thermal_power": x[-1],
        }

    def residuals(x: Array) -> Array:
        ratio = effective_ratio(
            entry(x), table.wavelength_um, table.temperature_k[temperatures], table.pressure_pa[pressures]
        )
        misfit = weight * (np.log10(ratio).transpose(2, 0, 1) - target)
        return np.concatenate([misfit.ravel(), 0.03 * (x - x0)])

    x0 = np.concatenate([np.full(n, -1.0), np.full(n, -6.5 if gas == "CO" else -0.5), [1.0, 3.0]])
    x = least_squares(residuals, x0, loss="soft_l1", f_scale=0.1).x
    return {name: np.asarray(value).tolist() for name, value in entry(x).items()}


def fit_cia(pair: str, path: Path) -> dict[str, object]:
    """Fits the bands of one pair to points of the table (values in cm-1 amagat-2)."""
    wavenumber, temperature_k, values = cia_points(path, pair)
    step = 5.0
    data = [Spectra(wavenumber - step, wavenumber + step, temperature_k, values, weight_from=1e-10, weight_to=1e-8)]
    entry = fit_bands(start.CIA_BANDS[pair], data, {})
    print(f"{pair}: {entry['n_free']} numbers")
    return dict(entry["bands"])  # type: ignore[call-overload]


def band_table(entry: object) -> Array:
    """The rows of a band entry with its width power as sixth column."""
    rows = np.asarray(entry["rows"], dtype=np.float64).reshape(-1, 5)  # type: ignore[index]
    return np.column_stack([rows, np.full(len(rows), entry["width_power"])])  # type: ignore[index]


def write(path: Path, content: dict[str, object]) -> None:
    """Writes JSON with rounded numbers and one innermost list a line."""

    def rounded(value: object) -> object:
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rounded(item) for item in value]
        return float(f"{value:.5g}") if isinstance(value, float) else value

    text = json.dumps(rounded(content), indent=1)
    path.write_text(join_number_lists(text) + "\n", encoding="utf-8")


def join_number_lists(text: str) -> str:
    """Puts each innermost list of an indented JSON text on one line."""
    return re.sub(
        r"\[[^\[\]{}]*\]", lambda found: " ".join(found.group().split()).replace("[ ", "[").replace(" ]", "]"), text
    )


if __name__ == "__main__":
    main()
