"""Scores of one parameter's marginal posterior: the estimate, its width, the whole marginal."""

from __future__ import annotations

from functools import partial

from exobench.metrics import statistics as st
from exobench.metrics.metric import Metric

_Marginal = partial(Metric, per_parameter=True)

_CONSTANT = "the truths of these spectra do not vary, or neither do the estimates"


def _hit_rate(percent: int) -> Metric:
    doc = (
        f"Share of spectra whose posterior median lies within {percent} % of the prior's range of the truth: |median - "
        f"true| <= {percent / 100:g} (high - low). A direct reading of 'accurate to {percent} %' that means the same "
        "for every parameter. It cannot see how far off the misses are, nor the posterior's width; the middle of the "
        f"range already scores {2 * percent / 100:g}, and the exact posterior may be far below 1."
    )
    return _Marginal(
        name=f"hit_rate_{percent}",
        higher_is_better=True,
        ideal=1.0,
        unit=None,
        doc=doc,
        requires=("range_error",),
        statistic=st.hit_rate(percent),
    )


def _range_includes_zero(low: float, high: float) -> str | None:
    return f"the range [{low:g}, {high:g}] includes zero, where relative errors blow up" if low <= 0 <= high else None


def _accuracy_exogan(k: int) -> Metric:
    scale, spread = (f"(true^2 + ({k} s)^2)", ", s the posterior standard deviation") if k else ("true^2", "")
    doc = (
        f"1 - mean[(est - true)^2/{scale}], est the posterior median{spread}, abundances as log10. Our reading of the "
        "accuracy of Zingales & Waldmann 2018 (AJ 156, 268), whose published definition is residual-based; shown "
        "beside ExoGAN for history, never used to rank or to tune. It cannot tell skill from a narrow prior: at k = 0 "
        "the best constant gets 0.71 on a log abundance in [-8, -1], and the middle of the range 0.91 to 0.96 on mass, "
        "radius and temperature of the hot Jupiters; a wider posterior raises it for k > 0. Undefined where the "
        "prior's range includes zero."
    )
    return _Marginal(
        name=f"accuracy_exogan_{k}",
        higher_is_better=None,
        ideal=1.0,
        unit=None,
        doc=doc,
        requires=("squared_error", "theta_true", "sd") if k else ("squared_error", "theta_true"),
        statistic=st.accuracy_exogan(k),
        undefined_for=_range_includes_zero,
    )


def _interval_score(percent: int) -> Metric:
    doc = (
        f"Mean of (u - l) + (2/{1 - percent / 100:.2f}) max(l - true, 0, true - u), with [l, u] the central {percent} "
        "% interval of the draws (Gneiting & Raftery 2007, JASA 102, 359, eq. 43): width and misses in one proper "
        "score. It cannot see the shape inside or outside the interval, nor other parameters; few draws give slightly "
        "wrong interval ends."
    )
    key = f"interval_score_{percent}"
    return _Marginal(
        name=key,
        higher_is_better=False,
        ideal=None,
        unit="parameter",
        doc=doc,
        requires=(key,),
        statistic=st.mean_of(key),
    )


MARGINAL_METRICS: tuple[Metric, ...] = (
    *(_hit_rate(percent) for percent in (10, 5, 2, 1)),
    _Marginal(
        name="skill",
        higher_is_better=True,
        ideal=1.0,
        unit=None,
        doc="1 - mse/mse of the best constant, the constant being the mean truth of the very spectra scored (Murphy "
        "1988, Mon. Weather Rev. 116, 2417; scikit-learn calls this r2_score). Zero for knowing nothing, negative for "
        "worse. It cannot see the posterior's width; the estimate is the median while the mean would minimise the "
        "squared error, so a skewed exact posterior loses a little; one gross outlier may decide it.",
        requires=("squared_error", "theta_true"),
        statistic=st.skill,
        not_finite=_CONSTANT,
    ),
    _Marginal(
        name="rmse",
        higher_is_better=False,
        ideal=None,
        unit="parameter",
        doc="Root of the mean of (median - true)^2. It cannot see the posterior's width or shape, and is ruled by the "
        "worst spectra; compare with the prior's standard deviation.",
        requires=("squared_error",),
        statistic=st.root_mean_of("squared_error"),
    ),
    _Marginal(
        name="mae",
        higher_is_better=False,
        ideal=None,
        unit="parameter",
        doc="Mean of |median - true|, which the posterior median minimises. It cannot see the posterior's width or "
        "shape.",
        requires=("absolute_error",),
        statistic=st.mean_of("absolute_error"),
    ),
    _Marginal(
        name="r2",
        higher_is_better=True,
        ideal=1.0,
        unit=None,
        doc="Squared Pearson correlation of posterior median and truth over spectra: the coefficient of determination "
        "after the best straight-line correction. It cannot see a bias or a wrong scale, which `skill` does; the gap "
        "between the two is what recalibrating the estimates would gain. Undefined for constant estimates.",
        requires=("median", "theta_true"),
        statistic=st.r2,
        not_finite=_CONSTANT,
    ),
    _Marginal(
        name="median_bias",
        higher_is_better=None,
        ideal=0.0,
        unit="parameter",
        doc="Median over spectra of (posterior median - true); zero for an exact posterior, since its median lies "
        "above the truth half the time. It cannot see biases of opposite sign in different parts of the prior.",
        requires=("error",),
        statistic=st.median_of("error"),
    ),
    _Marginal(
        name="crps",
        higher_is_better=False,
        ideal=None,
        unit="parameter",
        doc="Mean of E|X - true| - E|X - X'|/2 over one parameter's draws, the continuous ranked probability score "
        "(Gneiting & Raftery 2007, JASA 102, 359, eq. 21), over pairs of different draws (the fair form of Ferro 2014, "
        "QJRMS 140, 1917). Proper for each marginal; the absolute error for a point. It cannot see correlations "
        "between parameters.",
        requires=("crps",),
        statistic=st.mean_of("crps"),
    ),
    _interval_score(68),
    _interval_score(95),
    _Marginal(
        name="z_score_mean",
        higher_is_better=None,
        ideal=0.0,
        unit=None,
        doc="Mean of z = (posterior mean - true)/posterior standard deviation; zero for an exact posterior. It cannot "
        "see biases that cancel over spectra; undefined where a posterior has no spread.",
        requires=("z",),
        statistic=st.mean_of("z"),
    ),
    _Marginal(
        name="z_score_rms",
        higher_is_better=None,
        ideal=1.0,
        unit=None,
        doc="Root mean square of z = (posterior mean - true)/posterior standard deviation (Schad, Betancourt & "
        "Vasishth 2021, Psychol. Methods 26, 103); one for an exact posterior, above it for overconfidence. It cannot "
        "see shapes, and a few overconfident spectra rule it; undefined where a posterior has no spread.",
        requires=("z",),
        statistic=st.root_mean_square_of("z"),
    ),
    _Marginal(
        name="contraction",
        higher_is_better=None,
        ideal=None,
        unit=None,
        doc="Mean of 1 - posterior variance/prior variance, the prior uniform over its range (Schad, Betancourt & "
        "Vasishth 2021). Says how much a method claims to have learnt, one for a point. It cannot see whether the "
        "claim is right: read it with the z-scores.",
        requires=("contraction",),
        statistic=st.mean_of("contraction"),
    ),
    *(_accuracy_exogan(k) for k in (0, 1, 2)),
)
"""Accuracy and sharpness, for each parameter."""
