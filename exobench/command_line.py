"""The command line before Hydra takes over: help, names of plugins, and errors of one line."""

from __future__ import annotations

import importlib.resources
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exobench import registry
from exobench.errors import ExobenchError, unknown_name
from exobench.small_commands import OUR_LOGGERS, QUIET, VERBOSE

if TYPE_CHECKING:
    from omegaconf import DictConfig

GROUPS = {"method": registry.METHODS, "task": registry.TASKS}
YAML_GROUPS = ("data", "experiment")
"""Groups whose names are those of their YAML files."""
RUN_CONFIG = "config"
_WHOLE_NUMBERS = ("seed", "budget", "n_test", "n_draws", "limits.steps")
_WITH_EXPONENT = re.compile(r"\d+(\.\d*)?[eE]\+?\d{1,2}")
_MULTIRUN = ("-m", "--multirun")
_FLAGS = (*_MULTIRUN, "-h", "--help", "--resolve", "--hydra-help")
_FLAGS_WITH_VALUE = ("-c", "--cfg", "-p", "--package", "-i", "--info", "-cd", "--config-dir")


def wants_help(arguments: Sequence[str]) -> bool:
    """Whether the user asked for help."""
    return any(argument in ("-h", "--help") for argument in arguments)


def help_text() -> str:
    """What ``--help`` prints."""
    lines = [
        "usage: python -m exobench [method=NAME] [task=NAME] [KEY=VALUE ...] [-m] [-q] [-v]",
        "",
        "Trains a retrieval method on a task's shared spectra, scores it on the task's test set, and writes a record",
        "and a page. Run it again to read the finished record; a run that was cut off goes on from where it was.",
        "",
        f"methods:     {', '.join(registry.names(registry.METHODS))}",
        f"tasks:       {', '.join(registry.names(registry.TASKS))}",
        f"data:        {', '.join(_shipped('data'))}",
        f"experiments: {', '.join(_shipped('experiment'))}",
        "",
        "settings (KEY=VALUE), with their defaults:",
        *(f"  {line}" for line in settings_lines(RUN_CONFIG)),
        "",
        "  method.KEY=VALUE, task.KEY=VALUE, data.KEY=VALUE",
        "                          any setting of the method, task or data; --cfg job shows them all",
        "  -m method=prior,exogan  one run for each value",
        "  -q, --quiet             only one line of result a run, and errors",
        "  -v, --verbose           details of every stage, and where an error came from",
        "",
        "example: python -m exobench method=exogan task=hotjupiter budget=1e4 seed=1",
    ]
    return "\n".join(lines)


def check_overrides(arguments: Sequence[str]) -> None:
    """Checks names, keys and values before anything heavy is imported.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    overrides, flags = _split_flags(arguments)
    for flag in flags:
        if flag not in (*_FLAGS, *_FLAGS_WITH_VALUE):
            raise unknown_name("option", flag, [*_FLAGS, *_FLAGS_WITH_VALUE, *QUIET, *VERBOSE])
    several = any(flag in _MULTIRUN for flag in flags)
    _check_names(overrides, several)
    _compose(RUN_CONFIG, [_first_of_sweep(override) for override in overrides] if several else overrides)


def options_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with all settings at the end, where Hydra's parser takes them in one piece; see `in_full`."""
    settings, options = _sorted(arguments)
    return [*(word for option in options for word in option), *map(in_full, settings)]


def in_full(setting: str) -> str:
    """``budget=1e4`` as ``budget=10000``: Hydra would name the runs of a sweep by 10000.0."""
    key, equals, value = setting.partition("=")
    if key not in _WHOLE_NUMBERS:
        return setting
    return f"{key}{equals}{','.join(_whole_in_full(part) for part in value.split(','))}"


def _whole_in_full(text: str) -> str:
    if not _WITH_EXPONENT.fullmatch(text):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() else text


def _split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings, and options without their values."""
    settings, options = _sorted(arguments)
    return settings, [option[0].split("=")[0] for option in options]


def _sorted(arguments: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Settings, and options each with its value."""
    settings: list[str] = []
    options: list[list[str]] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            settings.append(argument)
        else:
            value = next(rest, None) if argument in _FLAGS_WITH_VALUE else None
            options.append([argument] if value is None else [argument, value])
    return settings, options


def _first_of_sweep(override: str) -> str:
    """``budget=1e3,1e4`` as ``budget=1e3``; lists and functions of Hydra are left as they are."""
    key, _, value = override.partition("=")
    return override if any(mark in value for mark in "[{(") else f"{key}={value.split(',')[0]}"


