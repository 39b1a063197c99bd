"""From run records to a static site: a folder that opens from the file system and can be sent on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from exobench.errors import ExobenchError
from exobench.metrics.score import METRICS_VERSION
from exobench.report.cache import ASSETS, PAGE_VERSION, PAGES, TABLES, Cache, remove_stale, write_text
from exobench.report.entries import Entry, Problem, read_entries, unfinished
from exobench.report.plots import TASK_FIGURES
from exobench.report.processes import spread
from exobench.report.run_pages import runs_of, write_run
from exobench.report.searches import Searches, write_searches
from exobench.report.sections import Section, sections
from exobench.report.site import frames
from exobench.report.site.downloads import write_table
from exobench.report.site.drawn import Drawing, drawing
from exobench.report.site.render import environment
from exobench.report.site.shared_files import copy_plotly, write_own
from exobench.report.site.views import TaskView, task_view

log = logging.getLogger(__name__)

PAGE = "index.html"


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
        views = [_task(site, section) for section in _write_runs(site, entries)]
        searches = write_searches(runs, reports, site.problems)
        for problem in sorted(site.problems, key=lambda problem: problem.folder):
            log.warning("not on the page: %s: %s", problem.folder, problem.reason)
        _finish(site, views, runs, searches)
    except OSError as error:
        raise ExobenchError(f"the page cannot be written to {reports}: {error}.") from error
    return reports / PAGE


def _write_runs(site: Site, entries: Sequence[Entry]) -> list[Section]:
    """Fills the caches and writes the pages of runs; returns the sections of those that can be shown.

    Settings tell runs apart from others of their method: without a record that cannot be shown, some may be needless,
    and the pages with them are written again.
    """
    found, apart = sections(entries), dict[str, str]()
    while runs := [run for section in found for run in runs_of(section) if apart.get(run.entry.anchor) != run.apart]:
        broken = set()
        for run, made in zip(runs, spread(write_run, site.reports, runs, "records", "runs"), strict=True):
            apart[run.entry.anchor] = run.apart
            if isinstance(made, Problem):
                site.problems.append(made)
                broken.add(run.entry.anchor)
            else:
                site.caches[run.entry.anchor] = made
        found = sections([e for section in found for e in section.entries if e.anchor not in broken])
    return found


def _task(site: Site, section: Section) -> TaskView:
    """Writes a task's page and its tables."""
    stamp = [PAGE_VERSION, METRICS_VERSION, *(site.caches[entry.anchor].stamp for entry in section.entries)]
    own = Cache.at(site.reports / ASSETS / section.anchor, stamp)
    drawn = drawing(TASK_FIGURES, section, site.caches, own) if section.scored else Drawing()
    view = task_view(section, site.caches, drawn, frames.shift_rows(section.scored))
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
        write_table(pd.DataFrame(view.shifts), folder, "shifts")
    if section.without_scores:
        write_table(frames.failures_frame(section), folder, "without-scores")


def _finish(site: Site, views: Sequence[TaskView], runs: Path, searches: Searches | None) -> None:
    """Scripts and styles, the first page last, then what no longer belongs here goes."""
    write_own(site.reports / ASSETS)
    if views or searches:
        copy_plotly(site.reports / ASSETS)
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


def _write(site: Site, target: str, template: str, **values: object) -> None:
    path = site.reports / target
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, environment().get_template(template).render(**values))
