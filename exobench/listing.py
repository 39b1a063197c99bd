"""What is installed: every method and task with its package, and the reason of those that cannot be used."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from exobench import registry
from exobench.errors import ExobenchError

REQUIRED = "required"
"""Stands in for the default of a setting that has none."""


@dataclass(frozen=True)
class Listed:
    """One installed method or task.

    Attributes:
        name: as in ``method=NAME`` or ``task=NAME``.
        package: the distribution that brings it, with its version.
        summary: first line of its module's documentation, else of its own; empty if neither has any.
        settings: its settings with their defaults.
        capabilities: of a method; empty for a task.
        reason: why it cannot be used, or None.
    """

    name: str
    package: str
    summary: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; defaults that JSON does not know are given as text."""
        plain = (bool, int, float, str, list, tuple, dict, type(None))
        settings = {key: value if isinstance(value, plain) else str(value) for key, value in self.settings.items()}
        return {**vars(self), "settings": settings, "capabilities": list(self.capabilities)}


def list_methods() -> list[Listed]:
    """Every method that an installed package offers, by name; one that cannot be imported stops no other."""
    return _list(registry.METHODS, registry.load_method)


def list_tasks() -> list[Listed]:
    """Every task that an installed package offers, by name; one that cannot be imported stops no other."""
    return _list(registry.TASKS, registry.builder_defaults)


def _list(group: str, check: Callable[[str], object]) -> list[Listed]:
    points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    return [_listed(point, check) for point in points]


def _listed(point: EntryPoint, check: Callable[[str], object]) -> Listed:
    package = registry.package_name(point)
    try:
        check(point.name)
        loaded = point.load()
        return Listed(point.name, package, _summary(loaded), _settings(loaded), _capabilities(loaded))
    except ExobenchError as error:
        reason = str(error)
    except Exception as error:  # a stranger's module may raise anything
        reason = f"{point.module} cannot be imported: {type(error).__name__}: {error}"
    return Listed(point.name, package, reason=" ".join(reason.split()))


def _summary(loaded: Any) -> str:
    """First line of what its author wrote, not of what a class inherits or a dataclass makes up."""
    module = inspect.getmodule(loaded)
    own = loaded.__doc__ or ""
    made_up = own.startswith(f"{loaded.__name__}(")
    text = (module.__doc__ if module else None) or ("" if made_up else own)
    return inspect.cleandoc(text).split("\n")[0]


def _settings(loaded: Any) -> dict[str, Any]:
    empty = inspect.Parameter.empty
    arguments = [a for a in inspect.signature(loaded).parameters.values() if a.name != "request"]
    return {a.name: REQUIRED if a.default is empty else a.default for a in arguments}


def _capabilities(loaded: Any) -> tuple[str, ...]:
    from exobench.method import Capability

    declared = getattr(loaded, "capabilities", Capability.NONE)
    return tuple(str(flag.name) for flag in Capability if flag in declared)
