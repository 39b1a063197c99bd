"""A sampler's settings as a JSON file beside its posterior."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from exobench.errors import ExobenchError
from exobench.files import write_atomically

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings")


def save_settings(path: Path, settings: DataclassInstance) -> None:
    """Writes a dataclass of settings into a file, whose folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(settings), indent=1).encode())


def load_settings(path: Path, build: Callable[[Mapping[str, Any]], Settings]) -> Settings:
    """Reads what `save_settings` wrote.

    Args:
        path: of the file.
        build: makes the settings from their values by name.

    Raises:
        ExobenchError: if it is missing or damaged.
    """
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExobenchError(f"{path} cannot be read ({error}); remove the run's folder.") from error
