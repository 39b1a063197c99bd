"""Unpickling of files from strangers: what Python 2 wrote is read, anything else is refused and nothing runs."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest
from python2_pickles import python2_dumps, write_pkgz

from exobench import safe_pickle
from exobench.data import python2_pickle
from exobench.data.python2_pickle import as_array, decompress, load_plain
from exobench.errors import ExobenchError

HEAD = b"\x80\x02"


class Command:
    """Pickles as a call of os.system that leaves a file behind."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(path, raw):
    path.write_bytes(gzip.compress(raw))
    return path


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 515),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5),
        np.zeros(0),
    ],
    ids=["float64", "big-endian float32", "fortran", "int64", "empty"],
)
def test_arrays_of_python_2_come_back_as_they_were(tmp_path, protocol, values):
    content = load_plain(write_pkgz(tmp_path / "a.pkgz", {"x": values, "y": [1.5, np.float64(2.5)]}, protocol))
    np.testing.assert_array_equal(as_array(content["x"]), values)
    np.testing.assert_array_equal(as_array(content["y"]), [1.5, 2.5])


def test_protocol_2_of_this_python_is_read_too(tmp_path):
    values = np.linspace(0, 1, 515)
    path = write(tmp_path / "a.pkgz", pickle.dumps({"x": values}, protocol=2))
    np.testing.assert_array_equal(as_array(load_plain(path)["x"]), values)


@pytest.mark.parametrize("protocol", [0, 2])
@pytest.mark.parametrize("nested", [False, True], ids=["bare", "inside an entry"])
def test_a_call_of_os_system_is_refused_and_not_made(tmp_path, protocol, nested):
    made = tmp_path / "made"
    hostile = Command(os.system, f"touch {made}")
    path = write_pkgz(tmp_path / "evil.pkgz", {0: {"data": {"spectrum": hostile}}} if nested else hostile, protocol)
    with pytest.raises(ExobenchError, match=r"evil\.pkgz: refused: it names posix\.system, which is not allowed"):
        load_plain(path)
    assert not made.exists()


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("1+1",), "builtins.eval"),
        (pickle.loads, (python2_dumps([1]),), "_pickle.loads"),
        (np.load, ("x.npy",), "numpy.load"),
        (getattr, ("x", "upper"), "builtins.getattr"),
        (list, ((1, 2),), "builtins.list"),
        (np.memmap, ("x",), "numpy.memmap"),
    ],
)
def test_any_other_name_is_refused(tmp_path, function, arguments, name):
    path = write_pkgz(tmp_path / "evil.pkgz", Command(function, *arguments))
    with pytest.raises(ExobenchError, match=f"it names {name.replace('.', '[.]')}"):
        load_plain(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (pickle.dumps([1], protocol=4), "pickle protocol 4"),
        (HEAD + b"(cnumpy\nndarray\no.", "opcode 0x6f"),
        (HEAD + b"(S'id'\niposix\nsystem\n.", "opcode 0x69"),
        (HEAD + b"cnumpy\nndarray\n)\x81.", "opcode 0x81"),
        (HEAD + b"\x82\x01.", "opcode 0x82"),
        (HEAD + b"Pname\n.", "opcode 0x50"),
        (HEAD + b"\x8c\x05posix\x8c\x06system\x93.", "opcode 0x8c"),
        (HEAD + b"}(U\x01aK\x01ub.", "list|pop|index"),
        (HEAD + b"cnumpy\ndtype\n}(U\x08__init__K\x01ub.", "state for something that is not an array"),
        (HEAD + b"U\x03abc)R.", "a call of something"),
        (HEAD + b"}q\x00", "cut off"),
        (b"not a pickle", "refused"),
        (b"", "cut off"),
    ],
)
def test_wrong_opcodes_are_refused(tmp_path, raw, message):
    with pytest.raises(ExobenchError, match=rf"evil\.pkgz: .*({message})"):
        load_plain(write(tmp_path / "evil.pkgz", raw))


