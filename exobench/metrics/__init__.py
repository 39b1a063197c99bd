"""Scores: functions of arrays and nothing else.

`ScoringInputs` holds truths and draws; `per_spectrum` turns them into arrays, one row for each spectrum; `aggregate`
turns those, or any leading part of them, into scores with standard errors.
"""

from exobench.metrics.aggregate import aggregate
from exobench.metrics.c2st import C2ST, c2st
from exobench.metrics.calibration import Verdict, calibration_verdict, coverage_band, coverage_curve
from exobench.metrics.catalogue import METRICS, find_metric
from exobench.metrics.cost import Cost, peak_rss_bytes
from exobench.metrics.energy import energy_score_of_constant, energy_score_of_prior
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.metric import Metric
from exobench.metrics.paired import AgainstConstant, PairedDifference, paired_difference, skill_against_constant
from exobench.metrics.per_spectrum import per_spectrum
from exobench.metrics.predictive import log_likelihood_peak
from exobench.metrics.reference import EvidenceComparison, compare_evidence, ks_score, marginal_jsd
from exobench.metrics.score import METRICS_VERSION, Score
from exobench.metrics.tarp import reference_points, tarp_coverage

__all__ = [
    "C2ST",
    "METRICS",
    "METRICS_VERSION",
    "AgainstConstant",
    "Cost",
    "EvidenceComparison",
    "Metric",
    "PairedDifference",
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
    "ks_score",
    "log_likelihood_peak",
    "marginal_jsd",
    "paired_difference",
    "peak_rss_bytes",
    "per_spectrum",
    "reference_points",
    "skill_against_constant",
    "tarp_coverage",
]
