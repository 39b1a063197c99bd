"""Densities and likelihoods of posterior draws, for a fixed part of the test spectra and of their draws.

They cost a simulation, or a solved differential equation, for every draw, so all draws of all test spectra would take
hours. The part is fixed in numbers, not in seconds: a score must not depend on the machine.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.drawing import Drawn
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability
from exobench.metrics.draws import spread_draws
from exobench.metrics.inputs import BOX_TOLERANCE
from exobench.metrics.predictive import log_likelihood_peak
from exobench.posterior import AbstractPosterior
from exobench.progress import track
from exobench.simulators.base import Simulator
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

PART_OBS, PART_DRAWS = 1000, 100
"""Leading test spectra, and draws of each, whose density and likelihood are computed."""

_ROWS_AT_ONCE = 4000


def part_quantities(
    task: Task, test: TestSpectra, drawn: Drawn, method: AbstractMethod, posterior: AbstractPosterior
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `exobench.metrics.ScoringInputs` takes for a part of the spectra: likelihoods, and densities of draws.

    The simulator is called by the scorer: nothing is counted as the method's.

    Args:
        task: gives likelihood and simulator; imported spectra have none, and then there is no likelihood.
        test: the test spectra.
        drawn: draws of all of them.
        method: says whether the posterior has a density, and how many spectra a call takes.
        posterior: fitted.

    Returns:
        Fields of `ScoringInputs`, and what the record says of them: spectra, draws, simulations, seconds.
    """
    start = time.perf_counter()
    n_obs = min(PART_OBS, len(test.x))
    log_weight = None if drawn.log_weight is None else drawn.log_weight[:n_obs]
    draw = spread_draws(drawn.theta[:n_obs], log_weight, PART_DRAWS)
    theta = np.take_along_axis(drawn.theta[:n_obs], np.maximum(draw, 0)[..., None], axis=1).astype(np.float64)
    fields: dict[str, Any] = {}
    note: dict[str, Any] = {"n_obs": n_obs, "n_draws": draw.shape[1], "simulations": 0}
    try:
        simulator = task.simulator.build("cpu")
    except ExobenchError as error:
        log.info("no score rests on the likelihood: %s", error)
    else:
        values = _log_likelihoods(task, simulator, test, _with_truth(theta, test))
        fields |= _likelihood_fields(np.where(draw >= 0, values[:, 1:], -np.inf), values[:, 0], test.sigma[:n_obs])
        note["simulations"] = values.size
    if Capability.LOG_PROB in method.capabilities and drawn.log_prob_true is not None:
        fields["log_prob"] = _log_probs(posterior, test, theta, method.spectra_per_call)
    if fields:
        fields["part_draw"] = draw
    return fields, note | {"seconds": round(time.perf_counter() - start, 3)}


def _with_truth(theta: Array, test: TestSpectra) -> Array:
    return np.concatenate([test.theta_true[: len(theta), None, :], theta], axis=1)


def _likelihood_fields(log_likelihood: Array, of_truth: Array, sigma: Array) -> dict[str, Array]:
    return {
        "log_likelihood": log_likelihood,
        "log_likelihood_true": of_truth,
        "log_likelihood_peak": log_likelihood_peak(sigma),
        "n_bin": np.isfinite(sigma).sum(axis=1).astype(np.float64),
    }


def _log_likelihoods(task: Task, simulator: Simulator, test: TestSpectra, theta: Array) -> Array:
    """Exact log-likelihood of theta (obs, some, param) for the spectrum of its row, (obs, some).

    Outside the prior's box it is -inf: what ranks draws is the posterior density up to a constant, and a simulator need
    not answer there. The sum over bins is in double precision, whatever the simulator computes in.
    """
    n_obs, n_each, _ = theta.shape
    low, high = task.parameters.low, task.parameters.high
    slack = BOX_TOLERANCE * (high - low)
    inside = np.asarray(((theta >= low - slack) & (theta <= high + slack)).all(axis=-1))
    safe = np.clip(np.where(inside[..., None], theta, low), low, high)
    values = np.empty((n_obs, n_each))
    step = max(1, _ROWS_AT_ONCE // n_each)
    for first in track(range(0, n_obs, step), "likelihoods of draws", "calls"):
        rows = slice(first, first + step)
        with torch.no_grad():
            depth = simulator(torch.as_tensor(safe[rows].reshape(-1, theta.shape[2]))).double().cpu().numpy()
        for row, own in enumerate(depth.reshape(-1, n_each, depth.shape[1]), start=first):
            values[row] = task.noise.log_likelihood(own, test.x[row], test.sigma[row])
    return np.where(inside, values, -np.inf)


def _log_probs(posterior: AbstractPosterior, test: TestSpectra, theta: Array, spectra_per_call: int) -> Array:
    """Log density of theta (obs, draw, param), (obs, draw)."""
    step = max(1, min(spectra_per_call, _ROWS_AT_ONCE // theta.shape[1]))
    calls = track(range(0, len(theta), step), "densities of draws", "calls")
    return np.concatenate(
        [
            posterior.log_prob(theta[rows], test.x[rows], test.sigma[rows])
            for rows in (slice(first, min(first + step, len(theta))) for first in calls)
        ]
    )
