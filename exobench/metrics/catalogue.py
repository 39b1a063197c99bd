"""The list of scores. A score that is in this list is computed, stored, tested and reported."""

from __future__ import annotations

from exobench.errors import unknown_name
from exobench.metrics.calibration_metrics import CALIBRATION_METRICS
from exobench.metrics.joint_metrics import DENSITY_METRICS, DRAW_METRICS, ENERGY_SCORE
from exobench.metrics.marginal_metrics import MARGINAL_METRICS
from exobench.metrics.metric import Metric
from exobench.metrics.rank_metrics import PREDICTIVE_METRICS, RANK_METRICS

METRICS: tuple[Metric, ...] = (
    ENERGY_SCORE,
    *MARGINAL_METRICS,
    *CALIBRATION_METRICS,
    *RANK_METRICS,
    *DENSITY_METRICS,
    *PREDICTIVE_METRICS,
    *DRAW_METRICS,
)
"""All scores, in the order of the tables; the first is the primary one."""


def find_metric(name: str) -> Metric:
    """Looks a score up.

    Raises:
        ExobenchError: if there is no score of that name.
    """
    by_name = {entry.name: entry for entry in METRICS}
    if name not in by_name:
        raise unknown_name("metric", name, by_name)
    return by_name[name]
