"""What may be tuned: named settings of a method, each with its range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError, unknown_name
from exobench.inner_fit import merged
from exobench.seeds import stable_hash

if TYPE_CHECKING:
    import optuna

Value = bool | int | float | str
_KINDS = {"whole": ("low", "high", "log"), "real": ("low", "high", "log"), "choice": ("values",)}


@dataclass(frozen=True)
class Dimension:
    """One setting and the values it may take.

    Attributes:
        key: below ``method``, such as "training.learning_rate".
        kind: "whole", "real" or "choice".
        default: where the search starts.
        low: least number.
        high: largest number.
        log: whether numbers are spread evenly in their logarithm.
        values: of a choice.
    """

    key: str
    kind: str
    default: Value
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    values: tuple[Value, ...] = ()

    @staticmethod
    def of(key: str, entry: object) -> Dimension:
        """One entry of a search space.

        Raises:
            ExobenchError: naming the key, what is wrong with it and what would be right.
        """
        where = f"tune.space.{key}"
        if not isinstance(entry, Mapping) or entry.get("kind") not in _KINDS:
            raise ExobenchError(f"{where}={entry} must be a group with kind: {', '.join(_KINDS)}.")
        allowed = ("kind", "default", *_KINDS[entry["kind"]])
        for name in entry:
            if name not in allowed:
                raise unknown_name(f"setting of {where}", str(name), allowed)
        made = Dimension(key, **{"default": None, **entry, "values": tuple(entry.get("values", ()))})
        made._check(where)
        return made

    def _check(self, where: str) -> None:
        if self.kind == "choice":
            if len(set(self.values)) < 2 or self.default not in self.values:
                raise ExobenchError(f"{where} needs two different values or more, and a default among them.")
            return
        number = int if self.kind == "whole" else (int, float)
        for name in ("low", "high", "default"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, number) or not math.isfinite(value):
                raise ExobenchError(f"{where}.{name}={value} must be a {self.kind} number.")
        if not self.low < self.high or not self.low <= float(self.default) <= self.high or (self.log and self.low <= 0):
            raise ExobenchError(f"{where}: low < high, the default between them, and low > 0 where log is true.")

    def suggest(self, trial: optuna.trial.Trial) -> Value:
        """A value for a trial."""
        if self.kind == "choice":
            chosen = trial.suggest_categorical(self.key, self.values)
            return next(value for value in self.values if value == chosen)
        if self.kind == "whole":
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Space:
    """The settings that are tuned together.

    Attributes:
        dimensions: one or more.
    """

    dimensions: tuple[Dimension, ...]

    @staticmethod
    def of(group: object) -> Space:
        """A search space from a config.

        Raises:
            ExobenchError: it is empty, or an entry is wrong.
        """
        if not isinstance(group, Mapping) or not group:
            raise ExobenchError(f"tune.space={group} must be a group with one entry for each setting to tune.")
        return Space(tuple(Dimension.of(str(key), entry) for key, entry in group.items()))

    @property
    def defaults(self) -> dict[str, Value]:
        """Where the search starts."""
        return {dimension.key: dimension.default for dimension in self.dimensions}

    def suggest(self, trial: optuna.trial.Trial) -> dict[str, Value]:
        """Values for a trial."""
        return {dimension.key: dimension.suggest(trial) for dimension in self.dimensions}

    def describe(self) -> dict[str, Any]:
        """What the search depends on, for hashing; the default is where it starts, no part of what it is."""
        return {d.key: [d.kind, d.low, d.high, d.log, list(d.values)] for d in self.dimensions}


def with_values(method: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """A method's settings with those of a trial in place of its own."""
    settings = dict(method)
    for key, value in values.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        settings = merged(settings, nested)
    return settings


def key_of(values: Mapping[str, Value]) -> str:
    """What a set of values is known by."""
    return stable_hash(dict(values))
