"""The record of one run under one shift: ``shifts/<name>/shift.json`` below the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.results import SCORES, read_arrays

Array = NDArray[np.float64]

SHIFTS, SHIFT_RECORD, SURPRISE = "shifts", "shift.json", "surprise.h5"
SHIFT_SCHEMA_VERSION = 1
Content = dict[str, Any]


def shift_folder(run_folder: Path, name: str) -> Path:
    """Where the record of a shift lies."""
    return run_folder / SHIFTS / name


def find_shift_record(folder: Path, key: str) -> Content | None:
    """The finished record with this key, or None where there is none, or one of other settings."""
    try:
        content = json.loads((folder / SHIFT_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("shift_key") == key else None


def write_shift_record(folder: Path, content: Mapping[str, Any]) -> Content:
    """Writes the record last and atomically: a folder that has one is complete."""
    complete = {"schema_version": SHIFT_SCHEMA_VERSION, **content}
    write_atomically(folder / SHIFT_RECORD, (json.dumps(complete, indent=1, allow_nan=False) + "\n").encode())
    return complete


def per_spectrum_of(folder: Path) -> dict[str, Array]:
    """Per-spectrum arrays behind the scores of a shift."""
    return read_arrays(folder / SCORES)


def stored_surprise(folder: Path) -> Array | None:
    """Surprise at each spectrum, (obs,), or None where the method has no measure of it."""
    path = folder / SURPRISE
    return read_arrays(path)["surprise"] if path.exists() else None


def score_of(content: Mapping[str, Any], metric: str) -> list[float]:
    """Values of a score, one a parameter or one; those without a value are left out."""
    return [s["value"] for s in content.get("scores", []) if s["metric"] == metric and s["value"] is not None]


def check_writable(folder: Path) -> None:
    """Makes the folder of all shifts of a run.

    Raises:
        ExobenchError: if it cannot be written to.
    """
    try:
        (folder / SHIFTS).mkdir(exist_ok=True)
    except OSError as error:
        raise ExobenchError(f"{folder} cannot be written to ({error.strerror}); copy the run's folder.") from error
