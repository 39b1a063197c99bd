"""Differences between two answers to the same spectra, with standard errors of the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.aggregate import resample_counts
from exobench.metrics.statistics import average

Array = NDArray[np.float64]

STANDARD_ERRORS_NEEDED = 3.0
"""A difference counts as one from this many standard errors on."""


class PairedDifference(NamedTuple):
    """Mean of a - b over spectra, and its standard error."""

    difference: float
    standard_error: float


def paired_difference(a: Array, b: Array, *, n_bootstrap: int = 1000, seed: int = 0) -> PairedDifference:
    """Compares two methods on the same spectra by a paired bootstrap over spectra.

    Args:
        a: per-spectrum score of one method, (obs,), all finite.
        b: of the other, for the same spectra in the same order.
        n_bootstrap: resamples.
        seed: of the resamples.

    Returns:
        Mean of a - b and the standard deviation of its resamples.

    Raises:
        ExobenchError: if the arrays differ in length, hold fewer than two spectra or a value that is not finite.
    """
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ExobenchError(f"a paired comparison needs two equal lengths of at least 2; got {a.shape} and {b.shape}.")
    difference = a - b
    if not np.isfinite(difference).all():
        n_bad = int(np.sum(~np.isfinite(difference)))
        raise ExobenchError(f"a paired comparison needs finite scores; {n_bad} of {len(a)} spectra have none.")
    resamples = np.concatenate([average(difference, counts) for counts in resample_counts(len(a), n_bootstrap, seed)])
    return PairedDifference(float(difference.mean()), float(resamples.std(ddof=1)))


@dataclass(frozen=True, eq=False)
class AgainstConstant:
    """A method beside the best constant.

    Attributes:
        difference: mse of the best constant minus mse of the method, (param,); positive is better.
        standard_error: of the difference, (param,).
        better: whether the difference exceeds three standard errors, (param,).
    """

    difference: Array
    standard_error: Array
    better: NDArray[np.bool_]


def skill_against_constant(
    per_spectrum: Mapping[str, Array], *, n_obs: int | None = None, n_bootstrap: int = 1000, seed: int = 0
) -> AgainstConstant:
    """Whether a method's squared error beats the best constant's, for each parameter.

    The best constant is the mean truth of the spectra scored, found anew in every resample.

    Args:
        per_spectrum: arrays with ``theta_true`` and ``squared_error``, (obs, param) each.
        n_obs: use the first n_obs spectra only; all by default.
        n_bootstrap: resamples.
        seed: of the resamples.

    Raises:
        ExobenchError: if there are fewer than two spectra or a squared error is not finite.
    """
    truth, squared = (per_spectrum[key][:n_obs] for key in ("theta_true", "squared_error"))
    if len(truth) < 2 or not np.isfinite(squared).all():
        raise ExobenchError("a comparison with the best constant needs two spectra and finite squared errors.")
    truth = truth - truth.mean(axis=0)

    def gain(counts: Array) -> Array:
        constant = average(truth**2, counts) - average(truth, counts) ** 2
        return constant - average(squared, counts)

    value = gain(np.ones((1, len(truth))))[0]
    resamples = np.concatenate([gain(counts) for counts in resample_counts(len(truth), n_bootstrap, seed)])
    error = resamples.std(axis=0, ddof=1)
    return AgainstConstant(value, error, value > STANDARD_ERRORS_NEEDED * error)
