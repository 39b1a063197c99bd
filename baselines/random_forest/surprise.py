"""How unlike its training spectra a forest finds a spectrum, from what every saved forest holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench_baselines.random_forest.features import Features
from exobench_baselines.random_forest.trees import Trees

Array = NDArray[np.float64]

_SMALLEST_VARIANCE = 1e-8
"""Of a parameter within a leaf, in shares of its training range squared; a leaf may hold one row many times."""


def departure(features: Features, x: Array, sigma: Array) -> Array:
    """How untypical the chi-square is that the principal components leave of each spectrum, (obs,).

    In standard deviations from the degrees of freedom; too small counts as well (typicality, Nalisnick et al. 2019,
    arXiv:1906.02994). Zero where the features are the bins themselves, or components as many as bins.

    Args:
        features: fitted.
        x: whole spectra, (obs, bin).
        sigma: as x.
    """
    n_bin, n_component = len(features.mean), features.projection.shape[1]
    free = n_bin - n_component
    if features.projection.size == 0 or free == 0:
        return np.zeros(len(x))
    left = np.empty(len(x))
    # Spectra whose sigma has one shape share their basis, which takes longest.
    shapes, kind = np.unique(
        (sigma / sigma.mean(axis=1, keepdims=True)).astype(np.float32), axis=0, return_inverse=True
    )
    for number, shape in enumerate(shapes):
        rows = np.flatnonzero(kind.ravel() == number)
        y = (x[rows] - features.mean) / sigma[rows]
        # The projection is divided by the noise: times its square, in units of sigma, it spans the components.
        basis = np.linalg.qr(features.projection * shape[:, None]).Q
        left[rows] = np.square(y - (y @ basis) @ basis.T).sum(axis=1)
    return np.abs(left - free) / np.sqrt(2.0 * free)


def disagreement(trees: Trees, unit: Array, leaf: NDArray[np.int64]) -> Array:
    """Spread of the trees' answers over that within their leaves, root mean square over parameters, (obs,).

    Args:
        trees: fitted.
        unit: parameters of the training rows in shares of their range, (row, param).
        leaf: of each spectrum in each tree, (obs, tree), from `Trees.leaves`.
    """
    mean, variance = _of_leaves(trees, unit)
    between, within = mean[leaf].var(axis=1), variance[leaf].mean(axis=1)
    return np.sqrt(np.mean(between / np.maximum(within, _SMALLEST_VARIANCE), axis=1))


def _of_leaves(trees: Trees, unit: Array) -> tuple[Array, Array]:
    """Mean and variance (node, param) of the training rows in each leaf; zeros in nodes that split."""
    first = np.cumsum(trees.n_member, dtype=np.int64) - trees.n_member
    leaves = np.flatnonzero(trees.n_member)
    count = trees.n_member[leaves, None]
    mean, variance = np.zeros((2, len(trees.n_member), unit.shape[1]))
    member = unit[trees.member]
    mean[leaves] = np.add.reduceat(member, first[leaves]) / count
    variance[leaves] = np.add.reduceat(np.square(member), first[leaves]) / count - np.square(mean[leaves])
    return mean, variance
