"""The first rows of a training split, for fits that may use fewer spectra than there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.noise import NoiseModel
from exobench.problem import Batch, InferenceProblem, SpectraSource, Split
from exobench.seeds import derived_seed, rng_for

Array = NDArray[np.float64]


class FirstRows:
    """A source whose training split ends early; that split is held in memory.

    Args:
        source: where the rows come from.
        n_train: rows of the training split that may be used.
    """

    def __init__(self, source: SpectraSource, n_train: int) -> None:
        self._source, self._n_train = source, n_train
        theta, depth = source.read("train", n_train)
        self._theta = torch.as_tensor(theta, dtype=torch.float32)
        self._depth = torch.as_tensor(depth, dtype=torch.float32)

    def n(self, split: Split) -> int:
        """Number of spectra."""
        return self._n_train if split == "train" else self._source.n(split)

    def read(self, split: Split, n: int) -> tuple[Array, Array]:
        """The first n rows."""
        return self._source.read(split, n)

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
        """Endless batches, a pure function of (seed, epoch, step); slice ``rank`` of each."""
        if split != "train":
            return self._source.stream(
                split,
                batch_size,
                device=device,
                seed=seed,
                noise=noise,
                start_step=start_step,
                rank=rank,
                world_size=world_size,
            )
        share = batch_size // world_size
        return self._train(batch_size, slice(rank * share, (rank + 1) * share), device, seed, noise, start_step)

    def _train(
        self, batch_size: int, share: slice, device: str, seed: int, noise: NoiseModel | None, start_step: int
    ) -> Iterator[Batch]:
        per_epoch = self._n_train // batch_size
        epoch, step = divmod(start_step, per_epoch)
        while True:
            order = rng_for("first rows", seed, epoch).permutation(self._n_train)
            noise_seed = derived_seed("first rows noise", seed, epoch)
            for number in range(step, per_epoch):
                rows = torch.from_numpy(order[number * batch_size : (number + 1) * batch_size][share])
                theta, depth = self._theta[rows].to(device), self._depth[rows].to(device)
                if noise is None:
                    yield Batch(theta, depth, torch.zeros_like(depth))
                else:
                    yield Batch(theta, *noise.add(depth, seed=noise_seed, rows=rows.to(device)))
            epoch, step = epoch + 1, 0


def first_rows(problem: InferenceProblem, n_train: int | None) -> InferenceProblem:
    """The problem with at most n_train training spectra."""
    if n_train is None or n_train >= problem.n_train:
        return problem
    return dataclasses.replace(problem, spectra=FirstRows(problem.spectra, max(1, n_train)))
