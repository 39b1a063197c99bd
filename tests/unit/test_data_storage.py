"""Sixteen bits between a spectrum's own extremes: how far off a depth may be."""

import numpy as np
import pytest

from exobench.data.storage import bytes_a_row, join, pack
from exobench.errors import ExobenchError

EPSILON = float(np.finfo(np.float32).eps)


def spectra(n=200, n_bin=515, seed=0):
    """Depths like those of hot Jupiters: about 0.01, spanning up to 5000 ppm, some spectra nearly flat."""
    rng = np.random.default_rng(seed)
    span = 10 ** rng.uniform(-8, np.log10(5e-3), (n, 1))
    return (rng.uniform(0.006, 0.03, (n, 1)) + span * rng.random((n, n_bin))).astype(np.float32)


def test_error_is_half_a_step_and_rounding():
    depth = spectra()
    error = np.abs(pack(depth, "uint16").decoded().astype(float) - depth)
    low, high = depth.min(axis=1, keepdims=True).astype(float), depth.max(axis=1, keepdims=True)
    half_step = (high - low) / 65535 / 2
    assert (error <= half_step + 1.5 * EPSILON * high).all()
    assert 1e6 * error.max() <= 0.04
    wide = (high - low)[:, 0] > 1e-3
    assert 0.4 < (error / half_step)[wide].mean() < 0.6, "codes are not spread over the whole range"


def test_extremes_are_kept_to_rounding_and_order_is_kept():
    depth = np.sort(spectra(), axis=1)
    found = pack(depth, "uint16").decoded()
    np.testing.assert_array_equal(found[:, 0], depth[:, 0])
    np.testing.assert_allclose(found[:, -1], depth[:, -1], rtol=1.5 * EPSILON)
    assert (np.diff(found, axis=1) >= 0).all()


def test_flat_and_two_valued_spectra_are_exact():
    depth = np.full((2, 9), 0.0123, dtype=np.float32)
    depth[1, 4:] = np.nextafter(np.float32(0.0123), np.float32(1.0))
    np.testing.assert_array_equal(pack(depth, "uint16").decoded(), depth)


@pytest.mark.parametrize("offset", [0.0, -0.5, 1e-30])
def test_any_range_of_depths_is_held(offset):
    depth = (spectra() - np.float32(0.01)) * np.float32(1e3) + np.float32(offset)
    error = np.abs(pack(depth, "uint16").decoded() - depth)
    span = depth.max(axis=1, keepdims=True) - depth.min(axis=1, keepdims=True)
    assert (error <= span / 65535 / 2 + 1.5 * EPSILON * np.abs(depth).max(axis=1, keepdims=True)).all()


def test_float32_is_exact():
    depth = spectra()
    np.testing.assert_array_equal(pack(depth, "float32").decoded(), depth)


def test_rows_are_taken_and_joined_as_they_are_stored():
    depth = spectra()
    for storage in ("float32", "uint16"):
        packed = pack(depth, storage)
        joined = join([packed[:50], packed[np.arange(50, 200)]])
        assert joined.values.dtype == packed.values.dtype
        np.testing.assert_array_equal(joined.decoded(), packed.decoded())
        size = packed.values.nbytes + (packed.extremes.nbytes if packed.extremes is not None else 0)
        assert size == len(depth) * bytes_a_row(storage, 515)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    depth = spectra(n=4)
    depth[2, 7] = bad
    with pytest.raises(ExobenchError, match="spectrum 2 has a depth that is not finite"):
        pack(depth, "uint16")


def test_unknown_storage_is_named():
    with pytest.raises(ExobenchError, match=r"no storage 'uint8'.*Valid: float32, uint16"):
        pack(spectra(n=1), "uint8")
