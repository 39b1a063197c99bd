"""Growing a forest batch by batch, each kept on disk as soon as it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import MissingDependencyError
from exobench.method import FitInterrupted, Progress
from exobench.problem import InferenceProblem
from exobench.seeds import derived_seed
from exobench_baselines.random_forest.features import Features
from exobench_baselines.random_forest.storage import read_batch, write_batch
from exobench_baselines.random_forest.trees import Trees

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How many trees to grow, and how.

    Attributes:
        trees: of the forest.
        trees_per_batch: grown between two checkpoints.
        seconds: after which no batch is begun, or None.
        noise_copies: noisy copies of the training spectra; batches take them in turn.
        seed: of noise, bootstrap and splits.
        key: hash of all that determines the trees; a batch with another key is refused.
        options: arguments of scikit-learn's forest.
    """

    trees: int
    trees_per_batch: int
    seconds: float | None
    noise_copies: int
    seed: int
    key: str
    options: dict[str, Any]

    def batch_sizes(self) -> list[int]:
        """Trees of each batch."""
        whole, rest = divmod(self.trees, self.trees_per_batch)
        return [self.trees_per_batch] * whole + [rest] * (rest > 0)


@dataclass
class NoisyCopies:
    """Features of the training spectra under several draws of noise, made when first asked for.

    Attributes:
        problem: gives the spectra.
        n_rows: of them.
        seed: of the noise.
        kind: of the features.
        n_components: of the features.
    """

    problem: InferenceProblem
    n_rows: int
    seed: int
    kind: str
    n_components: int
    _made: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    _features: Features | None = None

    @property
    def features(self) -> Features:
        """Fitted on the first copy."""
        if self._features is None:
            self.columns(0)
        assert self._features is not None
        return self._features

    def columns(self, copy: int) -> NDArray[np.float32]:
        """Features (n_rows, column) of a copy."""
        if copy not in self._made:
            if copy > 0:
                self.columns(0)
            arrays = self.problem.arrays("train", self.n_rows, seed=derived_seed("noise", self.seed, copy))
            if self._features is None:
                self._features = Features.fitted(arrays.x, arrays.sigma, self.kind, self.n_components)
            self._made[copy] = self._features(arrays.x, arrays.sigma)
        return self._made[copy]


def grow(
    plan: Plan,
    copies: NoisyCopies,
    target: Array,
    *,
    workdir: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> Trees:
    """Grows the forest, or goes on from the batches that stand in workdir.

    Args:
        plan: how.
        copies: features of the training spectra.
        target: what the splits are to tell apart, (row, param).
        workdir: where batches are kept.
        stop: asked before each batch.
        progress: told after each batch.

    Raises:
        FitInterrupted: stop said so; the batches grown so far are kept.
        ExobenchError: a batch in workdir is damaged or belongs to another fit.
    """
    sizes = plan.batch_sizes()
    grown: list[Trees] = []
    start, before, slowest = time.perf_counter(), 0.0, 0.0
    for batch, size in enumerate(sizes):
        path = workdir / f"trees_{batch:05d}.safetensors"
        kept = read_batch(path, plan.key)
        if kept is not None:
            part, before = kept
            grown.append(part)
            start = time.perf_counter()
            continue
        done = sum(len(part) for part in grown)
        if stop():
            raise FitInterrupted(f"{done} of {plan.trees} trees are grown.")
        began = time.perf_counter()
        # Ending in time is worth more than a batch that would end after it; one batch there must be.
        if grown and plan.seconds is not None and before + began - start + slowest > plan.seconds:
            break
        part = _grow_batch(plan, batch, size, copies.columns(batch % plan.noise_copies), target)
        now = time.perf_counter()
        slowest = max(slowest, now - began)
        write_batch(path, part, plan.key, before + now - start)
        grown.append(part)
        progress.update(done + size, plan.trees, f"growing trees, {part.n_split // size:,} splits each")
        progress.scalar("splits_per_tree", done + size, part.n_split / size)
    return Trees.joined(grown)


def _grow_batch(plan: Plan, batch: int, size: int, columns: NDArray[np.float32], target: Array) -> Trees:
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"method=random_forest needs scikit-learn ({error}): pip install 'scikit-learn>=1.6'."
        ) from error
    forest = RandomForestRegressor(
        n_estimators=size,
        random_state=derived_seed("trees", plan.seed, batch) % 2**32,
        n_jobs=torch.get_num_threads(),
        **plan.options,
    ).fit(columns, target if target.shape[1] > 1 else target[:, 0])
    trees = zip(forest.estimators_, forest.estimators_samples_, strict=True)
    return Trees.joined([Trees.of_tree(tree, columns, rows) for tree, rows in trees])
