"""Any spectrum file that is understood, as an `Observed`."""

from __future__ import annotations

from pathlib import Path

from exobench.errors import ExobenchError
from exobench.retrieve import read_dat, read_table
from exobench.retrieve.observed import Observed, observed

TEXT_SUFFIXES = (".dat", ".txt")
_MAX_BYTES = 64 << 20


def read_spectrum(path: Path, *, wavelength_unit: str | None = None, depth_unit: str | None = None) -> Observed:
    """Reads a spectrum.

    Args:
        path: ``.dat`` or ``.txt`` without column names; ``.csv``, ``.ecsv`` or ``.tbl`` with them.
        wavelength_unit: where the file gives none; None for um.
        depth_unit: where the file gives none: fraction, percent, ppm or radius_ratio; None for fractions.

    Raises:
        ExobenchError: one line that names the file and what to change.
    """
    suffix = path.suffix.lower()
    if suffix not in (*TEXT_SUFFIXES, *read_table.SUFFIXES):
        known = ", ".join((*TEXT_SUFFIXES, *read_table.SUFFIXES))
        raise ExobenchError(f"{path}: unknown kind of file '{suffix}'; expected one of {known}.")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ExobenchError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; expected one spectrum as text.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExobenchError(f"{path}: is no text file; expected one spectrum as text (UTF-8).") from error
    except OSError as error:
        raise ExobenchError(f"{path}: cannot be read ({error}).") from error
    reader = read_dat.read_columns if suffix in TEXT_SUFFIXES else read_table.read_columns
    return observed(path, reader(path, text, wavelength_unit=wavelength_unit, unit=depth_unit))