def compose_settings(config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Resolves a config of ``exobench.conf`` with settings from a command line other than the main one.

    Args:
        config_name: a YAML file at the top of ``exobench.conf``.
        overrides: KEY=VALUE arguments.

    Returns:
        The resolved config.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    from omegaconf import OmegaConf

    _check_names(overrides)
    settings = OmegaConf.to_container(_compose(config_name, overrides), resolve=True)
    assert isinstance(settings, dict)  # a config is a mapping
    return {str(key): value for key, value in settings.items()}


def settings_lines(config_name: str) -> list[str]:
    """The leaves of a config of ``exobench.conf`` with their comments."""
    text = (importlib.resources.files("exobench.conf") / f"{config_name}.yaml").read_text(encoding="utf-8")
    body = text.split("\nhydra:")[0].split("\n\n", 1)[1]
    return [line for line in body.splitlines() if line.strip()]


def plugin_overrides(arguments: Sequence[str]) -> list[str]:
    """What Hydra needs to be told: config packages of plugins, the user's own ``conf``, nodes for methods without YAML.

    Of two configs with one name the shipped one is taken, then a plugin's, then the user's.
    """
    _store_generated_nodes(arguments)
    places = [f"pkg://{package}" for package in _config_packages()]
    if (own := _own_folder()) is not None:
        places.append(f"'file://{own}'")
    if not places or any("hydra.searchpath" in argument for argument in arguments):
        return []
    return [f"hydra.searchpath=[{','.join(places)}]"]


def output_overrides(level: int | None) -> list[str]:
    """What Hydra needs to be told of ``-q`` and ``-v``, so that jobs in other processes hear of it as well.

    Args:
        level: of logging; None for the usual one.
    """
    if level is None:
        return []
    if level == logging.DEBUG:
        return [f"hydra.verbose=[{','.join(OUR_LOGGERS)}]"]
    name = logging.getLevelName(level)
    return [f"{part}.root.level={name}" for part in ("hydra.job_logging", "hydra.hydra_logging")]


def _check_form(override: str) -> None:
    if "=" not in override and not override.startswith("~"):
        raise ExobenchError(f"'{override}' is no setting; write KEY=VALUE, such as method=exogan (--help lists them).")


def _check_names(overrides: Sequence[str], several: bool = False) -> None:
    for override in overrides:
        _check_form(override)
        _check_added(override)
    _check_choices(overrides, several)


def _check_added(override: str) -> None:
    """``+key=value`` adds a leaf to a group; elsewhere nothing would ever read it."""
    key = override.partition("=")[0].lstrip("+")
    if override.startswith("+") and key.split(".")[0] not in (*GROUPS, *YAML_GROUPS, "hydra"):
        raise ExobenchError(f"'{override}' adds a setting that nothing reads; write it without '+' if it exists.")


def _check_choices(overrides: Iterable[str], several: bool) -> None:
    for override in overrides:
        key, _, value = override.partition("=")
        if key in (*GROUPS, *YAML_GROUPS) and "," in value and not several:
            raise ExobenchError(f"'{override}' names several; add -m to run each of them.")
        if key in GROUPS:
            for choice in value.split(","):
                if choice not in registry.names(GROUPS[key]):
                    raise unknown_name(key, choice, registry.names(GROUPS[key]))
        elif key in YAML_GROUPS and "," not in value and value not in _yaml_names(key):
            raise unknown_name(key, value, _yaml_names(key))


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    from hydra import compose, initialize_config_module
    from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    extra = plugin_overrides(overrides)
    with _hydra_set_aside(), initialize_config_module("exobench.conf", version_base="1.3"):
        try:
            return compose(config_name, overrides=[*overrides, *extra])
        except OverrideParseException as error:
            raise ExobenchError(
                f"'{error.override}' cannot be read as KEY=VALUE: {str(error).splitlines()[0]}"
            ) from error
        except (ConfigCompositionException, OmegaConfBaseException, HydraException) as error:
            raise _explain(config_name, overrides, error) from error


@contextmanager
def _hydra_set_aside() -> Iterator[None]:
    """Lets a config be composed inside a running job, whose own Hydra comes back afterwards."""
    from hydra.core.global_hydra import GlobalHydra

    instance = GlobalHydra.instance()
    running = instance.hydra
    instance.clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running


def _explain(config_name: str, overrides: Sequence[str], error: Exception) -> ExobenchError:
    """Finds the override whose key does not exist, and lists those that do."""
    from hydra import compose
    from omegaconf import OmegaConf

    groups = [override for override in overrides if override.partition("=")[0] in (*GROUPS, *YAML_GROUPS)]
    valid: Any = OmegaConf.to_container(compose(config_name, overrides=[*groups, *plugin_overrides(groups)]))
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if override in groups or key.startswith("hydra") or override.startswith("+"):
            continue
        node: Any = valid
        for depth, part in enumerate(parts := key.split(".")):
            if not isinstance(node, dict) or part not in node:
                owner = ".".join(parts[:depth])
                if parts[0] in GROUPS and (node is None or node == {}):
                    return ExobenchError(f"{owner} is empty unless you fill it: write +{key}=... to add to it.")
                names = [f"{owner}.{name}" if owner else name for name in (node if isinstance(node, dict) else {})]
                return unknown_name("setting", key, names)
            node = node[part]
    return ExobenchError(" ".join(str(error).split()))


def _store_generated_nodes(arguments: Sequence[str]) -> None:
    """A method or task that ships no YAML gets a node from its constructor's or builder's defaults."""
    from hydra.core.config_store import ConfigStore

    defaults = {"method": registry.constructor_defaults, "task": registry.builder_defaults}
    for group, defaults_of in defaults.items():
        chosen = [a.partition("=")[2].split(",") for a in arguments if a.startswith(f"{group}=")]
        for name in {name for names in chosen for name in names} - _yaml_names(group):
            node = {"name": name, **defaults_of(name)}
            ConfigStore.instance().store(group=group, name=name, node=node)


def _yaml_names(group: str) -> set[str]:
    found = set(_shipped(group))
    for package in _config_packages():
        folder = importlib.resources.files(package) / group
        if folder.is_dir():
            found |= {entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    if (own := _own_folder()) is not None:
        found |= {path.stem for path in (own / group).glob("*.yaml")}
    return found


def _own_folder() -> Path | None:
    """The user's configs: ``conf`` of the working directory, unless it is the shipped one."""
    folder = Path.cwd() / "conf"
    shipped = Path(str(importlib.resources.files("exobench.conf")))
    return folder if folder.is_dir() and folder.resolve() != shipped.resolve() else None


def _config_packages() -> list[str]:
    return [point.value for point in sorted(entry_points(group=registry.CONFIG_PACKAGES), key=lambda point: point.name)]


def _shipped(group: str) -> list[str]:
    folder = importlib.resources.files("exobench.conf") / group
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
