"""TauREx's text files: columns wavelength (um), depth, error and maybe bin width, as a person may have edited them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from exobench.errors import ExobenchError
from exobench.retrieve.observed import Columns, first_comment
from exobench.retrieve.units import depth_unit, length_unit, to_depth, to_um

SIMULATED_KEY = "simulated"
_COLUMNS = (3, 4)


def read_columns(path: Path, text: str, *, wavelength_unit: str | None = None, unit: str | None = None) -> Columns:
    """Reads a table without column names.

    Args:
        path: named in errors.
        text: the file's content.
        wavelength_unit: of the first and fourth column; None for um.
        unit: of depth and error; None for fractions.

    Raises:
        ExobenchError: a line is not such a row.
    """
    lines = text.splitlines()
    rows = [(n, line.partition("#")[0].replace(",", " ").split()) for n, line in enumerate(lines, start=1)]
    rows = [(number, words) for number, words in rows if words]
    if not rows:
        raise ExobenchError(f"{path}: is empty; expected rows of wavelength in um, transit depth and error.")
    n_column = len(rows[0][1])
    if n_column not in _COLUMNS:
        raise ExobenchError(
            f"{path}: line {rows[0][0]} has {n_column} columns; expected wavelength in um, depth, error and maybe "
            "bin width (a table with column names must end in .csv, .ecsv or .tbl)."
        )
    table = np.array([_numbers(path, number, words, n_column) for number, words in rows])
    length = length_unit(wavelength_unit or "um", "wavelength_unit")
    named = depth_unit(unit or "", "depth_unit")
    depth, sigma = to_depth(table[:, 1], table[:, 2], named)
    low = high = None
    if n_column == max(_COLUMNS):
        ends = [to_um(table[:, 0] + sign * 0.5 * table[:, 3], length) for sign in (-1.0, 1.0)]
        low, high = np.minimum(*ends), np.maximum(*ends)
    return Columns(
        wavelength_um=to_um(table[:, 0], length),
        low_um=low,
        high_um=high,
        depth=depth,
        sigma=sigma,
        depth_unit=named,
        unit_told="" if unit is None else "setting",
        simulated=first_comment([line for line in lines if line.startswith("#")], SIMULATED_KEY),
    )


def _numbers(path: Path, number: int, words: list[str], n_column: int) -> list[float]:
    if len(words) != n_column:
        raise ExobenchError(f"{path}: line {number} has {len(words)} columns where the first row has {n_column}.")
    try:
        return [_number(word) for word in words]
    except ValueError:
        raise ExobenchError(
            f"{path}: line {number}: expected {n_column} numbers, got '{' '.join(words)[:60]}'."
        ) from None


def _number(word: str) -> float:
    return math.nan if word.lower() in ("nan", "null", "none", "--", "-") else float(word)
