"""The posterior of a forest: the training parameters in the leaves that a spectrum falls in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench_baselines.random_forest.features import Features
from exobench_baselines.random_forest.storage import read_arrays, write_arrays
from exobench_baselines.random_forest.surprise import departure, disagreement
from exobench_baselines.random_forest.trees import Trees

Array = NDArray[np.float64]

FILE = "forest.safetensors"
_SPECTRA_A_CALL = 1000


class ForestPosterior(AbstractPosterior):
    """q(theta | x): each tree weighs one, and so does each training row within its leaf.

    Args:
        features: of spectra.
        trees: fitted.
        theta: of the training rows, (row, param), in declared units.
        names: of the parameters.
    """

    def __init__(self, features: Features, trees: Trees, theta: Array, names: tuple[str, ...]) -> None:
        self.features, self.trees, self.theta, self.names = features, trees, theta, names
        self.n_parameters_trained = trees.n_split
        self._first_member = np.cumsum(trees.n_member, dtype=np.int64) - trees.n_member

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws (obs, n_draws, param): a tree at random, then a training row of the spectrum's leaf in that tree.

        Raises:
            ExobenchError: spectra of another grid, or with missing bins.
        """
        theta = np.empty((len(x), n_draws, self.theta.shape[1]))
        distinct = np.empty(len(x))
        for first in range(0, len(x), _SPECTRA_A_CALL):
            rows = slice(first, first + _SPECTRA_A_CALL)
            member = self._draw_members(self.trees.leaves(self.features(x[rows], sigma[rows])), n_draws, rng)
            theta[rows] = self.theta[member]
            ordered = np.sort(member, axis=1)
            distinct[rows] = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
        return PosteriorSamples(theta, diagnostics={"distinct_draws": distinct})

    def weights(self, x: Array, sigma: Array) -> Array:
        """The weight of every training row in the posterior of each spectrum, (obs, row); each sums to one."""
        leaf = self.trees.leaves(self.features(x, sigma))
        weights = np.zeros((len(x), len(self.theta)))
        for row, leaves in zip(weights, leaf, strict=True):
            for one in leaves:
                first, n = self._first_member[one], self.trees.n_member[one]
                np.add.at(row, self.trees.member[first : first + n], 1.0 / (n * len(self.trees)))
        return weights

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum is, (obs,): what its components leave, and the trees' discord.

        The two of `exobench_baselines.random_forest.surprise` in quadrature; every saved forest holds what they need.

        Raises:
            ExobenchError: spectra of another grid, or with missing bins.
        """
        span = np.ptp(self.theta, axis=0)
        unit = (self.theta - self.theta.min(axis=0)) / np.where(span > 0, span, 1.0)
        found = np.empty(len(x))
        for first in range(0, len(x), _SPECTRA_A_CALL):
            rows = slice(first, first + _SPECTRA_A_CALL)
            discord = disagreement(self.trees, unit, self.trees.leaves(self.features(x[rows], sigma[rows])))
            found[rows] = np.hypot(departure(self.features, x[rows], sigma[rows]), discord)
        return found

    def _draw_members(self, leaf: NDArray[np.int64], n_draws: int, rng: np.random.Generator) -> NDArray[np.uint32]:
        """Training rows (obs, n_draws) for leaves (obs, tree)."""
        chosen = np.take_along_axis(leaf, rng.integers(0, len(self.trees), (len(leaf), n_draws)), axis=1)
        place = (rng.random(chosen.shape) * self.trees.n_member[chosen]).astype(np.int64)
        return self.trees.member[self._first_member[chosen] + place]

    def save(self, path: Path) -> None:
        """Writes ``forest.safetensors`` into a folder."""
        arrays = {
            **self.trees.arrays(),
            "theta": self.theta,
            "mean": self.features.mean,
            "projection": self.features.projection,
        }
        write_arrays(path / FILE, arrays, {"names": self.names, "knows_level": self.features.knows_level})

    @staticmethod
    def load(path: Path, names: tuple[str, ...]) -> ForestPosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: the folder holds no forest, or one of other parameters.
        """
        arrays, notes = read_arrays(path / FILE)
        if tuple(notes["names"]) != names:
            raise ExobenchError(f"{path / FILE} is of parameters {notes['names']}, the task has {list(names)}.")
        features = Features(arrays["mean"], arrays["projection"], bool(notes["knows_level"]))
        return ForestPosterior(features, Trees.from_arrays(arrays), arrays["theta"], names)
