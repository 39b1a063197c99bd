"""Counter-based normal random numbers: each is a pure function of (seed, row, column), on any device and in any order.

The integers are exact everywhere; the normals agree between devices to the rounding of log, sqrt, cos and sin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from exobench.seeds import derived_seed

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB

_CACHED_PAIRS = 1 << 16


def standard_normal(seed: int, rows: torch.Tensor, n_column: int) -> torch.Tensor:
    """Standard normal numbers for named rows.

    Two columns share one 64-bit hash, whose halves feed the Box-Muller transform (Box & Muller 1958).

    Args:
        seed: names the stream.
        rows: int64 names of the rows, shape (n,).
        n_column: numbers a row.

    Returns:
        float32, shape (n, n_column), on the device of rows.
    """
    n_pair = (n_column + 1) // 2
    column_key = torch.arange(n_pair, device=rows.device, dtype=torch.int64) * _GOLDEN
    row_key = _mix(rows.to(torch.int64) * _GOLDEN + _signed(derived_seed(seed)))
    normal = torch.empty(len(rows), n_column, device=rows.device)
    for part in _parts(len(rows), n_pair, rows.device):
        _box_muller(_mix(row_key[part, None] + column_key), normal[part])
    return normal


def _parts(n_row: int, n_pair: int, device: torch.device) -> Iterator[slice]:
    """Rows that are worked on together: on a CPU as many as the cache holds, elsewhere all."""
    step = max(1, _CACHED_PAIRS // max(n_pair, 1)) if device.type == "cpu" else max(n_row, 1)
    for start in range(0, n_row, step):
        yield slice(start, start + step)


def _box_muller(bits: torch.Tensor, out: torch.Tensor) -> None:
    """Turns int64 bits (n, pair) into normal numbers out (n, column), pairs side by side."""
    # 24 bits each, shifted by half a step and rounded to float32: above 0 (for the logarithm) and at most 1.
    radius = (bits & 0xFFFFFF).to(torch.float32).add_(0.5).mul_(2.0**-24).log_().mul_(-2.0).sqrt_()
    angle = (bits >> 32).bitwise_and_(0xFFFFFF).to(torch.float32).add_(0.5).mul_(2.0 * math.pi * 2.0**-24)
    n_sine = out.shape[1] // 2
    out[:, 0::2] = torch.cos(angle).mul_(radius)
    out[:, 1::2] = angle.sin_().mul_(radius)[:, :n_sine]


def _mix(value: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014) on signed integers, whose products wrap around.

    Works in place on value, which the caller gives up.
    """
    value.bitwise_xor_(_shift_right(value, 30)).mul_(_MIX_1)
    value.bitwise_xor_(_shift_right(value, 27)).mul_(_MIX_2)
    return value.bitwise_xor_(_shift_right(value, 31))


def _shift_right(value: torch.Tensor, by: int) -> torch.Tensor:
    return (value >> by).bitwise_and_((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
