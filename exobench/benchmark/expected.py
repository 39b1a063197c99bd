"""How long each run of a plan is expected to take: as its like took before, else as the plan says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from exobench.benchmark.plan import Cell
from exobench.benchmark.runs import PlannedRun
from exobench.results import RunRecord, find_record

START_SECONDS = 20.0
"""Imports, data, scores and the record of one run."""
_FIT = ("task", "method", "data", "simulator", "budget", "limits")
_DRAWS = ("task", "method", "n_draws")


@dataclass
class Expectation:
    """Seconds that runs are expected to take.

    Attributes:
        planned: cells of the plan: a run that uses the fit of one of them does not train.
    """

    planned: frozenset[Cell]
    _records: dict[Path, list[RunRecord]] = field(default_factory=dict, init=False)

    @staticmethod
    def of(runs: Iterable[PlannedRun]) -> Expectation:
        """For the runs of a plan."""
        return Expectation(frozenset(run.cell for run in runs))

    def seconds(self, run: PlannedRun) -> float:
        """Of a whole run, from nothing to its record."""
        return START_SECONDS + self._training(run) + self._testing(run)

    def _training(self, run: PlannedRun) -> float:
        if not run.learns or run.entry.awaited in self.planned:
            return 0.0
        entry, limit = run.entry, run.settings.seconds
        said = entry.training_seconds if entry.training_seconds is not None else limit
        planned = min(each for each in (said, limit, float("inf")) if each is not None)
        return self._mean(run, _FIT, "training_seconds", lambda record: not record["fits_used"], planned)

    def _testing(self, run: PlannedRun) -> float:
        planned = run.entry.seconds_per_spectrum
        each = self._mean(run, _DRAWS, "seconds_per_posterior", lambda record: True, planned)
        return each * int(run.config["n_test"])

    def _mean(
        self, run: PlannedRun, keys: Iterable[str], cost: str, fits: Callable[[RunRecord], bool], planned: float
    ) -> float:
        """The mean of what finished runs with equal settings took, or what the plan says where there is none."""
        like = [r for r in self._finished(run) if _agree(r["config"], run.config, keys) and fits(r)]
        return fmean(float(record["cost"][cost]) for record in like) if like else planned

    def _finished(self, run: PlannedRun) -> list[RunRecord]:
        folder = run.folder.parents[1]
        if folder not in self._records:
            found = (find_record(path) for path in sorted(folder.glob("*/*")))
            self._records[folder] = [record for record in found if record is not None and record["status"] == "ok"]
        return self._records[folder]


def _agree(one: Mapping[str, Any], other: Mapping[str, Any], keys: Iterable[str]) -> bool:
    return all(one.get(key) == other.get(key) for key in keys)
