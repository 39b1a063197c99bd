"""The settings of a search, checked leaf by leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exobench.errors import ExobenchError, unknown_name
from exobench.metrics.catalogue import METRICS, find_metric
from exobench.metrics.metric import Metric
from exobench.seeds import stable_hash
from exobench.settings import RunSettings, whole_number
from exobench.tune.space import Space

COSTS = ("training_seconds", "seconds_per_posterior", "n_parameters")
_MOST_SCORED = 500


@dataclass(frozen=True)
class TuneSettings:
    """What ``conf/tune.yaml`` and the command line resolve to.

    Attributes:
        run: of every trial's fit; the budget counts the spectra that trials are scored on.
        space: what is tuned.
        metric: the objective.
        second: a cost to be small as well, or None.
        n_trials: of the whole study.
        workers: trials at a time here.
        prune: end trials early.
        n_score: validation spectra that trials are scored on, and not fitted with.
        n_draws: of each of them.
        storage: a database URL, or None for a journal file.
        start_from: folder of an earlier search, whose best settings are tried after the defaults, or None.
        save_as: name of the experiment that the best settings become.
        beat_seconds: between signs of life.
        stale_seconds: after the last of which a trial is dead.
    """

    run: RunSettings
    space: Space
    metric: Metric
    second: str | None
    n_trials: int
    workers: int
    prune: bool
    n_score: int
    n_draws: int
    storage: str | None
    start_from: Path | None
    save_as: str
    beat_seconds: float
    stale_seconds: float

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> TuneSettings:
        """Checks a resolved config.

        Raises:
            ExobenchError: one line that names the leaf, its value and what would be right.
        """
        tune = config.get("tune")
        name = config["method"]["name"]
        if not isinstance(tune, Mapping):
            raise ExobenchError(
                f"method={name} has no search space: write conf/tune/{name}.yaml as conf/tune/npe.yaml is."
            )
        workers = whole_number("workers", config["workers"], 1, 1024)
        run = RunSettings.from_config({**config, "workers": "auto", "report": False, "rerun": False})
        most = run.n_validation // 2
        n_score = min(most, _MOST_SCORED) if config["n_score"] is None else config["n_score"]
        settings = TuneSettings(
            run=run,
            space=Space.of(tune.get("space")),
            metric=_objective(config["objective"] or tune.get("objective")),
            second=config["second"],
            n_trials=whole_number("n_trials", config["n_trials"], 1),
            workers=workers,
            prune=bool(config["prune"]) and config["second"] is None,
            n_score=whole_number("n_score", n_score, 2, max(most, 2)),
            n_draws=whole_number("n_draws", config["n_draws"], 2),
            storage=None if config["storage"] is None else str(config["storage"]),
            start_from=None if config["start_from"] is None else Path(str(config["start_from"])),
            save_as=str(config["save_as"] or f"tuned_{name}_{run.task['name']}"),
            beat_seconds=_seconds("beat_seconds", config["beat_seconds"]),
            stale_seconds=_seconds("stale_seconds", config["stale_seconds"]),
        )
        return settings._checked()

    def _checked(self) -> TuneSettings:
        if self.second is not None and self.second not in COSTS:
            raise unknown_name("second objective", str(self.second), COSTS)
        if self.stale_seconds < 3 * self.beat_seconds:
            raise ExobenchError(
                f"stale_seconds={self.stale_seconds:g} must be at least three times "
                f"beat_seconds={self.beat_seconds:g}, or a slow disk looks like a death."
            )
        if not self.save_as.replace("_", "").replace("-", "").isalnum():
            raise ExobenchError(f"save_as={self.save_as} must be made of letters, digits, _ and -.")
        return self

    @property
    def trial(self) -> RunSettings:
        """Of a trial's fit: it makes no data in parallel."""
        return replace(self.run, workers=1)

    @property
    def directions(self) -> list[str]:
        """Of the objectives, in Optuna's words."""
        first = "maximize" if self.metric.higher_is_better else "minimize"
        return [first] if self.second is None else [first, "minimize"]

    @property
    def loss_sign(self) -> float:
        """Of validation losses in the study: its pruner keeps what the first objective's direction calls better."""
        return -1.0 if self.metric.higher_is_better else 1.0

    def study_name(self, task_id: str) -> str:
        """What the search is known by: all that its values depend on."""
        run = self.run
        return stable_hash(
            {
                "task_id": task_id,
                "method": run.method,
                "data": run.data.describe(),
                "simulator": run.request.simulator,
                "budget": run.budget,
                "limits": [run.steps, run.seconds],
                "seed": run.seed,
                "space": self.space.describe(),
                "objectives": [self.metric.name, self.second],
                "scored": [self.n_score, self.n_draws],
            }
        )

    def folder(self, task_id: str) -> Path:
        """``runs/tune/<task>/<method>/<study>``."""
        run = self.run
        return run.places.runs / "tune" / run.task["name"] / run.method["name"] / self.study_name(task_id)


def _objective(name: object) -> Metric:
    metric = find_metric(str(name))
    if metric.higher_is_better is None:
        ranked = ", ".join(entry.name for entry in METRICS if entry.higher_is_better is not None)
        raise ExobenchError(f"objective={name} is a calibration, better in neither direction; valid: {ranked}.")
    return metric


def _seconds(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ExobenchError(f"{key}={value} must be a positive number of seconds.")
    return float(value)
