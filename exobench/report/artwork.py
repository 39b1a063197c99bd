"""The pictures that a method brought along, copied so that the page can be sent on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from exobench.report.cache import ASSETS, Cache
from exobench.report.entries import Entry

Artwork = dict[str, Any]
"""``own``: pictures with title, what is shown and the files by suffix; ``notes``: why some are missing."""

_SHOWN, _LINKED = (".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif"), (".pdf",)


def artwork(entry: Entry, cache: Cache) -> Artwork:
    """The method's own pictures, copied where they are missing or out of date."""
    made: Artwork = cache.get("artwork", lambda: _copy(entry, cache.folder))
    if all((cache.folder / Path(name).name).is_file() for picture in made["own"] for name in picture["files"].values()):
        return made
    del cache.values["artwork"]
    return cache.get("artwork", lambda: _copy(entry, cache.folder))


def _copy(entry: Entry, folder: Path) -> Artwork:
    """A file outside the run's folder is refused; files that differ in their suffix alone are one picture."""
    made: Artwork = {"own": [], "notes": []}
    root = entry.record.folder.resolve()
    pictures: dict[str, dict[str, str]] = {}
    listed = entry.get("figures")
    for name in listed if isinstance(listed, list) else []:
        source = (root / str(name)).resolve()
        suffix = source.suffix.lower()
        if not source.is_relative_to(root) or suffix not in _SHOWN + _LINKED or not source.is_file():
            made["notes"].append(f"The method's figure {name} is missing, outside its run or no picture.")
            continue
        files = pictures.setdefault(source.with_suffix("").as_posix(), {})
        number = list(pictures).index(source.with_suffix("").as_posix()) + 1
        folder.mkdir(parents=True, exist_ok=True)
        copy = folder / f"own-{number}{suffix}"
        part = copy.with_name(f"{copy.name}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, copy)
        files[suffix] = f"{ASSETS}/{folder.name}/{copy.name}"
    for stem, files in pictures.items():
        title = Path(stem).name.replace("_", " ")
        shown = next((files[suffix] for suffix in _SHOWN if suffix in files), "")
        made["own"].append({"title": title, "shown": shown, "files": files})
    return made
