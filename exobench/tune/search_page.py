"""``search/search.html``: the page of a report's site that tells of searches for settings."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, DictLoader, FunctionLoader
from markupsafe import Markup

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.places import Places
from exobench.report.cache import ASSETS
from exobench.report.site.drawn import safe_json
from exobench.report.site.render import environment, resource
from exobench.report.site.shared_files import copy_plotly, write_own
from exobench.small_commands import split_arguments
from exobench.tune.history import find_searches, read_history
from exobench.tune.page import SearchPart, search_part

PAGE, FOLDER, INDEX = "search.html", "search", "index.html"
TEMPLATE = "search.html.j2"
HELP = """usage: python -m exobench.tune report [FOLDER ...] [paths.runs=FOLDER] [paths.reports=FOLDER]

Tells of searches on a page, search/search.html in paths.reports (default: ./reports): progress, what mattered, what
ended early and why. FOLDER is that of a search, or one above some; default: tune in paths.runs (EXOBENCH_RUNS, else
./runs). A search that is under way is shown as it stands. The page needs no network; it is one of those that python -m
exobench.report makes, and leads to their first page where that is there.
"""


def report(arguments: Sequence[str]) -> Path:
    """Writes the page of the searches that the arguments name.

    Returns:
        Its path.

    Raises:
        ExobenchError: wrong arguments, no search, or a folder that cannot be written.
    """
    defaults = {"paths.runs": "", "paths.reports": ""}
    values, folders = split_arguments(arguments, defaults, is_place=Path.is_dir)
    places = Places.resolve(runs=values["paths.runs"] or None, reports=values["paths.reports"] or None)
    searches = _searches(folders or [places.runs / "tune"])
    return write_page([search_part(read_history(folder)) for folder in searches], places.reports / FOLDER)


def _searches(folders: Sequence[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for folder in folders:
        below = find_searches(folder) if folder.is_dir() else []
        if not below:
            raise ExobenchError(f"{folder} holds no search: python -m exobench.tune method=... task=... makes one.")
        found.update(dict.fromkeys(below))
    return list(found)


def write_page(parts: Sequence[SearchPart], folder: Path, *, in_site: bool = False) -> Path:
    """Writes ``search.html``, a page of the site that the folder above holds, and its tables as CSV files.

    Args:
        parts: one a search.
        folder: directly below the site's; made if missing.
        in_site: of a site under construction, which has its first page, styles and scripts from elsewhere; else they
            are put beside the page, which leads to a first page only where there is one.

    Returns:
        The page's path.

    Raises:
        ExobenchError: the folder cannot be written.
    """
    site = folder.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            (folder / part.name).mkdir(exist_ok=True)
            for table in part.tables:
                write_atomically(folder / part.name / f"{table.name}.csv", table.table.to_csv(index=False).encode())
        if not in_site:
            write_own(site / ASSETS)
            copy_plotly(site / ASSETS)
        has_index = in_site or (site / INDEX).is_file()
        write_atomically(folder / PAGE, _render(parts, has_index=has_index).encode())
    except OSError as error:
        raise ExobenchError(f"the page cannot be written to {folder}: {error}.") from error
    return folder / PAGE


def cell(value: Any) -> str:
    """A value of a table as people read it; nothing where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
    return str(value)


def _render(parts: Sequence[SearchPart], *, has_index: bool) -> str:
    source = (importlib.resources.files("exobench.tune") / TEMPLATE).read_text(encoding="utf-8")
    site = environment()
    own = site.overlay(loader=ChoiceLoader([DictLoader({TEMPLATE: source}), FunctionLoader(resource)]))
    return own.get_template(TEMPLATE).render(
        parts=parts,
        cell=cell,
        script_json=lambda figure: Markup(safe_json(figure)),
        has_index=has_index,
        root="../",
    )
