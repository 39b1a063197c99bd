"""The order in which an epoch visits rows: random enough to learn from, sequential enough to read from disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.seeds import rng_for

Rows = NDArray[np.int64]


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
        pool_blocks: blocks a pool.
        seed: of the stream.
        split: of the stream.
        epoch: counted from 0.
    """

    def __init__(
        self, n: int, shard_rows: int, block_rows: int, pool_blocks: int, *, seed: int, split: str, epoch: int
    ) -> None:
        self._names = (seed, split, epoch)
        self._pool_blocks = pool_blocks
        blocks = _blocks(n, shard_rows, block_rows)
        self._blocks = blocks[self._rng("blocks").permutation(len(blocks))]
        lengths = self._blocks[:, 1] - self._blocks[:, 0]
        firsts = range(0, len(blocks), pool_blocks)
        self._bounds = np.concatenate([[0], np.cumsum(np.add.reduceat(lengths, firsts))])

    def slices(self, start: int, stop: int) -> Iterator[tuple[int, slice]]:
        """The pools, and the part of each, that hold places start to stop of the epoch."""
        number = int(np.searchsorted(self._bounds, start, side="right")) - 1
        while start < stop:
            low, high = int(self._bounds[number]), int(self._bounds[number + 1])
            end = min(stop, high)
            yield number, slice(start - low, end - low)
            start, number = end, number + 1

    def pool(self, number: int) -> Pool:
        """A pool by its number."""
        blocks = self._blocks[number * self._pool_blocks : (number + 1) * self._pool_blocks]
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
