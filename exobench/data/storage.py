"""How depths are kept on disk and in memory: as float32, or as sixteen bits between each spectrum's own extremes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name

Depth = NDArray[np.float32]
Places = NDArray[np.int64] | slice

STORAGES = ("float32", "uint16")
_TOP = 65535
_DESCRIPTIONS = {
    "float32": {"theta": "float64", "depth": "float32"},
    "uint16": {"theta": "float64", "depth": "uint16 from each row's minimum to its maximum", "range": "float32"},
}


@dataclass(frozen=True, eq=False)
class StoredDepth:
    """Depths of some rows as they are stored; decoded as late as possible, so that they stay small.

    Attributes:
        values: depth fractions as float32, or codes as uint16, (row, bin).
        extremes: for codes, the row's smallest and largest depth fraction, float32, (row, 2); else None.
    """

    values: NDArray[np.float32] | NDArray[np.uint16]
    extremes: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Places) -> StoredDepth:
        return StoredDepth(self.values[rows], None if self.extremes is None else self.extremes[rows])

    def decoded(self) -> Depth:
        """Depth fractions, (row, bin) float32."""
        return self.tensor("cpu").numpy()

    def tensor(self, device: str) -> torch.Tensor:
        """Depth fractions on a device, (row, bin) float32; what travels there is the stored form."""
        values = to_device(torch.from_numpy(self.values), device)
        if self.extremes is None:
            return values
        extremes = to_device(torch.from_numpy(self.extremes), device)
        low, high = extremes[:, :1], extremes[:, 1:]
        # Multiplied, then added: one fused operation would round differently from device to device.
        return values.to(torch.float32).mul_((high - low) / _TOP).add_(low)


def pack(depth: Depth, storage: str) -> StoredDepth:
    """Turns depths (row, bin) into what is stored.

    As uint16 a depth is off by at most half a step, (maximum - minimum) / 65535 / 2 of its own spectrum, and the
    rounding of float32: 0.04 ppm for a range of 5000 ppm.

    Raises:
        ExobenchError: an unknown storage, or depths that uint16 cannot hold because they are not finite.
    """
    check_storage(storage)
    depth = np.ascontiguousarray(depth, dtype=np.float32)
    if storage == "float32":
        return StoredDepth(depth)
    extremes = np.stack([depth.min(axis=1), depth.max(axis=1)], axis=1)
    if not np.isfinite(extremes).all():
        row = int(np.flatnonzero(~np.isfinite(extremes).all(axis=1))[0])
        raise ExobenchError(f"spectrum {row} has a depth that is not finite; storage=uint16 cannot hold it.")
    span = extremes[:, 1:] - extremes[:, :1]
    per_depth = np.divide(np.float32(_TOP), span, out=np.zeros_like(span), where=span > 0)
    codes = depth - extremes[:, :1]
    codes *= per_depth
    np.rint(codes, out=codes)
    return StoredDepth(np.minimum(codes, _TOP, out=codes).astype(np.uint16), extremes)


def join(parts: Sequence[StoredDepth]) -> StoredDepth:
    """Lays the rows of several parts end to end."""
    if len(parts) == 1:
        return parts[0]
    extremes = [part.extremes for part in parts if part.extremes is not None]
    return StoredDepth(np.concatenate([part.values for part in parts]), np.concatenate(extremes) if extremes else None)


def empty(n: int, like: StoredDepth) -> StoredDepth:
    """Room for n rows of the same kind."""
    extremes = None if like.extremes is None else np.empty((n, 2), np.float32)
    return StoredDepth(np.empty((n, like.values.shape[1]), like.values.dtype), extremes)


def put(into: StoredDepth, rows: slice, part: StoredDepth) -> None:
    """Writes a part into some rows of a larger one of the same kind."""
    into.values[rows] = part.values
    if into.extremes is not None and part.extremes is not None:
        into.extremes[rows] = part.extremes


def bytes_a_row(storage: str, n_bin: int) -> int:
    """Size of one stored spectrum."""
    return 4 * n_bin if storage == "float32" else 2 * n_bin + 8


def describe_storage(storage: str) -> dict[str, str]:
    """What the manifest says of the numbers' form."""
    return dict(_DESCRIPTIONS[storage])


def check_storage(storage: str) -> None:
    """Refuses a storage that does not exist.

    Raises:
        ExobenchError: naming those that do.
    """
    if storage not in STORAGES:
        raise unknown_name("storage", str(storage), STORAGES)


def to_device(values: torch.Tensor, device: str) -> torch.Tensor:
    """Moves values from memory to a device; to a GPU without waiting for it."""
    if device.startswith("cuda"):
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
