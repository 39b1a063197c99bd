"""Every score in one sentence for an astronomer; its own documentation speaks to machine-learning readers."""

from __future__ import annotations

from exobench.metrics.catalogue import find_metric
from exobench.report.site.glossary import Term

FOR_ASTRONOMERS: dict[str, str] = {
    "energy_score": "How far a method's answers lie from the true planet, all parameters together and error bars "
    "included; lower is better.",
    "hit_rate_10": "Share of planets whose best estimate is right to within a tenth of the parameter's whole range.",
    "hit_rate_5": "Share of planets whose best estimate is right to within a twentieth of the parameter's whole range.",
    "hit_rate_2": "Share of planets whose best estimate is right to within a fiftieth of the parameter's whole range.",
    "hit_rate_1": "Share of planets whose best estimate is right to within a hundredth of the parameter's whole range.",
    "skill": "1 is a perfect estimate, 0 no better than always answering with the average planet.",
    "rmse": "Typical error of the best estimate in the parameter's own unit, ruled by the worst cases.",
    "mae": "Average error of the best estimate in the parameter's own unit.",
    "r2": "How closely estimates follow the truth along a straight line, be it the right line or not.",
    "median_bias": "Whether estimates are on the whole too high (positive) or too low (negative).",
    "crps": "Error of one parameter's answer in its own unit, error bars included; lower is better.",
    "interval_score_68": "Length of the 68 % error bars plus a penalty for each one that misses the truth; lower is "
    "better.",
    "interval_score_95": "Length of the 95 % error bars plus a penalty for each one that misses the truth; lower is "
    "better.",
    "z_score_mean": "Average offset from the truth in units of the error bar; 0 is right.",
    "z_score_rms": "Typical offset from the truth in units of the error bar: 1 is right, more means error bars that "
    "are too small.",
    "contraction": "How much narrower the answer is than what was known before the spectrum: 1 is all learnt, 0 "
    "nothing.",
    "accuracy_exogan_0": "The accuracy of the ExoGAN paper as its text reads, for comparison with it alone.",
    "accuracy_exogan_1": "The same with each error held against truth and error bar together, so that large "
    "error bars raise it.",
    "accuracy_exogan_2": "The same with twice the error bar.",
    "coverage_68": "How often the truth lies inside the 68 % error bars; 0.68 is right.",
    "coverage_95": "How often the truth lies inside the 95 % error bars; 0.95 is right.",
    "sbc_ks_p": "How probable it is that honest error bars look as wrong as these by chance; below 0.01 is a warning.",
    "sbc_ks_distance": "By how much the error bars are off at most, over all levels; 0 is right.",
    "sbc_chi2_p": "Another test of honest error bars, more sensitive to truths far out; below 0.01 is a warning.",
    "sbc_pairs_p": "Whether correlations between parameters are right; below 0.01 is a warning.",
    "tarp_p": "Whether regions of all parameters at once hold the truth as often as they should; below 0.01 is a "
    "warning.",
    "tarp_distance": "By how much such regions are off at most; 0 is right.",
    "sbc_log_likelihood_p": "Whether the true planet fits its spectrum as well as the answers do; below 0.01 is a "
    "warning.",
    "sbc_log_prob_p": "Whether the method finds the true planet as plausible as its own answers; below 0.01 is a "
    "warning.",
    "hpd_coverage_68": "How often the truth lies in the most probable 68 % region of all parameters; 0.68 is right.",
    "hpd_coverage_95": "How often the truth lies in the most probable 95 % region of all parameters; 0.95 is right.",
    "nltp": "How surprised the method is by the true planet; lower is better.",
    "nltp_trimmed": "The same without the most and the least surprising planets.",
    "nltp_below_prior": "On how many planets not looking at the spectrum would have been better.",
    "predictive_p": "How well the answers reproduce the observed spectrum: about 0.5 is right, near 0 they miss it.",
    "predictive_misfit_share": "Share of spectra that the answers cannot reproduce within their noise.",
    "outside_prior_share": "Share of the answers that lie outside the range that planets were drawn from.",
    "nan_draw_share": "Share of the answers that are no numbers.",
    "ess": "How many independent answers the draws of a spectrum are worth.",
}


def metric_term(name: str) -> Term | None:
    """A score with both of its explanations; None for one of another version."""
    if name not in FOR_ASTRONOMERS:
        return None
    return Term(name, FOR_ASTRONOMERS[name], find_metric(name).doc)
