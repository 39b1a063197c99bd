"""Scores: functions of arrays and nothing else.

`ScoringInputs` holds truths and draws; `per_spectrum` turns them into arrays, one row for each spectrum; `aggregate`
turns those, or any leading part of them, into scores with standard errors.
"""

from exobench.metrics.aggregate import aggregate
from exobench.metrics.bayes_factor import LogBayesFactor, log_bayes_factor_savage_dickey, log_bayes_factors
from exobench.metrics.c2st import C2ST, c2st
from exobench.metrics.calibration import Verdict, calibration_verdict, coverage_band, coverage_curve
from exobench.metrics.catalogue import METRICS, find_metric
from exobench.metrics.cost import Cost, peak_rss_bytes
from exobench.metrics.draws import spread_draws
from exobench.metrics.energy import energy_score_of_constant, energy_score_of_prior
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.metric import Metric
from exobench.metrics.paired import AgainstConstant, PairedDifference, paired_difference, skill_against_constant
from exobench.metrics.per_spectrum import per_spectrum
from exobench.metrics.predictive import log_likelihood_peak
from exobench.metrics.ranking import Ranking, rank_methods
from exobench.metrics.reference import EvidenceComparison, compare_evidence, ks_score, marginal_jsd
from exobench.metrics.regions import Region, RegionScore, find_regions, noise_level_ppm, scores_by_region
from exobench.metrics.score import METRICS_VERSION, Score
from exobench.metrics.tarp import reference_points, tarp_coverage

__all__ = [
    "C2ST",
    "METRICS",
    "METRICS_VERSION",
    "AgainstConstant",
    "Cost",
    "EvidenceComparison",
    "LogBayesFactor",
    "Metric",
    "PairedDifference",
    "Ranking",
    "Region",
    "RegionScore",
    "Score",
    "ScoringInputs",
    "Verdict",
    "aggregate",
    "c2st",
    "calibration_verdict",
    "compare_evidence",
    "coverage_band",
    "coverage_curve",
    "energy_score_of_constant",
    "energy_score_of_prior",
    "find_metric",
    "find_regions",
    "ks_score",
    "log_bayes_factor_savage_dickey",
    "log_bayes_factors",
    "log_likelihood_peak",
    "marginal_jsd",
    "noise_level_ppm",
    "paired_difference",
    "peak_rss_bytes",
    "per_spectrum",
    "rank_methods",
    "reference_points",
    "scores_by_region",
    "skill_against_constant",
    "spread_draws",
    "tarp_coverage",
]
