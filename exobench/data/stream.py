"""Batches of spectra on a device: shuffled rows, fresh noise each epoch, reproducible from any step on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.order import EpochOrder, Pool
from exobench.data.storage import StoredDepth, join, to_device
from exobench.errors import ExobenchError
from exobench.noise import NoiseModel
from exobench.problem import Batch
from exobench.seeds import derived_seed

if TYPE_CHECKING:
    from exobench.data.reader import SplitReader

Rows = NDArray[np.int64]
Float32 = NDArray[np.float32]
Content = tuple[NDArray[np.float64], StoredDepth]
Gathered = tuple[Rows, Float32, StoredDepth]
"""Row numbers (n,), theta (n, param) and depths as stored."""


@dataclass(frozen=True)
class StreamSettings:
    """How to stream a split; see ``ShardedSource.stream``."""

    batch_size: int
    device: str
    seed: int
    noise: NoiseModel | None
    start_step: int = 0
    rank: int = 0
    world_size: int = 1

    def check(self, split: str, n: int) -> None:
        """Refuses settings that a split of n rows cannot serve.

        Raises:
            ExobenchError: naming the setting and the number that it clashes with.
        """
        if self.batch_size < 1 or self.start_step < 0:
            raise ExobenchError(
                f"batch_size={self.batch_size} must be positive and start_step={self.start_step} not negative."
            )
        if self.batch_size > n:
            raise ExobenchError(f"batch_size={self.batch_size} is larger than the {split} split, which has {n} rows.")
        if not 0 <= self.rank < self.world_size:
            raise ExobenchError(f"rank={self.rank} must lie in 0 to world_size - 1 = {self.world_size - 1}.")
        if self.batch_size % self.world_size:
            raise ExobenchError(f"batch_size={self.batch_size} must be a multiple of world_size={self.world_size}.")

    @property
    def share(self) -> slice:
        """This rank's rows of a global batch."""
        rows = self.batch_size // self.world_size
        return slice(self.rank * rows, (self.rank + 1) * rows)


def batches(reader: SplitReader, settings: StreamSettings) -> Iterator[Batch]:
    """Endless batches of a split; the settings are checked at once, the reading starts with the first batch.

    Raises:
        ExobenchError: the settings do not suit the split.
    """
    settings.check(reader.split, reader.n)
    return _batches(reader, settings)


def _batches(reader: SplitReader, settings: StreamSettings) -> Iterator[Batch]:
    epoch, step = divmod(settings.start_step, reader.n // settings.batch_size)
    while True:
        noise_seed = derived_seed("noise", settings.seed, reader.split, epoch)
        for rows, theta, depth in _epoch(reader, settings, epoch, step):
            yield _on_device(rows, theta, depth, settings, noise_seed)
        epoch, step = epoch + 1, 0


def _epoch(reader: SplitReader, settings: StreamSettings, epoch: int, first_step: int) -> Iterator[Gathered]:
    order = EpochOrder(
        reader.n,
        reader.shard_rows,
        reader.block_rows,
        reader.pool_blocks,
        batch_size=settings.batch_size,
        seed=settings.seed,
        split=reader.split,
        epoch=epoch,
    )
    gather = _Gatherer(reader, order)
    for step in range(first_step, reader.n // settings.batch_size):
        yield gather(step, settings.share)


class _Gatherer:
    """Collects the rows of an epoch in order, holding one pool a lane or, where it fits, the whole split."""

    def __init__(self, reader: SplitReader, order: EpochOrder) -> None:
        self._reader, self._order = reader, order
        self._whole = reader.in_memory()
        self._lanes: dict[int, tuple[int, Rows, Content | None]] = {}

    def __call__(self, step: int, share: slice) -> Gathered:
        """A share of a step's batch; only lanes that hold some of it are read."""
        parts = [
            (self._held(lane, number), within)
            for lane, start, stop in self._order.places(step, share)
            for number, within in self._order.slices(start, stop)
        ]
        rows = np.concatenate([rows[within] for (rows, _), within in parts])
        if self._whole is not None:
            theta, depth = self._whole
            return rows, theta[rows].astype(np.float32), depth[rows]
        held = [(content, within) for (_, content), within in parts if content is not None]
        theta = np.concatenate([content[0][within] for content, within in held])
        depth = join([content[1][within] for content, within in held])
        if len(held) == 1:
            depth = depth[np.arange(len(rows))]  # of its own: a batch that is kept must not keep the pool
        return rows, theta.astype(np.float32), depth

    def _held(self, lane: int, number: int) -> tuple[Rows, Content | None]:
        """A pool's rows in visiting order and, where the split is not in memory, what they hold."""
        if lane not in self._lanes or self._lanes[lane][0] != number:
            self._lanes.pop(lane, None)  # before the next pool is read, or there were two
            pool = self._order.pool(number)
            self._lanes[lane] = number, pool.rows, None if self._whole is not None else self._mixed(pool)
        return self._lanes[lane][1:]

    def _mixed(self, pool: Pool) -> Content:
        # Mixed once a pool: gathering scattered rows for each batch of each lane takes twice as long.
        parts = [self._reader.read(int(start), int(stop)) for start, stop in pool.blocks]
        theta = np.concatenate([theta for theta, _ in parts])[pool.places]
        return theta, join([depth for _, depth in parts])[pool.places]


def _on_device(rows: Rows, theta: Float32, depth: StoredDepth, settings: StreamSettings, noise_seed: int) -> Batch:
    on_device = depth.tensor(settings.device)
    if settings.noise is None:
        x, sigma = on_device, torch.zeros_like(on_device)
    else:
        row_names = to_device(torch.from_numpy(rows), settings.device)
        x, sigma = settings.noise.add(on_device, seed=noise_seed, rows=row_names)
    return Batch(to_device(torch.from_numpy(theta), settings.device), x, sigma)
