"""Trees on disk: safetensors files, whole or absent, which run no code when they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench_baselines.random_forest.trees import Trees

_NOTES = "random_forest"
_UNREADABLE = (SafetensorError, OSError, KeyError, ValueError)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
    """Writes arrays with JSON-able notes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(whole, metadata={_NOTES: json.dumps(dict(notes))}))


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and notes that ``write_arrays`` wrote.

    Raises:
        ExobenchError: the file is absent, damaged, or something else.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            notes = json.loads((file.metadata() or {})[_NOTES])
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118 - no mapping
    except _UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ExobenchError(f"{path} cannot be read as trees of random_forest ({reason}); delete it.") from error


def write_batch(path: Path, trees: Trees, key: str, seconds: float) -> None:
    """Keeps a batch of trees, and the seconds that the fit had taken when it stood."""
    write_arrays(path, trees.arrays(), {"key": key, "seconds": seconds})


def read_batch(path: Path, key: str) -> tuple[Trees, float] | None:
    """A batch of trees and the seconds of ``write_batch``, or None where there is none.

    Raises:
        ExobenchError: the file is damaged, or belongs to another fit.
    """
    if not path.exists():
        return None
    arrays, notes = read_arrays(path)
    if notes.get("key") != key:
        raise ExobenchError(f"{path} belongs to a fit with other settings or data; use another folder or delete it.")
    return Trees.from_arrays(arrays), float(notes["seconds"])
