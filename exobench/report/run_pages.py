"""What the site makes of one run alone: its computed values and figures, and its page."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from exobench.report.artwork import artwork
from exobench.report.cache import PAGES, Cache, write_text
from exobench.report.entries import Entry, Problem
from exobench.report.plots import RUN_FIGURES
from exobench.report.plots.summary import at_size
from exobench.report.regions import region_sheet
from exobench.report.scores import evidence, truths
from exobench.report.sections import NESTED_SIZES, Section
from exobench.report.site.drawn import Drawing, drawing
from exobench.report.site.render import environment, resource
from exobench.report.site.views import RunView
from exobench.report.tables import score_sheet
from exobench.report.wording import BROKEN
from exobench.results import RECORD

_MAKE_RUN_PAGES = tuple(f"{name}.html.j2" for name in ("base", "parts", "regions", "run"))
_EXPLAIN_THEM = ("glossary.py", "plain_words.py")


def prepared(reports: Path, entry: Entry) -> Cache | Problem:
    """Computes what the tables need and draws the run's figures; or says why the record cannot be shown.

    All that reads a record's arrays comes here, one record after the other, so that each is read once.
    """
    own = Cache.open(entry, reports)
    try:
        if entry.is_ok:
            entry.arrays()
            artwork(entry, own)
            evidence(entry, own, next((n for n in NESTED_SIZES if n <= entry.n_test), entry.n_test))
            for n_obs in (n for n in NESTED_SIZES if n <= entry.n_test and entry.is_current):
                truths(entry, own, n_obs)
                at_size(entry, {entry.anchor: own}, n_obs)
            region_sheet(entry, own)
            drawing(RUN_FIGURES, entry, {entry.anchor: own}, own)
            own.save()
    except BROKEN as error:
        return Problem(entry.relative, _one_line(error, entry))
    return own


@dataclass(frozen=True)
class RunPages:
    """What the pages of a section's runs have in common.

    Attributes:
        reports: folder of the site.
        section: theirs.
        apart: settings that tell a run from others of its method, by anchor.
    """

    reports: Path
    section: Section
    apart: dict[str, str]


def write_run_page(pages: RunPages, shown: tuple[Entry, Cache]) -> str | None:
    """Writes the page of one run unless it is up to date; returns what tells that it is, else None."""
    entry, own = shown
    target = pages.reports / PAGES[1] / f"{entry.anchor}.html"
    apart, anchor = pages.apart[entry.anchor], pages.section.anchor
    state = hashlib.sha256(repr((own.stamp, apart, anchor, _design())).encode()).hexdigest()
    if own.values.get("page") == state and target.is_file():
        return None
    view = RunView(
        pages.section,
        entry,
        apart,
        score_sheet(entry),
        artwork(entry, own) if entry.is_ok else {"own": [], "notes": []},
        region_sheet(entry, own) if entry.is_ok else None,
        drawing(RUN_FIGURES, entry, {entry.anchor: own}, own) if entry.is_ok else Drawing(),
    )
    text = environment().get_template("run.html.j2").render(run=view, entry=entry, section=pages.section, root="../")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    own.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(entry.record.folder / RECORD, own.folder / RECORD)
    return state


@cache
def _design() -> str:
    """Changes with the templates and words of a run's page, so that pages of older ones are written anew."""
    return hashlib.sha256("".join(map(resource, _MAKE_RUN_PAGES + _EXPLAIN_THEM)).encode()).hexdigest()


def _one_line(error: BaseException, entry: Entry) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(entry.record.folder.as_posix(), entry.relative)
