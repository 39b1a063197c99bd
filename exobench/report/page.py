"""From run records to a static site: a folder that opens from the file system and can be sent on."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from exobench.errors import ExobenchError
from exobench.metrics.score import METRICS_VERSION
from exobench.progress import track
from exobench.report.artwork import artwork
from exobench.report.cache import ASSETS, PAGE_VERSION, PAGES, TABLES, Cache, remove_stale, write_text
from exobench.report.entries import Entry, Problem, read_entries, unfinished
from exobench.report.plots import RUN_FIGURES, TASK_FIGURES
from exobench.report.regions import region_rows, region_sheet
from exobench.report.scores import evidence, truths
from exobench.report.searches import Searches, write_searches
from exobench.report.sections import NESTED_SIZES, Section, sections, settings_apart
from exobench.report.site import frames
from exobench.report.site.downloads import write_table
from exobench.report.site.drawn import Drawing, drawing
from exobench.report.site.render import environment, resource
from exobench.report.site.views import RunView, TaskView, task_view
from exobench.report.tables import score_sheet
from exobench.report.wording import BROKEN
from exobench.results import RECORD

log = logging.getLogger(__name__)

PAGE = "index.html"
_OWN = ("site.css", "site.js")
_MAKE_RUN_PAGES = tuple(f"{name}.html.j2" for name in ("base", "parts", "regions", "run"))
_EXPLAIN_THEM = ("glossary.py", "plain_words.py")


@dataclass
class Site:
    """A site under construction.

    Attributes:
        reports: its folder.
        caches: of the entries that can be shown, by anchor.
        problems: records that cannot.
    """

    reports: Path
    caches: dict[str, Cache] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def build_page(runs: Path, reports: Path) -> Path:
    """Writes the site of all records below a folder.

    Args:
        runs: folder of run records; it may be empty or missing.
        reports: folder of the site, made if missing. What was computed stays in it until a record changes.

    Returns:
        The path of its first page.

    Raises:
        ExobenchError: if the site cannot be written.
    """
    runs, reports = Path(runs), Path(reports)
    try:
        reports.mkdir(parents=True, exist_ok=True)
        entries, problems = read_entries(runs)
        site = Site(reports, problems=problems)
        good = [entry for entry in track(entries, "records", "runs") if _prepare(site, entry)]
        views = [_task(site, section) for section in sections(good)]
        for view in views:
            _run_pages(site, view.section)
        searches = write_searches(runs, reports, site.problems)
        for problem in sorted(site.problems, key=lambda problem: problem.folder):
            log.warning("not on the page: %s: %s", problem.folder, problem.reason)
        _finish(site, views, runs, searches)
    except OSError as error:
        raise ExobenchError(f"the page cannot be written to {reports}: {error}.") from error
    return reports / PAGE


def _prepare(site: Site, entry: Entry) -> bool:
    """Computes what the tables need and draws the run's figures; says whether the record can be shown.

    All that reads a record's arrays comes here, one record after the other, so that each is read once.
    """
    own = Cache.open(entry, site.reports)
    try:
        if entry.is_ok:
            entry.arrays()
            artwork(entry, own)
            evidence(entry, own, next((n for n in NESTED_SIZES if n <= entry.n_test), entry.n_test))
            for n_obs in (n for n in NESTED_SIZES if n <= entry.n_test and entry.is_current):
                truths(entry, own, n_obs)
            region_rows(entry, own)
            drawing(RUN_FIGURES, entry, {entry.anchor: own}, own)
    except BROKEN as error:
        site.problems.append(Problem(entry.relative, _one_line(error, entry)))
        return False
    site.caches[entry.anchor] = own
    return True


def _task(site: Site, section: Section) -> TaskView:
    """Writes a task's page and its tables."""
    stamp = [PAGE_VERSION, METRICS_VERSION, *(site.caches[entry.anchor].stamp for entry in section.entries)]
    own = Cache.at(site.reports / ASSETS / section.anchor, stamp)
    drawn = drawing(TASK_FIGURES, section, site.caches, own) if section.scored else Drawing()
    shifts = frames.shifts_frame(section.scored)
    rows = [{key: row[key] for key in row if row[key] == row[key]} for row in shifts.to_dict("records")]
    view = task_view(section, site.caches, drawn, rows)
    _write_tables(site, view)
    _write(site, f"{PAGES[0]}/{section.anchor}.html", "task.html.j2", view=view, section=section, root="../")
    own.save()
    for entry in section.entries:
        site.caches[entry.anchor].save()
    return view


