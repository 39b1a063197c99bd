"""What a data set is made of: everything that determines its numbers, and nothing that does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from exobench.data.storage import bytes_a_row, check_storage, describe_storage
from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.grids import check_bin_edges
from exobench.prior import UniformPrior
from exobench.seeds import derived_seed, stable_hash

if TYPE_CHECKING:
    from exobench.simulators.base import Simulator

Array = NDArray[np.float64]

SPLITS = ("train", "validation", "test")
FORMAT_VERSION = 1
DEFAULT_SHARD_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class DataRecipe:
    """How to make the spectra of a task, any number of them; picklable, so that worker processes can.

    The number of spectra is not part of it: n spectra are the first n rows, and more rows are more shards.

    Attributes:
        task_name: names the folder, and enters every seed.
        prior: theta is drawn from it.
        build_simulator: picklable, without arguments; called once in each process, so it carries no tables.
        describe: what determines the simulator's numbers (flavour, opacity hash, ...), ready for JSON.
        wavelength_um: bin centres, ascending, (bin,).
        bin_edges_um: (bin + 1,) or (bin, 2).
        data_seed: every shard's seed follows from it, the task's name, the split and the shard's number.
        shard_rows: spectra a shard.
        storage: form of the depths, "float32" or "uint16"; theta does not depend on it.
    """

    task_name: str
    prior: UniformPrior
    build_simulator: Callable[[], Simulator]
    describe: Mapping[str, object]
    wavelength_um: Array
    bin_edges_um: Array
    data_seed: int = 0
    shard_rows: int = DEFAULT_SHARD_ROWS
    storage: str = "float32"

    def __post_init__(self) -> None:
        check_storage(self.storage)
        if not (isinstance(self.shard_rows, int) and self.shard_rows > 0):
            raise ExobenchError(f"task.shard_rows={self.shard_rows} must be a positive whole number.")
        check_bin_edges(f"task {self.task_name}", self.bin_edges_um, self.n_bin)
        try:
            json.dumps(self.describe)
        except TypeError as error:
            raise ExobenchError(f"task {self.task_name}: its description is not ready for JSON: {error}.") from error

    @property
    def n_bin(self) -> int:
        """Wavelength bins of a spectrum."""
        return len(self.wavelength_um)

    @property
    def n_param(self) -> int:
        """Columns of theta."""
        return len(self.prior.space)

    @property
    def shard_bytes(self) -> int:
        """About the size of a shard on disk."""
        return self.shard_rows * (bytes_a_row(self.storage, self.n_bin) + 8 * self.n_param)

    @cached_property
    def configuration(self) -> dict[str, object]:
        """All that determines the numbers; what the manifest records and the key hashes."""
        return {
            "format_version": FORMAT_VERSION,
            "task": self.task_name,
            "description": dict(self.describe),
            "description_hash": stable_hash(self.describe),
            "prior": self.prior.describe(),
            "data_seed": self.data_seed,
            "shard_rows": self.shard_rows,
            "storage": describe_storage(self.storage),
            "units": {"depth": "fraction of the stellar flux", "wavelength_um": "micrometre"},
            "wavelength_um": _rounded(self.wavelength_um),
            "bin_edges_um": _rounded(self.bin_edges_um),
        }

    @cached_property
    def key(self) -> str:
        """Names the data set: a hash of its configuration, whatever its size."""
        return stable_hash(self.configuration)

    def folder(self, root: Path) -> Path:
        """Where the data set lives under a data root."""
        return Path(root) / self.task_name / self.key

    def seed(self, split: str, shard: int) -> int:
        """The seed of a shard; those of different splits and shards are unrelated."""
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        return derived_seed("data", self.data_seed, self.task_name, split, shard)

    def theta(self, split: str, shard: int) -> Array:
        """The parameters of a shard, (shard_rows, param)."""
        return self.prior.sample(self.shard_rows, np.random.default_rng(self.seed(split, shard)))

    def n_shards(self, n: int) -> int:
        """Shards that hold the first n rows."""
        return -(-n // self.shard_rows)


def _rounded(values: Array) -> list[float]:
    # Powers and logarithms differ in the last bit between builds of numpy; the key must not.
    return [float(f"{value:.9g}") for value in np.ravel(values)]
