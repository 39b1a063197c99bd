"""Where methods and tasks are found: entry points say where, decorators check what.

Built-ins use the same door as packages of strangers. Names are listed without importing anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from exobench.errors import ExobenchError, MissingDependencyError, unknown_name

if TYPE_CHECKING:
    from exobench.method import AbstractMethod
    from exobench.task import Task, TaskRequest

METHODS = "exobench.methods"
TASKS = "exobench.tasks"
CONFIG_PACKAGES = "exobench.conf"

MethodClass = TypeVar("MethodClass", bound=type)
Builder = TypeVar("Builder", bound=Callable[..., Any])


def register_method(name: str) -> Callable[[MethodClass], MethodClass]:
    """Class decorator: checks that the class is a whole method and gives it its name.

    Raises:
        TypeError: if the class is no AbstractMethod, leaves a part out or takes variable arguments.
    """

    def check(cls: MethodClass) -> MethodClass:
        from exobench.method import AbstractMethod, Capability

        if not issubclass(cls, AbstractMethod):
            raise TypeError(f"method '{name}': {cls.__name__} must inherit from exobench.method.AbstractMethod.")
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise TypeError(f"method '{name}': {cls.__name__} lacks {', '.join(missing)}.")
        if not isinstance(getattr(cls, "capabilities", None), Capability):
            raise TypeError(f"method '{name}': {cls.__name__}.capabilities must be a Capability.")
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in _constructor_parameters(cls).values()):
            raise TypeError(f"method '{name}': {cls.__name__}.__init__ must name its arguments (no *args, **kwargs).")
        cls.registered_name = name
        return cls

    return check


def register_task(name: str) -> Callable[[Builder], Builder]:
    """Decorator of a task's builder ``build(request: TaskRequest, **leaves) -> Task``."""

    def mark(builder: Builder) -> Builder:
        builder.registered_name = name  # type: ignore[attr-defined]
        return builder

    return mark


def names(group: str) -> tuple[str, ...]:
    """Names in a group, sorted, without importing.

    Raises:
        ExobenchError: if two packages claim one name.
    """
    return tuple(sorted(_points(group)))


def package_of(group: str, name: str) -> str:
    """The distribution that brings a name, with its version."""
    return package_name(_points(group)[name])


def package_name(point: EntryPoint) -> str:
    """The distribution of an entry point, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module


def load_method(name: str) -> type[AbstractMethod]:
    """Imports the class of a method.

    Raises:
        ExobenchError: if the name is unknown or the class was not registered under it.
        MissingDependencyError: if its import fails; the message names the reason.
    """
    return _load(METHODS, "method", name)


def build_method(settings: dict[str, Any]) -> AbstractMethod:
    """Builds a method from its config: ``name`` and the constructor's arguments.

    Raises:
        ExobenchError: if an argument is unknown, or its value is refused.
    """
    name, arguments = _split(settings, "method")
    cls = load_method(name)
    return cls(**_checked_arguments("method", name, arguments, _constructor_parameters(cls)))


def build_task(settings: dict[str, Any], request: TaskRequest) -> Task:
    """Builds a task from its config: ``name`` and the builder's arguments.

    Raises:
        ExobenchError: if an argument is unknown, or its value is refused.
    """
    name, arguments = _split(settings, "task")
    builder = _load(TASKS, "task", name)
    parameters = dict(inspect.signature(builder).parameters)
    parameters.pop("request", None)
    return builder(request, **_checked_arguments("task", name, arguments, parameters))


def settings_of(method: AbstractMethod) -> dict[str, Any]:
    """The complete settings of a method: its name and every argument of its constructor, as ``build_method`` takes."""
    return {"name": method.registered_name} | {
        key: getattr(method, key) for key in _constructor_parameters(type(method))
    }


def constructor_defaults(name: str) -> dict[str, Any]:
    """The constructor's arguments with their defaults, for a method that ships no YAML."""
    return {
        key: parameter.default
        for key, parameter in _constructor_parameters(load_method(name)).items()
        if parameter.default is not inspect.Parameter.empty
    }


def builder_defaults(name: str) -> dict[str, Any]:
    """The leaves of a task's builder with their defaults, for a task that ships no YAML."""
    builder = _load(TASKS, "task", name)
    return {
        key: parameter.default
        for key, parameter in inspect.signature(builder).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }


def _points(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise ExobenchError(
                f"two installed packages offer '{point.name}' in {group}: {other.value} and {point.value}; "
                "uninstall one of them."
            )
        found[point.name] = point
    return found


def _load(group: str, kind: str, name: str) -> Any:
    points = _points(group)
    if name not in points:
        raise unknown_name(kind, name, points)
    point = points[name]
    try:
        loaded = point.load()
    except ImportError as error:
        package = point.dist.name if point.dist else point.module
        extra = f" (extra: {', '.join(point.extras)})" if point.extras else ""
        raise MissingDependencyError(
            f"{kind} '{name}' of package {package}{extra} cannot be imported: {error}. Install what it needs."
        ) from error
    except Exception as error:  # whatever a stranger's module raises must not look like a fault of exobench
        raise ExobenchError(f"{kind} '{name}' ({point.value}) cannot be loaded: {error}") from error
    if getattr(loaded, "registered_name", None) != name:
        raise ExobenchError(f"{kind} '{name}' ({point.value}) must be decorated with @register_{kind}(\"{name}\").")
    return loaded


def _constructor_parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(cls).parameters)


def _split(settings: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
    arguments = dict(settings)
    name = arguments.pop("name", None)
    if not isinstance(name, str):
        raise ExobenchError(f"{kind}.name is missing from the config; valid: {', '.join(names(f'exobench.{kind}s'))}.")
    return name, arguments


def _checked_arguments(
    group: str, name: str, given: dict[str, Any], accepted: dict[str, inspect.Parameter]
) -> dict[str, Any]:
    for key in given:
        if key not in accepted:
            raise unknown_name(f"setting of {group} {name} named", key, accepted)
    return {key: _checked_value(f"{group}.{key}", value, accepted[key]) for key, value in given.items()}


def _checked_value(key: str, value: Any, parameter: inspect.Parameter) -> Any:
    """Holds a value against the kind of its default; whole numbers may be written as 1e3."""
    default = parameter.default
    if default is inspect.Parameter.empty or default is None or value is None:
        return value
    if isinstance(value, list) and "Sequence" in str(parameter.annotation):
        return value
    if isinstance(value, str) and "str" in map(str.strip, str(parameter.annotation).split("|")):
        return value
    if isinstance(value, dict) and any(kind in str(parameter.annotation) for kind in ("Any", "dict", "Mapping")):
        return value
    kind, expected = type(default), _KINDS.get(type(default))
    if expected is None:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number:
        return float(value)
    if kind is int and is_number and float(value).is_integer():
        return int(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind in (tuple, list) and isinstance(value, list | tuple):
        return kind(value)
    raise ExobenchError(f"{key}={value} must be {expected}, such as {default}.")


_KINDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "a name",
    tuple: "a list",
    list: "a list",
}
