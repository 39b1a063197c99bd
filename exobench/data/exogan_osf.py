"""The original spectra of ExoGAN (Zingales & Waldmann 2018, AJ 156, 268; osf.io/6dxps) as a task's data set.

The set is files ``chunck_*.pkgz``: gzip pickles of Python 2, each a dictionary of about ten thousand entries. An entry
holds ``data/spectrum``, 515 noise-free transit depths in descending wavelength, and ``param``: the mass in kg, the
radius in m, the temperature in K and four volume mixing ratios. The constants are those of TauREx 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.python2_pickle import as_array, load_plain
from exobench.data.shard import Depth, Theta
from exobench.errors import ExobenchError, unknown_name
from exobench.parameters import ParameterSpace
from exobench.simulators.constants import TAUREX2

Array = NDArray[np.float64]

SOURCE = "exogan_osf"
FLAVOUR = TAUREX2.name
FILE_PATTERN = "chunck_*.pkgz"
STAR_RADIUS_M = TAUREX2.r_sun_m

_SPECTRUM = "data/spectrum"
_WAVELENGTHS = ("data/wavelength", "data/wavelength_um", "data/wavelengths", "data/wavegrid", "data/wlgrid")
_GRID_TOLERANCE = 2e-3
_BOX_TOLERANCE = 1e-6
# Over the prior the atmosphere adds at most a third to the disc of the planet (the set's largest depth is 0.0302).
_LEAST_DEPTH, _MOST_DEPTH = 0.99, 2.0


@dataclass(frozen=True)
class Column:
    """One value of ``param``: its key, its unit, and what the unit is worth in the task's unit."""

    key: str
    unit: str
    per_declared_unit: float = 1.0
    is_log10: bool = False


COLUMNS: Mapping[str, Column] = {
    "log10_h2o": Column("h2o_mixratio", "a volume mixing ratio", is_log10=True),
    "log10_co2": Column("co2_mixratio", "a volume mixing ratio", is_log10=True),
    "log10_co": Column("co_mixratio", "a volume mixing ratio", is_log10=True),
    "log10_ch4": Column("ch4_mixratio", "a volume mixing ratio", is_log10=True),
    "mass_mjup": Column("planet_mass", "kg", TAUREX2.m_jup_kg),
    "radius_rjup": Column("planet_radius", "m", TAUREX2.r_jup_m),
    "temperature_k": Column("temperature_profile", "K"),
}


def list_chunks(source: Path) -> list[Path]:
    """The files of a folder (or the one file) in the order of their numbers.

    Raises:
        ExobenchError: there are none.
    """
    if source.is_file():
        return [source]
    found = sorted(source.rglob(FILE_PATTERN), key=lambda path: (_natural(path.name), str(path)))
    if not found:
        raise ExobenchError(
            f"there is no {FILE_PATTERN} in {source}: get the files of osf.io/6dxps and put them there."
        )
    return found


def read_chunk(path: Path, space: ParameterSpace, wavelength_um: Array) -> tuple[Theta, Depth]:
    """Reads and checks one file.

    Args:
        path: the file.
        space: names the columns of theta; every value must lie in its box.
        wavelength_um: the task's bins, ascending, (bin,).

    Returns:
        theta (n, param) in the task's units and depth (n, bin) in ascending wavelength.

    Raises:
        ExobenchError: the file is refused; the message names it, the entry and the key.
    """
    content = load_plain(path)
    entries = list(_entries(path, content))
    if not entries:
        raise ExobenchError(f"{path}: holds no entry; expected a dictionary or a list of spectra.")
    n_bin = len(wavelength_um)
    theta = np.empty((len(entries), len(space)))
    depth = np.empty((len(entries), n_bin))
    for row, (name, entry) in enumerate(entries):
        reader = _EntryReader(path, name, entry)
        descending = reader.array(_SPECTRUM, n_bin)
        reader.check_grid(wavelength_um)
        depth[row] = descending[::-1]
        theta[row] = [reader.number(f"param/{_column(parameter).key}") for parameter in space.names]
    names = [name for name, _ in entries]
    converted = _to_declared_units(path, names, theta, space)
    _check_depth(path, names, depth, theta[:, space.index("radius_rjup")])
    return converted, depth.astype(np.float32)