def array_pickle(shape=(2,), code="f8", content=b"\0" * 16, dtype_state=(3, "<", None, None, None, -1, -1, 0)):
    class Dtype:
        def __reduce__(self):
            return np.dtype, (code, False, True), dtype_state

        def __setstate__(self, state):
            pass

    reconstruct = np.zeros(1).__reduce__()[0]

    class Array:
        def __reduce__(self):
            return reconstruct, (np.ndarray, (0,), b"b"), (1, shape, Dtype(), False, content)

    return python2_dumps(Array())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (10**12,)}, "does not fit its bytes"),
        ({"shape": (-2,)}, "impossible shape"),
        ({"shape": (2.0,)}, "impossible shape"),
        ({"code": "O8"}, "array type is not one of"),
        ({"code": "V16"}, "array type is not one of"),
        ({"content": [1, 2]}, "array of objects"),
        ({"dtype_state": (3, "<", ("f8", (9,)), None, None, -1, -1, 0)}, "array type with fields"),
        ({"dtype_state": (3, "x", None, None, None, -1, -1, 0)}, "unknown byte order"),
    ],
)
def test_arrays_that_are_none_are_refused(tmp_path, changed, message):
    np.testing.assert_array_equal(as_array(load_plain(write(tmp_path / "a.pkgz", array_pickle()))), [0.0, 0.0])
    with pytest.raises(ExobenchError, match=message):
        load_plain(write(tmp_path / "a.pkgz", array_pickle(**changed)))


def test_a_gzip_bomb_is_stopped_before_it_unfolds(tmp_path):
    path = tmp_path / "bomb.pkgz"
    path.write_bytes(gzip.compress(bytes(1 << 20)) * 400)
    with pytest.raises(ExobenchError, match=r"bomb\.pkgz: refused: more than (1[6-9]|20) MiB after decompression"):
        decompress(path)


def test_the_limit_on_bytes_holds_whatever_the_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(python2_pickle, "MAX_BYTES", 3 << 20)
    path = write(tmp_path / "large.pkgz", np.random.default_rng(0).bytes(5 << 20))
    with pytest.raises(ExobenchError, match="more than 3 MiB"):
        decompress(path)


def test_a_memo_index_claims_no_memory(tmp_path):
    path = write(tmp_path / "memo.pkgz", HEAD + b"]r" + struct.pack("<I", 2**32 - 1) + b".")
    assert load_plain(path) == []


def test_endless_steps_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MAX_OPCODES", 1000)
    with pytest.raises(ExobenchError, match="more than 1,000 steps"):
        load_plain(write(tmp_path / "long.pkgz", HEAD + b"]" * 5000 + b"."))


def test_deep_nesting_does_no_harm(tmp_path):
    path = write(tmp_path / "deep.pkgz", HEAD + b"]" * 100_000 + b"a" * 99_999 + b".")
    assert isinstance(load_plain(path), list)


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_a_truncated_file_is_named(tmp_path, kept):
    path = write_pkgz(tmp_path / "cut.pkgz", {0: np.random.default_rng(0).random(2000)})
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ExobenchError, match=r"cut\.pkgz: the gzip file is cut off"):
        load_plain(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "text.pkgz"
    path.write_text("hello")
    with pytest.raises(ExobenchError, match=r"text\.pkgz: cannot be read as gzip"):
        load_plain(path)
    with pytest.raises(ExobenchError, match=r"absent\.pkgz: cannot be read"):
        load_plain(tmp_path / "absent.pkgz")
    damaged = bytearray(gzip.compress(python2_dumps(list(range(1000)))))
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ExobenchError, match=r"text\.pkgz"):
        load_plain(path)


@pytest.mark.parametrize("value", [None, "1.0", {"a": 1}, True, [1.0, "x"], [[1.0], [2.0]]])
def test_what_is_no_array_of_numbers_is_refused(value):
    with pytest.raises(ValueError, match=r"no array of numbers|no numbers"):
        as_array(value)


def test_the_writer_of_these_tests_writes_what_python_2_wrote():
    """The opcodes of a small array as CPython 2.7 with numpy 1.16 writes them, taken apart by hand."""
    text = python2_dumps({"spectrum": np.array([1.0])})
    assert text.startswith(HEAD + b"}q\x00U\x08spectrum")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in text
    assert b"cnumpy\ndtype\n" in text
    assert struct.pack("<d", 1.0) in text
