"""From run records to ``index.html``: a folder that opens from the file system and can be sent on."""

from __future__ import annotations

import importlib.resources
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape
from tqdm import tqdm

import exobench
from exobench.errors import ExobenchError
from exobench.metrics.catalogue import METRICS
from exobench.metrics.score import METRICS_VERSION
from exobench.report.artwork import Artwork, artwork
from exobench.report.cache import ASSETS, Cache, remove_stale, write_text
from exobench.report.entries import Entry, Problem, read_entries, unfinished
from exobench.report.figures import MAX_POINTS
from exobench.report.regions import RegionSheet, region_sheet
from exobench.report.scores import TOGETHER, evidence
from exobench.report.sections import NESTED_SIZES, Section, sections, settings_apart
from exobench.report.tables import Leaderboard, ScoreSheet, doc, leaderboards, score_sheet
from exobench.report.wording import count, duration, gibibytes, leaves, plain
from exobench.results import RECORD

log = logging.getLogger(__name__)

PAGE = "index.html"
_BROKEN = (ExobenchError, OSError, TypeError, ValueError, KeyError, IndexError, ArithmeticError)
"""What a damaged record can raise; each becomes a line on the page."""


@dataclass(frozen=True)
class RunView:
    """One run with all that the page shows of it."""

    entry: Entry
    apart: str
    sheet: ScoreSheet
    art: Artwork
    regions: RegionSheet | None


@dataclass(frozen=True)
class SectionView:
    """One section with its tables and runs."""

    section: Section
    leaderboards: Sequence[Leaderboard]
    runs: Sequence[RunView]


def build_page(runs: Path, reports: Path) -> Path:
    """Writes the page of all records below a folder.

    Args:
        runs: folder of run records; it may be empty or missing.
        reports: folder of the page, made if missing. Figures stay in it and are drawn again only when a record changes.

    Returns:
        The page's path.

    Raises:
        ExobenchError: if the page cannot be written.
    """
    runs, reports = Path(runs), Path(reports)
    try:
        reports.mkdir(parents=True, exist_ok=True)
        entries, problems = read_entries(runs)
        views, more = _views(entries, reports)
        problems = sorted([*problems, *more], key=lambda problem: problem.folder)
        for problem in problems:
            log.warning("not on the page: %s: %s", problem.folder, problem.reason)
        remove_stale(reports, {entry.anchor for entry in entries})
        write_text(reports / PAGE, _render(views, problems, unfinished(runs), runs))
    except OSError as error:
        raise ExobenchError(f"the page cannot be written to {reports}: {error}.") from error
    return reports / PAGE


def _views(entries: Sequence[Entry], reports: Path) -> tuple[list[SectionView], list[Problem]]:
    """Draws and computes; a record whose arrays turn out damaged is taken out before tables are made."""
    problems: list[Problem] = []
    caches: dict[str, Cache] = {}
    art: dict[str, Artwork] = {}
    good: list[Entry] = []
    for entry in tqdm(entries, desc="report", unit="run", disable=None, leave=False):
        cache = Cache.open(entry, reports)
        try:
            art[entry.anchor] = artwork(entry, cache) if entry.is_ok else {}
            if entry.is_ok:
                evidence(entry, cache, next((n for n in NESTED_SIZES if n <= entry.n_test), entry.n_test))
                region_sheet(entry, cache)
        except _BROKEN as error:
            problems.append(Problem(entry.relative, _one_line(error, entry)))
            continue
        caches[entry.anchor] = cache
        good.append(entry)
    views = [_view(section, caches, art) for section in sections(good)]
    for entry in good:
        caches[entry.anchor].save()
        shutil.copyfile(entry.record.folder / RECORD, caches[entry.anchor].folder / RECORD)
    return views, problems


def _view(section: Section, caches: dict[str, Cache], art: dict[str, Artwork]) -> SectionView:
    apart = settings_apart(section.scored)
    runs = [
        RunView(
            entry,
            apart[entry.anchor],
            score_sheet(entry),
            art[entry.anchor],
            region_sheet(entry, caches[entry.anchor]),
        )
        for entry in section.scored
    ]
    return SectionView(section, leaderboards(section, caches), runs)


def _one_line(error: BaseException, entry: Entry) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(entry.record.folder.as_posix(), entry.relative)


def _render(views: Sequence[SectionView], problems: Sequence[Problem], open_runs: Sequence[str], runs: Path) -> str:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "doc": _doc_markup,
        "plain": plain,
        "count": count,
        "duration": duration,
        "gibibytes": gibibytes,
    }
    environment.filters.update(filters)
    return environment.get_template("page.html.j2").render(
        views=views,
        problems=problems,
        unfinished=open_runs,
        runs=runs,
        style=Markup(_resource("style.css")),
        metric_doc=doc,
        metrics=METRICS,
        leaves=lambda content: list(leaves(content)),
        version=exobench.__version__,
        metrics_version=METRICS_VERSION,
        assets=ASSETS,
        record_name=RECORD,
        max_points=MAX_POINTS,
        together_names=TOGETHER,
    )


def _resource(name: str) -> str:
    return (importlib.resources.files("exobench.report") / name).read_text(encoding="utf-8")


def _doc_markup(text: str) -> Markup:
    """Escaped text with `names` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
