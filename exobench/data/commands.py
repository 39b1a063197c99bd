"""The subcommands ``generate``, ``verify`` and ``info`` of ``python -m exobench.data``; settings are KEY=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exobench import registry
from exobench.command_line import compose_settings, settings_lines, wants_help
from exobench.errors import ExobenchError, unknown_name
from exobench.places import Places
from exobench.progress import is_quiet

DRY_RUN = "--dry-run"
_TEST = "test"

_WHAT = {
    "generate": "Makes a task's shared spectra, or goes on where it was cut off. Runs make what they lack themselves.",
    "verify": "Reads every shard of a data set and compares its checksum with the manifest's.",
    "info": "Says what a task's data set is and what of it is there, and which other sets the data folder holds.",
}
_EXAMPLES = {
    "generate": "task=hotjupiter n=10_000_000 storage=uint16 --dry-run",
    "verify": "task=hotjupiter storage=uint16 repair=true",
    "info": "task=hotjupiter storage=uint16",
}


def command_help(command: str) -> str:
    """What ``python -m exobench.data COMMAND --help`` prints."""
    return "\n".join(
        [
            f"usage: python -m exobench.data {command} [task=NAME] [KEY=VALUE ...]"
            + (f" [{DRY_RUN}]" if command == "generate" else ""),
            "",
            _WHAT[command],
            "",
            f"tasks: {', '.join(registry.names(registry.TASKS))}",
            "",
            "settings (KEY=VALUE), with their defaults:",
            *(f"  {line}" for line in settings_lines(f"data_{command}") if line != "defaults:" and "- " not in line),
            "  task.KEY=VALUE          any setting of the task",
            *([f"  {DRY_RUN}               only say what it would take"] if command == "generate" else []),
            "",
            f"example: python -m exobench.data {command} {_EXAMPLES[command]}",
        ]
    )


def run_generate(arguments: Sequence[str]) -> int:
    """Makes a split, after saying what it takes on disk.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    if wants_help(arguments):
        print(command_help("generate"))
        return 0
    settings = _settings("generate", arguments, flags=(DRY_RUN,))
    from exobench.data.generate import ensure_split, resolve_workers
    from exobench.data.plan import measure_rate, plan_split
    from exobench.data.recipe import SPLITS
    from exobench.settings import whole_number

    n, split = whole_number("n", settings["n"], 1), str(settings["split"])
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if split == _TEST and settings["storage"] != "float32":
        raise ExobenchError(f"storage={settings['storage']}: test spectra are float32 whatever a run trains on.")
    recipe, root = _recipe(settings)
    # A GPU serves one process best; the numbers do not depend on how many there are.
    n_process = 1 if str(settings["device"]).startswith("cuda") else resolve_workers(settings["workers"])
    plan = plan_split(recipe, root, split, n)
    if DRY_RUN in arguments or not is_quiet():
        print("\n".join(plan.lines()), flush=True)
    if DRY_RUN in arguments:
        if plan.n_missing:
            print(plan.time_line(measure_rate(recipe), n_process))
        return 0
    ensure_split(recipe, root, split, n, workers=n_process)
    print(f"done:   {split} has {_rows(recipe, root)[split]:,} spectra (data set {recipe.key})")
    return 0


def run_verify(arguments: Sequence[str]) -> int:
    """Compares checksums; the exit status is 1 where damage was found and not mended.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    if wants_help(arguments):
        print(command_help("verify"))
        return 0
    settings = _settings("verify", arguments)
    from exobench.data.generate import verify

    repair = settings["repair"]
    if not isinstance(repair, bool):
        raise ExobenchError(f"repair={repair} must be true or false.")
    recipe, root = _recipe(settings)
    damaged = verify(recipe, root, repair=repair, workers=settings["workers"])
    for file in damaged:
        print(f"{'repaired' if repair else 'damaged or missing'}: {recipe.folder(root) / file}")
    rows = ", ".join(f"{split} {n:,}" for split, n in _rows(recipe, root).items())
    if damaged and not repair:
        print(f"{len(damaged)} shards are damaged or missing; repair=true makes them again.")
        return 1
    print(f"sound: every shard of data set {recipe.key} has its checksum ({rows} spectra).")
    return 0


def run_info(arguments: Sequence[str]) -> int:
    """Describes a data set and lists the others.

    Raises:
        ExobenchError: one line that names what is wrong and what is valid.
    """
    if wants_help(arguments):
        print(command_help("info"))
        return 0
    settings = _settings("info", arguments)
    from exobench.data.inventory import describe_set, list_sets

    recipe, root = _recipe(settings)
    print("\n".join([*describe_set(recipe, root), "", *list_sets(root)]))
    return 0


def _settings(command: str, arguments: Sequence[str], flags: Sequence[str] = ()) -> dict[str, Any]:
    for argument in arguments:
        if argument.startswith("-") and argument not in flags:
            raise unknown_name("option", argument, [*flags, "--help"])
    return compose_settings(f"data_{command}", [argument for argument in arguments if argument not in flags])


def _recipe(settings: dict[str, Any]) -> tuple[Any, Path]:
    """The data set that the settings mean, and the data root."""
    from exobench.data.source import recipe_of
    from exobench.data.storage import check_storage
    from exobench.devices import resolve_device
    from exobench.task import TaskRequest

    check_storage(settings["storage"])
    root = Places.resolve(settings["paths"]["data"]).data
    path, average = settings["opacities"]["path"], str(settings["opacities"]["average"])
    request = TaskRequest(str(settings["simulator"]), None if path is None else str(path), average)
    device = resolve_device(str(settings.get("device", "cpu")))
    task = registry.build_task(settings["task"], request)
    return recipe_of(task, storage=settings["storage"], device=device), root


def _rows(recipe: Any, root: Path) -> dict[str, int]:
    from exobench.data.manifest import manifest_of
    from exobench.data.recipe import SPLITS

    manifest = manifest_of(recipe, recipe.folder(root))
    return {split: manifest.rows(split) for split in SPLITS}
