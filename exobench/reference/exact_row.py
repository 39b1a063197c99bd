"""The row "exact": how well any method can do on a task's test spectra, from draws of their exact posteriors."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.files import folder_lock
from exobench.metrics.aggregate import resample_counts
from exobench.metrics.bayes_factor import log_bayes_factors
from exobench.metrics.per_spectrum import MIN_ESS, per_spectrum
from exobench.metrics.resampling import draw_weights
from exobench.metrics.score import METRICS_VERSION
from exobench.metrics.statistics import average
from exobench.progress import track
from exobench.provenance import code_version, hardware, package_versions
from exobench.reference.detectable import EXACT_METHOD as METHOD
from exobench.reference.detectable import gases_of
from exobench.reference.exact_draws import ExactDraws, padded, row_of, with_fallback
from exobench.reference.expected import BEST, MEDIANS, PERCENTS, limit_of
from exobench.reference.request import asked_run, settings_of_record, sort_arguments
from exobench.reference.rows import RowDraws, sample_rows, spectra_of
from exobench.reference.spectra import stored_draws
from exobench.registry import build_task
from exobench.results import DRAWS, RunRecord, write_arrays, write_record
from exobench.runner import run
from exobench.scoring import scoring_inputs, write_scores
from exobench.seeds import rng_for, stable_hash
from exobench.settings import RunSettings
from exobench.task import Task
from exobench.text_table import aligned

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

LIMIT = "limit.h5"
"""Expected scores of every spectrum, in unit-cube coordinates; see `exobench.reference.expected.limit_of`."""

HELP = """usage: python -m exobench.reference exact task=NAME [KEY=VALUE ...]
       python -m exobench.reference exact task=NAME shift=NAME [KEY=VALUE ...]

The limit: what the exact posterior of every test spectrum scores. Draws are those of importance sampling, and of a
second sampler wherever their Pareto k exceeds 0.7 or their effective sample size is below 200. Scores are
expectations under the posterior itself, without the noise of the truths: of the posterior median, and of the best point
or window there is. Writes a record "exact" among the task's runs, where the page finds it, with draws.h5, scores.h5 and
limit.h5. Finished runs are used, and each posterior is kept: the same command goes on from there.

With shift=NAME (python -m exobench.shifts shift=list) the spectra are the shifted ones and the posterior is that of the
task's likelihood at the sigma that they tell. The row goes to .exact-of-shifts/NAME among the task's runs, where
python -m exobench.shifts finds it. A network that never saw a missing bin refuses one: importance=nested there.

settings, with their defaults:
  importance=importance  a method with weighted draws, or the folder of its finished run
  fallback=smc           a sampler for the spectra that it cannot do, or the folder of its finished run
  n_test=100             test spectra, from the first one on
  n_draws=2000           draws of a spectrum by importance sampling
  fallback.n_draws=2000  by the fallback
  workers=1              processes of the fallback; with a shift, of both
  shift=                 name of a shift of the test spectra

  importance.KEY=VALUE   any setting of its run, such as importance.limits.seconds=1700
  fallback.KEY=VALUE     of the fallback's, such as fallback.method.n_steps=10
  KEY=VALUE              of both, such as paths.runs=... or task.noise_ppm=50
