"""The searches for settings beside the runs, as pages that the site links to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exobench.errors import ExobenchError
from exobench.report.entries import Problem

SEARCHES = "tune"
"""Folder of searches below the runs folder."""


@dataclass(frozen=True)
class Searches:
    """The page of all searches.

    Attributes:
        page: relative to the site's folder.
        found: name and title of each.
    """

    page: str
    found: Sequence[tuple[str, str]]


def write_searches(runs: Path, reports: Path, problems: list[Problem]) -> Searches | None:
    """Writes the page of the searches below a runs folder; None where there is none that can be shown.

    Args:
        runs: folder of run records.
        reports: the site's folder.
        problems: a search that cannot be read is added here.

    Raises:
        ExobenchError: if the page cannot be written.
    """
    if not (runs / SEARCHES).is_dir():
        return None
    # Only here: searches need more than records do, and few runs folders hold any.
    from exobench.tune.history import find_searches, read_history
    from exobench.tune.page import search_part
    from exobench.tune.search_page import FOLDER, write_page

    parts = []
    for folder in find_searches(runs / SEARCHES):
        try:
            parts.append(search_part(read_history(folder)))
        except ExobenchError as error:
            reason = " ".join(str(error).split()).replace(folder.as_posix(), folder.name)
            problems.append(Problem(folder.relative_to(runs).as_posix(), reason))
    if not parts:
        return None
    written = write_page(parts, reports / FOLDER, in_site=True)
    return Searches(written.relative_to(reports).as_posix(), [(part.name, part.title) for part in parts])
