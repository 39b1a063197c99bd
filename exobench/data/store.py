"""The sources of spectra that methods see: shards on disk, or the simulator itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.manifest import manifest_of
from exobench.data.prefetch import Prefetcher
from exobench.data.reader import CACHE_BYTES, ShardReader, SimulatedReader, SplitReader
from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.stream import StreamSettings, batches
from exobench.errors import ExobenchError, unknown_name
from exobench.noise import NoiseModel
from exobench.problem import Batch, Split

Array = NDArray[np.float64]


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

    def reader(self, split: str, n: int, *, cache_bytes: int = CACHE_BYTES) -> ShardReader:
        """The first n rows of a split.

        Raises:
            ExobenchError: there are fewer on disk.
        """
        if not 0 <= n <= self.n(split):
            raise ExobenchError(f"{n} rows of the {split} split asked for; {self.folder} has {self.n(split)}.")
        return ShardReader(self.folder, self.recipe, split, n, cache_bytes)

    def read_test(self, n: int) -> tuple[Array, Array]:
        """The first n test rows, for the runner alone: theta (n, param) and noise-free depth (n, bin), float64."""
        theta, depth = self.reader("test", n).read(0, n)
        return theta, depth.decoded().astype(np.float64)


class ReaderSource:
    """The ``SpectraSource`` that methods see: the rows of its readers, and no others.

    Args:
        train: the training rows.
        validation: the validation rows; may be none.
    """

    def __init__(self, train: SplitReader, validation: SplitReader) -> None:
        self._readers = {"train": train, "validation": validation}

    def n(self, split: Split) -> int:
        """Number of spectra."""
        return self._reader(split).n

    def read(self, split: Split, n: int) -> tuple[Array, Array]:
        """The first n rows: theta (n, param) and noise-free depth (n, bin), float64."""
        theta, depth = self._reader(split).read(0, n)
        return theta, depth.decoded().astype(np.float64)

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
            rank: this process; it gets slice ``rank`` of every global batch, and of a large split reads (or simulates)
                no more than that slice takes.
            world_size: processes that share the batches.
            prefetch: batches made ahead in a thread; 0 for none.

        Returns:
            An iterator of ``Batch``, float32. Its ``close`` stops the thread; so does forgetting it.

        Raises:
            ExobenchError: the batch is larger than the split, or cannot be shared out evenly.
        """
        settings = StreamSettings(batch_size, device, seed, noise, start_step, rank, world_size)
        made = batches(self._reader(split), settings)
        # Asked for here, or the thread below would decide the number of threads for the whole process.
        torch.get_num_threads()
        return Prefetcher(_on_one_thread(made), prefetch) if prefetch else made

    def _reader(self, split: Split) -> SplitReader:
        if split not in self._readers:
            raise unknown_name("split", split, self._readers)
        return self._readers[split]


class ShardedSource(ReaderSource):
    """The first rows of the train and validation splits of a data set on disk.

    Args:
        store: the data set.
        n_train: training rows.
        n_validation: validation rows; may be 0.
        cache_bytes: a split whose depths take no more than this, as stored, is kept in memory once it is streamed.
    """

    def __init__(self, store: ShardStore, n_train: int, n_validation: int, *, cache_bytes: int = CACHE_BYTES) -> None:
        super().__init__(
            store.reader("train", n_train, cache_bytes=cache_bytes),
            store.reader("validation", n_validation, cache_bytes=cache_bytes),
        )


class OnlineSource(ReaderSource):
    """Training spectra straight from the simulator; validation spectra from shards.

    The rows are those of the float32 training shards, whether or not these exist: n_train distinct spectra in the first
    epoch, and the same ones, simulated again, in another order and with other noise in each later one. A budget of
    distinct spectra therefore holds however long the stream is read.

    Args:
        recipe: how to make the spectra, as float32.
        n_train: distinct training spectra.
        validation: reader of the validation split.
        cache_bytes: training spectra that take no more than this are simulated once and kept in memory.
    """

    def __init__(
        self, recipe: DataRecipe, n_train: int, validation: SplitReader, *, cache_bytes: int = CACHE_BYTES
    ) -> None:
        super().__init__(SimulatedReader(recipe, "train", n_train, cache_bytes), validation)


def _on_one_thread(made: Iterator[Batch]) -> Iterator[Batch]:
    """Keeps the thread that makes batches from taking cores away from the one that trains."""
    torch.set_num_threads(1)  # of this thread alone: `stream` has settled the number of the others
    yield from made