def _write_tables(site: Site, view: TaskView) -> None:
    section, folder = view.section, site.reports / TABLES / view.section.anchor
    for board in view.boards:
        write_table(frames.leaderboard_frame(board), folder, f"leaderboard-{board.n_obs}")
        write_table(frames.board_scores_frame(board), folder, f"scores-{board.n_obs}")
    write_table(frames.task_frame(section), folder, "task")
    write_table(frames.provenance_frame(section), folder, "provenance")
    if section.scored:
        write_table(frames.parameters_frame(section), folder, "parameters")
        write_table(frames.all_scores_frame(section), folder, "all-scores")
        write_table(frames.regions_frame(section, site.caches), folder, "regions")
    if view.shifts:
        write_table(frames.shifts_frame(section.scored), folder, "shifts")
    if section.without_scores:
        write_table(frames.failures_frame(section), folder, "without-scores")


def _run_pages(site: Site, section: Section) -> None:
    apart = settings_apart(section.entries)
    for entry in track(section.entries, f"pages of {section.task}", "pages"):
        own = site.caches[entry.anchor]
        target = f"{PAGES[1]}/{entry.anchor}.html"
        state = hashlib.sha256(repr((own.stamp, apart[entry.anchor], section.anchor, _design())).encode()).hexdigest()
        if own.values.get("page") == state and (site.reports / target).is_file():
            continue
        view = RunView(
            section,
            entry,
            apart[entry.anchor],
            score_sheet(entry),
            artwork(entry, own) if entry.is_ok else {"own": [], "notes": []},
            region_sheet(entry, own) if entry.is_ok else None,
            drawing(RUN_FIGURES, entry, {entry.anchor: own}, own) if entry.is_ok else Drawing(),
        )
        _write(site, target, "run.html.j2", run=view, entry=entry, section=section, root="../")
        own.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.record.folder / RECORD, own.folder / RECORD)
        own.values.pop("page", None)
        own.get("page", lambda state=state: state)  # type: ignore[misc]
        own.save()


@cache
def _design() -> str:
    """Changes with the templates and words of a run's page, so that pages of older ones are written anew."""
    return hashlib.sha256("".join(map(resource, _MAKE_RUN_PAGES + _EXPLAIN_THEM)).encode()).hexdigest()


def _finish(site: Site, views: Sequence[TaskView], runs: Path, searches: Searches | None) -> None:
    """Scripts and styles, the first page last, then what no longer belongs here goes."""
    for name in _OWN:
        write_text(site.reports / _folder(site, ASSETS) / name, resource(name))
    if views or searches:
        _copy_plotly(site.reports / ASSETS)
    names = {entry.anchor for view in views for entry in view.section.entries}
    remove_stale(site.reports, names | {view.section.anchor for view in views})
    problems = sorted(site.problems, key=lambda problem: problem.folder)
    if problems:
        write_table(frames.problems_frame(problems), site.reports / TABLES, "left-out")
    _write(
        site,
        PAGE,
        "index.html.j2",
        views=views,
        searches=searches,
        problems=problems,
        unfinished=unfinished(runs),
        runs=runs,
        root="",
    )


def _copy_plotly(folder: Path) -> None:
    """Takes plotly.js from the installed package, once a version."""
    spec = importlib.util.find_spec("plotly")
    source = Path(str(spec.origin)).parent / "package_data/plotly.min.js" if spec else None
    if source is None or not source.is_file():
        raise ExobenchError("the package plotly is missing; install it with 'pip install plotly'.")
    target = folder / "plotly.min.js"
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, target)


def _write(site: Site, target: str, template: str, **values: object) -> None:
    path = site.reports / target
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, environment().get_template(template).render(**values))


def _folder(site: Site, name: str) -> str:
    (site.reports / name).mkdir(parents=True, exist_ok=True)
    return name


def _one_line(error: BaseException, entry: Entry) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.replace(entry.record.folder.as_posix(), entry.relative)
