"""A plan: which runs a benchmark is made of, read from YAML."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from exobench import registry
from exobench.errors import ExobenchError, unknown_name
from exobench.settings import MIN_BUDGET, whole_number

AXES = ("methods", "tasks", "budgets", "seeds")
ALL, WITHOUT = "all", "without"
_GROUPS = {"methods": registry.METHODS, "tasks": registry.TASKS}
_SECTIONS = ("about", "runs", "settings")
_CHANGES = ("set", "after", "training_seconds", "seconds_per_spectrum")


class Cell(NamedTuple):
    """What tells the runs of a plan apart."""

    method: str
    task: str
    budget: int
    seed: int

    def __str__(self) -> str:
        """In words, for a person."""
        return f"{self.method} on {self.task}, budget {self.budget:,}, seed {self.seed}"


@dataclass
class Entry:
    """One run of a plan.

    Attributes:
        cell: method, task, budget and seed.
        settings: what else is set, by dotted key.
        after: method whose fit this run uses; it starts after that method's run, where the plan has one.
        training_seconds: expected; None where the limit on seconds decides.
        seconds_per_spectrum: expected for one test spectrum.
    """

    cell: Cell
    settings: dict[str, Any] = field(default_factory=dict)
    after: str | None = None
    training_seconds: float | None = None
    seconds_per_spectrum: float = 0.0

    @property
    def awaited(self) -> Cell | None:
        """The run that this one starts after."""
        return None if self.after is None else self.cell._replace(method=self.after)


@dataclass(frozen=True)
class Plan:
    """The runs of a benchmark, each method, task, budget and seed once.

    Attributes:
        name: of the plan.
        about: one sentence for the person who starts it.
        entries: in the order of the file.
    """

    name: str
    about: str
    entries: tuple[Entry, ...]

    def only(self, wanted: Mapping[str, Sequence[str]]) -> Plan:
        """The part of the plan that a command line asks for.

        Args:
            wanted: values of "methods", "tasks", "budgets" and "seeds", as text; an axis left out takes all.

        Raises:
            ExobenchError: the plan has no such value, or no run with all of them.
        """
        chosen = {axis: _asked(axis, values, self.entries) for axis, values in wanted.items()}
        kept = tuple(e for e in self.entries if all(_on(e.cell, axis) in chosen[axis] for axis in chosen))
        if not kept:
            asked = " ".join(f"{axis[:-1]}={','.join(values)}" for axis, values in wanted.items())
            raise ExobenchError(f"plan={self.name} has no run with {asked}.")
        return Plan(self.name, self.about, kept)


def shipped_plans() -> list[str]:
    """Names of the plans that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _shipped().iterdir() if path.name.endswith(".yaml"))


def read_plan(name: str) -> Plan:
    """Reads a plan by its name or its path.

    Args:
        name: a shipped plan, one of ``conf/benchmark`` in the working directory, or the path of a YAML file.

    Raises:
        ExobenchError: there is none, or something in it is wrong; the message names it.
    """
    own = Path.cwd() / "conf" / "benchmark" / f"{name}.yaml"
    if name in shipped_plans():
        return parse_plan(name, (_shipped() / f"{name}.yaml").read_text(encoding="utf-8"))
    for path in (own, Path(name)):
        if path.is_file():
            return parse_plan(path.stem, path.read_text(encoding="utf-8"))
    raise unknown_name("plan", name, [*shipped_plans(), "the path of a YAML file"])


