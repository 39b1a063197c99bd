"""The manifest: what a data set is, and which shards of it are finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.shard import ShardEntry, shard_file
from exobench.errors import ExobenchError
from exobench.files import write_atomically

MANIFEST_NAME = "manifest.json"
_FORMAT = "exobench spectra"


@dataclass
class Manifest:
    """The content of manifest.json: no times and no absolute paths, so equal data sets have equal manifests.

    Attributes:
        key: hash of the configuration; the folder's name.
        configuration: all that determines the numbers (see ``DataRecipe.configuration``).
        shards: for each split, finished shards by their number.
    """

    key: str
    configuration: Mapping[str, Any]
    shards: dict[str, dict[int, ShardEntry]] = field(default_factory=lambda: {split: {} for split in SPLITS})

    def rows(self, split: str) -> int:
        """Rows that can be read without a gap, from the first."""
        index = rows = 0
        while (entry := self.shards[split].get(index)) is not None:
            rows, index = rows + entry.rows, index + 1
        return rows

    def write(self, folder: Path) -> None:
        """Replaces the folder's manifest."""
        content = {
            "format": _FORMAT,
            "key": self.key,
            **self.configuration,
            "splits": {
                split: [entries[index].as_dict() for index in sorted(entries)] for split, entries in self.shards.items()
            },
        }
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        write_atomically(folder / MANIFEST_NAME, text.encode())


def load_manifest(folder: Path) -> Manifest | None:
    """Reads a folder's manifest; None where there is none.

    Raises:
        ExobenchError: the file is not one of ours, or damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ExobenchError(f"{path} is damaged ({error}). Delete it: it is rebuilt from the shards.") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ExobenchError(f"{path} is not a manifest of exobench spectra: choose another paths.data.")
    try:
        splits = content.pop("splits")
        del content["format"]
        return Manifest(content.pop("key"), content, {split: _entries(split, splits[split]) for split in SPLITS})
    except (KeyError, TypeError, ValueError) as error:
        raise ExobenchError(f"{path} is damaged ({error!r}). Delete it: it is rebuilt from the shards.") from error


def manifest_of(recipe: DataRecipe, folder: Path) -> Manifest:
    """The folder's manifest, or an empty one.

    Raises:
        ExobenchError: the folder holds another data set.
    """
    manifest = load_manifest(folder)
    if manifest is None:
        return Manifest(recipe.key, recipe.configuration)
    differing = _differing(manifest.configuration, recipe.configuration)
    if manifest.key != recipe.key or differing:
        raise ExobenchError(
            f"{folder / MANIFEST_NAME} describes another data set (key {manifest.key}, expected {recipe.key}; "
            f"differs in: {', '.join(differing) or 'key'}). Move that folder away or choose another paths.data."
        )
    return manifest


def _differing(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    as_stored = json.loads(json.dumps(expected))
    return sorted(name for name in {*found, *as_stored} if found.get(name) != as_stored.get(name))


def _entries(split: str, listed: list[dict[str, Any]]) -> dict[int, ShardEntry]:
    entries: dict[int, ShardEntry] = {}
    for item in listed:
        entry = ShardEntry(**item)
        index = int(Path(entry.file).stem.removeprefix("shard_"))
        if entry.file != shard_file(split, index):
            raise ValueError(f"'{entry.file}' is not a shard of {split}")
        entries[index] = entry
    return entries
