"""Tables with column names: CSV, ECSV, and the NASA Exoplanet Archive's spectra (IPAC tables, or CSV of them)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.retrieve.column_names import NamedColumn, find_role, named_column
from exobench.retrieve.observed import Columns, first_comment
from exobench.retrieve.read_dat import SIMULATED_KEY
from exobench.retrieve.units import RADIUS_RATIO, depth_unit, length_unit, to_depth, to_um

Array = NDArray[np.float64]

_FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv", ".tbl": "ascii.ipac"}
_ARCHIVE_PERCENT = ("pl_trandep", "plntransdep")
"""Depth columns of the NASA Exoplanet Archive, always in percent; wavelengths and bandwidths there are in um."""
SUFFIXES = tuple(_FORMATS)


def read_columns(path: Path, text: str, *, wavelength_unit: str | None = None, unit: str | None = None) -> Columns:
    """Reads a table with column names.

    Args:
        path: decides the format by its suffix.
        text: the file's content.
        wavelength_unit: of wavelengths and widths, where the file gives none; None for um.
        unit: of depths and errors, where the file gives none; None for fractions.

    Raises:
        ExobenchError: the table cannot be read, a column is missing, or a unit is none of its kind.
    """
    if not text.strip():
        raise ExobenchError(f"{path}: is empty; expected a table with columns wavelength, depth and error.")
    table = _Table(path, _parsed(path, text), wavelength_unit, unit)
    low, centre, high = table.bins()
    depth, sigma, named, told = table.depths()
    return Columns(
        wavelength_um=centre,
        low_um=low,
        high_um=high,
        depth=depth,
        sigma=sigma,
        depth_unit=named,
        unit_told=told,
        simulated=first_comment([line for line in text.splitlines() if line.startswith("#")], SIMULATED_KEY),
        notes=table.notes(text),
    )


def _parsed(path: Path, text: str) -> Any:
    from astropy.table import Table

    kind = _FORMATS[path.suffix.lower()]
    settings: dict[str, Any] = {"comment": "#"} if kind == "ascii.csv" else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units that astropy does not know, which are checked below
            return Table.read(text.splitlines(), format=kind, **settings)
    except Exception as error:  # astropy's readers raise whatever the text provokes
        why = " ".join(str(error).split())[:120]
        raise ExobenchError(f"{path}: cannot be read as a {path.suffix} table with column names ({why}).") from error


@dataclass(frozen=True, eq=False)
class _Table:
    path: Path
    table: Any
    wavelength_unit: str | None
    depth_unit: str | None

    @property
    def columns(self) -> list[NamedColumn]:
        return [named_column(name) for name in self.table.colnames]

    def bins(self) -> tuple[Array | None, Array, Array | None]:
        """Lower edges, centres and upper edges in um; no edges where the table has no widths."""
        centre, low, high = (find_role(self.columns, role) for role in ("wavelength", "low", "high"))
        if low is not None and high is not None:
            ends = [self._um(low, self._values(low)), self._um(high, self._values(high))]
            edges = np.minimum(*ends), np.maximum(*ends)
            middle = 0.5 * (edges[0] + edges[1]) if centre is None else self._um(centre, self._values(centre))
            return edges[0], middle, edges[1]
        if centre is None:
            raise self._missing("wavelength", "wavelength, in um or with its unit")
        values = self._values(centre)
        half = self._half_width(centre)
        if half is None or not np.isfinite(half).any():
            return None, self._um(centre, values), None
        ends = [self._um(centre, values + sign * half) for sign in (-1.0, 1.0)]
        return np.minimum(*ends), self._um(centre, values), np.maximum(*ends)

    def _half_width(self, centre: NamedColumn) -> Array | None:
        """In the unit of the centres, where both have one."""
        for role, factor in (("width", 0.5), ("half_width", 1.0)):
            column = find_role(self.columns, role)
            if column is not None:
                unit, own = self._unit(column), self._unit(centre)
                ratio = (
                    length_unit(unit, self._place(column)).to(length_unit(own or "um", self._place(centre)))
                    if (unit and unit != own)
                    else 1.0
                )
                return np.abs(self._values(column)) * factor * ratio
        return None

    def depths(self) -> tuple[Array, Array, str, str]:
        """Depth fractions, their errors, the unit they were in, and who told it."""
        found = [(kind, find_role(self.columns, kind)) for kind in ("depth", "ratio")]
        there = [(kind, column) for kind, column in found if column is not None]
        if not there:
            raise self._missing("transit depth", "depth (or rprs, the ratio of the radii)")
        # The archive has columns of both, one of which may hold no number.
        filled = [(kind, column) for kind, column in there if np.isfinite(self._values(column)).any()]
        kind, column = (filled or there)[0]
        error, values = self._error(kind)
        unit, told = self._depth_unit(column, kind)
        other = self._unit(error)
        sigma_unit = depth_unit(other, self._place(error)) if other else None
        return *to_depth(self._values(column), values, unit, sigma_unit), unit, told

    def _error(self, kind: str) -> tuple[NamedColumn, Array]:
        """One standard deviation; the mean of both sides where they differ."""
        upper, lower = (find_role(self.columns, f"{kind}_{side}") for side in ("upper", "lower"))
        if upper is not None and lower is not None:
            return upper, 0.5 * (np.abs(self._values(upper)) + np.abs(self._values(lower)))
        both = find_role(self.columns, f"{kind}_error") or upper or find_role(self.columns, "depth_error")
        if both is None:
            raise self._missing("error", f"{kind}_error, one standard deviation")
        return both, self._values(both)

    def _depth_unit(self, column: NamedColumn, kind: str) -> tuple[str, str]:
        """The unit, and who told it: the command line where it agrees with the file."""
        own = self._own_depth_unit(column, kind)
        if own is not None:
            return own, "setting" if own == self.depth_unit else "file"
        return depth_unit(self.depth_unit or "", "depth_unit"), "" if self.depth_unit is None else "setting"

    def _own_depth_unit(self, column: NamedColumn, kind: str) -> str | None:
        if kind == "ratio":
            return RADIUS_RATIO
        if column.name in _ARCHIVE_PERCENT:
            return "percent"
        own = self._unit(column)
        return None if own is None else depth_unit(own, self._place(column))

    def _um(self, column: NamedColumn, values: Array) -> Array:
        unit = self._unit(column) or self.wavelength_unit or "um"
        return to_um(values, length_unit(unit, self._place(column)))

    def _unit(self, column: NamedColumn) -> str | None:
        unit = self.table[column.title].unit
        return column.unit if unit is None or str(unit) == "" else str(unit)

    def _values(self, column: NamedColumn) -> Array:
        values = self.table[column.title]
        try:
            filled = np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan)
        except (TypeError, ValueError):
            raise ExobenchError(f"{self._place(column)} holds text that is no number.") from None
        return np.asarray(filled, dtype=np.float64)

    def _place(self, column: NamedColumn) -> str:
        return f"{self.path}: column {column.title}"

    def _missing(self, what: str, wanted: str) -> ExobenchError:
        titles = ", ".join(self.table.colnames)
        return ExobenchError(f"{self.path}: has no column of the {what} among {titles}; name one {wanted}.")

    def notes(self, text: str) -> tuple[str, ...]:
        """What the header of a NASA Exoplanet Archive file says it is."""
        words = [_keyword(text, key) for key in ("PL_NAME", "INSTRUMENT", "FACILITY")]
        kind = _keyword(text, "SPEC_TYPE")
        if kind is not None and "trans" not in kind.lower():
            raise ExobenchError(f"{self.path}: SPEC_TYPE is {kind}; expected a transmission spectrum.")
        known = [word for word in words if word]
        return (f"The file's header names {', '.join(known)}.",) if known else ()


def _keyword(text: str, key: str) -> str | None:
    """The value of a line of an IPAC header, which starts with a backslash."""
    for line in _header(text.splitlines()):
        name, equals, value = line[1:].partition("=")
        if equals and name.strip().upper() == key:
            return value.strip().strip("'\"") or None
    return None


def _header(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith("\\")]
