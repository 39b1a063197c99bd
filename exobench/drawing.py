"""The stage of a run that draws theta for the test spectra, a call at a time, each kept on disk until all are there."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability
from exobench.metrics.cost import peak_rss_bytes
from exobench.parameters import ParameterSpace
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem
from exobench.progress import Progress, clock, track
from exobench.results import DIAGNOSTICS, DRAWS, read_arrays, write_arrays
from exobench.seeds import rng_for, stable_hash

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

STORED_DRAW_NUMBERS = 20_000_000
"""Draws are stored for as many spectra as fit into this many numbers (80 MB as float32)."""

CALLS = "work/calls"
"""Folder of the answers of ``sample`` so far."""
_DIAGNOSTIC = "diagnostic."


@dataclass(frozen=True)
class Drawn:
    """Draws for all test spectra and what they cost.

    Attributes:
        theta: (obs, draw, param), float32.
        log_weight: (obs, draw) or None.
        log_prob_true: natural log of the density at the truth, (obs,), or None.
        seconds: spent in ``sample``, over all starts of the run.
        n_draws: draws a spectrum.
        likelihood_calls: asked for while drawing, over all starts of the run.
        peak_memory_bytes: of this process.
        diagnostics: what the method wants recorded, one number a spectrum, (obs,) each.
    """

    theta: Array
    log_weight: Array | None
    log_prob_true: Array | None
    seconds: float
    n_draws: int
    likelihood_calls: int
    peak_memory_bytes: int
    diagnostics: dict[str, Array]

    def cost_line(self) -> str:
        """What they cost, in words."""
        each = self.seconds / max(len(self.theta), 1)
        return f"{clock(self.seconds)}, {each:.3g} s a spectrum, {self.likelihood_calls:,} likelihood calls"

    def mean_diagnostics(self) -> dict[str, float]:
        """The mean over spectra of every diagnostic that is finite somewhere."""
        finite = {name: values[np.isfinite(values)] for name, values in self.diagnostics.items()}
        return {name: float(values.mean()) for name, values in finite.items() if len(values)}


def draw_posteriors(
    posterior: AbstractPosterior,
    method: AbstractMethod,
    problem: InferenceProblem,
    test: TestSpectra,
    n_draws: int,
    identity: tuple[object, ...],
    folder: Path,
    fit_key: str,
) -> Drawn:
    """Draws theta for every test spectrum and stores the draws; answers that a stopped run left are used again.

    Args:
        posterior: fitted.
        method: that fitted it; says how many spectra a call takes.
        problem: counts likelihood calls.
        test: the test spectra.
        n_draws: draws a spectrum.
        identity: decides the random numbers, together with the first spectrum of a call.
        folder: of the run.
        fit_key: of the fit, so that answers of another fit are not used.

    Raises:
        ExobenchError: if the method returns draws of a wrong shape.
    """
    log.info("%s: retrieving %s test spectra ...", method.registered_name, f"{len(test.x):,}")
    key = stable_hash({"fit": fit_key, "n_draws": n_draws, "calls of": method.spectra_per_call})
    calls = _Calls(posterior, method.registered_name, problem, test, n_draws, identity, folder / CALLS / key)
    firsts = range(0, len(test.x), method.spectra_per_call)
    answers = []
    with Progress(f"{method.registered_name}: drawing", len(test.x)) as progress:
        for first in firsts:
            last = min(first + method.spectra_per_call, len(test.x))
            answers.append(calls(first, last))
            progress.reach(last)
    densities = None
    if Capability.LOG_PROB in method.capabilities:
        densities = _log_prob_of_truths(posterior, test, firsts, method.spectra_per_call)
    drawn = _joined(answers, densities)
    _store_draws(drawn, test, folder, problem)
    return drawn


def forget_calls(folder: Path) -> None:
    """Removes the answers that ``draw_posteriors`` kept; to be called when the run's record is written."""
    shutil.rmtree(folder / CALLS, ignore_errors=True)


@dataclass(frozen=True)
class _Calls:
    """Asks ``sample`` about one slice of the test spectra, or reads what it answered before."""

    posterior: AbstractPosterior
    name: str
    problem: InferenceProblem
    test: TestSpectra
    n_draws: int
    identity: tuple[object, ...]
    folder: Path

    def __call__(self, first: int, last: int) -> dict[str, Array]:
        path = self.folder / f"{first}.h5"
        if path.exists():
            return read_arrays(path)
        start, calls_before = time.perf_counter(), self.problem.likelihood_calls.n
        x, sigma = self.test.x[first:last], self.test.sigma[first:last]
        samples = self.posterior.sample(x, sigma, self.n_draws, rng=rng_for(*self.identity, "sample", first))
        seconds = time.perf_counter() - start
        _check_shape(self.name, samples.theta, len(x), self.test.theta_true.shape[1], self.n_draws)
        answer: dict[str, Any] = {
            "theta": np.asarray(samples.theta, dtype=np.float32),
            "seconds": np.array([seconds]),
            "likelihood_calls": np.array([self.problem.likelihood_calls.n - calls_before]),
        }
        if samples.log_weight is not None:
            answer["log_weight"] = samples.log_weight
        for name, values in samples.diagnostics.items():
            answer[_DIAGNOSTIC + name] = np.broadcast_to(np.asarray(values, dtype=float), (len(x),)).copy()
        if (first, last) != (0, len(self.test.x)):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_arrays(path, answer)
        return answer


