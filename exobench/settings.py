"""The settings of one run, checked leaf by leaf."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exobench.data.choice import DataChoice
from exobench.errors import ExobenchError
from exobench.places import Places
from exobench.task import N_TEST_MAX, TaskRequest

MIN_BUDGET = 100
VALIDATION_SHARE = 10
MAX_VALIDATION = 10_000


@dataclass(frozen=True)
class RunSettings:
    """What ``conf/config.yaml`` and the command line resolve to.

    Attributes:
        task: name and leaves of the task.
        method: name and leaves of the method.
        data: where training spectra come from.
        request: simulator and opacities asked for.
        seed: moves fitting and sampling.
        budget: distinct spectra seen before test time, validation included.
        n_test: first rows of the test set, None for the method's default.
        n_draws: draws a spectrum, None for the method's default.
        steps: limit of training steps, or None.
        seconds: limit of training seconds, or None.
        device: "auto" or a torch device.
        workers: processes that make data, or "auto".
        rerun: run again although a finished record exists.
        report: build the page at the end.
        places: folders.
    """

    task: dict[str, Any]
    method: dict[str, Any]
    data: DataChoice
    request: TaskRequest
    seed: int
    budget: int
    n_test: int | None
    n_draws: int | None
    steps: int | None
    seconds: float | None
    device: str
    workers: int | str
    rerun: bool
    report: bool
    places: Places

    @property
    def n_validation(self) -> int:
        """A tenth of the budget, at most 10,000."""
        return min(self.budget // VALIDATION_SHARE, MAX_VALIDATION)

    @property
    def n_train(self) -> int:
        """The rest of the budget."""
        return self.budget - self.n_validation

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> RunSettings:
        """Checks a resolved config.

        Raises:
            ExobenchError: one line that names the leaf, its value and what would be right.
        """
        limits, paths = _group(config, "limits"), _group(config, "paths")
        opacities = _group(config, "opacities")
        path = opacities.get("path")
        return RunSettings(
            task=_group(config, "task"),
            method=_group(config, "method"),
            data=DataChoice.from_group(_group(config, "data")),
            request=TaskRequest(
                str(config["simulator"]),
                None if path is None else str(path),
                str(opacities.get("average", "transmission")),
            ),
            seed=whole_number("seed", config["seed"], 0),
            budget=whole_number("budget", config["budget"], MIN_BUDGET),
            n_test=_optional_whole("n_test", config["n_test"], 2, N_TEST_MAX),
            n_draws=_optional_whole("n_draws", config["n_draws"], 1, None),
            steps=_optional_whole("limits.steps", limits["steps"], 1, None),
            seconds=_optional_positive("limits.seconds", limits["seconds"]),
            device=str(config["device"]),
            workers=_workers(config["workers"]),
            rerun=_flag("rerun", config["rerun"]),
            report=_flag("report", config["report"]),
            places=Places.resolve(paths["data"], paths["runs"], paths["reports"]),
        )


def whole_number(key: str, value: object, low: int, high: int | None = None) -> int:
    """A whole number, also written as 1e5.

    Raises:
        ExobenchError: if it is none, or lies outside [low, high].
    """
    bounds = f"of at least {low:,}" if high is None else f"from {low:,} to {high:,}"
    wrong = ExobenchError(f"{key}={value} must be a whole number {bounds}, such as {max(low, 1000)} or 1e3.")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong
    if not math.isfinite(value) or value != int(value) or value < low or (high is not None and value > high):
        raise wrong
    return int(value)


def _optional_whole(key: str, value: object, low: int, high: int | None) -> int | None:
    return None if value is None else whole_number(key, value, low, high)


def _optional_positive(key: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ExobenchError(f"{key}={value} must be a positive number of seconds, or null for no limit.")
    return float(value)


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ExobenchError(f"{key}={value} must be true or false.")
    return value


def _workers(value: object) -> int | str:
    return "auto" if value == "auto" else whole_number("workers", value, 1, 1024)


def _group(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    group = config.get(key)
    if not isinstance(group, Mapping):
        raise ExobenchError(f"{key}={group} must be a group of settings, such as those of conf/config.yaml.")
    return dict(group)
