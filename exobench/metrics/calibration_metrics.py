"""Scores of calibration, for each parameter, from randomised ranks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from exobench.metrics import statistics as st
from exobench.metrics.calibration import chi2_uniform, ks_uniform
from exobench.metrics.metric import Metric

Array = NDArray[np.float64]

_FromRanks = partial(Metric, per_parameter=True, unit=None, requires=("rank",), may_miss=True)


def _coverage(percent: int) -> Metric:
    doc = (
        f"Share of spectra whose truth lies in the central {percent} % interval, read from the randomised rank "
        f"(rank + U)/(S + 1) as |rank - 1/2| <= {percent / 200:g}, so that the number of draws S does not matter; raw "
        "quantiles of 64 exact draws would read 65.9 and 92.1 % instead of 68 and 95 %. Weighted draws by their "
        "weighted distribution function, none below an effective sample size of 200. It cannot see errors that cancel "
        "over spectra, shifts to one side at this level, or correlations; the prior is calibrated."
    )
    return _FromRanks(
        name=f"coverage_{percent}",
        higher_is_better=None,
        ideal=percent / 100.0,
        doc=doc,
        statistic=st.coverage(percent / 100.0),
    )


def _once(function: Callable[[Array], Array]) -> st.Statistic:
    """A function of all ranks as a statistic that has no resamples."""
    return lambda table, counts: function(table["rank"])[None]


CALIBRATION_METRICS: tuple[Metric, ...] = (
    _coverage(68),
    _coverage(95),
    _FromRanks(
        name="sbc_ks_p",
        higher_is_better=None,
        ideal=None,
        doc="p-value of a Kolmogorov-Smirnov test of the randomised ranks against the uniform distribution: "
        "simulation-based calibration (Talts et al. 2018, arXiv:1804.06788). Uniform on (0, 1) itself for an exact "
        "posterior, so it is no figure to maximise. It cannot see correlations, nor faults that cancel over spectra; "
        "it is least sensitive in the tails, and its power grows with the number of spectra.",
        statistic=_once(lambda ranks: ks_uniform(ranks)[1]),
        resampled=False,
    ),
    _FromRanks(
        name="sbc_ks_distance",
        higher_is_better=False,
        ideal=0.0,
        doc="Largest distance between the distribution function of the randomised ranks and the uniform one: the size "
        "of the effect that `sbc_ks_p` tests. An exact posterior still gives about 0.87/sqrt(n_obs), so compare at "
        "equal n_obs. It cannot see correlations, nor faults that cancel over spectra.",
        statistic=_once(lambda ranks: ks_uniform(ranks)[0]),
        resampled=False,
    ),
    _FromRanks(
        name="sbc_chi2_p",
        higher_is_better=None,
        ideal=None,
        doc="p-value of a chi-square test of the randomised ranks' histogram, 20 bins or n_obs/5 if fewer, against a "
        "flat one (Talts et al. 2018). More sensitive than Kolmogorov-Smirnov to ranks piled up at both ends, less to "
        "a shift. It cannot see correlations, the order of the bins, or anything inside one.",
        statistic=_once(chi2_uniform),
        resampled=False,
        not_finite="a histogram of the ranks needs ten spectra",
    ),
)
"""Calibration, for each parameter; `exobench.metrics.calibration.calibration_verdict` makes the badge."""
