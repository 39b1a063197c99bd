"""Styles and scripts that all pages of a site share."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from exobench.errors import ExobenchError
from exobench.report.cache import write_text
from exobench.report.site.render import resource

_OWN = ("site.css", "site.js")
_PLOTLY = "plotly.min.js"


def write_own(folder: Path) -> None:
    """Writes the site's own styles and script into a folder, made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OWN:
        write_text(folder / name, resource(name))


def copy_plotly(folder: Path) -> None:
    """Takes plotly.js from the installed package, once a version.

    Raises:
        ExobenchError: the package is missing.
    """
    spec = importlib.util.find_spec("plotly")
    source = Path(str(spec.origin)).parent / "package_data" / _PLOTLY if spec else None
    if source is None or not source.is_file():
        raise ExobenchError("the package plotly is missing; install it with 'pip install plotly'.")
    target = folder / _PLOTLY
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, target)
