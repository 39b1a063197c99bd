"""What was computed from a record stays beside its figures until the record changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exobench.metrics.score import METRICS_VERSION
from exobench.report.entries import Entry

PAGE_VERSION = 4
"""Goes up when figures or cached numbers would change, so that old ones are made anew."""

ASSETS = "assets"
"""Folder of scripts, styles and figures below the reports folder."""

TABLES, PAGES = "tables", ("tasks", "runs")
"""Folders of downloads and of pages."""

_STAMP = "cache.json"
_ANCHOR = re.compile(r"[A-Za-z0-9_-]+-[0-9a-f]{12}")


@dataclass
class Cache:
    """Computed values and figures of one entry.

    Attributes:
        folder: the entry's folder below the reports folder.
        stamp: identifies the state of the record that they belong to.
        values: named JSON-able values.
        at_hand: values of this build, never written.
    """

    folder: Path
    stamp: list[Any]
    values: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    at_hand: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def open(entry: Entry, reports: Path) -> Cache:
        """Reads the cache of an entry; it starts empty when the record is newer, or another, than the cache."""
        stamp = [PAGE_VERSION, METRICS_VERSION, entry.relative, [_state(path) for path in entry.sources]]
        return Cache.at(reports / ASSETS / entry.anchor, stamp)

    @staticmethod
    def at(folder: Path, stamp: list[Any]) -> Cache:
        """Reads the cache in a folder; it starts empty when its stamp is another."""
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

    def latest(self, name: str, state: Any, compute: Callable[[], Any]) -> Any:
        """The value of a name in a state of many records, computed where it is new; of older states none stays."""
        key = f"{name} {hashlib.sha256(repr(state).encode()).hexdigest()[:16]}"
        for old in [known for known in self.values if known.startswith(f"{name} ") and known != key]:
            del self.values[old]
        return self.get(key, compute)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """The value of a key, computed once a build and not written: of any type."""
        if key not in self.at_hand:
            self.at_hand[key] = compute()
        return self.at_hand[key]

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
    """Removes pages, tables and figures of runs and tasks that are no longer there, and nothing else.

    What was made for a run or task has a cache of its name: a folder or file without one is the user's own.
    """
    for folder in (reports / ASSETS).glob("*-*"):
        if folder.name in anchors or not _ANCHOR.fullmatch(folder.name) or not (folder / _STAMP).is_file():
            continue
        for kind in PAGES:
            (reports / kind / f"{folder.name}.html").unlink(missing_ok=True)
        shutil.rmtree(reports / TABLES / folder.name, ignore_errors=True)
        shutil.rmtree(folder)


def _state(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_mtime_ns, found.st_size]
