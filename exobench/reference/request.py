"""What the commands that make references are asked for: their own settings, and those of the runs behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exobench.command_line import compose_settings
from exobench.errors import ExobenchError
from exobench.results import RunRecord, read_record
from exobench.settings import RunSettings

SCALED = ("n_live", "max_calls", "max_seconds", "n_proposal", "n_pilot", "n_particles", "n_chains")
"""Settings of samplers that a rerun multiplies: live points, proposals, particles, and the limits that go with them."""


@dataclass(frozen=True)
class Arguments:
    """KEY=VALUE arguments, sorted by whom they concern.

    Attributes:
        own: of the command, complete.
        parts: of each run, by its prefix; without it.
        shared: of all runs.
    """

    own: dict[str, str]
    parts: dict[str, tuple[str, ...]]
    shared: tuple[str, ...]

    def whole(self, key: str, least: int) -> int:
        """A whole number.

        Raises:
            ExobenchError: if it is none, or below the least.
        """
        value = self.own[key]
        if not value.isdecimal() or int(value) < least:
            raise ExobenchError(f"{key}={value} must be a whole number of at least {least}.")
        return int(value)

    def number(self, key: str) -> float:
        """A positive number.

        Raises:
            ExobenchError: if it is none.
        """
        try:
            value = float(self.own[key])
        except ValueError:
            value = -1.0
        if not 0.0 < value < float("inf"):
            raise ExobenchError(f"{key}={self.own[key]} must be a positive number.")
        return value

    def flag(self, key: str) -> bool:
        """True or false.

        Raises:
            ExobenchError: if it is neither.
        """
        if self.own[key] not in ("true", "false"):
            raise ExobenchError(f"{key}={self.own[key]} must be true or false.")
        return self.own[key] == "true"


def sort_arguments(given: Sequence[str], defaults: Mapping[str, str], prefixes: Sequence[str]) -> Arguments:
    """Sorts the arguments of a command.

    Args:
        given: KEY=VALUE arguments.
        defaults: the command's own keys.
        prefixes: of keys that concern one run alone, such as ``sampler`` for ``sampler.method.n_live=1000``.

    Raises:
        ExobenchError: if an argument is not KEY=VALUE.
    """
    own, shared = dict(defaults), []
    parts: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    for argument in given:
        key, equals, value = argument.partition("=")
        if not equals:
            raise ExobenchError(f"'{argument}' is no setting; write KEY=VALUE, such as task=hotjupiter.")
        prefix, dot, rest = key.partition(".")
        if key in own:
            own[key] = value
        elif dot and prefix in parts:
            parts[prefix].append(f"{rest}={value}")
        else:
            shared.append(argument)
    return Arguments(own, {prefix: tuple(values) for prefix, values in parts.items()}, tuple(shared))


def run_settings(overrides: Sequence[str]) -> RunSettings:
    """Settings of a run from the arguments of its command line.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    return RunSettings.from_config(compose_settings("config", [*overrides, "report=false"]))


def asked_run(name: str, overrides: Sequence[str]) -> RunSettings | RunRecord:
    """A run to be made, or a finished one where the name is the folder of one.

    Args:
        name: of a method, or a folder.
        overrides: of the run.

    Raises:
        ExobenchError: for wrong settings, or a folder without a finished run.
    """
    if Path(name).is_dir():
        record = read_record(Path(name))
        if record["status"] != "ok":
            raise ExobenchError(f"{name}: the run is '{record['status']}' and left no draws.")
        return record
    return run_settings([f"method={name}", *overrides])


def settings_of_record(record: RunRecord, shared: Sequence[str]) -> RunSettings:
    """The settings that a finished run was made with, places and opacities as given now."""
    config = record["config"]
    limits = config.get("limits", {})
    base = run_settings([f"task={config['task']['name']}", f"method={config['method']['name']}", *shared])
    return replace(
        base,
        task=dict(config["task"]),
        method=dict(config["method"]),
        seed=int(record["seed"]),
        budget=int(config["budget"]),
        n_test=int(config["n_test"]),
        n_draws=int(config["n_draws"]),
        steps=limits.get("steps"),
        seconds=limits.get("seconds"),
    )


def scaled(method: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Settings of a sampler with so many times the live points, or what takes their place; see `SCALED`."""
    return {key: value * factor if key in SCALED and value is not None else value for key, value in method.items()}
