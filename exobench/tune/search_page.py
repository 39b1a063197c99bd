"""``search.html``: a folder that tells of searches, opens from the file system and can be sent on."""

from __future__ import annotations

import importlib.resources
import json
import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

import exobench
from exobench.errors import ExobenchError, MissingDependencyError
from exobench.files import write_atomically
from exobench.places import Places
from exobench.report.plots.palette import DARK, LIGHT
from exobench.small_commands import split_arguments
from exobench.tune.history import find_searches, read_history
from exobench.tune.page import SearchPart, search_part

log = logging.getLogger(__name__)

PAGE, PLOTLY, FOLDER = "search.html", "plotly.min.js", "search"
HELP = """usage: python -m exobench.tune report [FOLDER ...] [paths.runs=FOLDER] [paths.reports=FOLDER]

Tells of searches on a page, search/search.html in paths.reports (default: ./reports): progress, what mattered, what
ended early and why. FOLDER is that of a search, or one above some; default: tune in paths.runs (EXOBENCH_RUNS, else
./runs). A search that is under way is shown as it stands. The page needs no network.
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


def write_page(parts: Sequence[SearchPart], folder: Path, *, plotly: str | None = None) -> Path:
    """Writes ``search.html``, its tables as CSV files and the script that draws its figures.

    Args:
        parts: one a search.
        folder: made if missing.
        plotly: where the script is already, relative to the folder; None to put it there.

    Returns:
        The page's path.

    Raises:
        ExobenchError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in parts:
            (folder / part.name).mkdir(exist_ok=True)
            for table in part.tables:
                write_atomically(folder / part.name / f"{table.name}.csv", table.table.to_csv(index=False).encode())
        if plotly is None:
            shutil.copyfile(_plotly(), folder / PLOTLY)
        write_atomically(folder / PAGE, _render(parts, plotly or PLOTLY).encode())
    except OSError as error:
        raise ExobenchError(f"the page cannot be written to {folder}: {error}.") from error
    return folder / PAGE


def script_json(content: Any) -> Markup:
    """JSON that may stand within a script element, whatever names it holds."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"))


def cell(value: Any) -> str:
    """A value of a table as people read it; nothing where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e9 else f"{value:.4g}"
    return str(value)


def _plotly() -> Path:
    try:
        return Path(str(importlib.resources.files("plotly") / "package_data" / PLOTLY))
    except ModuleNotFoundError as error:
        raise MissingDependencyError("the page of a search needs the package plotly: pip install plotly.") from error


def _render(parts: Sequence[SearchPart], plotly: str) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({"script_json": script_json, "cell": cell})
    source = (importlib.resources.files("exobench.tune") / "search.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        parts=parts,
        plotly=plotly,
        colours={LIGHT[name]: DARK[name] for name in LIGHT},
        version=exobench.__version__,
    )