class _EntryReader:
    """One entry, whose keys may be nested ("data" -> "spectrum") or joined ("data/spectrum")."""

    def __init__(self, path: Path, name: str, entry: object) -> None:
        self._path, self._name = path, name
        if not isinstance(entry, dict):
            raise self._refusal("", f"is a {_kind(entry)}; expected a dictionary with 'data' and 'param'")
        self._entry = entry

    def array(self, key: str, n: int) -> Array:
        """A value as n numbers."""
        values = self._values(key, self._find(key))
        if values.size != n or max(values.shape, default=0) != n:
            raise self._refusal(key, f"has shape {values.shape}; expected ({n},)")
        return values.ravel()

    def number(self, key: str) -> float:
        """A value as one number; an isothermal profile may repeat it."""
        values = self._values(key, self._find(key))
        if values.size == 0:
            raise self._refusal(key, "is empty; expected one number")
        if (values != values.flat[0]).any() and np.isfinite(values).all():
            raise self._refusal(key, f"has {values.size} different numbers; expected one")
        return float(values.flat[0])

    def check_grid(self, wavelength_um: Array) -> None:
        """Holds wavelengths, where the entry carries any, against the task's: they must descend."""
        for key in _WAVELENGTHS:
            if self._find(key) is None:
                continue
            found = self.array(key, len(wavelength_um))
            if not np.allclose(found, wavelength_um[::-1], rtol=_GRID_TOLERANCE, atol=0.0):
                raise self._refusal(
                    key,
                    f"runs from {found[0]:.5g} to {found[-1]:.5g}; expected um in descending order, "
                    f"{wavelength_um[-1]:.5g} to {wavelength_um[0]:.5g}",
                )

    def _find(self, key: str) -> object:
        if key in self._entry:
            return self._entry[key]
        outer, _, inner = key.partition("/")
        group = self._entry.get(outer)
        return group.get(inner) if isinstance(group, dict) else None

    def _values(self, key: str, value: object) -> Array:
        if value is None:
            raise self._refusal(key, "is missing")
        try:
            return as_array(value)
        except ValueError as error:
            raise self._refusal(key, f"is not numbers ({error})") from error

    def _refusal(self, key: str, what: str) -> ExobenchError:
        return _refusal(self._path, self._name, key, what)


def _entries(path: Path, content: object) -> Iterator[tuple[str, object]]:
    if isinstance(content, dict) and not ({"data", "param", _SPECTRUM} & content.keys()):
        for key in sorted(content, key=_natural):
            yield str(key)[:40], content[key]
    elif isinstance(content, list | tuple):
        for index, entry in enumerate(content):
            yield str(index), entry
    else:
        raise ExobenchError(f"{path}: holds a {_kind(content)}; expected a dictionary or a list of spectra.")


def _natural(key: object) -> tuple[tuple[int, str], ...]:
    """Sorts numbers in names by their value; tuples are compared as they are."""
    return tuple(
        (int(part[:18]), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(key)) if part
    )


def _column(parameter: str) -> Column:
    if parameter not in COLUMNS:
        raise unknown_name(f"value in the files of {SOURCE} for parameter", parameter, COLUMNS)
    return COLUMNS[parameter]


def _to_declared_units(path: Path, names: Sequence[str], raw: Array, space: ParameterSpace) -> Theta:
    theta = np.empty_like(raw)
    for index, parameter in enumerate(space.parameters):
        column, values = _column(parameter.name), raw[:, index]
        _check_rows(
            path, names, column, values, np.isfinite(values) & (values > 0), "expected a positive finite number"
        )
        declared = np.log10(values) if column.is_log10 else values / column.per_declared_unit
        margin = _BOX_TOLERANCE * (parameter.high - parameter.low)
        inside = (declared >= parameter.low - margin) & (declared <= parameter.high + margin)
        low, high = (_in_file_unit(column, value) for value in (parameter.low, parameter.high))
        _check_rows(path, names, column, values, inside, f"expected {column.unit}, {low:.6g} to {high:.6g}")
        # Only rounding is left to move: the file's own numbers reach the ends of the box.
        theta[:, index] = np.clip(declared, parameter.low, parameter.high)
    return theta


def _in_file_unit(column: Column, declared: float) -> float:
    return float(10**declared) if column.is_log10 else declared * column.per_declared_unit


def _check_rows(
    path: Path, names: Sequence[str], column: Column, values: Array, right: NDArray[np.bool_], what: str
) -> None:
    if not right.all():
        row = int(np.flatnonzero(~right)[0])
        raise _refusal(path, names[row], f"param/{column.key}", f"is {values[row]:.6g}; {what}")


def _check_depth(path: Path, names: Sequence[str], depth: Array, radius_m: Array) -> None:
    wrong = ~np.isfinite(depth) | (depth <= 0)
    if wrong.any():
        row, place = (int(index) for index in np.argwhere(wrong)[0])
        point = depth.shape[1] - 1 - place
        raise _refusal(
            path, names[row], _SPECTRUM, f"is {depth[row, place]} at point {point}; expected a positive number"
        )
    disc = (radius_m / STAR_RADIUS_M) ** 2
    outside = (depth.min(axis=1) < _LEAST_DEPTH * disc) | (depth.max(axis=1) > _MOST_DEPTH * disc)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise _refusal(
            path,
            names[row],
            _SPECTRUM,
            f"runs from {depth[row].min():.4g} to {depth[row].max():.4g}; expected transit depths as "
            f"fractions, at least (R_planet/R_Sun)^2 = {disc[row]:.4g}",
        )


def _refusal(path: Path, name: str, key: str, what: str) -> ExobenchError:
    return ExobenchError(f"{path}: entry {name}: {f'{key} ' if key else ''}{what}.")


def _kind(value: Any) -> str:
    return type(value).__name__
