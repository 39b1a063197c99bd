"""Which records may stand together, and on how many spectra."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from exobench.report.entries import Entry, ParameterNote
from exobench.report.wording import ABSENT, differing, leaves, plain

NESTED_SIZES = (10_000, 1000, 100, 25)
"""Sizes of the nested test sets, largest first; each is the leading part of the next larger one."""

MOST_SCORED_ANEW = 60
"""Rows of a further table before it keeps to the best run of each method."""

_HEADLINE = ("noise", "simulator.flavour", "simulator.kind", "simulator.opacity_source", "simulator.k_table_overlap")
_NOT_NAMES = ("budget", "n_test", "task", "simulator")


@dataclass(frozen=True)
class Section:
    """All records of one task_id and one version of the scores: the only ones that may share a table.

    Attributes:
        task: name of the task.
        task_id: hash of what determines its scores.
        metrics_version: of the scores.
        entries: the records.
        differs: leaves of the description in which the page's sections of this task differ.
    """

    task: str
    task_id: str
    metrics_version: int
    entries: tuple[Entry, ...]
    differs: tuple[str, ...] = ()

    @cached_property
    def anchor(self) -> str:
        """Name of the section's page and of its folder of tables: safe, whatever the task is called."""
        digest = hashlib.sha256(repr((self.task, self.task_id, self.metrics_version)).encode()).hexdigest()[:12]
        return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', self.task)[:60]}-{digest}"

    @cached_property
    def scored(self) -> tuple[Entry, ...]:
        """Records with scores."""
        return tuple(entry for entry in self.entries if entry.is_ok)

    @cached_property
    def without_scores(self) -> tuple[Entry, ...]:
        """Runs that were skipped or failed."""
        return tuple(entry for entry in self.entries if not entry.is_ok)

    @cached_property
    def ceiling(self) -> Entry | None:
        """The record of the exact posterior with most spectra; None where there is none."""
        return max((entry for entry in self.scored if entry.is_ceiling), key=_weight, default=None)

    @cached_property
    def parameters(self) -> tuple[ParameterNote, ...]:
        """Parameters of the task; empty if no run has scores."""
        return self.scored[0].parameters if self.scored else ()

    @cached_property
    def description(self) -> dict[str, Any]:
        """The leaves of the task's description."""
        return dict(leaves(self.entries[0].mapping("task_description")))

    @cached_property
    def headline(self) -> list[tuple[str, str]]:
        """What tells this task from its variants: noise, physics, opacities, and whatever differs on this page."""
        found = self.description
        keys = [key for key in found if key in self.differs or key.startswith(_HEADLINE)]
        return [(key, plain(found[key])) for key in keys if found[key] not in (None, [])]


@dataclass(frozen=True)
class Selection:
    """The rows of one table: every setting once, all on the same leading spectra.

    Attributes:
        n_obs: spectra that all rows have in common.
        entries: the rows.
        crowded: whether only the best run of each method was taken from a larger table.
    """

    n_obs: int
    entries: tuple[Entry, ...]
    crowded: bool = False

    @property
    def methods(self) -> set[str]:
        """Names of the methods shown, floor and ceiling aside, which are none."""
        return {entry.method for entry in self.entries if not entry.is_reference}


def sections(entries: Sequence[Entry]) -> list[Section]:
    """Groups records by task_id and version of the scores, in the order of task names."""
    groups: dict[tuple[str, str, int], list[Entry]] = {}
    for entry in entries:
        key = (str(entry.record["task"]), str(entry.record["task_id"]), -int(entry.record["metrics_version"]))
        groups.setdefault(key, []).append(entry)
    made = []
    for (task, task_id, version), members in sorted(groups.items()):
        siblings = [group[0].mapping("task_description") for (name, *_), group in groups.items() if name == task]
        made.append(Section(task, task_id, -version, tuple(members), tuple(differing(siblings))))
    return made


