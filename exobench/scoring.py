"""The last stage of a run: draws become scores, and the per-spectrum arrays that every table is made from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.draw_densities import part_quantities
from exobench.drawing import Drawn
from exobench.method import AbstractMethod
from exobench.metrics.aggregate import aggregate
from exobench.metrics.calibration import calibration_verdict, lacks_ranks
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.per_spectrum import per_spectrum
from exobench.metrics.regions import NOISE_KEY, noise_level_ppm
from exobench.metrics.tarp import FEWEST_FOR_TARP, reference_points
from exobench.parameters import ParameterSpace
from exobench.posterior import AbstractPosterior
from exobench.progress import Progress
from exobench.results import SCORES, write_arrays
from exobench.seeds import rng_for
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)


def score_draws(
    task: Task,
    test: TestSpectra,
    drawn: Drawn,
    method: AbstractMethod,
    posterior: AbstractPosterior,
    identity: tuple[object, ...],
    folder: Path,
    log_bayes_factor: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Scores the draws and stores the per-spectrum arrays that every table is made from.

    Args:
        task: gives prior, noise and simulator.
        test: the test spectra.
        drawn: draws of all of them.
        method: that made them.
        posterior: whose density is asked for at the draws, where it has one.
        identity: decides the random numbers.
        folder: of the run.
        log_bayes_factor: ``log_bayes_factor.<gas>`` (obs,) from exact posteriors, NaN where not known; see
            `exobench.metrics.bayes_factor.log_bayes_factors`.

    Returns:
        What the record holds of them.
    """
    log.info("scoring ...")
    part, note = part_quantities(task, test, drawn, method, posterior)
    inputs = scoring_inputs(task, test, drawn.theta, drawn.log_weight, log_prob_true=drawn.log_prob_true, **part)
    with Progress(f"scoring {len(test.x):,} spectra", None):
        table = per_spectrum(inputs, rng_for(*identity, "score"))
    table[NOISE_KEY] = noise_level_ppm(test.sigma)
    table |= log_bayes_factor or {}
    found = write_scores(table, task, folder)
    if lacks_ranks(table["rank"]):
        reason = str(found["calibration"]["reason"]).rstrip(".")
        advice = f". What helps: {method.if_weights_are_uneven}" if method.if_weights_are_uneven else ""
        log.warning("%s: %s%s.", method.registered_name, reason, advice)
    return found | {"draw_densities": note}


def scoring_inputs(
    task: Task,
    test: TestSpectra,
    theta: NDArray[Any],
    log_weight: Array | None,
    *,
    log_prob_true: Array | None = None,
    **more: Any,
) -> ScoringInputs:
    """Draws beside the truths of their spectra, in the declared units.

    Args:
        task: gives prior and parameters.
        test: the spectra.
        theta: draws of all of them, (obs, draw, param).
        log_weight: (obs, draw), or None for equal weights.
        log_prob_true: log q of the truths, (obs,), where it is known.
        more: other fields of `ScoringInputs`.
    """
    space = task.parameters
    return ScoringInputs(
        names=space.names,
        units=tuple(parameter.unit for parameter in space.parameters),
        low=space.low,
        high=space.high,
        theta_true=test.theta_true,
        theta=theta,
        log_weight=log_weight,
        log_prob_true=log_prob_true,
        prior_log_prob=task.prior.log_prob(test.theta_true),
        reference_point=_tarp_points(test, space),
        **more,
    )


def write_scores(table: dict[str, Array], task: Task, folder: Path) -> dict[str, Any]:
    """Stores per-spectrum arrays and returns what a record says of them: scores and the badge of calibration."""
    write_arrays(folder / SCORES, table, {"task_id": task.task_id})
    with Progress("averages and their errors", None):
        scores = aggregate(table, task.parameters.names, task.parameters.low, task.parameters.high)
    verdict = calibration_verdict(table["rank"], task.parameters.names)
    return {"scores": [score.to_dict() for score in scores], "calibration": asdict(verdict)}


def _tarp_points(test: TestSpectra, space: ParameterSpace) -> Array | None:
    """Centres of TARP's balls; None where too few spectra, or one without a bin, leave no function of the spectrum."""
    if len(test.x) < FEWEST_FOR_TARP or not np.isfinite(test.x).any(axis=1).all():
        return None
    return reference_points(test.x, test.theta_true, space.low, space.high)
