"""The value of a fit: one score of validation spectra that the fit never saw."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.method import AbstractMethod
from exobench.metrics.aggregate import aggregate
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.metric import Metric
from exobench.metrics.per_spectrum import per_spectrum
from exobench.posterior import AbstractPosterior
from exobench.progress import track
from exobench.seeds import rng_for
from exobench.task import Task

Array = NDArray[np.float64]


class Value(NamedTuple):
    """A score of a fit, and seconds for each posterior."""

    value: float
    standard_error: float | None
    seconds_per_posterior: float


@dataclass(frozen=True)
class Objective:
    """Scores posteriors on fixed noisy spectra.

    Attributes:
        metric: the score; of parameters, its mean over them, in fractions of their ranges where it has their units.
        task: gives parameters and prior.
        theta_true: (obs, param).
        x: noisy depth fractions, (obs, bin).
        sigma: (obs, bin).
        n_draws: draws a spectrum.
        seed: of the draws.
    """

    metric: Metric
    task: Task
    theta_true: Array
    x: Array
    sigma: Array
    n_draws: int
    seed: int

    def __call__(self, method: AbstractMethod, posterior: AbstractPosterior) -> Value:
        """The value of a fitted posterior.

        Raises:
            ExobenchError: the score is not available for this method, or not defined for this fit.
        """
        start = time.perf_counter()
        draws, weights, densities = [], [], []
        for first in track(range(0, len(self.x), method.spectra_per_call), "drawing", "calls"):
            rows = slice(first, first + method.spectra_per_call)
            x, sigma, truth = self.x[rows], self.sigma[rows], self.theta_true[rows]
            samples = posterior.sample(x, sigma, self.n_draws, rng=rng_for("tune draws", self.seed, first))
            draws.append(np.asarray(samples.theta))
            weights.append(samples.log_weight)
            if "nltp" in self.metric.requires:
                densities.append(posterior.log_prob(truth[:, None, :], x, sigma)[:, 0])
        seconds = (time.perf_counter() - start) / len(self.x)
        table = per_spectrum(self._inputs(draws, weights, densities), rng_for("tune score", self.seed))
        return Value(*self._value(table), seconds)

    def _inputs(self, draws: list[Any], weights: list[Any], densities: list[Any]) -> ScoringInputs:
        space = self.task.parameters
        if len({part.shape[1] for part in draws}) > 1:
            raise ExobenchError("the method gives some spectra fewer draws than others, which a search does not take.")
        weighted = any(part is not None for part in weights)
        return ScoringInputs(
            names=space.names,
            units=tuple(parameter.unit for parameter in space.parameters),
            low=space.low,
            high=space.high,
            theta_true=self.theta_true,
            theta=np.concatenate(draws),
            log_weight=np.concatenate(weights) if weighted else None,
            log_prob_true=np.concatenate(densities) if densities else None,
            prior_log_prob=self.task.prior.log_prob(self.theta_true),
        )

    def _value(self, table: dict[str, Array]) -> tuple[float, float | None]:
        space = self.task.parameters
        scores = aggregate(table, space.names, space.low, space.high, metrics=[self.metric])
        lacking = next((score for score in scores if score.value is None), None)
        if lacking is not None:
            raise ExobenchError(f"{self.metric.name} is {lacking.status}: {lacking.reason}")
        per_range = self.metric.per_parameter and self.metric.unit == "parameter"
        scale = space.high - space.low if per_range else np.ones(len(scores))
        values = np.array([score.value for score in scores], dtype=float) / scale
        errors = np.array([math.nan if s.standard_error is None else s.standard_error for s in scores]) / scale
        # Of parameters, whose errors go together, the mean of the errors is an upper limit.
        error = float(errors.mean())
        return float(values.mean()), error if math.isfinite(error) else None
