"""What a search leaves: a table of its trials, and its best settings as an experiment that a run takes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from exobench.data.choice import DataChoice
from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.settings import RunSettings
from exobench.task import TaskRequest
from exobench.tune.settings import TuneSettings
from exobench.tune.space import with_values
from exobench.tune.study import MADE_BY, NOT_COUNTED, REASON, locked

TRIALS, SUMMARY = "trials.csv", "study.json"
_FACTS = ("standard_error", "training_seconds", "seconds_per_posterior", "n_parameters")


def write_summary(study: Any, settings: TuneSettings, folder: Path, task_id: str) -> None:
    """Writes ``study.json`` and ``trials.csv`` anew; any worker may, and a reader sees whole files."""
    trials = [trial_row(trial, settings.loss_sign) for trial in study.get_trials(deepcopy=False)]
    content = {
        "task": settings.run.task["name"],
        "task_id": task_id,
        "method": settings.run.method["name"],
        "budget": settings.run.budget,
        "limits": {"steps": settings.run.steps, "seconds": settings.run.seconds},
        "seed": settings.run.seed,
        "objectives": _names(settings),
        "directions": settings.directions,
        "n_scored": settings.n_score,
        "n_trials": settings.n_trials,
        "space": settings.space.describe(),
        "made_by": study.user_attrs.get(MADE_BY, []),
        "best": [trial.number for trial in best_trials(study, settings)],
        "trials": trials,
    }
    table = io.StringIO()
    writer = csv.writer(table)
    keys = list(settings.space.defaults)
    writer.writerow(["trial", "state", *_names(settings), *_FACTS, *keys, "reason"])
    for row in trials:
        values = row["values"] or [""] * len(settings.directions)
        facts = [row[name] for name in _FACTS]
        writer.writerow([row["trial"], row["state"], *values, *facts, *map(row["params"].get, keys), row["reason"]])
    with locked(folder):
        write_atomically(folder / SUMMARY, (json.dumps(content, indent=1) + "\n").encode())
        write_atomically(folder / TRIALS, table.getvalue().encode())


def best_trials(study: Any, settings: TuneSettings) -> Sequence[Any]:
    """The best trial, or those of the Pareto front by the first objective, best first; none where none is complete."""
    sign = -1.0 if settings.metric.higher_is_better else 1.0
    return sorted(study.best_trials, key=lambda trial: (sign * trial.values[0], trial.number))


def write_experiment(study: Any, settings: TuneSettings, folder: Path) -> Path:
    """Writes the best settings to ``conf/experiment`` of the working directory.

    Returns:
        The file; ``experiment=<its name>`` runs it.

    Raises:
        ExobenchError: no trial is complete.
    """
    import yaml

    best = best_trials(study, settings)
    if not best:
        raise ExobenchError(f"no trial of {folder} is complete; its trials.csv says why.")
    trial, run = best[0], settings.run
    error = trial.user_attrs["standard_error"]
    about = f"{settings.metric.name} {trial.values[0]:.5g}" + ("" if error is None else f" ± {error:.2g}")
    n_done = sum(t.state.is_finished() and NOT_COUNTED not in t.user_attrs for t in study.get_trials(deepcopy=False))
    groups = {"method": run.method["name"], "task": run.task["name"], "data": run.data.name}
    content = {
        "defaults": [{f"override /{group}": name} for group, name in groups.items()],
        "budget": run.budget,
        "limits": {"steps": run.steps, "seconds": run.seconds},
        "method": with_values(run.method, trial.params),
        "task": dict(run.task),
        **_spectra(run),
    }
    text = (
        "# @package _global_\n"
        f"# Best of {n_done} trials of exobench.tune, study {folder.name}, trial {trial.number}:\n"
        f"# {about} on {settings.n_score} validation spectra that the fit never saw.\n"
    ) + yaml.safe_dump(content, sort_keys=False)
    path = Path.cwd() / "conf" / "experiment" / f"{settings.save_as}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())
    return path


def _spectra(run: RunSettings) -> dict[str, Any]:
    """Settings of the spectra that differ from their defaults; without them the experiment would take others."""
    usual, request = TaskRequest(), run.request
    data = {key: value for key, value in asdict(run.data).items() if value != getattr(DataChoice(), key)}
    opacities = {"path": request.opacities_path, "average": request.opacities_average}
    found: dict[str, Any] = {"data": {key: value for key, value in data.items() if key != "name"}}
    if request.simulator != usual.simulator:
        found["simulator"] = request.simulator
    if opacities != {"path": usual.opacities_path, "average": usual.opacities_average}:
        found["opacities"] = opacities
    return {key: value for key, value in found.items() if value}


def _names(settings: TuneSettings) -> list[str]:
    return [settings.metric.name, *([] if settings.second is None else [settings.second])]


def trial_row(trial: Any, loss_sign: float) -> dict[str, Any]:
    """A trial of Optuna as ``study.json`` has it; losses of its curve as the method reported them."""
    curve = {str(step): loss_sign * loss for step, loss in trial.intermediate_values.items() if math.isfinite(loss)}
    return {
        "trial": trial.number,
        "state": trial.state.name.lower(),
        "counted": NOT_COUNTED not in trial.user_attrs,
        # Optuna gives a pruned trial its last validation loss for a value, which is no score.
        "values": list(trial.values) if trial.state.name == "COMPLETE" else None,
        "params": dict(trial.params),
        "curve": curve,
        "started": None if trial.datetime_start is None else trial.datetime_start.isoformat(),
        "seconds": None if trial.duration is None else trial.duration.total_seconds(),
        "reason": trial.user_attrs.get(REASON),
        **{name: trial.user_attrs.get(name) for name in _FACTS},
    }
