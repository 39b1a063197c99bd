"""Reads pickles of plain containers and numeric arrays without trusting the file.

The unpickling machine knows only the opcodes of containers, numbers, strings and bytes, and counts them. The few names
that a file may mention stand for classes of this module, which take an array's bytes and check its type and shape
themselves: neither numpy's own unpickling code nor any other callable is ever reached, so no array of pointers can be
forged. Nothing is allocated by a number that stands in the file; memory goes with the length of the file.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Content = bytes | str

MAX_OPCODES = 20_000_000
"""Ten thousand spectra written as lists of numbers take about six million."""
PYTHON_2 = 2
"""Newest protocol of Python 2."""
NEWEST = 5

_NUMBER_CODES = ("b1", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


def read_plain(path: Path, content: bytes, max_protocol: int = NEWEST) -> Any:
    """Unpickles dictionaries, lists, tuples, strings, bytes, numbers and numeric arrays.

    Args:
        path: named in the errors.
        content: the pickle. Strings of Python 2 are decoded as latin-1.
        max_protocol: newest pickle protocol that is read, ``PYTHON_2`` or ``NEWEST``.

    Returns:
        The object; every array is a ``PickledArray``, for ``as_array`` to open.

    Raises:
        ExobenchError: it is no pickle, is cut off, needs a newer protocol, or names or does anything that plain
            numbers do not need. Nothing of it has been executed.
    """
    if content[:1] == pickle.PROTO and content[1:2] > bytes([max_protocol]):
        raise ExobenchError(f"{path}: refused: pickle protocol {content[1]}; expected 0 to {max_protocol}.")
    try:
        return _PlainUnpickler(content, max_protocol).load()
    except RecursionError as error:
        raise ExobenchError(f"{path}: refused: nested too deeply.") from error
    except EOFError as error:
        raise ExobenchError(f"{path}: refused: the pickle is cut off; get the file again.") from error
    except Exception as error:  # a malformed pickle may raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExobenchError(f"{path}: refused: {reason}; expected a pickle of plain numbers and arrays.") from error


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
            raise pickle.UnpicklingError("array type is not one of bool, float, int and uint")
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

    @property
    def n_bytes(self) -> int:
        """Size of its content."""
        return len(self._content)

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


def _frombuffer(content: object, dtype: object, shape: object, order: object) -> PickledArray:
    """Stands in for numpy's function of that name, with which protocol 5 spells contiguous arrays."""
    array = PickledArray()
    array.set_state((1, shape, dtype, order == "F", content))
    return array


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
for _core in ("numpy.core", "numpy._core"):  # numpy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _frombuffer
# numpy.ndarray is only ever the first argument of _reconstruct.
_ALLOWED_CALLABLES = frozenset(_ALLOWED.values()) - {PickledArray}

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
_NEWER_OPCODES = (
    *(pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8, pickle.BYTEARRAY8),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.STACK_GLOBAL, pickle.MEMOIZE, pickle.FRAME),
)
"""Of protocols 3 to 5."""


_PythonUnpickler: Any = pickle._Unpickler


class _PlainUnpickler(_PythonUnpickler):
    """The standard library's unpickler in Python, cut down.

    The one in C sizes its memo by a number in the file, so that a few bytes can claim gigabytes.
    """

    def __init__(self, content: bytes, max_protocol: int) -> None:
        file = io.BytesIO(content)
        super().__init__(file, encoding="latin1")
        self.read, self.readline = file.read, file.readline
        self.stack: list[Any] = []
        self.metastack: list[list[Any]] = []
        self.append = self.stack.append
        self.proto = 0
        opcodes = _PLAIN_OPCODES + (_NEWER_OPCODES if max_protocol > PYTHON_2 else ())
        own = {
            pickle.REDUCE[0]: _PlainUnpickler.load_reduce,
            pickle.BUILD[0]: _PlainUnpickler.load_build,
            pickle.BYTEARRAY8[0]: _PlainUnpickler.load_bytearray8,
            pickle.FRAME[0]: _PlainUnpickler.load_frame,
        }
        self._steps = {code[0]: own.get(code[0], _PythonUnpickler.dispatch[code[0]]) for code in opcodes}

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

    def load_bytearray8(self) -> None:
        """Bytes as they are: the standard library would first allocate the length that the file claims."""
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    def load_frame(self) -> None:
        """A frame only says how far to read ahead; everything is in memory already."""
        self.read(8)
