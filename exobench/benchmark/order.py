"""The order of a plan's runs: those first that hold the others up longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exobench.benchmark.expected import Expectation
from exobench.benchmark.plan import Cell
from exobench.benchmark.runs import PlannedRun
from exobench.errors import ExobenchError


@dataclass(frozen=True)
class Timed:
    """A run in its place.

    Attributes:
        run: as planned.
        seconds: expected.
        path_seconds: expected, with the longest chain of runs that wait for it.
    """

    run: PlannedRun
    seconds: float
    path_seconds: float

    @property
    def cell(self) -> Cell:
        """Method, task, budget and seed."""
        return self.run.cell


def in_order(runs: Sequence[PlannedRun]) -> list[Timed]:
    """Longest first, each together with what waits for it, so that the last cores are not left waiting for one run.

    Raises:
        ExobenchError: runs wait for each other in a circle.
    """
    expected = Expectation.of(runs)
    seconds = {run.cell: expected.seconds(run) for run in runs}
    waiting: dict[Cell, list[Cell]] = {run.cell: [] for run in runs}
    for run in runs:
        if run.entry.awaited in waiting:
            waiting[run.entry.awaited].append(run.cell)
    paths = {cell: _path(cell, seconds, waiting, ()) for cell in seconds}
    timed = [Timed(run, seconds[run.cell], paths[run.cell]) for run in runs]
    return sorted(timed, key=lambda each: (-each.path_seconds, -each.seconds, each.cell))


def _path(
    cell: Cell, seconds: Mapping[Cell, float], waiting: Mapping[Cell, Sequence[Cell]], before: tuple[Cell, ...]
) -> float:
    if cell in before:
        raise ExobenchError(f"the plan has {cell} wait for itself; mend 'after'.")
    return seconds[cell] + max((_path(each, seconds, waiting, (*before, cell)) for each in waiting[cell]), default=0.0)
