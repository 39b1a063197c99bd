"""Averages over spectra, each written once for the table itself and for all of its bootstrap resamples.

A statistic takes a `SpectrumTable` and counts (resample, obs), how often each spectrum occurs in each resample; it
returns (resample, param), or (resample,) for a joint score. Counts of one give the table's own value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpectrumTable:
    """Per-spectrum arrays of `exobench.metrics.per_spectrum`, and the prior's box.

    Attributes:
        values: arrays of shape (obs, param) or (obs,), by name.
        low: lower ends of the box, (param,).
        high: upper ends, (param,).
    """

    values: Mapping[str, Array]
    low: Array
    high: Array

    def __getitem__(self, key: str) -> Array:
        return self.values[key]

    @property
    def n_obs(self) -> int:
        """Number of spectra."""
        return len(self.values["theta_true"])

    def take(self, rows: slice | NDArray[np.bool_]) -> SpectrumTable:
        """The table of some spectra."""
        return replace(self, values={key: value[rows] for key, value in self.values.items()})


Statistic = Callable[[SpectrumTable, Array], Array]


def average(values: Array, counts: Array) -> Array:
    """Mean over spectra of values (obs, ...), for each resample."""
    total: Array = counts @ values
    return total / counts.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1))


def middle(values: Array, counts: Array) -> Array:
    """Median over spectra of values (obs,) or (obs, param), for each resample."""
    if values.ndim == 2:
        return np.stack([middle(column, counts) for column in values.T], axis=1)
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(counts[:, order], axis=1)
    half = 0.5 * cumulative[:, -1:]
    lower = np.argmax(cumulative >= half, axis=1)
    upper = np.argmax(cumulative > half, axis=1)
    ordered = values[order]
    return 0.5 * (ordered[lower] + ordered[upper])


def trimmed(values: Array, counts: Array, share: float) -> Array:
    """Mean over spectra of values (obs,) without the given share at either end; infinite only if one is left in."""
    order = np.argsort(values, kind="stable")
    ordered, cumulative = values[order], np.cumsum(counts[:, order], axis=1)
    total = cumulative[:, -1:]
    cut = np.floor(share * total)
    kept = np.diff(np.clip(cumulative, cut, total - cut), axis=1, prepend=cut)
    finite = np.isfinite(ordered)
    result = (kept @ np.where(finite, ordered, 0.0)) / kept.sum(axis=1)
    return np.where(kept[:, ~finite].sum(axis=1) > 0.0, np.inf, result)


def mean_of(key: str) -> Statistic:
    """The mean of one array."""
    return lambda table, counts: average(table[key], counts)


def median_of(key: str) -> Statistic:
    """The median of one array."""
    return lambda table, counts: middle(table[key], counts)


def root_mean_of(key: str) -> Statistic:
    """The root of the mean of one array."""
    return lambda table, counts: np.sqrt(average(table[key], counts))


def root_mean_square_of(key: str) -> Statistic:
    """The root of the mean square of one array."""
    return lambda table, counts: np.sqrt(average(table[key] ** 2, counts))


def hit_rate(percent: float) -> Statistic:
    """Share of spectra whose estimate lies within a percentage of the prior's range from the truth."""
    return lambda table, counts: average((table["range_error"] <= percent / 100.0).astype(np.float64), counts)


def coverage(level: float) -> Statistic:
    """Share of spectra whose rank lies in the central interval of a level."""
    return lambda table, counts: average((np.abs(table["rank"] - 0.5) <= 0.5 * level).astype(np.float64), counts)


def accuracy_exogan(k: int) -> Statistic:
    """1 - mean[(est - true)^2/(true^2 + (k s)^2)]."""

    def statistic(table: SpectrumTable, counts: Array) -> Array:
        spread = (k * table["sd"]) ** 2 if k else 0.0
        scale = table["theta_true"] ** 2 + spread
        # A range that includes zero is refused before; elsewhere in the table a zero must not warn.
        term = np.divide(table["squared_error"], scale, out=np.full_like(scale, np.nan), where=scale > 0.0)
        return 1.0 - average(term, counts)

    return statistic


def skill(table: SpectrumTable, counts: Array) -> Array:
    """1 - mse/mse of the best constant; NaN where all truths are equal."""
    return 1.0 - _ratio(average(table["squared_error"], counts), variance(table, "theta_true", counts))


def r2(table: SpectrumTable, counts: Array) -> Array:
    """Squared correlation of estimate and truth; NaN where either does not vary."""
    truth, estimate = (table[key] - table[key].mean(axis=0) for key in ("theta_true", "median"))
    covariance = average(truth * estimate, counts) - average(truth, counts) * average(estimate, counts)
    spread = variance(table, "theta_true", counts), variance(table, "median", counts)
    return _ratio(covariance, spread[0]) * _ratio(covariance, spread[1])


def variance(table: SpectrumTable, key: str, counts: Array) -> Array:
    """Variance over spectra of an array in the parameter's unit; NaN where it is rounding only."""
    centred = table[key] - table[key].mean(axis=0)
    result = average(centred**2, counts) - average(centred, counts) ** 2
    return np.where(result > 1e-24 * (table.high - table.low) ** 2, result, np.nan)


def nltp_trimmed(table: SpectrumTable, counts: Array) -> Array:
    """Mean nltp without the 5 % of spectra at either end."""
    return trimmed(table["nltp"], counts, 0.05)


def nltp_below_prior(table: SpectrumTable, counts: Array) -> Array:
    """Number of spectra where the truth is less probable than under the prior."""
    return counts @ (table["nltp"] > table["nltp_prior"]).astype(np.float64)


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator > 0.0)
