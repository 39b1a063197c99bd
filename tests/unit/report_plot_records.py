"""Records of exact posteriors and of wrong ones, made from the closed form of linear_gaussian."""

from dataclasses import asdict

import numpy as np
import torch
from report_records import header

from exobench.data.source import TestSpectra
from exobench.metrics import aggregate, calibration_verdict, per_spectrum
from exobench.registry import build_task
from exobench.report.cache import Cache
from exobench.report.entries import read_entries
from exobench.report.sections import sections
from exobench.results import DRAWS, SCORES, write_arrays, write_record
from exobench.scoring import scoring_inputs
from exobench.task import TaskRequest

N_OBS, N_DRAWS = 250, 100
TASK = {"name": "linear_gaussian", "n_param": 3, "n_bin": 12, "shard_rows": 100}


def small_task():
    return build_task(TASK, TaskRequest())


def spectra_of(task, n_obs=N_OBS, seed=7):
    """Spectra whose truths come from the prior, with the task's noise."""
    rng = np.random.default_rng(seed)
    space = task.parameters
    theta_true = space.low + rng.random((n_obs, len(space.names))) * (space.high - space.low)
    with torch.no_grad():
        depth = task.simulator.build("cpu")(torch.as_tensor(theta_true)).double().numpy()
    x, sigma = task.noise.sample(depth, seed=seed)
    return TestSpectra(theta_true, x, sigma)


def write_posterior(runs, task, test, method="sampler", *, shrink=1.0, seed=0, budget=1000, cost=None, n_obs=None):
    """Writes the record of exact draws, pulled towards their mean by a factor: one is exact, below is overconfident."""
    test = TestSpectra(*(each[:n_obs] for each in (test.theta_true, test.x, test.sigma)))
    theta = task.exact.sample(test.x, test.sigma, N_DRAWS, rng=np.random.default_rng([seed, budget]))
    centre = theta.mean(axis=1, keepdims=True)
    theta = centre + shrink * (theta - centre)
    space, n_test = task.parameters, len(test.x)
    parameters = [
        {"name": p.name, "unit": p.unit, "label": p.label, "low": p.low, "high": p.high} for p in space.parameters
    ]
    head = header(
        method, task.name, task.task_id, seed=seed, budget=budget, n_test=n_test, parameters=parameters,
        settings=None, task_description=task.describe(), n_draws=N_DRAWS,
    )  # fmt: skip
    head["config"] |= {"task": TASK, "data": {"name": "shards"}}
    place = runs / task.name / method / f"{budget}x{n_test}" / str(seed)
    place.mkdir(parents=True)
    table = per_spectrum(scoring_inputs(task, test, theta, None), np.random.default_rng(seed))
    write_arrays(place / SCORES, table, {"task_id": task.task_id})
    write_arrays(place / DRAWS, {"theta": theta.astype(np.float32), "theta_true": test.theta_true})
    scores = aggregate(table, space.names, space.low, space.high, n_bootstrap=50)
    costs = {"training_seconds": 10.0, "seconds_per_posterior": 0.5, "likelihood_calls": 0} | (cost or {})
    return write_record(
        place,
        {
            **head,
            "status": "ok",
            "cost": costs,
            "scores": [score.to_dict() for score in scores],
            "calibration": asdict(calibration_verdict(table["rank"], space.names)),
        },
    )


def section_of(runs, reports):
    """The only section of a folder of runs, and the caches of its entries."""
    entries, problems = read_entries(runs)
    assert not problems
    (section,) = sections(entries)
    return section, {entry.anchor: Cache.open(entry, reports) for entry in entries}
