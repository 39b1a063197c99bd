"""Reading a data set: rows by their number, and the source of spectra that methods see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.manifest import manifest_of
from exobench.data.prefetch import Prefetcher
from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.shard import Depth, Theta, read_rows, shard_file
from exobench.data.stream import StreamSettings, batches
from exobench.errors import ExobenchError, unknown_name
from exobench.noise import NoiseModel
from exobench.problem import Batch, Split

Array = NDArray[np.float64]

CACHE_BYTES = 2 << 30


class SplitReader:
    """The first n rows of one split; safe to use from several threads.

    Args:
        folder: the data set's folder.
        split: name of the split.
        n: rows that may be read.
        shard_rows: rows a shard.
        keep: hold all rows in memory once they are streamed.
    """

    def __init__(self, folder: Path, split: str, n: int, shard_rows: int, *, keep: bool = False) -> None:
        self.split, self.n, self.shard_rows = split, n, shard_rows
        self._folder = folder
        self._keep = keep
        self._cache: tuple[Theta, Depth] | None = None
        self._filling = threading.Lock()

    def read(self, start: int, stop: int) -> tuple[Theta, Depth]:
        """Rows start to stop from disk: theta (n, param) float64, depth (n, bin) float32."""
        if not 0 <= start < stop <= self.n:
            raise ExobenchError(f"rows {start} to {stop} of the {self.split} split asked for; it has {self.n}.")
        parts = [
            read_rows(
                self._folder / shard_file(self.split, shard),
                max(start - shard * self.shard_rows, 0),
                min(stop - shard * self.shard_rows, self.shard_rows),
            )
            for shard in range(start // self.shard_rows, (stop - 1) // self.shard_rows + 1)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([theta for theta, _ in parts]), np.concatenate([depth for _, depth in parts])

    def in_memory(self) -> tuple[Theta, Depth] | None:
        """All rows, read once, where they are to be kept; else None."""
        if not self._keep:
            return None
        with self._filling:
            if self._cache is None:
                self._cache = self._read_all()
            return self._cache

    def _read_all(self) -> tuple[Theta, Depth]:
        # Filled shard by shard: joining them at the end would need the memory twice.
        theta, depth = (np.empty((self.n, part.shape[1]), part.dtype) for part in self.read(0, 1))
        for start in range(0, self.n, self.shard_rows):
            stop = min(start + self.shard_rows, self.n)
            theta[start:stop], depth[start:stop] = self.read(start, stop)
        return theta, depth


class ShardStore:
    """A data set on disk, open for reading.

    Args:
        root: data root.
        recipe: which data set.

    Raises:
        ExobenchError: the folder holds another data set.
    """

    def __init__(self, root: Path, recipe: DataRecipe) -> None:
        self.recipe = recipe
        self.folder = recipe.folder(root)
        self._manifest = manifest_of(recipe, self.folder)

    def n(self, split: str) -> int:
        """Rows of a split that are on disk, from the first without a gap."""
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        return self._manifest.rows(split)

    def reader(self, split: str, n: int, *, cache_bytes: int = CACHE_BYTES) -> SplitReader:
        """The first n rows of a split.

        Raises:
            ExobenchError: there are fewer on disk.
        """
        if not 0 <= n <= self.n(split):
            raise ExobenchError(f"{n} rows of the {split} split asked for; {self.folder} has {self.n(split)}.")
        keep = n * 4 * self.recipe.n_bin <= cache_bytes
        return SplitReader(self.folder, split, n, self.recipe.shard_rows, keep=keep)

    def read_test(self, n: int) -> tuple[Array, Array]:
        """The first n test rows, for the runner alone: theta (n, param) and noise-free depth (n, bin), float64."""
        theta, depth = self.reader("test", n).read(0, n)
        return theta, depth.astype(np.float64)


class ShardedSource:
    """The ``SpectraSource`` that methods see: the first rows of the train and validation splits, and no others.

    Args:
        store: the data set.
        n_train: training rows.
        n_validation: validation rows; may be 0.
        cache_bytes: a split whose depths take no more than this is kept in memory once it is streamed.
    """

    def __init__(self, store: ShardStore, n_train: int, n_validation: int, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._readers = {
            "train": store.reader("train", n_train, cache_bytes=cache_bytes),
            "validation": store.reader("validation", n_validation, cache_bytes=cache_bytes),
        }

    def n(self, split: Split) -> int:
        """Number of spectra."""
        return self._reader(split).n

    def read(self, split: Split, n: int) -> tuple[Array, Array]:
        """The first n rows: theta (n, param) and noise-free depth (n, bin), float64."""
        theta, depth = self._reader(split).read(0, n)
        return theta, depth.astype(np.float64)

    def stream(
        self,
        split: Split,
        batch_size: int,
        *,
        device: str = "cpu",
        seed: int = 0,
        noise: NoiseModel | None,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        prefetch: int = 2,
    ) -> Iterator[Batch]:
        """Endless batches, a pure function of (seed, epoch, step).

        Args:
            split: "train" or "validation".
            batch_size: rows of a global batch, before it is shared out; rows that do not fill a last batch are left
                out of that epoch.
            device: torch device of the batches; noise is drawn there.
            seed: orders rows and draws noise.
            noise: adds noise and gives sigma; None for no noise and sigma 0.
            start_step: steps to skip, without reading them.
            rank: this process; it gets slice ``rank`` of every global batch.
            world_size: processes that share the batches.
            prefetch: batches made ahead in a thread; 0 for none.

        Returns:
            An iterator of ``Batch``, float32. Its ``close`` stops the thread; so does forgetting it.

        Raises:
            ExobenchError: the batch is larger than the split, or cannot be shared out evenly.
        """
        settings = StreamSettings(batch_size, device, seed, noise, start_step, rank, world_size)
        made = batches(self._reader(split), settings)
        return Prefetcher(made, prefetch) if prefetch else made

    def _reader(self, split: Split) -> SplitReader:
        if split not in self._readers:
            raise unknown_name("split", split, self._readers)
        return self._readers[split]
