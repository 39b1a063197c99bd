"""Calibration of all parameters together, from ranks of joint quantities; and the check of predicted spectra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from exobench.metrics import statistics as st
from exobench.metrics.calibration import WARN_BELOW, holm, ks_uniform
from exobench.metrics.metric import Metric
from exobench.metrics.score import Score

Array = NDArray[np.float64]

_Rank = partial(Metric, per_parameter=False, unit=None, may_miss=True)


def _once(key: str, function: Callable[[Array], float]) -> st.Statistic:
    """A function of one array of ranks as a statistic that has no resamples."""
    return lambda table, counts: np.array([function(table[key])])


def _smallest_adjusted_p(ranks: Array) -> float:
    return float(holm(ks_uniform(ranks)[1]).min())


def _p_value(ranks: Array) -> float:
    return float(ks_uniform(ranks[:, None])[1][0])


def _distance(ranks: Array) -> float:
    return float(ks_uniform(ranks[:, None])[0][0])


def _hpd_coverage(percent: int) -> Metric:
    return _Rank(
        name=f"hpd_coverage_{percent}",
        higher_is_better=None,
        ideal=percent / 100.0,
        requires=("log_prob_rank",),
        doc=f"Share of spectra whose truth lies in the {percent} % region of highest posterior density: the randomised "
        f"rank of log q(theta_true) among the draws' log q is at least {1 - percent / 100:g} (expected coverage of "
        "Hermans et al. 2022, arXiv:2110.06581). Sees overconfidence of the whole joint density at once. It cannot see "
        "a bias that the width makes up for, nor anything of a posterior that ignores the spectrum; methods with a "
        "density only.",
        statistic=lambda table, counts: st.average(
            (table["log_prob_rank"] >= 1.0 - percent / 100.0).astype(np.float64), counts
        ),
    )


RANK_METRICS: tuple[Metric, ...] = (
    _Rank(
        name="sbc_pairs_p",
        higher_is_better=None,
        ideal=None,
        requires=("pair_rank",),
        doc="Smallest p-value, Holm-adjusted over pairs of parameters, of Kolmogorov-Smirnov tests of the randomised "
        "ranks of (theta_j - m_j)(theta_k - m_k), m the mean of draws and truth: simulation-based calibration of a "
        "test quantity (Modrak et al. 2023, arXiv:2211.02383). Sees wrong correlations, which marginal ranks, TARP and "
        "HPD regions can miss. At least uniform on (0, 1) for an exact posterior. It cannot see small biases, "
        "dependences beyond pairs, nor a posterior that ignores the spectrum.",
        statistic=_once("pair_rank", _smallest_adjusted_p),
        resampled=False,
    ),
    _Rank(
        name="tarp_p",
        higher_is_better=None,
        ideal=None,
        requires=("tarp_rank",),
        doc="p-value of a Kolmogorov-Smirnov test of the randomised ranks of the truth's distance from a reference "
        "point, in unit-cube coordinates: TARP (Lemos et al. 2023, arXiv:2302.03026). The point is a cross-fitted "
        "regression of theta on the spectrum, so the prior in place of the posterior is seen, which no other test of "
        "calibration does. It cannot see biases and widths that leave distances from that estimate alone, and sees "
        "little of parameters that the spectrum constrains well beside those that it does not.",
        statistic=_once("tarp_rank", _p_value),
        resampled=False,
    ),
    _Rank(
        name="tarp_distance",
        higher_is_better=False,
        ideal=0.0,
        requires=("tarp_rank",),
        doc="Largest distance between TARP's expected coverage and the level: the size of the effect that `tarp_p` "
        "tests. An exact posterior still gives about 0.87/sqrt(n_obs), so compare at equal n_obs. It cannot see "
        "what `tarp_p` cannot.",
        statistic=_once("tarp_rank", _distance),
        resampled=False,
    ),
    _Rank(
        name="sbc_log_likelihood_p",
        higher_is_better=None,
        ideal=None,
        requires=("log_likelihood_rank",),
        doc="p-value of a Kolmogorov-Smirnov test of the randomised rank of the truth's exact log-likelihood among "
        "the draws' (Modrak et al. 2023, arXiv:2211.02383). Depends on the spectrum, so it sees wrong correlations, "
        "posteriors of a wrong size, and the prior. Where a likelihood exists. It cannot see much of a bias, along "
        "which parameter an error lies, nor errors along directions that the likelihood is flat in.",
        statistic=_once("log_likelihood_rank", _p_value),
        resampled=False,
    ),
    _Rank(
        name="sbc_log_prob_p",
        higher_is_better=None,
        ideal=None,
        requires=("log_prob_rank",),
        doc="p-value of a Kolmogorov-Smirnov test of the randomised rank of log q(theta_true | x) among the draws' "
        "log q: whether all regions of highest density cover as they should. Methods with a density only. It cannot "
        "see a bias that the width makes up for, nor a posterior that ignores the spectrum.",
        statistic=_once("log_prob_rank", _p_value),
        resampled=False,
    ),
    _hpd_coverage(68),
    _hpd_coverage(95),
)
"""Joint calibration."""

PREDICTIVE_METRICS: tuple[Metric, ...] = (
    _Rank(
        name="predictive_p",
        higher_is_better=None,
        ideal=None,
        requires=("predictive_p",),
        doc="Median over spectra of the posterior-predictive p-value: the probability that data replicated from a "
        "draw lie further from that draw's model than the observed data do, by chi-square, averaged over draws "
        "(Gelman, Meng & Stern 1996, Stat. Sinica 6, 733). For Gaussian noise of known size the chi-square of "
        "replicated data has a known distribution, so nothing is replicated. About one half for a model that fits, and "
        "not uniform: the data are used twice. It cannot see a posterior that is too narrow, nor one too wide within "
        "the noise.",
        statistic=st.median_of("predictive_p"),
    ),
    _Rank(
        name="predictive_misfit_share",
        higher_is_better=False,
        ideal=0.0,
        requires=("predictive_p",),
        doc="Share of spectra whose posterior-predictive p-value is below 0.01: where the draws do not explain the "
        "spectrum that they were drawn for. At most about 0.01 for an exact posterior. It cannot see a posterior that "
        "is too narrow.",
        statistic=lambda table, counts: st.average((table["predictive_p"] < 0.01).astype(np.float64), counts),
    ),
)
"""Whether the draws explain the spectra."""


JOINT_TESTS = tuple(metric.name for metric in RANK_METRICS if metric.name.endswith("_p"))
"""p-values of all parameters together, of which the badge of calibration knows nothing."""


def what_the_badge_covers(scores: Sequence[Score]) -> str:
    """What the badge of calibration is about, and the tests beside it that an exact posterior would rarely give.

    Args:
        scores: of the run that has the badge.
    """
    low = [
        f"{score.metric} {score.value:.2g}"
        for score in scores
        if score.metric in JOINT_TESTS and score.value is not None and score.value < WARN_BELOW
    ]
    covers = "The badge covers ranks and coverage of each parameter by itself"
    if not low:
        return f"{covers}, not the tests of all parameters together."
    return f"{covers}. Of the tests of all parameters together, below {WARN_BELOW:g}: {', '.join(low)}."
