"""Pickled dictionaries of arrays, as TauREx and ExoMolOP write opacities, read without trusting the file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from exobench.errors import ExobenchError
from exobench.safe_pickle import PickledArray, as_array, read_plain

logger = logging.getLogger(__name__)


def load_arrays(path: Path) -> dict[str, Any]:
    """Reads a pickled dictionary of numeric arrays, strings and numbers without running code from the file.

    Args:
        path: the file, of any pickle protocol; pickles of Python 2 are read too.

    Returns:
        The dictionary, with lists of numbers as arrays; arrays are read-only. What holds anything else, such as a
        nested container, is left out, and the log names it.

    Raises:
        ExobenchError: the file is not a pickle, holds anything but a dictionary, names another type, or means more
            bytes than it has; see `exobench.safe_pickle.read_plain`.
    """
    raw = path.read_bytes()
    content = read_plain(path, raw)
    if not isinstance(content, dict):
        raise ExobenchError(f"{path}: refused: holds a {type(content).__name__}; expected a dict of arrays.")
    result: dict[str, Any] = {}
    free = 2 * len(raw)
    for key, value in content.items():
        if isinstance(value, PickledArray):
            # Many names for the same bytes could stand for more memory than the file has.
            free -= value.n_bytes
            if free < 0:
                raise ExobenchError(f"{path}: refused: its arrays hold more than twice the bytes of the file.")
            result[str(key)] = value.values()
        elif isinstance(value, str | bytes | int | float | np.number) or value is None:
            result[str(key)] = value
        else:
            try:
                result[str(key)] = as_array(value)
            except ValueError as error:
                logger.warning("%s: '%s' is not read (%s).", path, key, error)
    return result
