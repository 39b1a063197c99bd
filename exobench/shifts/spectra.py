"""Shifted test spectra of a task: the same first truths for every shift, so that scores are paired."""

from __future__ import annotations

from pathlib import Path

from exobench.data.choice import DataChoice
from exobench.data.generate import Workers
from exobench.data.source import TestSpectra, open_data, recipe_of
from exobench.data.store import ShardStore
from exobench.shifts.catalogue import NamedShift
from exobench.shifts.shift import Unshifted
from exobench.task import Task


def unshifted(
    task: Task, data: Path, n_test: int, *, opacities_path: str | None = None, workers: Workers = 1
) -> Unshifted:
    """The first test spectra of a task with their noise-free depths.

    Args:
        task: a task whose spectra are simulated here.
        data: root of the shared data sets.
        n_test: spectra.
        opacities_path: for shifts that need a folder of opacities.
        workers: processes that make what is missing.

    Raises:
        ExobenchError: if the data cannot be made or read.
    """
    opened = open_data(task, data, n_train=0, n_validation=0, n_test=n_test, workers=workers, choice=DataChoice())
    _, depth = ShardStore(data, recipe_of(task)).read_test(n_test)
    return Unshifted(task, depth, opened.test, opacities_path)


def shifted(named: NamedShift, base: Unshifted) -> TestSpectra | str:
    """The spectra of a shift, or the reason why there are none.

    This is what an exact row of a shift rests on: draws of the posterior that ``named.shift.exact`` names, of these
    spectra under the task's own problem, scored by `exobench.shifts.scoring.score`.
    """
    reason = named.shift.refuse(base)
    return named.shift.apply(base) if reason is None else reason
