"""Scores of all parameters together, and the health of the draws."""

from __future__ import annotations

from functools import partial

from exobench.metrics import statistics as st
from exobench.metrics.metric import Metric

_Joint = partial(Metric, per_parameter=False)
_Nltp = partial(_Joint, higher_is_better=False, unit=None, requires=("nltp",))

_ZERO_DENSITY = "the density is zero, or infinite, at the truth of some spectra"

ENERGY_SCORE = _Joint(
    name="energy_score",
    higher_is_better=False,
    ideal=None,
    unit="range",
    doc="Mean of E|X - true| - E|X - X'|/2, X and X' independent draws, Euclidean distances in unit-cube coordinates "
    "(Gneiting & Raftery 2007, JASA 102, 359, eq. 22), over pairs of different draws so that their number does not "
    "matter. The primary score: proper for the whole joint posterior, and needs draws only. It cannot see much of "
    "wrong correlations between parameters, to which it is proper but insensitive, nor errors in parameters that the "
    "spectrum constrains well, beside the wide marginals of those that it does not.",
    requires=("energy_score",),
    statistic=st.mean_of("energy_score"),
)

DENSITY_METRICS: tuple[Metric, ...] = (
    _Nltp(
        name="nltp",
        ideal=None,
        doc="Mean of -log q(theta_true | x), natural log, density over theta as declared: the logarithmic score (Good "
        "1952; Lueckmann et al. 2021, arXiv:2101.04653). Proper, and the best detector of a wrong joint density; its "
        "gap to the exact posterior's is the mean Kullback-Leibler divergence. It cannot compare methods without a "
        "density or with one that is not normalised, and one spectrum of tiny density may decide it.",
        statistic=st.mean_of("nltp"),
        not_finite=_ZERO_DENSITY,
    ),
    _Nltp(
        name="nltp_trimmed",
        ideal=None,
        doc="Mean of -log q(theta_true | x) without the 5 % of spectra at either end. Shows whether `nltp` is ruled by "
        "a few spectra. It cannot see exactly those failures, and is not proper: read it beside `nltp`, never alone.",
        statistic=st.nltp_trimmed,
        not_finite=_ZERO_DENSITY,
    ),
    _Nltp(
        name="nltp_below_prior",
        ideal=None,
        doc="Number of spectra with q(theta_true | x) below the prior's density at the truth: where not looking at the "
        "spectrum would have been better. An exact posterior has some, too. It cannot see by how much, and grows with "
        "n_obs.",
        requires=("nltp", "nltp_prior"),
        statistic=st.nltp_below_prior,
    ),
)
"""Scores of the density, for methods that have one."""

DRAW_METRICS: tuple[Metric, ...] = (
    _Joint(
        name="outside_prior_share",
        higher_is_better=False,
        ideal=0.0,
        unit=None,
        doc="Mean over spectra of the posterior mass of draws outside the prior's box (beyond 1e-6 of the range). Such "
        "draws are scored as they are. It cannot see mass piled up inside at the edges.",
        requires=("outside_prior_share",),
        statistic=st.mean_of("outside_prior_share"),
    ),
    _Joint(
        name="nan_draw_share",
        higher_is_better=False,
        ideal=0.0,
        unit=None,
        doc="Mean over spectra of the share of draws that are NaN or infinite in any parameter. Such draws are left "
        "out of every other score. It cannot say whether they fail where the problem is hard, which would flatter the "
        "rest.",
        requires=("nan_draw_share",),
        statistic=st.mean_of("nan_draw_share"),
    ),
    _Joint(
        name="ess",
        higher_is_better=None,
        ideal=None,
        unit=None,
        doc="Median over spectra of Kish's effective sample size (sum w)^2/sum w^2 (Kish 1965, Survey Sampling); the "
        "number of finite draws for equal weights. It cannot see correlation along a Markov chain, nor parts of the "
        "posterior that no draw reached.",
        requires=("ess",),
        statistic=st.median_of("ess"),
    ),
)
"""Health of the draws."""
