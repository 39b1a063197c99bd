"""The data of one run: what the method may learn from, and what it is scored on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.choice import ONLINE, SHARDS, DataChoice
from exobench.data.generate import Workers, ensure_split
from exobench.data.recipe import DataRecipe
from exobench.data.store import OnlineSource, ReaderSource, ShardedSource, ShardStore
from exobench.errors import ExobenchError
from exobench.noise import NoiseModel
from exobench.problem import Batch, Split
from exobench.task import Task

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TestSpectra:
    """The first rows of the test set with the task's own noise; never handed to a method before it is fitted.

    Attributes:
        theta_true: (obs, param).
        x: noisy depth fractions, (obs, bin).
        sigma: one standard deviation, (obs, bin).
    """

    __test__ = False

    theta_true: Array
    x: Array
    sigma: Array

    def head(self, n: int) -> tuple[Array, Array, Array]:
        """x, sigma and theta_true of the first n spectra."""
        return self.x[:n], self.sigma[:n], self.theta_true[:n]


@dataclass(frozen=True)
class PromisedSpectra:
    """The numbers of spectra of a run before any is simulated: enough to ask a method whether it can run.

    Attributes:
        n_train: training spectra.
        n_validation: validation spectra.
    """

    n_train: int
    n_validation: int

    def n(self, split: Split) -> int:
        """Number of spectra."""
        return self.n_train if split == "train" else self.n_validation

    def read(self, split: Split, n: int) -> tuple[Array, Array]:
        """Refused: there are no spectra yet."""
        raise ExobenchError("a method's skip must answer from names, grid and noise; there are no spectra yet.")

    def stream(
        self,
        split: Split,
        batch_size: int,
        *,
        device: str,
        seed: int,
        noise: NoiseModel | None,
        start_step: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Refused: there are no spectra yet."""
        raise ExobenchError("a method's skip must answer from names, grid and noise; there are no spectra yet.")


@dataclass(frozen=True)
class RunData:
    """Source for the method, test spectra for the runner."""

    source: ReaderSource
    test: TestSpectra


def recipe_of(task: Task, *, storage: str = "float32", device: str = "cpu") -> DataRecipe:
    """How to make a task's noise-free spectra in any process.

    Args:
        task: the task.
        storage: form of the depths in shards.
        device: where they are simulated; no part of what the data set is, so its spectra agree between devices to
            rounding only.

    Returns:
        The recipe.
    """
    return DataRecipe(
        task_name=task.name,
        prior=task.prior,
        build_simulator=partial(task.simulator.build, device),
        describe=task.simulator.describe(),
        wavelength_um=task.wavelength_um,
        bin_edges_um=task.bin_edges_um,
        data_seed=task.data_seed,
        shard_rows=task.shard_rows,
        storage=storage,
    )


def task_on_data(task: Task, choice: DataChoice, root: Path) -> Task:
    """The task with the simulator that its spectra come from; the same task unless they were imported.

    Raises:
        ExobenchError: there is no such import.
    """
    if not choice.is_imported:
        return task
    from exobench.data.imported import find_imported

    return find_imported(task, root, choice.name, choice.key)


def open_data(
    task: Task,
    root: Path,
    *,
    n_train: int,
    n_validation: int,
    n_test: int,
    workers: Workers = "auto",
    choice: DataChoice | None = None,
    device: str = "cpu",
) -> RunData:
    """Opens the data of a task, making what is missing.

    Test spectra are always those of the float32 set, and so are validation spectra beside online training: they do not
    depend on how training spectra are kept.

    Args:
        task: the task; for imported data that of ``task_on_data``.
        root: data root.
        n_train: training spectra; 0 for a method that learns nothing.
        n_validation: validation spectra.
        n_test: test spectra; 0 for work that must not look at any.
        workers: processes that make data, or "auto".
        choice: where training spectra come from; None for float32 shards.
        device: where online spectra are simulated.

    Returns:
        The source that the method sees and the test spectra, whose noise depends on the task alone.

    Raises:
        ExobenchError: if the data cannot be made or read.
    """
    choice = choice or DataChoice()
    if choice.is_imported:
        from exobench.data.imported import open_imported

        sizes = {"n_train": n_train, "n_validation": n_validation, "n_test": n_test}
        return open_imported(task, root, **sizes, cache_gib=choice.cache_gib)
    recipe = recipe_of(task)
    kept = replace(recipe, storage=choice.storage)
    wanted = [(kept, "validation", n_validation), (recipe, "test", n_test)]
    if choice.name == SHARDS:
        wanted.insert(0, (kept, "train", n_train))
    for made, split, n in wanted:
        if n > 0:
            ensure_split(made, root, split, n, workers=workers)
    store = ShardStore(root, kept)
    source: ReaderSource
    if choice.name == ONLINE:
        validation = store.reader("validation", n_validation, cache_bytes=choice.cache_bytes)
        simulated = recipe_of(task, device=device)
        source = OnlineSource(simulated, n_train, validation, cache_bytes=choice.cache_bytes)
    else:
        source = ShardedSource(store, n_train, n_validation, cache_bytes=choice.cache_bytes)
    return RunData(source, _test_spectra(task, ShardStore(root, recipe), n_test))


def _test_spectra(task: Task, store: ShardStore, n_test: int) -> TestSpectra:
    if n_test == 0:
        none = np.empty((0, len(task.wavelength_um)))
        return TestSpectra(np.empty((0, len(task.parameters))), none, none)
    theta_true, depth = store.read_test(n_test)
    x, sigma = (task.test_noise or task.noise).sample(depth, seed=task.test_noise_seed())
    return TestSpectra(theta_true, x, sigma)