def parse_plan(name: str, text: str) -> Plan:
    """Reads a plan from its text.

    Raises:
        ExobenchError: something in it is wrong; the message names it.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ExobenchError(f"plan {name} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or not content.get("runs"):
        raise ExobenchError(f"plan {name} needs a list 'runs' of blocks with {', '.join(AXES)}.")
    _check_keys(f"section of plan {name}", content, _SECTIONS)
    reader = _Reader(name)
    entries: dict[Cell, Entry] = {}
    for block in reader.blocks(content, "runs", (*AXES, WITHOUT)):
        for cell in reader.cells(block):
            entries.setdefault(cell, Entry(cell))
    for block in reader.blocks(content, "settings", (*AXES, *_CHANGES)):
        chosen = {axis: reader.values(axis, block) for axis in AXES if axis in block}
        for entry in entries.values():
            if all(_on(entry.cell, axis) in chosen[axis] for axis in chosen):
                reader.change(entry, block)
    return Plan(name, " ".join(str(content.get("about", "")).split()), tuple(entries.values()))


class _Reader:
    """Reads the blocks of a plan; errors name the plan."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._valid = {axis: registry.names(group) for axis, group in _GROUPS.items()}

    def blocks(self, content: Mapping[str, Any], section: str, keys: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The blocks of a section, whose keys are among those given."""
        blocks = content.get(section) or []
        if not isinstance(blocks, list) or not all(isinstance(block, Mapping) for block in blocks):
            raise ExobenchError(f"plan {self._name}: {section} must be a list of blocks.")
        for block in blocks:
            _check_keys(f"key of {section} in plan {self._name}", block, keys)
            yield block

    def cells(self, block: Mapping[str, Any]) -> Iterator[Cell]:
        """All runs of a block."""
        left_out = self.values("methods", {"methods": block[WITHOUT]}) if WITHOUT in block else []
        for values in itertools.product(*(self.values(axis, block) for axis in AXES)):
            cell = Cell(*values)
            if cell.method not in left_out:
                yield cell

    def values(self, axis: str, block: Mapping[str, Any]) -> list[Any]:
        """What a block says of an axis."""
        values = block.get(axis)
        if values == ALL and axis in _GROUPS:
            return list(self._valid[axis])
        if not isinstance(values, list) or not values:
            either = " or all" if axis in _GROUPS else ""
            raise ExobenchError(f"plan {self._name}: {axis}={values} must be a list{either}.")
        if axis in _GROUPS:
            return [self._known(axis, value) for value in values]
        least = MIN_BUDGET if axis == "budgets" else 0
        return [whole_number(f"plan {self._name}: {axis[:-1]}", _number(value), least) for value in values]

    def change(self, entry: Entry, block: Mapping[str, Any]) -> None:
        """Applies one block of settings; what a later block says stands."""
        changes = block.get("set") or {}
        if not isinstance(changes, Mapping):
            raise ExobenchError(f"plan {self._name}: set must be keys and values, such as {{limits.seconds: 240}}.")
        for key in changes:
            if key in ("method", "task", "budget", "seed"):
                raise ExobenchError(f"plan {self._name}: set cannot change {key}; write it in runs.")
        entry.settings.update(changes)
        if "after" in block:
            entry.after = self._known("methods", block["after"])
        if "training_seconds" in block:
            entry.training_seconds = self._seconds("training_seconds", block)
        if "seconds_per_spectrum" in block:
            entry.seconds_per_spectrum = self._seconds("seconds_per_spectrum", block)

    def _known(self, axis: str, value: object) -> str:
        if value not in self._valid[axis]:
            raise unknown_name(f"{axis[:-1]} (plan {self._name})", str(value), self._valid[axis])
        return str(value)

    def _seconds(self, key: str, block: Mapping[str, Any]) -> float:
        number = _number(block[key])
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < float("inf"):
            raise ExobenchError(f"plan {self._name}: {key}={block[key]} must be a number of seconds.")
        return float(number)


def _number(value: object) -> object:
    """1e4 is text to YAML."""
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _check_keys(kind: str, given: Mapping[str, Any], valid: Sequence[str]) -> None:
    for key in given:
        if key not in valid:
            raise unknown_name(kind, str(key), valid)


def _on(cell: Cell, axis: str) -> str | int:
    return cell[AXES.index(axis)]


def _asked(axis: str, values: Sequence[str], entries: Sequence[Entry]) -> set[object]:
    there = {_on(entry.cell, axis) for entry in entries}
    found = {value if axis in _GROUPS else _number(value) for value in values}
    for value in found - there:
        raise unknown_name(f"{axis[:-1]} in this plan", str(value), map(str, there))
    return set(found)


def _shipped() -> Any:
    return files("exobench.conf") / "benchmark"
