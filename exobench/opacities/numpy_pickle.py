"""Unpickling that can build numpy arrays and plain containers, and nothing else."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric

from exobench.errors import ExobenchError


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Stands in for `codecs.encode`, with which protocols 0-2 spell bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding '{encoding}' is not allowed")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = multiarray._reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = multiarray.scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = vars(numeric)["_frombuffer"]


class RestrictedUnpickler(pickle.Unpickler):
    """Refuses every name but the constructors of numpy arrays; containers, strings and numbers need no name."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Returns an allowed constructor.

        Raises:
            pickle.UnpicklingError: the name is not on the list.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        allowed: Callable[..., Any] = _ALLOWED[module, name]
        return allowed


def load_arrays(path: Path) -> dict[str, Any]:
    """Reads a pickled dictionary of numpy arrays, strings and numbers without running code from the file.

    Args:
        path: the file; pickles of Python 2 are read too.

    Returns:
        The dictionary.

    Raises:
        ExobenchError: the file is not a pickle, holds anything but a dictionary, or names another type.
    """
    with path.open("rb") as stream:
        try:
            content = RestrictedUnpickler(stream, encoding="latin1").load()
        except Exception as error:  # a malformed pickle may raise nearly anything
            raise ExobenchError(
                f"{path}: refused ({error}); expected a pickled dict of numpy arrays, strings and numbers."
            ) from error
    if not isinstance(content, dict):
        raise ExobenchError(f"{path}: holds a {type(content).__name__}; expected a dict of arrays.")
    return content
