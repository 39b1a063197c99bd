"""What the site makes of one run alone: its computed values and figures, and its page."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from exobench.report.artwork import artwork
from exobench.report.cache import PAGES, Cache, write_text
from exobench.report.entries import Entry, Problem
from exobench.report.plots import RUN_FIGURES
from exobench.report.plots.summary import mean_energy
from exobench.report.regions import region_fields, region_sheet
from exobench.report.scores import evidence, truths
from exobench.report.sections import NESTED_SIZES, Section, settings_apart
from exobench.report.site.drawn import Drawing, drawing
from exobench.report.site.render import environment, resource
from exobench.report.site.views import RunView
from exobench.report.tables import score_sheet
from exobench.report.wording import BROKEN
from exobench.results import RECORD

_MAKE_RUN_PAGES = tuple(f"{name}.html.j2" for name in ("base", "parts", "regions", "run"))
_FILL_THEM = ("cells.py", "glossary.py", "plain_words.py")


@dataclass(frozen=True)
class Run:
    """One run to be shown.

    Attributes:
        entry: its record.
        section: names of its section, which is too large to travel with every run.
        apart: settings that tell it from others of its method.
    """

    entry: Entry
    section: Section
    apart: str


def runs_of(section: Section) -> list[Run]:
    """The runs of a section."""
    apart, names = settings_apart(section.entries), replace(section, entries=())
    return [Run(entry, names, apart[entry.anchor]) for entry in section.entries]


def write_run(reports: Path, run: Run) -> Cache | Problem:
    """Computes what the tables need, draws the run's figures and writes its page; or says why it cannot be shown.

    All that reads a record's arrays comes here, one record after the other, so that each is read once. What is up to
    date stays.
    """
    entry = run.entry
    own = Cache.open(entry, reports)
    target = reports / PAGES[1] / f"{entry.anchor}.html"
    state = hashlib.sha256(repr((own.stamp, run.apart, run.section.anchor, _design())).encode()).hexdigest()
    try:
        drawn = _prepared(entry, own) if entry.is_ok else Drawing()
        is_new = own.values.get("page") != state or not target.is_file()
        view = _view(run, own, drawn) if is_new else None
    except BROKEN as error:
        return Problem(entry.relative, _one_line(error, entry))
    if view is not None:
        _write_page(view, target, own)
        own.values["page"], own.changed = state, True
    own.save()
    return own


def _prepared(entry: Entry, own: Cache) -> Drawing:
    entry.arrays()
    artwork(entry, own)
    region_fields(entry, own)
    evidence(entry, own, next((n for n in NESTED_SIZES if n <= entry.n_test), entry.n_test))
    for n_obs in (n for n in NESTED_SIZES if n <= entry.n_test and entry.is_current):
        truths(entry, own, n_obs)
        mean_energy(entry, {entry.anchor: own}, n_obs)
    return drawing(RUN_FIGURES, entry, {entry.anchor: own}, own)


def _view(run: Run, own: Cache, drawn: Drawing) -> RunView:
    entry = run.entry
    return RunView(
        run.section,
        entry,
        run.apart,
        score_sheet(entry),
        artwork(entry, own) if entry.is_ok else {"own": [], "notes": []},
        region_sheet(entry, own) if entry.is_ok else None,
        drawn,
    )


def _write_page(view: RunView, target: Path, own: Cache) -> None:
    entry = view.entry
    text = environment().get_template("run.html.j2").render(run=view, entry=entry, section=view.section, root="../")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    own.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(entry.record.folder / RECORD, own.folder / RECORD)


@cache
def _design() -> str:
    """Changes with the templates and words of a run's page, so that pages of older ones are written anew."""
    return hashlib.sha256("".join(map(resource, _MAKE_RUN_PAGES + _FILL_THEM)).encode()).hexdigest()


def _one_line(error: BaseException, entry: Entry) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(entry.record.folder.as_posix(), entry.relative)
