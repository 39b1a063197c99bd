"""Rows of one split by their number: read from shards, or simulated whenever they are asked for."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exobench.data.recipe import DataRecipe
from exobench.data.shard import Theta, block_rows, read_rows, shard_file
from exobench.data.storage import StoredDepth, bytes_a_row, empty, join, put
from exobench.data.worker import ROWS_A_CALL, simulate_rows
from exobench.errors import ExobenchError
from exobench.simulators.base import Simulator

Rows = tuple[Theta, StoredDepth]

CACHE_BYTES = 64 << 20
"""A split no larger than this is kept in memory; small, so that memory hardly depends on the number of spectra."""


class SplitReader(abc.ABC):
    """The first n rows of one split; safe to use from several threads.

    Args:
        recipe: the data set.
        split: name of the split.
        n: rows that may be read.
        cache_bytes: hold all rows in memory, as they are stored, once they are streamed, if they take no more.

    Attributes:
        block_rows: contiguous rows that are best read together.
        pool_blocks: blocks whose rows a stream mixes.
    """

    block_rows: int
    pool_blocks: int

    def __init__(self, recipe: DataRecipe, split: str, n: int, cache_bytes: int) -> None:
        self.split, self.n, self.shard_rows = split, n, recipe.shard_rows
        self._recipe = recipe
        self._keep = n * bytes_a_row(recipe.storage, recipe.n_bin) <= cache_bytes
        self._cache: Rows | None = None
        self._filling = threading.Lock()

    def read(self, start: int, stop: int) -> Rows:
        """Rows start to stop: theta (n, param) float64 and their depths as stored.

        Raises:
            ExobenchError: some of them are not among the first n, or cannot be read.
        """
        if not 0 <= start < stop <= self.n:
            raise ExobenchError(f"rows {start} to {stop} of the {self.split} split asked for; it has {self.n}.")
        parts = [
            self._read_shard(
                shard,
                max(start - shard * self.shard_rows, 0),
                min(stop - shard * self.shard_rows, self.shard_rows),
            )
            for shard in range(start // self.shard_rows, (stop - 1) // self.shard_rows + 1)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([theta for theta, _ in parts]), join([depth for _, depth in parts])

    def in_memory(self) -> Rows | None:
        """All rows, read once, where they are to be kept; else None."""
        if not self._keep:
            return None
        with self._filling:
            if self._cache is None:
                self._cache = self._read_all()
            return self._cache

    @abc.abstractmethod
    def _read_shard(self, shard: int, start: int, stop: int) -> Rows:
        """Rows start to stop of one shard."""

    def _read_all(self) -> Rows:
        # Filled shard by shard: joining them at the end would need the memory twice.
        theta, depth = np.empty((self.n, self._recipe.n_param)), None
        for start in range(0, self.n, self.shard_rows):
            rows = slice(start, min(start + self.shard_rows, self.n))
            theta[rows], part = self.read(rows.start, rows.stop)
            depth = empty(self.n, part) if depth is None else depth
            put(depth, rows, part)
        assert depth is not None  # a stream has at least one row
        return theta, depth


class ShardReader(SplitReader):
    """Rows of shards on disk.

    Args:
        folder: the data set's folder.
        recipe: see ``SplitReader``.
        split: likewise.
        n: likewise.
        cache_bytes: likewise.
    """

    pool_blocks = 32

    def __init__(self, folder: Path, recipe: DataRecipe, split: str, n: int, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(recipe, split, n, cache_bytes)
        self.block_rows = block_rows(recipe.shard_rows)
        self._folder = folder

    def _read_shard(self, shard: int, start: int, stop: int) -> Rows:
        return read_rows(self._folder / shard_file(self.split, shard), start, stop)


class SimulatedReader(SplitReader):
    """Rows that are simulated whenever they are asked for: the same numbers as those of float32 shards, without a disk.

    A block is one call of the simulator, as it is when shards are made. Pools are small, because what is drawn is
    independent already: only later epochs have anything to mix. Four lanes of two blocks let four processes share the
    simulating.

    Args:
        recipe: see ``SplitReader``; its storage must be float32.
        split: likewise.
        n: likewise.
        cache_bytes: likewise.
    """

    pool_blocks = 8

    def __init__(self, recipe: DataRecipe, split: str, n: int, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(recipe, split, n, cache_bytes)
        self.block_rows = min(ROWS_A_CALL, recipe.shard_rows)
        self._simulator = _once(recipe.build_simulator)

    def _read_shard(self, shard: int, start: int, stop: int) -> Rows:
        theta = self._recipe.theta(self.split, shard)
        # Whole calls: the last bits of a spectrum may depend on how many are simulated together.
        first = start - start % self.block_rows
        last = min(-(-stop // self.block_rows) * self.block_rows, self.shard_rows)
        depth = simulate_rows(self._recipe, self._simulator(), theta[first:last])
        return theta[start:stop], StoredDepth(depth[start - first : stop - first])


def _once(build: Callable[[], Simulator]) -> Callable[[], Simulator]:
    """Builds at the first call, in the thread that simulates, and keeps the result."""
    lock, built = threading.Lock(), list[Simulator]()

    def get() -> Simulator:
        with lock:
            if not built:
                built.append(build())
            return built[0]

    return get
