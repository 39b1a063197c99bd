"""What a split will cost, before anything is made: shards, disk and time."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exobench.data.generate import missing_shards
from exobench.data.recipe import DataRecipe
from exobench.data.shard import encode_shard
from exobench.data.worker import ROWS_A_CALL, one_torch_thread, simulate_rows


@dataclass(frozen=True)
class Plan:
    """Shards that a split needs and what they take.

    Attributes:
        recipe: the data set.
        folder: where it lives.
        split: name of the split.
        n: rows asked for.
        n_shard: shards that hold them.
        n_missing: shards still to be made.
        free_bytes: free space of the disk.
    """

    recipe: DataRecipe
    folder: Path
    split: str
    n: int
    n_shard: int
    n_missing: int
    free_bytes: int

    @property
    def rows_missing(self) -> int:
        """Rows still to be made; whole shards."""
        return self.n_missing * self.recipe.shard_rows

    @property
    def bytes_missing(self) -> int:
        """What they take on disk."""
        return self.n_missing * self.recipe.shard_bytes

    @property
    def fits(self) -> bool:
        """Whether the disk has room."""
        return self.bytes_missing <= self.free_bytes

    def lines(self) -> list[str]:
        """The plan in words."""
        recipe = self.recipe
        return [
            f"{recipe.task_name} {self.split}: {self.n:,} spectra of {recipe.n_bin} bins as {recipe.storage}, "
            f"in {self.n_shard:,} shards of {recipe.shard_rows:,}",
            f"folder: {self.folder}",
            f"disk:   {_gigabytes(self.bytes_missing)} to write ({self.n_shard - self.n_missing:,} of {self.n_shard:,} "
            f"shards are there), {_gigabytes(self.free_bytes)} free" + ("" if self.fits else ": TOO LITTLE"),
        ]

    def time_line(self, spectra_a_second: float, n_process: int) -> str:
        """How long it will take at a measured rate of one process."""
        used = max(1, min(n_process, self.n_missing))
        seconds = self.rows_missing / (used * spectra_a_second)
        return (
            f"time:   about {_duration(seconds)} with {used} of {n_process} processes, if each has a core to itself "
            f"(one made {spectra_a_second:,.0f} spectra/s just now)"
        )


def plan_split(recipe: DataRecipe, root: Path, split: str, n: int) -> Plan:
    """Looks at what is there; writes nothing.

    Raises:
        ExobenchError: the folder holds another data set.
    """
    folder = recipe.folder(root)
    n_missing = len(missing_shards(recipe, root, split, n))
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return Plan(recipe, folder, split, n, recipe.n_shards(n), n_missing, shutil.disk_usage(there).free)


def measure_rate(recipe: DataRecipe) -> float:
    """Spectra a second that one process makes, from simulation to the bytes of a shard."""
    theta = recipe.theta("train", 0)[:ROWS_A_CALL]
    with one_torch_thread():
        simulator = recipe.build_simulator()
        simulate_rows(recipe, simulator, theta)  # the first call loads and compiles
        start = time.perf_counter()
        depth = simulate_rows(recipe, simulator, theta)
        encode_shard(recipe, "train", 0, theta, np.ascontiguousarray(depth))
        return len(theta) / (time.perf_counter() - start)


def _gigabytes(n_byte: int) -> str:
    return f"{n_byte / 1e9:.2f} GB" if n_byte < 100e9 else f"{n_byte / 1e9:.0f} GB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
