"""The data of one run: what the method may learn from, and what it is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.generate import Workers, ensure_split
from exobench.data.recipe import DataRecipe
from exobench.data.store import ShardedSource, ShardStore
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
class RunData:
    """Source for the method, test spectra for the runner."""

    source: ShardedSource
    test: TestSpectra


def recipe_of(task: Task) -> DataRecipe:
    """How to make a task's noise-free spectra in any process."""
    return DataRecipe(
        task_name=task.name,
        prior=task.prior,
        build_simulator=task.simulator.build,
        describe=task.simulator.describe(),
        wavelength_um=task.wavelength_um,
        bin_edges_um=task.bin_edges_um,
        data_seed=task.data_seed,
        shard_rows=task.shard_rows,
    )


def open_data(
    task: Task, root: Path, *, n_train: int, n_validation: int, n_test: int, workers: Workers = "auto"
) -> RunData:
    """Opens the shared data set of a task, making what is missing.

    Args:
        task: the task.
        root: data root.
        n_train: training spectra; 0 for a method that learns nothing.
        n_validation: validation spectra.
        n_test: test spectra.
        workers: processes that make data, or "auto".

    Returns:
        The source that the method sees and the test spectra, whose noise depends on the task alone.

    Raises:
        ExobenchError: if the data cannot be made or read.
    """
    recipe = recipe_of(task)
    for split, n in (("train", n_train), ("validation", n_validation), ("test", n_test)):
        if n > 0:
            ensure_split(recipe, root, split, n, workers=workers)
    store = ShardStore(root, recipe)
    theta_true, depth = store.read_test(n_test)
    x, sigma = task.noise.sample(depth, seed=task.test_noise_seed())
    return RunData(ShardedSource(store, n_train, n_validation), TestSpectra(theta_true, x, sigma))