def selections(section: Section) -> list[Selection]:
    """The tables of a section.

    A record of few spectra would drag a table down to its own size, so there is one table for each nested test set that
    adds a row: it holds the records that have at least so many spectra. The largest with two methods comes first.
    """
    if not section.scored:
        return []
    if not section.scored[0].is_current:
        sizes = sorted({entry.n_test for entry in section.scored}, reverse=True)
        return [Selection(n, tuple(e for e in section.scored if e.n_test == n)) for n in sizes]
    small = {entry.n_test for entry in section.scored if entry.n_test < min(NESTED_SIZES)}
    found: list[Selection] = []
    for n_obs in (*NESTED_SIZES, *sorted(small, reverse=True)):
        rows = one_a_setting([entry for entry in section.scored if entry.n_test >= n_obs])
        if rows and (not found or {_setting(e) for e in rows} != {_setting(e) for e in found[-1].entries}):
            found.append(Selection(n_obs, rows))
    telling = [selection for selection in found if not all(entry.is_reference for entry in selection.entries)] or found
    ordered = sorted(telling, key=lambda selection: (len(selection.methods) < 2, -selection.n_obs))
    largest = max(selection.n_obs for selection in ordered)
    return [selection if selection.n_obs == largest else _without_crowd(selection) for selection in ordered]


def _without_crowd(selection: Selection) -> Selection:
    """A further table without the crowd: of runs that stand in a larger table too, the best of each method.

    Such a table is there for those that have no more spectra, and every other row would have to be scored anew.
    """
    if len(selection.entries) <= MOST_SCORED_ANEW:
        return selection
    best: dict[str, Entry] = {}
    for entry in selection.entries:
        known = best.get(entry.method)
        if entry.n_test > selection.n_obs and (known is None or _energy(entry) < _energy(known)):
            best[entry.method] = entry
    chosen = {entry.anchor for entry in best.values()}
    kept = (entry for entry in selection.entries if entry.n_test == selection.n_obs or entry.anchor in chosen)
    return Selection(selection.n_obs, tuple(kept), crowded=True)


def _energy(entry: Entry) -> float:
    found = (score.value for score in entry.stored_scores if score.metric == "energy_score")
    return next((value for value in found if value is not None), float("inf"))


def one_a_setting(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Of records that differ in the number of test spectra alone, the one with most; of floor and ceiling, one."""
    best: dict[str, Entry] = {}
    for entry in entries:
        key = _setting(entry)
        if key not in best or _weight(entry) > _weight(best[key]):
            best[key] = entry
    return tuple(best.values())


def settings_apart(entries: Sequence[Entry]) -> dict[str, str]:
    """For each anchor, what tells the run from others of the same method, beside budget and seed; often nothing."""
    texts: dict[str, str] = {}
    for method in {entry.method for entry in entries}:
        group = [entry for entry in entries if entry.method == method]
        configs = [{k: v for k, v in entry.mapping("config").items() if k not in _NOT_NAMES} for entry in group]
        keys = [] if group[0].is_reference else differing(configs)
        for entry, config in zip(group, configs, strict=True):
            flat = dict(leaves(config))
            parts = (f"{key.removeprefix('method.')}={plain(flat.get(key, ABSENT))}" for key in keys)
            texts[entry.anchor] = ", ".join(parts)
    return texts


def settings_but_seed(entry: Entry) -> str:
    """What runs have in common that are fits of one method from several seeds."""
    config = {key: value for key, value in entry.mapping("config").items() if key not in ("n_test", "seed")}
    return repr((entry.method, entry.record["budget"], sorted(leaves(config), key=str)))


def _setting(entry: Entry) -> str:
    if entry.is_reference:
        return entry.method
    config = {key: value for key, value in entry.mapping("config").items() if key != "n_test"}
    return repr((entry.method, entry.record["seed"], entry.record["budget"], sorted(leaves(config), key=str)))


def _weight(entry: Entry) -> tuple[float, ...]:
    return entry.n_test, entry.number("n_draws") or 0.0
