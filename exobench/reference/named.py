"""Five named observations among the reference posteriors, chosen by rules, so that nobody picks by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

WATER, CO, CO2 = "log10_h2o", "log10_co", "log10_co2"

RULES = {
    "bright": "largest contrast: spread of the spectrum from its 5th to its 95th percentile over its median sigma",
    "low_signal": "smallest contrast, as above",
    "water_poor": "lowest true log10_h2o",
    "lowest_first": "lowest true value of the first parameter (tasks without water)",
    "co_co2_degenerate": "largest absolute rank correlation of log10_co and log10_co2 among the reference draws",
    "degenerate_pair": "largest absolute rank correlation of any two parameters among the reference draws (tasks without CO and CO2)",  # noqa: E501
    "prior_corner": "truth closest to a corner of the prior's box, in unit-cube coordinates",
}
"""What each name means. A spectrum has one name at most; a name that comes later takes the next best."""


def named_observations(
    names: Sequence[str], low: Array, high: Array, theta_true: Array, x: Array, sigma: Array, theta: Array
) -> dict[str, int]:
    """Row of each of the five named observations; see `RULES`.

    Args:
        names: of the parameters.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        theta_true: (obs, param), five spectra at least.
        x: depth fractions, (obs, bin); NaN where missing.
        sigma: as x.
        theta: reference draws of equal weight, (obs, draw, param).
    """
    contrast = spectral_contrast(x, sigma)
    order: list[tuple[str, Array]] = [("bright", contrast), ("low_signal", -contrast)]
    if WATER in names:
        order.append(("water_poor", -theta_true[:, list(names).index(WATER)]))
    else:
        order.append(("lowest_first", -theta_true[:, 0]))
    if CO in names and CO2 in names:
        pair = (list(names).index(CO), list(names).index(CO2))
        order.append(("co_co2_degenerate", _correlation(theta, *pair)))
    else:
        pairs = combinations(range(len(names)), 2)
        order.append(("degenerate_pair", np.max([_correlation(theta, *pair) for pair in pairs], axis=0)))
    unit = (theta_true - low) / (high - low)
    order.append(("prior_corner", -np.linalg.norm(np.minimum(unit, 1.0 - unit), axis=1)))
    return _first_free(order)


def spectral_contrast(x: Array, sigma: Array) -> Array:
    """Spread of each spectrum (obs, bin) from its 5th to its 95th percentile in units of its median sigma, (obs,)."""
    spread = np.nanpercentile(x, 95.0, axis=1) - np.nanpercentile(x, 5.0, axis=1)
    return np.asarray(spread / np.median(sigma, axis=1))


def _correlation(theta: Array, first: int, second: int) -> Array:
    return np.array([abs(float(stats.spearmanr(draws[:, first], draws[:, second]).statistic)) for draws in theta])


def _first_free(order: Sequence[tuple[str, Array]]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name, merit in order:
        ranking = np.argsort(-merit, kind="stable")
        chosen[name] = next(int(row) for row in ranking if int(row) not in chosen.values())
    return chosen
