"""Proper scores of one parameter's marginal posterior, spectrum by spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.draws import SortedDraws

Array = NDArray[np.float64]


def crps(draws: SortedDraws, theta_true: Array) -> Array:
    """Continuous ranked probability score, E|X - y| - E|X - X'|/2, from draws; (obs, param), in the parameter's unit.

    The second expectation runs over pairs of different draws, so that few draws are not punished for being few: the
    result estimates the score of the distribution behind the draws without bias and may be slightly negative. For
    weighted draws pairs weigh the product of their weights. Sorting gives all pairs at once.

    Args:
        draws: sorted draws.
        theta_true: truths, (obs, param).

    Returns:
        The score, NaN where only one draw counts. Sources: Gneiting & Raftery 2007, JASA 102, 359, eq. 21; the
        unbiased form is the "fair" score of Ferro 2014, QJRMS 140, 1917.
    """
    # Differences from the truth, not raw values: a temperature of 1500 +- 1 K would lose digits in the sum over pairs.
    error = draws.value - theta_true[..., None]
    distance = np.sum(draws.weight * np.abs(error), axis=-1)
    pairs = 2.0 * np.sum(draws.weight * error * (2.0 * draws.cumulative - draws.weight - 1.0), axis=-1)
    return distance - 0.5 * pairs / distinct_pair_mass(np.sum(draws.weight**2, axis=-1))


def distinct_pair_mass(sum_of_squares: Array) -> Array:
    """Total weight of the pairs of two different draws, 1 - sum w^2; NaN where there is no such pair."""
    mass = 1.0 - sum_of_squares
    return np.where(mass > 1e-12, mass, np.nan)


def interval_score(lower: Array, upper: Array, theta_true: Array, level: float) -> Array:
    """Width of the central interval plus 2/alpha times the distance by which the truth misses it.

    Args:
        lower: lower end of the central interval of the given level, (obs, param).
        upper: upper end.
        theta_true: truths, (obs, param).
        level: probability inside, such as 0.68; alpha = 1 - level.

    Returns:
        The score, (obs, param), in the parameter's unit. Source: Gneiting & Raftery 2007, JASA 102, 359, eq. 43.
    """
    miss = np.maximum(lower - theta_true, 0.0) + np.maximum(theta_true - upper, 0.0)
    return (upper - lower) + 2.0 / (1.0 - level) * miss
