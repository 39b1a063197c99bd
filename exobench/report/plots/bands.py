"""What chance allows the curves and histograms of a calibrated answer: bands of figures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from exobench.metrics.calibration import coverage_band
from exobench.report.plots.layout import axes_of, rounded
from exobench.report.plots.palette import BAND, LIGHT
from exobench.report.plots.summary import LEVELS

_OUTLINE: dict[str, Any] = {
    "type": "scatter",
    "mode": "lines",
    "legendgroup": "band",
    "fill": "toself",
    "fillcolor": BAND,
    "line": {"width": 0, "color": LIGHT["floor"]},
    "hoverinfo": "skip",
}


@cache
def simultaneous_half_width(n_obs: int, probability: float = 0.95) -> float:
    """Half the height of the band around the level that holds the whole coverage curve of a calibrated answer.

    The Kolmogorov distribution of n_obs ranks; exact for every n_obs.
    """
    return float(stats.kstwo.ppf(probability, n_obs))


@cache
def bar_band(n_obs: int, n_bins: int, probability: float = 0.95) -> tuple[float, float]:
    """What this share of the bars of a calibrated histogram lies between, relative to a flat one: binomial."""
    tail = 0.5 * (1.0 - probability)
    lower, upper = (stats.binom.ppf(q, n_obs, 1.0 / n_bins) * n_bins / n_obs for q in (tail, 1.0 - tail))
    return float(lower), float(upper)


def curve_bands(n_obs: int, number: int, *, legend: bool, difference: bool = True) -> list[dict[str, Any]]:
    """The band that holds a whole calibrated curve in 95 % of test sets, and the one that holds each level alone.

    Args:
        n_obs: spectra behind each curve.
        number: of the panel.
        legend: whether the wide band is named.
        difference: coverage minus level, otherwise coverage itself.
    """
    made = []
    for (y_of_level, y_of_error), name in zip(_outlines(n_obs), ("95 % of calibrated curves", ""), strict=True):
        made.append(
            {
                **_OUTLINE,
                "name": name,
                "showlegend": legend and bool(name),
                "x": rounded([*LEVELS, *LEVELS[::-1]]),
                "y": y_of_error if difference else y_of_level,
                **axes_of(number),
            }
        )
    return made


@cache
def _outlines(n_obs: int) -> list[tuple[list[float], list[float]]]:
    """Outlines of the simultaneous and the pointwise band: of coverage, and of coverage minus level."""
    half = simultaneous_half_width(n_obs)
    wide = np.clip(LEVELS - half, 0.0, 1.0), np.clip(LEVELS + half, 0.0, 1.0)
    outlines = [np.array([*lower, *upper[::-1]]) for lower, upper in (wide, coverage_band(LEVELS, n_obs))]
    level = np.array([*LEVELS, *LEVELS[::-1]])
    return [(rounded(outline), rounded(outline - level)) for outline in outlines]


def bar_bands(bands: list[tuple[float, float]], number: int, *, legend: bool = False) -> dict[str, Any]:
    """Bands of histograms as boxes from 0 to 1 with thin edges, to be drawn over the bars.

    Args:
        bands: lower and upper edge of each.
        number: of the panel.
        legend: whether the bands are named.
    """
    x: list[float | None] = []
    y: list[float | None] = []
    for lower, upper in bands:
        x += [0.0, 1.0, 1.0, 0.0, 0.0, None]
        y += [*rounded([lower, lower, upper, upper, lower]), None]
    edge = {"line": {"width": 0.8, "color": LIGHT["ink"]}, "name": "95 % of calibrated bars", "showlegend": legend}
    return _OUTLINE | edge | {"x": x[:-1], "y": y[:-1]} | axes_of(number)
