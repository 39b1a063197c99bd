"""Reads gzip pickles of plain containers and numeric arrays, as Python 2 wrote them, without trusting the file.

Three things keep a hostile file harmless. Decompression stops at a limit on bytes and on the ratio of compression. The
unpickling machine knows only the opcodes of containers, numbers and strings, and counts them. The few names that a
file may mention stand for classes of this module, which take an array's bytes and check its shape themselves: neither
numpy's own unpickling code nor any other callable is ever reached.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Content = bytes | str

MAX_BYTES = 512 << 20
"""Most bytes of a file after decompression; ten thousand spectra of 515 points take about 45 MB."""
MAX_RATIO = 50
"""Most bytes after decompression for one before; float64 spectra stay below 3, the same in decimals below 10."""
FREE_BYTES = 16 << 20
"""The ratio is not looked at below this size."""
MAX_OPCODES = 20_000_000
"""Ten thousand spectra written as lists of numbers take about six million."""
MAX_PROTOCOL = 2

_READ_BYTES = 1 << 20
_NUMBER_CODES = ("f4", "f8", "i4", "i8")


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
    content = decompress(path)
    if content[:1] == pickle.PROTO and content[1:2] > bytes([MAX_PROTOCOL]):
        raise ExobenchError(
            f"{path}: refused: pickle protocol {content[1]}; expected 0 to {MAX_PROTOCOL}, of Python 2."
        )
    try:
        return _PlainUnpickler(content).load()
    except RecursionError as error:
        raise ExobenchError(f"{path}: refused: nested too deeply.") from error
    except EOFError as error:
        raise ExobenchError(f"{path}: the pickle is cut off; get the file again.") from error
    except Exception as error:  # a malformed pickle may raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExobenchError(f"{path}: refused: {reason}; expected a pickle of plain numbers and arrays.") from error


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


def as_array(value: object) -> NDArray[np.float64]:
    """A pickled array, number or (nested) list of numbers as float64.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(value, PickledArray):
        return value.values().astype(np.float64)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number | list | tuple):
        raise ValueError(f"a {type(value).__name__} is no array of numbers")
    if isinstance(value, list | tuple) and not all(isinstance(item, int | float | np.number) for item in value):
        raise ValueError("a list with entries that are no numbers")
    return np.asarray(value, dtype=np.float64)


class PickledDtype:
    """Stands in for numpy.dtype: a plain number in native or swapped byte order."""

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        del align, copy
        if code not in _NUMBER_CODES:
            raise pickle.UnpicklingError("array type is not one of float32, float64, int32 and int64")
        self.dtype = np.dtype(str(code))

    def set_state(self, state: object) -> None:
        """Takes (version, byte order, no subarray, no names, no fields, ...)."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise pickle.UnpicklingError("array type with fields")
        if state[1] not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("array type of an unknown byte order")
        self.dtype = self.dtype.newbyteorder(state[1])


class PickledArray:
    """Stands in for numpy.ndarray: its bytes, opened on demand."""

    def __init__(self) -> None:
        self._dtype = np.dtype("f8")
        self._shape: tuple[int, ...] = (0,)
        self._fortran = False
        self._content: Content = b""

    def set_state(self, state: object) -> None:
        """Takes (version, shape, type, whether in Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("array in an unknown form")
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, PickledDtype) or not isinstance(shape, tuple):
            raise pickle.UnpicklingError("array in an unknown form")
        if not all(type(length) is int and length >= 0 for length in shape) or len(shape) > 4:
            raise pickle.UnpicklingError("array of an impossible shape")
        if math.prod(shape) * dtype.dtype.itemsize != len(_checked_bytes(content)):
            raise pickle.UnpicklingError("array whose shape does not fit its bytes")
        self._dtype, self._shape, self._fortran, self._content = dtype.dtype, shape, bool(fortran), content

    def values(self) -> NDArray[Any]:
        """The array, read-only.

        Raises:
            ValueError: its bytes are none.
        """
        numbers = np.frombuffer(_to_bytes(self._content), dtype=self._dtype)
        return numbers.reshape(self._shape, order="F" if self._fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> PickledArray:
    del shape, code
    if kind is not PickledArray:
        raise pickle.UnpicklingError("array of an unknown class")
    return PickledArray()


def _scalar(dtype: object, content: object) -> np.number:
    if not isinstance(dtype, PickledDtype):
        raise pickle.UnpicklingError("number in an unknown form")
    if len(_checked_bytes(content)) != dtype.dtype.itemsize:
        raise pickle.UnpicklingError("number whose type does not fit its bytes")
    number: np.number = np.frombuffer(_to_bytes(_checked_bytes(content)), dtype=dtype.dtype)[0]
    return number


def _encode(text: object, encoding: object) -> Content:
    """Stands in for codecs.encode, with which Python 3 spells bytes in protocols 0 to 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("bytes in an unknown encoding")
    return _checked_bytes(text)


def _checked_bytes(content: object) -> Content:
    """Bytes, or a string that stands for them; not copied, or one long string could be made many times over."""
    if isinstance(content, bytes | str):
        return content
    raise pickle.UnpicklingError("array of objects")


def _to_bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledDtype,
    ("_codecs", "encode"): _encode,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ALLOWED[_module, "_reconstruct"] = _reconstruct
    _ALLOWED[_module, "scalar"] = _scalar
_ALLOWED_CALLABLES = frozenset(_ALLOWED.values())

_PLAIN_OPCODES = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.LONG4),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE),
    *(pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.GET, pickle.BINGET, pickle.LONG_BINGET, pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT),
    *(pickle.GLOBAL, pickle.REDUCE, pickle.BUILD),
)


_PythonUnpickler: Any = pickle._Unpickler


class _PlainUnpickler(_PythonUnpickler):
    """The standard library's unpickler in Python, cut down.

    The one in C sizes its memo by a number in the file, so that a few bytes can claim gigabytes.
    """

    def __init__(self, content: bytes) -> None:
        file = io.BytesIO(content)
        super().__init__(file, encoding="latin1")
        self.read, self.readline = file.read, file.readline
        self.stack: list[Any] = []
        self.metastack: list[list[Any]] = []
        self.append = self.stack.append
        self.proto = 0
        self._steps = {code[0]: _PythonUnpickler.dispatch[code[0]] for code in _PLAIN_OPCODES}
        self._steps |= {pickle.REDUCE[0]: _PlainUnpickler.load_reduce, pickle.BUILD[0]: _PlainUnpickler.load_build}

    def load(self) -> Any:
        """Runs the pickle.

        Raises:
            EOFError: it is cut off.
            pickle.UnpicklingError: it does or names what is not allowed, or takes too many steps.
        """
        read, steps = self.read, self._steps
        try:
            for _ in range(MAX_OPCODES):
                code = read(1)
                if not code:
                    raise EOFError
                if code[0] not in steps:
                    raise pickle.UnpicklingError(f"opcode 0x{code[0]:02x} is not allowed")
                steps[code[0]](self)
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value
        raise pickle.UnpicklingError(f"more than {MAX_OPCODES:,} steps")

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """An allowed stand-in.

        Raises:
            pickle.UnpicklingError: the name is not on the list.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not allowed")
        return _ALLOWED[module, name]

    def load_reduce(self) -> None:
        """Calls one of the stand-ins."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not callable(function) or function not in _ALLOWED_CALLABLES or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a call of something that is not allowed")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        """Fills one of the stand-ins."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, PickledArray | PickledDtype):
            raise pickle.UnpicklingError("state for something that is not an array")
        target.set_state(state)
