"""Where a search starts, beside the defaults: the best settings of an earlier one, such as one at a small budget."""

from __future__ import annotations

from pathlib import Path

from exobench.errors import ExobenchError
from exobench.tune.history import read_history
from exobench.tune.space import Dimension, Space, Value

N_BEST = 3
"""Trials of the earlier search that are tried again."""


def best_of(folder: Path, space: Space, method: str) -> list[dict[str, Value]]:
    """The best settings of an earlier search, best first; settings that it did not tune are at their defaults.

    Args:
        folder: of the earlier search, ``runs/tune/<task>/<method>/<study>``.
        space: of the new one.
        method: that the new one tunes.

    Raises:
        ExobenchError: it is of another method, has no complete trial, or tuned what the new one cannot.
    """
    earlier = read_history(folder)
    where = f"start_from={folder}"
    if earlier.method != method:
        raise ExobenchError(f"{where} is a search of {earlier.method}; give one of {method}.")
    if not earlier.complete:
        raise ExobenchError(f"{where} has no complete trial to start from.")
    dimensions = {dimension.key: dimension for dimension in space.dimensions}
    found = []
    for trial in earlier.best[:N_BEST]:
        for key, value in trial.params.items():
            if key not in dimensions or not _takes(dimensions[key], value):
                raise ExobenchError(f"{where}: its trial {trial.number} has {key}={value}, which tune.space has not.")
        found.append(space.defaults | dict(trial.params))
    return found


def _takes(dimension: Dimension, value: Value) -> bool:
    if dimension.kind == "choice":
        return value in dimension.values
    return dimension.low <= float(value) <= dimension.high
