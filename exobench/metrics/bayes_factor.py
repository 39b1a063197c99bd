"""Whether a spectrum shows a gas: the Bayes factor of a model with it over one without, from draws of the former."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.regions import BAYES_KEY, DETECTABLE_FROM
from exobench.metrics.resampling import draw_weights, effective_size

Array = NDArray[np.float64]

EDGE = 0.1
"""Share of the prior's range, from its low end on, whose draws give the density at that end."""

FEWEST_AT_EDGE = 25
"""Effective draws in it below which there is no density, only a bound on it."""

_BOUND_BY = (EDGE, 0.2, 0.4)
"""Shares of the range, from its low end on, whose mean densities bound that at the end."""

_UPPER_LIMIT = 3.0
"""Draws expected, at most, where none was found: the 95 % limit of a Poisson count of zero."""
_LARGEST_SLOPE = 500.0


class LogBayesFactor(NamedTuple):
    """Natural log of the evidence with a gas over that without it.

    Attributes:
        value: the estimate, or a lower bound on it.
        standard_error: from the number of draws; NaN for a bound.
        is_bound: whether too few draws lie at the edge to say more than that the value is at least this.
    """

    value: float
    standard_error: float
    is_bound: bool

    @property
    def decided(self) -> float:
        """The value where it, or its bound, says on which side of a log Bayes factor of 3 it is; NaN elsewhere."""
        return np.nan if self.is_bound and self.value <= DETECTABLE_FROM else self.value


def log_bayes_factor_savage_dickey(
    theta: Array, low: float, high: float, log_weight: Array | None = None
) -> LogBayesFactor:
    """Savage-Dickey density ratio at the low end of a uniform prior, where an abundance is too small to matter.

    For nested models with a prior independent between parameters, the evidence with the gas over that with its
    abundance held at the low end is prior density over posterior density at that end (Dickey 1971, Ann. Math. Stat.
    42, 204; Trotta 2007, MNRAS 378, 72). The density is estimated from the draws in the lowest tenth of the range as
    exp(a + b theta), a and b by maximum likelihood of the draws there: a local likelihood fit (Loader 1996, Ann.
    Stat. 24, 1602), without the edge's bias of a kernel. Where fewer than 25 effective draws lie there, the value is a
    lower bound: the mean density of the tenth, or of the lowest two or four tenths where that is lower, at the 95 %
    upper limit of its mass, which holds for a posterior that does not fall from the edge.

    Args:
        theta: draws of one parameter under the exact posterior of one spectrum, (draw,).
        low: low end of the parameter's prior.
        high: its high end.
        log_weight: natural log of the draws' weights, (draw,), -inf for a draw that does not count; None for equal
            ones.

    Raises:
        ExobenchError: if shapes differ, no draw counts, one that counts is not finite or lies outside the prior, or
            the range is none.
    """
    theta = np.asarray(theta, dtype=np.float64)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ExobenchError(f"the prior's range is [{low}, {high}]; both ends must be finite, low < high.")
    if theta.ndim != 1:
        raise ExobenchError(f"a Bayes factor is made from the draws of one parameter, (draw,); got {theta.shape}.")
    weight = draw_weights(theta[:, None], log_weight)
    position = np.where(weight > 0.0, (theta - low) / (high - low), 0.0)
    if (np.abs(position - 0.5) > 0.5 + 1e-6).any():
        raise ExobenchError("draws outside the prior are none of the exact posterior; a Bayes factor needs that.")
    near = (position < EDGE) & (weight > 0.0)
    mass, n_effective = float(weight[near].sum()), effective_size(weight)
    n_near = effective_size(weight[near] / mass) if mass > 0.0 else 0.0
    if n_near < FEWEST_AT_EDGE:
        return LogBayesFactor(max(_bound(position, weight, n_effective, share) for share in _BOUND_BY), np.nan, True)
    slope = _slope(float(weight[near] @ np.clip(position[near] / EDGE, 0.0, 1.0)) / mass)
    density = mass / EDGE * _first_value(slope)
    return LogBayesFactor(-float(np.log(density)), _error(slope, mass, n_near, n_effective), False)


def log_bayes_factors(
    theta: Array, log_weight: Array | None, names: Sequence[str], low: Array, high: Array, gases: Sequence[str]
) -> dict[str, Array]:
    """Columns that `exobench.metrics.regions` divides spectra by, from exact posterior draws of every spectrum.

    Args:
        theta: exact posterior draws, (obs, draw, param).
        log_weight: natural log of their weights, (obs, draw); None for equal ones.
        names: parameter names.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        gases: parameters that are abundances of gases.

    Returns:
        ``log_bayes_factor.<gas>`` (obs,) for each gas; NaN where the draws do not say whether it exceeds 3.

    Raises:
        ExobenchError: as `log_bayes_factor_savage_dickey`, or if a gas is no parameter.
    """
    columns: dict[str, Array] = {}
    for gas in gases:
        if gas not in names:
            raise ExobenchError(f"there is no parameter '{gas}' that could be a gas; parameters: {', '.join(names)}.")
        column = list(names).index(gas)
        columns[f"{BAYES_KEY}.{gas}"] = np.array(
            [
                log_bayes_factor_savage_dickey(
                    draws[:, column],
                    float(low[column]),
                    float(high[column]),
                    None if log_weight is None else log_weight[row],
                ).decided
                for row, draws in enumerate(theta)
            ]
        )
    return columns


def _bound(position: Array, weight: Array, n_effective: float, share: float) -> float:
    """Natural log of one over the mean density of the lowest share of the range, at its upper limit."""
    mass = float(weight[(position < share) & (weight > 0.0)].sum())
    limit = mass + _UPPER_LIMIT / n_effective + 2.0 * np.sqrt(mass / n_effective)
    return float(np.log(share / min(limit, 1.0)))


def _first_value(slope: float) -> float:
    """Density at 0 of exp(slope t) on [0, 1] that integrates to one."""
    return 1.0 - slope / 2.0 if abs(slope) < 1e-6 else slope / np.expm1(slope)


def _mean(slope: float) -> float:
    """Mean of that density."""
    if abs(slope) < 1e-3:
        return 0.5 + slope / 12.0
    return 1.0 / -np.expm1(-slope) - 1.0 / slope


def _slope(mean: float) -> float:
    """The slope whose density has the mean, by bisection: the maximum-likelihood one."""
    below, above = -_LARGEST_SLOPE, _LARGEST_SLOPE
    for _ in range(60):
        middle = 0.5 * (below + above)
        below, above = (middle, above) if _mean(middle) < mean else (below, middle)
    return 0.5 * (below + above)


def _error(slope: float, mass: float, n_near: float, n_effective: float) -> float:
    """Standard error of the log density at the edge: of the mass near it, and of the slope through the mean there."""
    step = 1e-3 * max(1.0, abs(slope))
    variance = (_mean(slope + step) - _mean(slope - step)) / (2.0 * step)
    change = (np.log(_first_value(slope + step)) - np.log(_first_value(slope - step))) / (2.0 * step)
    return float(np.sqrt((1.0 - mass) / (n_effective * mass) + change**2 / (variance * n_near)))
