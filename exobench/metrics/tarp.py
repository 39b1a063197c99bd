"""Reference points of TARP that depend on the spectrum, and the coverage of its balls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

FEWEST_FOR_TARP = 10
"""Spectra below which reference points are no functions of the spectrum."""

_FOLDS = 5
_MAX_COMPONENTS = 20
_RIDGE = 1e-3


def reference_points(x: Array, theta_true: Array, low: Array, high: Array) -> Array:
    """A rough estimate of theta from the spectrum alone, as centre of TARP's balls.

    With points that ignore the spectrum, TARP passes a posterior that ignores it, too (Lemos et al. 2023, section 4):
    the prior. Here the point is a ridge regression of theta on the leading principal components of the spectra and
    their squares, fitted on the four fifths of the spectra that the spectrum itself is not in. Its quality moves the
    power of the test alone: any point that does not know this spectrum's truth keeps the rank uniform.

    Args:
        x: spectra, (obs, bin); NaN where a bin is missing.
        theta_true: truths, (obs, param), used for the other folds only.
        low: lower ends of the box, (param,).
        high: upper ends, (param,).

    Returns:
        Points, (obs, param), inside the box.

    Raises:
        ExobenchError: if lengths differ, there are fewer than ten spectra, or a spectrum has no bin.
    """
    if x.ndim != 2 or len(x) != len(theta_true) or len(x) < 2 * _FOLDS:
        raise ExobenchError(
            f"reference points need x (obs, bin) of {2 * _FOLDS} spectra at least, as many as theta_true "
            f"{theta_true.shape}; got {x.shape}."
        )
    present = np.isfinite(x)
    if not present.any(axis=1).all():
        raise ExobenchError("a spectrum without any bin has no reference point.")
    unit = (theta_true - low) / (high - low)
    fold = np.arange(len(x)) % _FOLDS
    points = np.empty_like(unit)
    for held_out in range(_FOLDS):
        rest = fold != held_out
        points[~rest] = _estimate(x, present, unit, rest)
    return low + np.clip(points, 0.0, 1.0) * (high - low)


def _estimate(x: Array, present: NDArray[np.bool_], unit: Array, rest: NDArray[np.bool_]) -> Array:
    """Estimates of the spectra that are not in ``rest``, from those that are."""
    count = np.maximum(present[rest].sum(axis=0), 1)
    centre = np.where(present[rest], x[rest], 0.0).sum(axis=0) / count
    filled = np.where(present, x - centre, 0.0)
    _, size, axes = np.linalg.svd(filled[rest], full_matrices=False)
    n_components = max(1, min(_MAX_COMPONENTS, int(rest.sum()) // 10, int(np.sum(size > 1e-9 * size[0]))))
    scores = filled @ axes[:n_components].T / (size[:n_components] / np.sqrt(rest.sum()) + 1e-300)
    design = np.concatenate([np.ones((len(x), 1)), scores, scores**2], axis=1)
    square = design[rest].T @ design[rest] + _RIDGE * rest.sum() * np.eye(design.shape[1])
    return design[~rest] @ np.linalg.solve(square, design[rest].T @ unit[rest])


def tarp_coverage(ranks: Array, levels: Array) -> Array:
    """Expected coverage of TARP's balls at each level, (level,): the share of ranks below it."""
    return np.searchsorted(np.sort(ranks), levels, side="right") / len(ranks)
