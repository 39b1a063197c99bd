"""The record of one run: ``run.json`` beside its draws, per-spectrum scores and posterior."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.files import write_atomically

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
RECORD, DRAWS, SCORES, POSTERIOR = "run.json", "draws.h5", "scores.h5", "posterior"
DIAGNOSTICS = "diagnostics.h5"
"""What the method recorded of each spectrum: named arrays (obs,), such as log_evidence."""
PREDICTIVE = "predictive.h5"
"""The first spectra with what the draws predict of them; see `exobench.predictive_bands`."""

REQUIRED = ("schema_version", "metrics_version", "status", "task", "task_id", "method", "seed", "budget", "n_test")


@dataclass(frozen=True)
class RunRecord:
    """One finished run, read from its folder.

    Attributes:
        folder: where it lies.
        content: what ``run.json`` holds.
    """

    folder: Path
    content: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        """One field of ``run.json``."""
        return self.content[key]

    def per_spectrum(self) -> dict[str, Array]:
        """Per-spectrum arrays behind the scores: (obs,) or (obs, param)."""
        return read_arrays(self.folder / SCORES)


def write_arrays(path: Path, arrays: Mapping[str, Array], attributes: Mapping[str, object] | None = None) -> None:
    """Writes named arrays as HDF5, atomically."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with h5py.File(part, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=1, shuffle=True)
        file.attrs.update(attributes or {})
    os.replace(part, path)


def read_arrays(path: Path) -> dict[str, Array]:
    """Reads what ``write_arrays`` wrote.

    Raises:
        ExobenchError: if the file is missing or damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return {name: dataset[()] for name, dataset in file.items()}
    except OSError as error:
        raise ExobenchError(f"{path} cannot be read ({error}); remove its folder and run again.") from error


def write_record(folder: Path, content: Mapping[str, Any]) -> RunRecord:
    """Writes ``run.json`` last and atomically: a folder that has one is complete."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1, allow_nan=False)
    write_atomically(folder / RECORD, (text + "\n").encode())
    return read_record(folder)


def read_record(folder: Path) -> RunRecord:
    """Reads one record.

    Raises:
        ExobenchError: if it is missing, damaged, or lacks a field.
    """
    path = folder / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ExobenchError(f"{path} cannot be read: {error}.") from error
    missing = [key for key in REQUIRED if not isinstance(content, dict) or key not in content]
    if missing:
        raise ExobenchError(f"{path} lacks {', '.join(missing)}; it was not written by a whole run.")
    version = content["schema_version"]
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ExobenchError(f"{path} has schema {version!r}; this version reads up to {SCHEMA_VERSION}.")
    return RunRecord(folder, content)


def find_record(folder: Path) -> RunRecord | None:
    """The record of a finished run, or None if there is none yet."""
    with contextlib.suppress(ExobenchError):
        return read_record(folder)
    return None


def all_records(runs: Path) -> Iterator[RunRecord]:
    """Every readable record below a folder, in the order of paths; an unreadable one is named and passed over."""
    for path in sorted(runs.glob(f"*/*/*/*/{RECORD}")):
        try:
            yield read_record(path.parent)
        except ExobenchError as error:
            log.warning("passed over: %s", error)
