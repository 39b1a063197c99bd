"""What was computed from a record stays beside its figures until the record changes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exobench.metrics.score import METRICS_VERSION
from exobench.report.entries import Entry

PAGE_VERSION = 2
"""Goes up when figures or cached numbers would change, so that old ones are made anew."""

ASSETS = "assets"
"""Folder of the page's figures below the reports folder."""

_STAMP = "cache.json"


@dataclass
class Cache:
    """Computed values and figures of one entry.

    Attributes:
        folder: the entry's folder below the reports folder.
        stamp: identifies the state of the record that they belong to.
        values: named JSON-able values.
    """

    folder: Path
    stamp: list[Any]
    values: dict[str, Any] = field(default_factory=dict)
    changed: bool = True

    @staticmethod
    def open(entry: Entry, reports: Path) -> Cache:
        """Reads the cache of an entry; it starts empty when the record is newer, or another, than the cache."""
        folder = reports / ASSETS / entry.anchor
        stamp = [PAGE_VERSION, METRICS_VERSION, entry.relative, [_state(path) for path in entry.sources]]
        try:
            content = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
            if content["stamp"] == stamp and isinstance(content["values"], dict):
                return Cache(folder, stamp, content["values"], changed=False)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return Cache(folder, stamp)

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        """The value of a key, computed where there is none yet."""
        if key not in self.values:
            self.values[key] = compute()
            self.changed = True
        return self.values[key]

    def save(self) -> None:
        """Writes the values, if any is new; atomically."""
        if not self.changed:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"stamp": self.stamp, "values": self.values})
        write_text(self.folder / _STAMP, text)
        self.changed = False


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically, so that a page is never half written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def remove_stale(reports: Path, anchors: set[str]) -> None:
    """Removes the figures of runs that are no longer there; touches only folders that hold a cache."""
    for folder in (reports / ASSETS).glob("run-*"):
        if folder.name not in anchors and (folder / _STAMP).is_file():
            shutil.rmtree(folder)


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_mtime_ns, found.st_size]
