"""The order in which an epoch visits rows: random enough to learn from, sequential enough to read from disk.

Blocks of contiguous rows come in random order, and the rows of a pool of blocks are mixed. A large split is visited in
several lanes side by side: each holds its own run of the blocks and gives its own part of every batch, so that
processes that share the batches share the reading as well. The lanes follow from the split and the batch size alone,
never from the number of processes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.seeds import rng_for

Rows = NDArray[np.int64]

_BLOCKS_A_LANE = 2
"""Blocks that a lane mixes at the least."""
_POOLS_WITHOUT_LANES = 4
"""A split of fewer pools has one lane: every process reads all of it, which costs little and mixes it best."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Blocks that are read together and whose rows are then mixed.

    Attributes:
        number: position of the pool in its epoch.
        blocks: (start, stop) of each block of contiguous rows, in reading order.
        rows: every row of the blocks once, in visiting order, (n,).
        places: where each of ``rows`` lies in the blocks laid end to end, (n,).
    """

    number: int
    blocks: NDArray[np.int64]
    rows: Rows
    places: Rows


class EpochOrder:
    """A pure function of the arguments: blocks in random order, rows mixed within pools of them.

    Args:
        n: rows of the split.
        shard_rows: rows a shard; blocks do not cross shards.
        block_rows: rows a block.
        pool_blocks: blocks that are mixed at a time, those of all lanes together.
        batch_size: rows of a global batch; each lane gives equally many of them.
        seed: of the stream.
        split: of the stream.
        epoch: counted from 0.

    Attributes:
        n_lanes: lanes side by side; a divisor of the batch size.
    """

    def __init__(
        self,
        n: int,
        shard_rows: int,
        block_rows: int,
        pool_blocks: int,
        *,
        batch_size: int,
        seed: int,
        split: str,
        epoch: int,
    ) -> None:
        self._names = (seed, split, epoch)
        self._batch_size = batch_size
        blocks = _blocks(n, shard_rows, block_rows)
        most = pool_blocks // _BLOCKS_A_LANE
        self.n_lanes = math.gcd(batch_size, most) if len(blocks) >= _POOLS_WITHOUT_LANES * pool_blocks else 1
        self._lane_rows = n // self.n_lanes
        blocks = blocks[self._rng("blocks").permutation(len(blocks))]
        self._blocks, lane_starts = _cut(blocks, self._lane_rows * np.arange(1, self.n_lanes))
        self._pools = _pools(lane_starts, len(self._blocks), pool_blocks // self.n_lanes)
        lengths = self._blocks[:, 1] - self._blocks[:, 0]
        self._bounds = [0, *np.cumsum(np.add.reduceat(lengths, self._pools[:-1])).tolist()]

    def places(self, step: int, share: slice) -> Iterator[tuple[int, int, int]]:
        """Where a share of a step's batch lies in the epoch.

        Args:
            step: of the epoch, from 0.
            share: rows of the global batch, such as those of one process.

        Yields:
            A lane, and the first and the last place (exclusive) of its part of the share, in the batch's order.
        """
        width = self._batch_size // self.n_lanes
        for lane in range(share.start // width, -(-share.stop // width)):
            first = lane * self._lane_rows + step * width
            skipped = lane * width
            yield lane, first + max(share.start - skipped, 0), first + min(share.stop - skipped, width)

    def slices(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """The pools, and the part of each, that hold places start to stop of the epoch."""
        number = bisect_right(self._bounds, start) - 1
        while start < stop:
            low, high = self._bounds[number], self._bounds[number + 1]
            end = min(stop, high)
            yield number, slice(start - low, end - low)
            start, number = end, number + 1

    def pool(self, number: int) -> Pool:
        """A pool by its number."""
        blocks = self._blocks[self._pools[number] : self._pools[number + 1]]
        rows = np.concatenate([np.arange(start, stop) for start, stop in blocks])
        places = self._rng("rows", number).permutation(len(rows))
        return Pool(number, blocks, rows[places], places)

    def _rng(self, *parts: object) -> np.random.Generator:
        return rng_for("order", *self._names, *parts)


def _blocks(n: int, shard_rows: int, block_rows: int) -> NDArray[np.int64]:
    """Start and stop of every block of the first n rows, (block, 2)."""
    within = np.arange(0, shard_rows, block_rows)
    shards = np.arange(0, n, shard_rows)
    starts = (shards[:, None] + within[None, :]).ravel()
    stops = np.append(starts[1:], shards[-1] + shard_rows)
    kept = starts < n
    return np.stack([starts[kept], np.minimum(stops[kept], n)], axis=1)


def _cut(blocks: NDArray[np.int64], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divides the blocks that lie across the given places of the epoch, where lanes after the first begin.

    Returns:
        The blocks (block, 2), and the number of the first one of each lane, (lane,).
    """
    block_ends = np.cumsum(blocks[:, 1] - blocks[:, 0])
    ends = np.union1d(block_ends, places)
    block = np.searchsorted(block_ends, ends)
    stops = blocks[block, 1] - (block_ends[block] - ends)
    starts = stops - np.diff(ends, prepend=0)
    return np.stack([starts, stops], axis=1), np.append(0, np.searchsorted(ends, places) + 1)


def _pools(lane_starts: NDArray[np.int64], n_block: int, pool_blocks: int) -> NDArray[np.int64]:
    """The first block of each pool, and the number of blocks at the end; pools do not cross lanes, (pool + 1,)."""
    lane_ends = np.append(lane_starts[1:], n_block)
    firsts = [np.arange(start, end, pool_blocks) for start, end in zip(lane_starts, lane_ends, strict=True)]
    return np.append(np.concatenate(firsts), n_block)
