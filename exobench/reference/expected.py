"""Scores as expectations under the exact posterior: what an answer scores on average over the truths that fit.

No truth enters, so none of its noise does: the exact posterior says itself how well any answer to the spectrum can do.
Every function takes draws of one spectrum, weights that sum to one, and works in unit-cube coordinates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.accuracy import distinct_pair_mass

Array = NDArray[np.float64]

PERCENTS = (10, 5, 2, 1)
"""Of the prior's range: half-widths of the windows of hit rates."""

MEDIANS = "median"
BEST = "best"
"""The point, or centre of a window, that does best under the exact posterior."""

_ROWS = 256


def limit_of(u: Array, weight: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Expected scores of the exact posterior itself.

    The best window is sought on the same draws that it is scored on, which can only flatter it: a ceiling.
    ``_held_out`` seeks it on one half of the draws and scores it on the other, which can only understate it: the true
    ceiling lies between.

    Args:
        u: draws of the exact posterior, (draw, param).
        weight: their weights, (draw,).
        rng: splits the draws.

    Returns:
        ``energy_score`` (), and of each parameter, (param,): ``median``, ``mean``, ``sd``, ``crps``,
        ``squared_error_median`` and ``squared_error_best`` (the mean's, which no point beats), and
        ``hit_rate_10_median``, ``hit_rate_10_best``, ``hit_rate_10_best_held_out`` and so on for each of `PERCENTS`.
    """
    mass = float(distinct_pair_mass(np.array(np.sum(weight**2))))
    mean = weight @ u
    # Kish's correction: the mean was found on the same draws.
    variance = weight @ (u - mean) ** 2 / mass
    found: dict[str, Array] = {
        "energy_score": np.array(0.5 * mean_distance(u, weight, u, weight) / mass),
        "crps": 0.5 * mean_difference(u, weight, u, weight) / mass,
        "mean": mean,
        "sd": np.sqrt(variance),
        "squared_error_best": variance,
    }
    columns = [sorted_column(u[:, k], weight) for k in range(u.shape[1])]
    median = np.array([_weighted_median(*column) for column in columns])
    found["median"] = median
    found["squared_error_median"] = variance + (mean - median) ** 2
    for percent in PERCENTS:
        half = percent / 100.0
        found[f"hit_rate_{percent}_{MEDIANS}"] = hit_rate(u, weight, median, half)
        found[f"hit_rate_{percent}_{BEST}"] = np.array([best_window(*column, half)[1] for column in columns])
        found[f"hit_rate_{percent}_{BEST}_held_out"] = _held_out(u, weight, half, rng)
    return found


def expected_of_answer(u: Array, weight: Array, answer: Array, answer_weight: Array, median: Array) -> dict[str, Array]:
    """Expected scores of a method's answer to the spectrum.

    Args:
        u: draws of the exact posterior, (draw, param).
        weight: their weights, (draw,).
        answer: draws of the method, (other draw, param).
        answer_weight: their weights, (other draw,).
        median: the method's estimate, (param,).

    Returns:
        ``energy_score`` (), ``crps``, ``squared_error`` and ``hit_rate_10`` and so on, (param,).
    """
    mass = float(distinct_pair_mass(np.array(np.sum(answer_weight**2))))
    mean = weight @ u
    variance = weight @ (u - mean) ** 2 / float(distinct_pair_mass(np.array(np.sum(weight**2))))
    own_distance = mean_distance(answer, answer_weight, answer, answer_weight) / mass
    own_difference = mean_difference(answer, answer_weight, answer, answer_weight) / mass
    found: dict[str, Array] = {
        "energy_score": np.array(mean_distance(u, weight, answer, answer_weight) - 0.5 * own_distance),
        "crps": mean_difference(u, weight, answer, answer_weight) - 0.5 * own_difference,
        "squared_error": variance + (mean - median) ** 2,
    }
    for percent in PERCENTS:
        found[f"hit_rate_{percent}"] = hit_rate(u, weight, median, percent / 100.0)
    return found


def hit_rate(u: Array, weight: Array, estimate: Array, half: float) -> Array:
    """Probability that the truth lies within ``half`` of the estimate (param,), for each parameter; (param,)."""
    return np.asarray(weight @ (np.abs(u - estimate) <= half))


def sorted_column(value: Array, weight: Array) -> tuple[Array, Array]:
    """Values of one parameter in ascending order and their weights."""
    order = np.argsort(value, kind="stable")
    return value[order], weight[order]


def best_window(value: Array, weight: Array, half: float) -> tuple[float, float]:
    """Centre of the window of half-width ``half`` that holds most weight, and what it holds.

    Args:
        value: ascending, (draw,).
        weight: (draw,).
        half: half-width.
    """
    cumulative = np.concatenate([[0.0], np.cumsum(weight)])
    last = np.searchsorted(value, value + 2.0 * half, side="right")
    held = cumulative[last] - cumulative[: len(value)]
    first = int(np.argmax(held))
    return float(0.5 * (value[first] + value[last[first] - 1])), float(held[first])


def mean_distance(a: Array, weight_a: Array, b: Array, weight_b: Array) -> float:
    """Weighted mean of |a_i - b_j| over all pairs, Euclidean; (draw, param) each."""
    squares = np.einsum("dp,dp->d", b, b)
    total = 0.0
    for start in range(0, len(a), _ROWS):
        rows = a[start : start + _ROWS]
        gap = np.einsum("dp,dp->d", rows, rows)[:, None] + squares - 2.0 * rows @ b.T
        total += float(weight_a[start : start + _ROWS] @ np.sqrt(np.maximum(gap, 0.0)) @ weight_b)
    return total


def mean_difference(a: Array, weight_a: Array, b: Array, weight_b: Array) -> Array:
    """Weighted mean of |a_i - b_j| over all pairs, parameter by parameter, (param,).

    E|A - B| = int [F_a (1 - F_b) + F_b (1 - F_a)] dx, exact for the steps that draws make.
    """
    result = np.empty(a.shape[1])
    for k in range(a.shape[1]):
        value = np.concatenate([a[:, k], b[:, k]])
        order = np.argsort(value, kind="stable")
        below_a = np.cumsum(np.concatenate([weight_a, np.zeros(len(b))])[order])[:-1]
        below_b = np.cumsum(np.concatenate([np.zeros(len(a)), weight_b])[order])[:-1]
        result[k] = np.sum(np.diff(value[order]) * (below_a * (1.0 - below_b) + below_b * (1.0 - below_a)))
    return result


def _weighted_median(value: Array, weight: Array) -> float:
    cumulative = np.cumsum(weight)
    ends = np.searchsorted(cumulative, [0.5 - 1e-12, 0.5 + 1e-12], side="left")
    return float(value[np.minimum(ends, len(value) - 1)].mean())


def _held_out(u: Array, weight: Array, half: float, rng: np.random.Generator) -> Array:
    """What windows sought on one half of the draws hold of the other, both ways round, (param,)."""
    halves = np.array_split(rng.permutation(len(u)), 2)
    found = np.zeros(u.shape[1])
    for here, there in (halves, halves[::-1]):
        share = weight[there] / weight[there].sum()
        centre = np.array([best_window(*sorted_column(u[here, k], weight[here]), half)[0] for k in range(u.shape[1])])
        found += 0.5 * hit_rate(u[there], share, centre, half)
    return found
