"""The one form in which every number of a table is kept."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

METRICS_VERSION = 1
"""Goes up whenever a stored number would change; tables never mix two versions."""

Status = Literal["ok", "undefined", "not available"]


@dataclass(frozen=True)
class Score:
    """One score of one method on one task.

    Attributes:
        metric: name in `exobench.metrics.catalogue.METRICS`.
        parameter: the parameter's name, or None for a joint score.
        value: the number, finite; None unless the status is ``"ok"``.
        standard_error: bootstrap standard error over spectra; None where it is not defined (one spectrum, p-values).
        n_obs: spectra that the value rests on.
        status: ``"undefined"`` where the number has no meaning here, ``"not available"`` where the method lacks what
            the score needs.
        reason: why there is no value, or a remark on one that exists (such as draws left out).
    """

    metric: str
    parameter: str | None
    value: float | None
    standard_error: float | None
    n_obs: int
    status: Status
    reason: str | None = None

    def __post_init__(self) -> None:
        has_value = self.value is not None and math.isfinite(self.value)
        if has_value != (self.status == "ok"):
            raise ValueError(f"score {self.metric}: status '{self.status}' does not go with value {self.value}.")
        if not has_value and not self.reason:
            raise ValueError(f"score {self.metric}: a missing value needs a reason.")

    def to_dict(self) -> dict[str, object]:
        """Plain types only, for JSON."""
        return asdict(self)
