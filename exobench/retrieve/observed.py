"""A spectrum as somebody measured it: bins of any width, in any place, with gaps or overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

_GAP = 2.0
"""A neighbour so many times as far as the other one is taken to lie beyond a gap."""


@dataclass(frozen=True, eq=False)
class Observed:
    """A spectrum in ascending wavelength.

    Attributes:
        path: the file.
        wavelength_um: centres of the bins, (point,).
        low_um: lower edges, (point,).
        high_um: upper edges, (point,).
        depth: transit depth fraction, (point,).
        sigma: one standard deviation, (point,).
        has_widths: whether the file gives the bins; else they reach half way to the neighbours.
        depth_unit: what the numbers of the file were taken for.
        unit_told: by whom: "file", "setting" (the command line, which is believed), or "" where it was assumed.
        simulated: what the file's header says of the simulation that made it; None for anything else.
        notes: what was done to the rows, a sentence each.
    """

    path: Path
    wavelength_um: Array
    low_um: Array
    high_um: Array
    depth: Array
    sigma: Array
    has_widths: bool
    depth_unit: str
    unit_told: str
    simulated: str | None = None
    notes: tuple[str, ...] = ()

    def scaled(self, factor: float) -> Observed:
        """Depths and errors times a factor."""
        return replace(self, depth=self.depth * factor, sigma=self.sigma * factor)


@dataclass(frozen=True, eq=False)
class Columns:
    """What a reader hands over: columns in um and depth fractions, NaN where the file says nothing.

    Attributes:
        wavelength_um: centres, (row,).
        low_um: lower edges, (row,), or None where the file has no widths.
        high_um: upper edges, as ``low_um``.
        depth: (row,).
        sigma: (row,).
        depth_unit: see `Observed`.
        unit_told: see `Observed`.
        simulated: see `Observed`.
        notes: see `Observed`.
    """

    wavelength_um: Array
    low_um: Array | None
    high_um: Array | None
    depth: Array
    sigma: Array
    depth_unit: str
    unit_told: str
    simulated: str | None = None
    notes: tuple[str, ...] = ()


def observed(path: Path, columns: Columns) -> Observed:
    """Checks, sorts and completes what a file holds.

    Raises:
        ExobenchError: nothing is left, or a number cannot be right; one line that says what to change.
    """
    notes = list(columns.notes)
    rows = _present(path, columns, notes)
    rows = rows[np.argsort(columns.wavelength_um[rows], kind="stable")]
    centre, depth, sigma = (values[rows] for values in (columns.wavelength_um, columns.depth, columns.sigma))
    unique = _not_repeated(centre, depth, sigma, notes)
    rows, centre, depth, sigma = rows[unique], centre[unique], depth[unique], sigma[unique]
    if columns.low_um is None or columns.high_um is None:
        low, high = _guessed_bounds(path, centre)
    else:
        low, high = columns.low_um[rows], columns.high_um[rows]
        wrong = ~((low < high) & (low > 0))
        if wrong.any():
            raise ExobenchError(f"{path}: the bin at {centre[wrong][0]:.6g} um has no width; give a positive one.")
    return Observed(
        path=path,
        wavelength_um=centre,
        low_um=low,
        high_um=high,
        depth=depth,
        sigma=sigma,
        has_widths=columns.low_um is not None,
        depth_unit=columns.depth_unit,
        unit_told=columns.unit_told,
        simulated=columns.simulated,
        notes=tuple(notes),
    )


def _present(path: Path, columns: Columns, notes: list[str]) -> NDArray[np.intp]:
    """Rows that hold a measurement."""
    n_row = len(columns.depth)
    if n_row == 0:
        raise ExobenchError(f"{path}: holds no row of numbers; expected wavelength, transit depth and error.")
    given = np.isfinite(columns.wavelength_um) & np.isfinite(columns.depth) & np.isfinite(columns.sigma)
    if columns.low_um is not None and columns.high_um is not None:
        given &= np.isfinite(columns.low_um) & np.isfinite(columns.high_um)
    if not given.any():
        raise ExobenchError(
            f"{path}: none of its {n_row} rows has a wavelength, a depth and an error that are numbers."
        )
    if not given.all():
        notes.append(f"{n_row - given.sum()} of {n_row} rows without a finite depth and error are left out.")
    rows = np.flatnonzero(given)
    if (columns.wavelength_um[rows] <= 0).any():
        raise ExobenchError(f"{path}: a wavelength is zero or negative; the first column must be wavelength.")
    wrong = rows[columns.sigma[rows] <= 0]
    if len(wrong):
        raise ExobenchError(
            f"{path}: row {wrong[0] + 1} has the error {columns.sigma[wrong[0]]:g}; every error must be positive "
            "(write NaN for a row that is to be left out)."
        )
    return rows


def _not_repeated(centre: Array, depth: Array, sigma: Array, notes: list[str]) -> NDArray[np.intp]:
    """Rows without exact copies of another; different depths at one wavelength are two measurements."""
    table = np.stack([centre, depth, sigma], axis=1)
    _, first = np.unique(table, axis=0, return_index=True)
    n_copy = len(table) - len(first)
    if n_copy:
        notes.append(f"{_rows(n_copy)} that repeat{'s' if n_copy == 1 else ''} another exactly left out.")
    rows = np.sort(first)
    n_again = len(rows) - len(np.unique(centre[rows]))
    if n_again:
        notes.append(f"{_rows(n_again)} with a wavelength of another row: both count, as two measurements.")
    return rows


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"


def _guessed_bounds(path: Path, centre: Array) -> tuple[Array, Array]:
    """Edges half way to the neighbours; at a gap, as far as on the other side."""
    places = np.unique(centre)
    if len(places) < 2:
        raise ExobenchError(
            f"{path}: a single wavelength without a bin width; add a fourth column with the width in um."
        )
    steps = np.diff(places)
    below, above = np.append(steps[0], steps), np.append(steps, steps[-1])
    below, above = np.where(below > _GAP * above, above, below), np.where(above > _GAP * below, below, above)
    index = np.searchsorted(places, centre)
    return centre - 0.5 * below[index], centre + 0.5 * above[index]


def first_comment(lines: Sequence[str], key: str) -> str | None:
    """What follows ``key:`` in the first comment line that starts so."""
    for line in lines:
        text = line.lstrip("#\\ ").strip()
        if text.lower().startswith(f"{key}:"):
            return text[len(key) + 1 :].strip()
    return None
