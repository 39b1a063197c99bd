"""TauREx set-ups: a parameter file ``.par`` and the spectrum ``.dat`` beside it, as parameters and spectra of a task.

TauREx 2 writes ``[Planet] radius, mass``, ``[Atmosphere] tp_iso_temp, active_gases, active_gases_mixratios`` and
``[Star] radius``; TauREx 3 writes ``[Planet] planet_radius, planet_mass``, ``[Temperature] T`` and a subsection of
``[Chemistry]`` for each gas with ``mix_ratio``. Radii and masses are in those of Jupiter and the Sun in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.grids import bin_bounds
from exobench.parameters import ParameterSpace
from exobench.problem import Arrays

Array = NDArray[np.float64]
Sections = dict[tuple[str, ...], dict[str, str]]

_MAX_BYTES = 16 << 20
_COLUMNS = (2, 3, 4)
_BIN_TOLERANCE = 0.1


@dataclass(frozen=True)
class TaurexSetup:
    """What a parameter file says of an isothermal, cloud-free atmosphere with constant abundances.

    Attributes:
        path: the file.
        flavour: "taurex2" or "taurex3", whose constants the file's units mean.
        mass_mjup: mass of the planet.
        radius_rjup: radius of the planet.
        temperature_k: temperature.
        star_radius_rsun: radius of the star.
        log10_abundance: base-ten logarithm of the volume mixing ratio of each gas, by formula.
    """

    path: Path
    flavour: str
    mass_mjup: float
    radius_rjup: float
    temperature_k: float
    star_radius_rsun: float
    log10_abundance: dict[str, float]

    def theta(self, space: ParameterSpace, *, absent_gas: float | None = None) -> Array:
        """The parameters in the order of a task, (param,).

        Args:
            space: the task's parameters.
            absent_gas: log10 abundance of a gas that the file does not have; None refuses it.

        Raises:
            ExobenchError: the file lacks a parameter, or its value lies outside the box.
        """
        theta = np.array([self._value(name, absent_gas) for name in space.names])
        for parameter, value in zip(space.parameters, theta, strict=True):
            if not parameter.low <= value <= parameter.high:
                raise ExobenchError(
                    f"{self.path}: {parameter.name} is {value:.6g}; expected {parameter.low:g} to {parameter.high:g} "
                    f"{parameter.unit}."
                )
        return theta

    def _value(self, name: str, absent_gas: float | None) -> float:
        if name in ("mass_mjup", "radius_rjup", "temperature_k"):
            return float(getattr(self, name))
        gas = name.removeprefix("log10_").upper()
        value = self.log10_abundance.get(gas, absent_gas) if name.startswith("log10_") else None
        if value is None:
            raise ExobenchError(f"{self.path}: has no {gas}, which the task needs for {name}.")
        return value


@dataclass(frozen=True, eq=False)
class TaurexSpectrum:
    """A spectrum in ascending wavelength.

    Attributes:
        path: the file.
        wavelength_um: (point,).
        depth: transit depth fraction, (point,).
        sigma: one standard deviation, (point,); zero where the file has no errors.
    """

    path: Path
    wavelength_um: Array
    depth: Array
    sigma: Array

    def on_grid(self, wavelength_um: Array, bin_edges_um: Array) -> tuple[Array, Array]:
        """Depth and sigma in a task's bins, (bin,) each; NaN and infinity where the file has no point.

        Raises:
            ExobenchError: a point is not the centre of a bin, or two are of one.
        """
        distance = np.abs(self.wavelength_um[:, None] - wavelength_um[None, :])
        bins = distance.argmin(axis=1)
        low, high = bin_bounds(bin_edges_um)
        off = distance.min(axis=1) > _BIN_TOLERANCE * (high - low)[bins]
        if off.any():
            raise ExobenchError(
                f"{self.path}: {self.wavelength_um[off][0]:.6g} um is not the centre of one of the task's "
                f"{len(wavelength_um)} bins, {wavelength_um[0]:.5g} to {wavelength_um[-1]:.5g} um."
            )
        if len(np.unique(bins)) < len(bins):
            raise ExobenchError(f"{self.path}: two points lie in one of the task's bins.")
        depth, sigma = np.full(len(wavelength_um), np.nan), np.full(len(wavelength_um), np.inf)
        depth[bins], sigma[bins] = self.depth, self.sigma
        return depth, sigma


def read_pairs(
    paths: Sequence[Path],
    space: ParameterSpace,
    wavelength_um: Array,
    bin_edges_um: Array,
    *,
    star_radius_rsun: float = 1.0,
    absent_gas: float | None = None,
) -> Arrays:
    """Reads parameter files and the spectra beside them.

    Args:
        paths: the ``.par`` files; each spectrum has the same name with ``.dat``.
        space: the task's parameters.
        wavelength_um: the task's bins, ascending.
        bin_edges_um: their edges.
        star_radius_rsun: radius of the task's star, to which the depths are scaled.
        absent_gas: log10 abundance of a gas that a file does not have; None refuses it.

    Returns:
        theta (n, param), x (n, bin) and sigma (n, bin); a bin without a point has x NaN and sigma infinite.

    Raises:
        ExobenchError: a file is missing, damaged or does not suit the task; the message names it.
    """
    if not paths:
        raise ExobenchError("no .par file was given.")
    rows = []
    for path in paths:
        setup, spectrum = read_par(path), read_dat(path.with_suffix(".dat"))
        depth, sigma = spectrum.on_grid(wavelength_um, bin_edges_um)
        scale = (setup.star_radius_rsun / star_radius_rsun) ** 2
        rows.append((setup.theta(space, absent_gas=absent_gas), depth * scale, sigma * scale))
    theta, x, sigmas = (np.stack(part) for part in zip(*rows, strict=True))
    return Arrays(theta, x, sigmas)


def read_par(path: Path) -> TaurexSetup:
    """Reads a parameter file of TauREx 2 or 3.

    Raises:
        ExobenchError: the file is missing or damaged, or describes another kind of atmosphere.
    """
    sections = _sections(path)
    if ("chemistry",) in sections or ("temperature",) in sections:
        return _taurex3(path, sections)
    return _taurex2(path, sections)


def read_dat(path: Path) -> TaurexSpectrum:
    """Reads columns wavelength (um), depth and, where there are more, error and bin width; in any one direction.

    Raises:
        ExobenchError: the file is missing or not such a table; the message names the line.
    """
    rows = [(number, line.replace(",", " ").split()) for number, line in _lines(path)]
    if not rows:
        raise ExobenchError(f"{path}: holds no spectrum.")
    n_column = len(rows[0][1])
    if n_column not in _COLUMNS:
        raise ExobenchError(
            f"{path}: has {n_column} columns; expected wavelength in um, depth, and maybe error and width."
        )
    table = np.array([_numbers(path, number, words, n_column) for number, words in rows])
    sigma = table[:, 2] if n_column > 2 else np.zeros(len(table))
    _check_table(path, [number for number, _ in rows], table[:, 0], table[:, 1], sigma)
    order = np.argsort(table[:, 0])
    return TaurexSpectrum(path, table[order, 0], table[order, 1], sigma[order])


def _check_table(path: Path, lines: Sequence[int], wavelength_um: Array, depth: Array, sigma: Array) -> None:
    for values, right, what in (
        (wavelength_um, (wavelength_um > 0) & (wavelength_um < 1000), "expected a wavelength in um"),
        (depth, (depth > 0) & (depth < 1), "expected a depth as a fraction"),
        (sigma, (sigma >= 0) & (sigma < 1), "expected an error as a fraction"),
    ):
        if not right.all():
            row = int(np.flatnonzero(~right)[0])
            raise ExobenchError(f"{path}: line {lines[row]}: {values[row]:.6g}; {what}.")
    steps = np.diff(wavelength_um)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ExobenchError(f"{path}: wavelengths neither ascend nor descend throughout.")


def _numbers(path: Path, number: int, words: Sequence[str], n_column: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != n_column or not all(math.isfinite(value) for value in values):
        raise ExobenchError(f"{path}: line {number}: expected {n_column} finite numbers.")
    return values


def _taurex2(path: Path, sections: Sections) -> TaurexSetup:
    atmosphere = sections.get(("atmosphere",), {})
    _expect(path, atmosphere, "[Atmosphere] tp_type", ("isothermal",))
    _expect(path, atmosphere, "[Atmosphere] clouds", ("false", "0", "no"))
    gases = _list(_text(path, atmosphere, "[Atmosphere] active_gases"))
    ratios = _list(_text(path, atmosphere, "[Atmosphere] active_gases_mixratios"))
    if len(gases) != len(ratios):
        raise ExobenchError(
            f"{path}: [Atmosphere] has {len(gases)} active_gases and {len(ratios)} active_gases_mixratios."
        )
    return TaurexSetup(
        path=path,
        flavour="taurex2",
        mass_mjup=_number(path, sections, "[Planet] mass"),
        radius_rjup=_number(path, sections, "[Planet] radius"),
        temperature_k=_number(path, sections, "[Atmosphere] tp_iso_temp"),
        star_radius_rsun=_number(path, sections, "[Star] radius"),
        log10_abundance={
            gas.upper(): math.log10(_positive(path, f"[Atmosphere] active_gases_mixratios of {gas}", ratio))
            for gas, ratio in zip(gases, ratios, strict=True)
        },
    )


def _taurex3(path: Path, sections: Sections) -> TaurexSetup:
    _expect(path, sections.get(("temperature",), {}), "[Temperature] profile_type", ("isothermal",))
    _expect(path, sections.get(("chemistry",), {}), "[Chemistry] chemistry_type", ("taurex", "free"))
    for clouds in ("simpleclouds", "thickclouds", "leemie", "flatmie"):
        if ("model", clouds) in sections:
            raise ExobenchError(f"{path}: [Model] has {clouds}; expected a cloud-free atmosphere.")
    abundance = {}
    for (outer, *inner), values in sections.items():
        if outer == "chemistry" and inner:
            gas = inner[0].upper()
            _expect(path, values, f"[[{gas}]] gas_type", ("constant",))
            ratio = _text(path, values, f"[[{gas}]] mix_ratio")
            abundance[gas] = math.log10(_positive(path, f"[[{gas}]] mix_ratio", ratio))
    return TaurexSetup(
        path=path,
        flavour="taurex3",
        mass_mjup=_number(path, sections, "[Planet] planet_mass"),
        radius_rjup=_number(path, sections, "[Planet] planet_radius"),
        temperature_k=_number(path, sections, "[Temperature] T"),
        star_radius_rsun=_number(path, sections, "[Star] radius", default="1.0"),
        log10_abundance=abundance,
    )


def _sections(path: Path) -> Sections:
    """Values by section and subsection, names in lower case."""
    sections: Sections = {}
    current: tuple[str, ...] = ()
    for number, line in _lines(path):
        if line.startswith("[["):
            current = (*current[:1], line.strip("[] ").lower())
        elif line.startswith("["):
            current = (line.strip("[] ").lower(),)
        elif current and "=" in line:
            key, _, value = line.partition("=")
            sections[current][key.strip().lower()] = value.strip().strip("\"'")
        else:
            raise ExobenchError(f"{path}: line {number}: expected [Section] or key = value.")
        sections.setdefault(current, {})
    return sections


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that say something, with their numbers."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ExobenchError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; expected a text file of TauREx.")
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ExobenchError(f"{path}: cannot be read ({error}).") from error
    stripped = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in stripped if line]


def _number(path: Path, sections: Sections, name: str, *, default: str | None = None) -> float:
    section = name[1 : name.index("]")].lower()
    return _positive(path, name, _text(path, sections.get((section,), {}), name, default=default))


def _text(path: Path, values: dict[str, str], name: str, *, default: str | None = None) -> str:
    value = values.get(name.split()[-1].lower(), default)
    if value is None:
        raise ExobenchError(f"{path}: {name} is missing.")
    return value


def _positive(path: Path, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ExobenchError(f"{path}: {name} is {text[:40]!r}; expected a positive number.")
    return value


def _expect(path: Path, values: dict[str, str], name: str, allowed: Sequence[str]) -> None:
    found = values.get(name.split()[-1].lower(), allowed[0]).lower()
    if found not in allowed:
        raise ExobenchError(f"{path}: {name} is {found!r}; expected {allowed[0]}.")


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
