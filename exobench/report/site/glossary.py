"""Every column and symbol in two sentences: one for an astronomer, one for a machine-learning reader."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """A symbol or column with its two explanations."""

    name: str
    for_astronomer: str
    for_ml: str


LEADERBOARD = (
    Term(
        "#",
        "Place by energy score; the ceiling is the best answer that the noise allows, the floor (the prior) one that "
        "never looks at the spectrum.",
        "Order of the mean energy score; ceiling: draws of the exact posterior; floor: draws of the prior, so that a "
        "method below it has learnt something wrong.",
    ),
    Term(
        "Rank",
        "Methods with the same rank cannot be told apart on these spectra.",
        "One more than the number of methods with a truly lower energy score: each pair by a paired t over the "
        "spectra, Holm's correction over all pairs, and a paired bootstrap that must agree; runs that differ in the "
        "seed alone are one method, and from five seeds on their spread enters.",
    ),
    Term(
        "Energy score",
        "How far a method's answers lie from the true planet, all parameters together and error bars included; lower "
        "is better.",
        "Mean E|u - u*| - E|u - u'|/2 of draws in unit-cube coordinates: a strictly proper score of the joint "
        "posterior.",
    ),
    Term(
        "±",
        "How much the number would change with another set of test planets.",
        "One bootstrap standard error over test spectra.",
    ),
    Term(
        "Behind the first",
        "How much worse than the best method, planet by planet; a tie is a difference that chance explains.",
        "Mean paired difference of the energy score to the first row with its standard error, a tie within three of "
        "them; sharper than comparing the two ±.",
    ),
    Term(
        "nltp",
        "How surprised a method is by the true planet; lower is better.",
        "Mean negative log probability of the truth under the posterior density, for methods that give one.",
    ),
    Term(
        "Calibration",
        "Whether error bars mean what they say; it is no ranking, since the prior's are honest too.",
        "Uniform ranks and coverage of central 68 and 95 % intervals of all parameters as one family: pass from "
        "family-wise p = 0.01 on, warn below it, fail below 0.001, undefined with fewer than 100 spectra.",
    ),
    Term(
        "Track",
        "Whether a method answers at once after training (amortised) or computes the physics again for each spectrum.",
        "amortised: no simulator or likelihood at test time; likelihood-using: evaluates it for each spectrum; "
        "unlimited: may simulate while it answers.",
    ),
    Term(
        "Budget, Simulations",
        "How many simulated planets a method was allowed to learn from, and how many it used.",
        "Distinct simulator calls before test time, validation and tuning included.",
    ),
    Term(
        "Seed",
        "Another seed is the same method tried again; the spectra stay the same.",
        "Moves initialisation, batches and draws, never the data.",
    ),
    Term(
        "Training, Per posterior",
        "Time to train once, and time for the answer to one spectrum.",
        "Wall-clock time of the fit, and of sampling over the number of spectra, on the run's own hardware, which its "
        "page names.",
    ),
)

ACCURACY = (
    Term(
        "skill",
        "1 is a perfect estimate, 0 no better than always answering with the average planet.",
        "1 - mse of the posterior median over the variance of the truths; negative is worse than a constant.",
    ),
    Term(
        "hit_rate_10, _5, _2, _1",
        "Share of planets whose estimate lies within that percentage of the parameter's whole range from the truth.",
        "Share of spectra with |median - truth| within 10, 5, 2 or 1 % of the prior's range; it sees no error bars.",
    ),
)

TOGETHER_TERMS = (
    Term(
        "sbc_pairs_p",
        "Whether correlations between parameters are right; values below 0.01 are a warning.",
        "p-value of uniform SBC ranks of pairwise products of centred parameters, smallest after Holm's correction.",
    ),
    Term(
        "tarp_p",
        "Whether regions of all parameters at once hold the truth as often as they should.",
        "p-value of uniform TARP ranks, with reference points that depend on the spectrum.",
    ),
    Term(
        "sbc_log_likelihood_p, sbc_log_prob_p",
        "Whether the true planet fits its spectrum as well as the answers do.",
        "p-values of the truth's rank among the draws by log-likelihood and by log q, where each exists.",
    ),
    Term(
        "hpd_coverage_68, _95",
        "How often the truth lies in the most probable region of that size; 0.68 and 0.95 are right.",
        "Expected coverage of highest-posterior-density regions of the joint density.",
    ),
    Term(
        "predictive_misfit_share",
        "Share of spectra that the answers cannot reproduce within their noise.",
        "Share of posterior-predictive p-values below 0.01; about 0.01 for an exact posterior.",
    ),
)

SHIFTED = (
    Term(
        "Change",
        "How much accuracy is lost when the planet is unlike those that the method was trained on.",
        "Paired difference of the energy score to the unshifted spectra, with its standard error.",
    ),
    Term(
        "AUROC",
        "Whether the method notices that the spectrum is odd: 1 always, 0.5 never.",
        "Area under the ROC curve of the method's own surprise, shifted against unshifted spectra.",
    ),
)