"""

DEFAULTS = {
    "importance": "importance",
    "fallback": "smc",
    "n_test": "100",
    "n_draws": "2000",
    "workers": "1",
    "shift": "",
}

SOURCES = ("importance", "fallback")
LEVEL = 0.95
"""Of bootstrap intervals."""
N_BOOTSTRAP = 2000


def exact_row(given: Sequence[str]) -> RunRecord:
    """Makes the record; see `HELP`.

    Raises:
        ExobenchError: for any setting that is wrong, or a fallback that leaves too few draws.
    """
    arguments = sort_arguments(given, DEFAULTS, SOURCES)
    if arguments.own["shift"]:
        raise ExobenchError("the exact row of a shift is made by exobench.reference.exact_of_shift.")
    n_test, n_draws = arguments.whole("n_test", 2), arguments.whole("n_draws", MIN_ESS)
    workers = arguments.whole("workers", 1)
    base = [*arguments.shared, f"n_test={n_test}", f"n_draws={n_draws}"]
    asked = asked_run(arguments.own["importance"], once([*base, *arguments.parts["importance"]]))
    record = run(asked) if isinstance(asked, RunSettings) else asked
    places = [o for o in arguments.shared if o.partition("=")[0].split(".")[0] in ("paths", "opacities", "device")]
    settings = asked if isinstance(asked, RunSettings) else settings_of_record(asked, places)
    wanted = asked_run(arguments.own["fallback"], once([*base, *arguments.parts["fallback"]]))
    fallback = wanted if isinstance(wanted, RunSettings) else settings_of_record(wanted, places)
    finished = None if isinstance(wanted, RunSettings) else wanted
    task = build_task(settings.task, settings.request)
    for other in (record, *([finished] if finished else [])):
        if other["task_id"] != task.task_id:
            raise ExobenchError(f"{other.folder} is of task_id {other['task_id']}; this task has {task.task_id}.")
    fallback = replace(fallback, task=settings.task, request=settings.request)
    found = _collect(record, fallback, finished, n_test, workers)
    test = spectra_of(replace(settings, n_test=n_test), task)
    return _write(task, test, found, record, settings, fallback, n_test)


def once(overrides: Sequence[str]) -> list[str]:
    """Settings given twice, once: the later counts."""
    return list({override.partition("=")[0]: override for override in overrides}.values())


def _collect(
    record: RunRecord, fallback: RunSettings, finished: RunRecord | None, n_test: int, workers: int
) -> ExactDraws:
    stored = stored_draws(record, n_test)
    if len(stored.theta) < n_test:
        raise ExobenchError(
            f"{record.folder} holds draws of {len(stored.theta)} spectra; n_test={n_test} asks for more."
        )
    there = stored_draws(finished, n_test) if finished else None
    n_there = 0 if there is None else len(there.theta)

    def of_fallback(rows: Sequence[int]) -> dict[int, RowDraws]:
        drawn = sample_rows(fallback, [row for row in rows if row >= n_there], workers=workers)
        return drawn if there is None else drawn | {row: row_of(there, row) for row in rows if row < n_there}

    return with_fallback([row_of(stored, row) for row in range(n_test)], of_fallback)


def limits(task: Task, found: ExactDraws) -> dict[str, Array]:
    """Expected scores of every spectrum, (obs,) or (obs, param), in unit-cube coordinates."""
    space = task.parameters
    rows = []
    for row, draws in enumerate(track(found.draws, "limits")):
        u = (draws.theta - space.low) / (space.high - space.low)
        weight = draw_weights(draws.theta, draws.log_weight)
        rows.append(limit_of(u, weight, rng_for(task.task_id, METHOD, row)))
    return {name: np.stack([each[name] for each in rows]) for name in rows[0]}


def limit_scores(per_row: Mapping[str, Array], names: Sequence[str], seed: int = 0) -> list[dict[str, Any]]:
    """Expected scores averaged over spectra, with bootstrap intervals over spectra.

    Returns:
        One entry for each score and parameter (None for joint ones): ``metric``, ``of`` (``"posterior"``, ``"median"``,
        ``"best"`` or ``"best_held_out"``), ``parameter``, ``value``, ``standard_error``, ``low`` and ``high`` of the
        95 % interval. Errors are in units of the prior's range, and skill is 1 - mse over the prior's variance.
    """
    entries: list[dict[str, Any]] = []
    wanted: list[tuple[str, str, Array]] = [("energy_score", "posterior", per_row["energy_score"][:, None])]
    wanted.append(("crps", "posterior", per_row["crps"]))
    for of in (MEDIANS, BEST):
        # The variance of a uniform prior is 1/12 of its range squared.
        wanted.append(("skill", of, 1.0 - 12.0 * per_row[f"squared_error_{of}"]))
    for percent in PERCENTS:
        for of in (MEDIANS, BEST, f"{BEST}_held_out"):
            wanted.append((f"hit_rate_{percent}", of, per_row[f"hit_rate_{percent}_{of}"]))
    for metric, of, values in wanted:
        resampled = np.concatenate([average(values, c) for c in resample_counts(len(values), N_BOOTSTRAP, seed)])
        tails = np.quantile(resampled, [0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)], axis=0)
        for column, parameter in enumerate(names if values.shape[1] > 1 or metric != "energy_score" else (None,)):
            entries.append(
                {
                    "metric": metric,
                    "of": of,
                    "parameter": parameter,
                    "value": float(values[:, column].mean()),
                    "standard_error": float(resampled[:, column].std(ddof=1)),
                    "low": float(tails[0, column]),
                    "high": float(tails[1, column]),
                }
            )
    return entries


def _write(
    task: Task,
    test: TestSpectra,
    found: ExactDraws,
    record: RunRecord,
    settings: RunSettings,
    fallback: RunSettings,
    n_test: int,
) -> RunRecord:
    # What importance sampling was made with decides the row; only the fallback's settings come on top.
    config = {**record["config"], "n_test": n_test, "method": {"name": METHOD, "importance": settings.method}}
    config["method"]["fallback"] = {**fallback.method, "n_draws": fallback.n_draws}
    key = stable_hash({"task_id": task.task_id, **config})
    folder = settings.places.runs / task.name / METHOD / key / str(settings.seed)
    per_row = limits(task, found)
    theta, log_weight = padded(found.draws)
    with folder_lock(folder):
        write_arrays(folder / DRAWS, {"theta": theta, "theta_true": test.theta_true, "log_weight": log_weight})
        write_arrays(folder / LIMIT, {**per_row, "source": found.source, "ess": found.ess})
        inherited = ("task", "task_id", "task_description", "parameters", "budget", "n_train", "n_validation")
        return write_record(
            folder,
            {
                **{name: record[name] for name in inherited},
                "metrics_version": METRICS_VERSION,
                "method": METHOD,
                "status": "ok",
                "capabilities": record["capabilities"],
                "track": "likelihood-using",
                "seed": settings.seed,
                "n_test": n_test,
                "n_draws": theta.shape[1],
                "config": config,
                "config_hash": key,
                "versions": {**code_version(), **package_versions()},
                "hardware": hardware("cpu"),
                "cost": record.content.get("cost"),
                **realised(task, test, theta, log_weight, folder),
                "limit": {
                    "scores": limit_scores(per_row, task.parameters.names),
                    "n_by_source": {name: int(np.sum(found.source == k)) for k, name in enumerate(SOURCES)},
                    "smallest_ess": float(found.ess.min()),
                    "doubtful": list(found.doubtful),
                    "importance_run": str(record.folder.name and "/".join(record.folder.absolute().parts[-4:])),
                },
            },
        )


def realised(task: Task, test: TestSpectra, theta: Array, log_weight: Array, folder: Any) -> dict[str, Any]:
    """The same scores that every run has, against the truths, so that the row can stand in the same tables; and
    the log Bayes factors of the gases.
    """
    table = per_spectrum(scoring_inputs(task, test, theta, log_weight), rng_for(task.task_id, METHOD, "score"))
    space = task.parameters
    table |= log_bayes_factors(theta, log_weight, space.names, space.low, space.high, gases_of(space.names))
    return write_scores(table, task, folder)


def limit_table(record: RunRecord) -> str:
    """Expected scores of the exact posterior as a table: one line a score, one column a parameter."""
    limit = record["limit"]
    entries: dict[tuple[str, str], dict[str | None, dict[str, float]]] = {}
    for entry in limit["scores"]:
        entries.setdefault((entry["metric"], entry["of"]), {})[entry["parameter"]] = entry
    names = [parameter["name"] for parameter in record["parameters"]]
    lines = [["score", "of", *names]]
    for (metric, of), cells in entries.items():
        shown = [cells[None]] if None in cells else [cells[name] for name in names]
        lines.append([metric, of, *(f"{cell['value']:.4f} ± {cell['standard_error']:.4f}" for cell in shown)])
    text = aligned(lines)
    text.append(f"{record['n_test']} spectra: {json.dumps(limit['n_by_source'])}")
    if limit.get("doubtful"):
        doubtful = ", ".join(map(str, limit["doubtful"]))
        text.append(f"doubtful: spectra {doubtful}: neither sampler is content with its draws (see its card)")
    return "\n".join(text)
