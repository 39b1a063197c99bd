"""Reads gzip pickles of plain containers and numeric arrays, as Python 2 wrote them, without trusting the file.

Decompression stops at a limit on bytes and on the ratio of compression; `exobench.safe_pickle` does the rest.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

from exobench.errors import ExobenchError
from exobench.safe_pickle import PYTHON_2, as_array, read_plain

__all__ = ["as_array", "decompress", "load_plain"]

MAX_BYTES = 512 << 20
"""Most bytes of a file after decompression; ten thousand spectra of 515 points take about 45 MB."""
MAX_RATIO = 50
"""Most bytes after decompression for one before; float64 spectra stay below 3, the same in decimals below 10."""
FREE_BYTES = 16 << 20
"""The ratio is not looked at below this size."""

_READ_BYTES = 1 << 20


def load_plain(path: Path) -> Any:
    """Reads a gzip pickle of dictionaries, lists, tuples, strings, numbers and numeric arrays.

    Args:
        path: the file. Strings of Python 2 are decoded as latin-1.

    Returns:
        The object; every array is a ``PickledArray``, for ``as_array`` to open.

    Raises:
        ExobenchError: the file is not a gzip pickle, is cut off or too large, needs a newer protocol, or names or does
            anything that plain numbers do not need. Nothing of it has been executed.
    """
    return read_plain(path, decompress(path), PYTHON_2)


def decompress(path: Path) -> bytes:
    """The content of a gzip file, checked by its own checksum.

    Raises:
        ExobenchError: it cannot be read, is not gzip, is cut off, or grows beyond ``MAX_BYTES`` or ``MAX_RATIO``.
    """
    parts: list[bytes] = []
    n_bytes = 0
    try:
        limit = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * path.stat().st_size))
        with gzip.open(path, "rb") as file:
            while part := file.read(_READ_BYTES):
                n_bytes += len(part)
                if n_bytes > limit:
                    raise ExobenchError(f"{path}: refused: more than {limit >> 20} MiB after decompression.")
                parts.append(part)
    except EOFError as error:
        raise ExobenchError(f"{path}: the gzip file is cut off; get it again.") from error
    except (OSError, zlib.error) as error:
        raise ExobenchError(f"{path}: cannot be read as gzip ({error}).") from error
    return b"".join(parts)
