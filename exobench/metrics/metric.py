"""What describes a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from exobench.metrics.statistics import Statistic

Unit = Literal["parameter", "range"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One score.

    Attributes:
        name: as in records and tables.
        higher_is_better: None where neither direction is better (coverage) or none is meant for ranking.
        ideal: the value of a perfect answer, or of a calibrated one; None where it depends on the task.
        per_parameter: whether each parameter has its own value.
        unit: ``"parameter"`` for the parameter's own unit, ``"range"`` for fractions of the unit cube; None for pure
            numbers and natural logs.
        doc: formula, source, and what the score cannot see.
        requires: per-spectrum arrays that it reads.
        statistic: the average over spectra.
        resampled: whether a bootstrap standard error has a meaning; not for p-values.
        may_miss: whether up to 1 % of the spectra may lack a value (calibration); others must all have one.
        undefined_for: says, for a parameter's low and high end, why the score has no meaning there, or None.
        not_finite: what a value that is not finite means.
    """

    name: str
    higher_is_better: bool | None
    ideal: float | None
    per_parameter: bool
    unit: Unit | None
    doc: str
    requires: tuple[str, ...]
    statistic: Statistic
    resampled: bool = True
    may_miss: bool = False
    undefined_for: Callable[[float, float], str | None] | None = None
    not_finite: str = "the value is not finite"