def _joined(answers: list[dict[str, Array]], densities: Array | None) -> Drawn:
    n_draws = max(answer["theta"].shape[1] for answer in answers)
    theta = np.concatenate([_repeat_first(answer["theta"], n_draws) for answer in answers])
    uneven = any(answer["theta"].shape[1] < n_draws for answer in answers)
    log_weight = None
    if uneven or any("log_weight" in answer for answer in answers):
        weights = [answer.get("log_weight", np.zeros(answer["theta"].shape[:2])) for answer in answers]
        log_weight = np.concatenate([_without_weight(each, n_draws) for each in weights])
    names = sorted({name for answer in answers for name in answer if name.startswith(_DIAGNOSTIC)})
    missing = [np.full(len(answer["theta"]), np.nan) for answer in answers]
    return Drawn(
        theta=theta,
        log_weight=log_weight,
        log_prob_true=densities,
        seconds=float(sum(answer["seconds"][0] for answer in answers)),
        n_draws=n_draws,
        likelihood_calls=int(sum(answer["likelihood_calls"][0] for answer in answers)),
        peak_memory_bytes=peak_rss_bytes(),
        diagnostics={
            name.removeprefix(_DIAGNOSTIC): np.concatenate(
                [answer.get(name, none) for answer, none in zip(answers, missing, strict=True)]
            )
            for name in names
        },
    )


def _repeat_first(theta: Array, n_draws: int) -> Array:
    """Draws (obs, draw, param), as many as the longest answer has; those added count for nothing by their weight."""
    return np.concatenate([theta, np.repeat(theta[:, :1], n_draws - theta.shape[1], axis=1)], axis=1)


def _without_weight(log_weight: Array, n_draws: int) -> Array:
    """Weights (obs, draw) with zero weight for draws that were added."""
    return np.pad(log_weight, ((0, 0), (0, n_draws - log_weight.shape[1])), constant_values=-np.inf)


def _log_prob_of_truths(posterior: AbstractPosterior, test: TestSpectra, firsts: range, size: int) -> Array:
    densities = []
    for first in track(firsts, "densities of the truths", "calls"):
        rows = slice(first, first + size)
        truth = test.theta_true[rows][:, None, :]
        densities.append(posterior.log_prob(truth, test.x[rows], test.sigma[rows])[:, 0])
    return np.concatenate(densities)


def _check_shape(name: str, theta: Array, n_obs: int, n_param: int, n_draws: int) -> None:
    shape = np.shape(theta)
    if len(shape) != 3 or shape[0] != n_obs or shape[2] != n_param or not 0 < shape[1] <= n_draws:
        raise ExobenchError(
            f"method {name} returned draws of shape {shape}; expected ({n_obs}, 1 to {n_draws}, {n_param}) "
            "for (obs, draw, param)."
        )


def _store_draws(drawn: Drawn, test: TestSpectra, folder: Path, problem: InferenceProblem) -> None:
    """Writes draws, truths, and the names and ranges that ``python -m exobench.metrics`` scores them with."""
    n_stored = max(1, min(len(drawn.theta), STORED_DRAW_NUMBERS // (drawn.n_draws * drawn.theta.shape[2])))
    arrays = {"theta": drawn.theta[:n_stored], "theta_true": test.theta_true[:n_stored]}
    for name, values in (("log_weight", drawn.log_weight), ("log_prob_true", drawn.log_prob_true)):
        if values is not None:
            arrays[name] = values[:n_stored]
    about = {"task": problem.name, "n_test": len(drawn.theta), "n_stored": n_stored}
    write_arrays(folder / DRAWS, arrays, about | box_attributes(problem.parameters))
    if drawn.diagnostics:
        write_arrays(folder / DIAGNOSTICS, drawn.diagnostics, {"task": problem.name})


def box_attributes(space: ParameterSpace) -> dict[str, Any]:
    """Parameters and the ends of their prior, as attributes of a file of draws."""
    units = [parameter.unit for parameter in space.parameters]
    return {"names": list(space.names), "units": units, "low": space.low, "high": space.high}
