"""Writes pickles as Python 2 did, and chunks in the form of ExoGAN's published files."""

import gzip
import io
import pickle
import struct
from typing import ClassVar

import numpy as np

M_JUP_KG, R_JUP_M = 1.898e27, 6.9911e7
MIXRATIOS = ("h2o_mixratio", "co2_mixratio", "co_mixratio", "ch4_mixratio")


class Python2Pickler(pickle._Pickler):
    """Protocol 0 to 2 with Python 2's strings, which served for bytes too, and numpy 1's module names."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, obj):
        raw = obj if isinstance(obj, bytes) else obj.encode("latin1")
        if self.proto == 0:
            self.write(pickle.STRING + repr(raw)[1:].encode("ascii") + b"\n")
        elif len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, obj, name=None):
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or obj.__qualname__}\n".encode("ascii"))
        self.memoize(obj)

    for _kind in (type, type(len), type(gzip.open)):
        dispatch[_kind] = save_global


def python2_dumps(content, protocol=2):
    file = io.BytesIO()
    Python2Pickler(file, protocol).dump(content)
    return file.getvalue()


def write_pkgz(path, content, protocol=2):
    path.write_bytes(gzip.compress(python2_dumps(content, protocol), 1))
    return path


def chunk_of(theta, depth):
    """Entries as published, in Python 2's order of keys, from theta (n, 7) and ascending depth (n, 515)."""
    return {
        index: {
            "data": {"spectrum": spectrum[::-1].astype(np.float64)},
            "param": {
                "planet_mass": np.float64(row[4] * M_JUP_KG),
                "temperature_profile": np.float64(row[6]),
                "ch4_mixratio": np.float64(10 ** row[3]),
                "planet_radius": np.float64(row[5] * R_JUP_M),
                "h2o_mixratio": np.float64(10 ** row[0]),
                "co2_mixratio": np.float64(10 ** row[1]),
                "co_mixratio": np.float64(10 ** row[2]),
            },
        }
        for index, (row, spectrum) in enumerate(zip(theta, depth, strict=True))
    }
