"""The conformance suite: what every method and task must do, for plugin authors to call in their own tests.

``check_method("exogan")`` fits the method on a few spectra of a real task and raises ``ConformanceError`` at the first
promise of the interface that it breaks.
"""

from __future__ import annotations

import inspect
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exobench import registry
from exobench.data.source import RunData, open_data
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability, FitInterrupted, Limits, Progress
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.metric import Metric
from exobench.metrics.per_spectrum import per_spectrum
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.seeds import rng_for
from exobench.task import Task, TaskRequest


class ConformanceError(AssertionError):
    """A promise of the interface is broken; the message says which."""


@dataclass
class Report:
    """What was checked.

    Attributes:
        subject: what the checks were about.
        passed: names of the checks that passed.
        skipped: names of the checks that do not apply, with the reason.
    """

    subject: str
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def require(self, check: str, holds: bool, why: str) -> None:
        """Notes a check that holds.

        Raises:
            ConformanceError: if it does not.
        """
        if not holds:
            raise ConformanceError(f"{self.subject}: {check}: {why}")
        if check not in self.passed:
            self.passed.append(check)


def check_method(
    name: str,
    *,
    task: str = "hotjupiter",
    settings: dict[str, Any] | None = None,
    task_settings: dict[str, Any] | None = None,
    n_train: int = 500,
    steps: int = 8,
    n_test: int = 8,
    data_root: Path | None = None,
) -> Report:
    """Holds a registered method against the interface.

    Args:
        name: of the method.
        task: task to fit on.
        settings: constructor arguments, beside the defaults.
        task_settings: leaves of the task, beside the defaults; a small ``shard_rows`` saves time.
        n_train: training spectra.
        steps: training steps.
        n_test: test spectra to draw for; 1 or 2 for a method that is slow on each.
        data_root: where the task's data is kept; a temporary folder by default.

    Returns:
        The checks passed, and those that do not apply.

    Raises:
        ConformanceError: at the first broken promise.
    """
    report = Report(f"method {name}")
    cls = registry.load_method(name)
    method = registry.build_method({"name": name, **(settings or {})})
    _check_constructor(report, cls, method, settings or {})
    with tempfile.TemporaryDirectory() as scratch:
        built = registry.build_task({"name": task, "shard_rows": 500, **(task_settings or {})}, TaskRequest())
        data = open_data(
            built, data_root or Path(scratch) / "data", n_train=n_train, n_validation=100, n_test=n_test, workers=1
        )
        problem = built.problem(data.source, method.capabilities)
        reason = method.skip(problem)
        if reason is not None:
            report.require("skip gives a reason", isinstance(reason, str) and bool(reason.strip()), repr(reason))
            report.skipped["everything else"] = reason
            return report
        _MethodChecks(report, cls, method, problem, data, Path(scratch), Limits(n_train, steps, 120.0)).run()
    return report


class _MethodChecks:
    """The checks that need a fit."""

    def __init__(
        self,
        report: Report,
        cls: type[AbstractMethod],
        method: AbstractMethod,
        problem: InferenceProblem,
        data: RunData,
        scratch: Path,
        limits: Limits,
    ) -> None:
        self.report, self.cls, self.method, self.problem = report, cls, method, problem
        self.data, self.scratch, self.limits = data, scratch, limits

    def run(self) -> None:
        """Runs them all."""
        posterior = self.fit("first")
        samples = self.check_samples(posterior)
        self.check_reproducible(posterior, samples)
        self.check_saved(posterior, samples)
        self.check_resumed(samples)
        self.check_missing_bins(posterior)
        self.check_density(posterior)
        self.check_surprise(posterior)

    def fit(self, folder: str, stop: Callable[[], bool] = lambda: False) -> AbstractPosterior:
        workdir = self.scratch / folder
        workdir.mkdir(exist_ok=True)
        posterior = self.method.fit(
            self.problem,
            limits=self.limits,
            rng=rng_for("check_method", "fit"),
            device="cpu",
            workdir=workdir,
            stop=stop,
            progress=Progress.silent(),
        )
        kind = type(posterior).__name__
        self.report.require("fit returns a posterior", isinstance(posterior, AbstractPosterior), f"it returned {kind}")
        return posterior

    def draw(self, posterior: AbstractPosterior, n_draws: int = 20) -> PosteriorSamples:
        test = self.data.test
        return posterior.sample(test.x, test.sigma, n_draws, rng=rng_for("check_method", "sample"))

    def check_samples(self, posterior: AbstractPosterior) -> PosteriorSamples:
        samples = self.draw(posterior)
        n_obs, n_param = self.data.test.theta_true.shape
        shape = np.shape(samples.theta)
        fits = len(shape) == 3 and shape[0] == n_obs and 1 <= shape[1] <= 20 and shape[2] == n_param
        self.report.require("draws have shape (obs, draw, param)", fits, f"got {shape} for {n_obs} spectra, 20 draws")
        finite = bool(np.isfinite(samples.theta).all())
        self.report.require("draws are finite", finite, "there are NaN or infinite draws")
        slack = 1e-6 * (self.problem.parameters.high - self.problem.parameters.low)
        low, high = self.problem.parameters.low - slack, self.problem.parameters.high + slack
        outside = float(np.mean(~np.all((samples.theta >= low) & (samples.theta <= high), axis=-1)))
        self.report.require("draws lie inside the prior's box", outside == 0.0, f"{outside:.1%} lie outside")
        if samples.log_weight is not None:
            weight_shape = np.shape(samples.log_weight)
            self.report.require("log_weight has shape (obs, draw)", weight_shape == shape[:2], f"got {weight_shape}")
        return samples

    def check_reproducible(self, posterior: AbstractPosterior, samples: PosteriorSamples) -> None:
        same = np.array_equal(self.draw(posterior).theta, samples.theta)
        self.report.require("equal rng gives equal draws", same, "two calls of sample with one seed differ")

    def check_saved(self, posterior: AbstractPosterior, samples: PosteriorSamples) -> None:
        folder = self.scratch / "saved"
        posterior.save(folder)
        pickles = [path.name for path in folder.rglob("*") if path.is_file() and _is_pickle(path)]
        self.report.require("save writes no pickle", not pickles, f"these are pickles: {', '.join(pickles)}")
        loaded = self.cls.load_posterior(folder, self.problem, "cpu")
        close = np.allclose(self.draw(loaded).theta, samples.theta, rtol=1e-6, atol=0)
        self.report.require("a loaded posterior draws the same", close, "draws differ after save and load")

    def check_resumed(self, samples: PosteriorSamples) -> None:
        check = "a fit that was stopped goes on to the same end"
        asked = iter(range(10**9))
        try:
            self.fit("stopped", stop=lambda: next(asked) >= self.limits.steps // 2)  # type: ignore[operator]
        except FitInterrupted:
            resumed = self.draw(self.fit("stopped"))
            close = np.allclose(resumed.theta, samples.theta, rtol=1e-4, atol=1e-6)
            self.report.require(check, close, "draws differ from those of an uninterrupted fit")
        else:
            self.report.skipped[check] = "the fit ended before it was asked to stop"

    def check_missing_bins(self, posterior: AbstractPosterior) -> None:
        x, sigma = self.data.test.x[:2].copy(), self.data.test.sigma[:2].copy()
        x[:, : x.shape[1] // 4], sigma[:, : x.shape[1] // 4] = np.nan, np.inf
        rng = rng_for("check_method", "missing")
        declared = Capability.MISSING_BINS in self.method.capabilities
        try:
            theta = posterior.sample(x, sigma, 5, rng=rng).theta
        except ExobenchError as error:
            # A network that never saw a missing bin may refuse one, whatever it can learn on another task.
            learned = bool(np.isnan(self.problem.arrays("train", 64).x).any())
            self.report.require("missing bins are refused", not (declared and learned), str(error))
            return
        self.report.require("missing bins are refused", declared, "sample took x = NaN without MISSING_BINS")
        finite = bool(np.isfinite(theta).all())
        self.report.require("missing bins give finite draws", finite, "a missing bin gives NaN draws")

    def check_density(self, posterior: AbstractPosterior, n_prior: int = 20_000) -> None:
        check = "E_prior[q/prior] = 1 within 3 standard errors"
        if Capability.LOG_PROB not in self.method.capabilities:
            self.report.skipped[check] = "the method has no density"
            return
        theta = self.problem.prior.sample(n_prior, rng_for("check_method", "density"))
        x, sigma = self.data.test.x[:1], self.data.test.sigma[:1]
        log_ratio = posterior.log_prob(theta[None], x, sigma)[0] - self.problem.prior.log_prob(theta)
        ratio = np.exp(log_ratio)
        mean, error = float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(n_prior))
        holds = abs(mean - 1.0) <= max(3.0 * error, 1e-9)
        self.report.require(check, holds, f"it is {mean:.3f} with a standard error of {error:.3f}")

    def check_surprise(self, posterior: AbstractPosterior) -> None:
        check = "surprise is higher for spectra that are nothing like the training set's"
        if Capability.SURPRISE not in self.method.capabilities:
            self.report.skipped[check] = "the method does not say how unlike its training set a spectrum is"
            return
        x, sigma = self.data.test.x, self.data.test.sigma
        usual = np.asarray(posterior.surprise(x, sigma))
        fits = usual.shape == (len(x),) and bool(np.isfinite(usual).all())
        self.report.require("surprise has shape (obs,) and is finite", fits, f"got shape {usual.shape}, or NaN")
        # A comb of 100 sigma: no atmosphere, no noise.
        comb = np.where(np.isfinite(sigma), sigma, 0.0) * 100.0 * (-1.0) ** np.arange(x.shape[1])
        holds = bool((np.asarray(posterior.surprise(x + comb, sigma)) > usual).all())
        self.report.require(check, holds, "a comb of 100 sigma on top of a spectrum does not raise it")


def _check_constructor(
    report: Report, cls: type[AbstractMethod], method: AbstractMethod, settings: dict[str, Any]
) -> None:
    declared = isinstance(cls.capabilities, Capability)
    report.require("capabilities are declared", declared, f"capabilities is {cls.capabilities!r}")
    for key, value in {**registry.constructor_defaults(method.registered_name), **settings}.items():
        stored = getattr(method, key, inspect.Parameter.empty)
        same = stored is value or stored == value
        report.require("the constructor stores its arguments", same, f"{key}={value!r} is stored as {stored!r}")


def _is_pickle(path: Path) -> bool:
    head = path.read_bytes()[:2]
    return path.suffix in (".pkl", ".pickle", ".pt", ".pth") or head in (b"\x80\x02", b"\x80\x04", b"\x80\x05")


def check_task(
    name: str,
    *,
    settings: dict[str, Any] | None = None,
    n_spectra: int = 64,
    opacities_path: str | None = None,
) -> Report:
    """Holds a registered task against the interface.

    Args:
        name: of the task.
        settings: leaves beside the defaults.
        n_spectra: spectra to simulate.
        opacities_path: folder of opacities, for a task that needs one.

    Raises:
        ConformanceError: at the first broken promise.
    """
    report = Report(f"task {name}")
    request = TaskRequest(opacities_path=opacities_path)
    task = registry.build_task({"name": name, **(settings or {})}, request)
    again = registry.build_task({"name": name, **(settings or {})}, request)
    report.require("the name is the registered one", task.name == name, f"it is {task.name}")
    report.require("task_id is stable", task.task_id == again.task_id, f"{task.task_id} then {again.task_id}")
    report.require("the description is JSON", _is_json(task.describe()), "json.dumps refuses it")
    moved = registry.build_task({"name": name, **(settings or {}), "data_seed": 12345}, request)
    report.require("data_seed moves task_id", moved.task_id != task.task_id, "it stays the same")
    _check_spectra(report, task, n_spectra)
    return report


def _check_spectra(report: Report, task: Task, n_spectra: int) -> None:
    recipe = pickle.loads(pickle.dumps(task.simulator))
    simulator = recipe.build()
    names = tuple(simulator.parameter_names)
    report.require("the simulator takes the task's parameters", names == task.parameters.names, f"it takes {names}")
    theta = task.prior.sample(n_spectra, rng_for("check_task", task.name))
    report.require("prior draws lie in the box", bool(task.parameters.inside(theta).all()), "some lie outside")
    with torch.no_grad():
        depth = simulator(torch.as_tensor(theta)).double().numpy()
    shape = (n_spectra, len(task.wavelength_um))
    report.require("spectra have shape (n, bin)", depth.shape == shape, f"got {depth.shape}, expected {shape}")
    report.require("spectra are finite", bool(np.isfinite(depth).all()), "there are NaN or infinite depths")
    report.require("spectra vary with theta", bool(depth.std(axis=0).max() > 0), "all spectra are equal")
    x, sigma = task.noise.sample(depth, seed=1)
    again, _ = task.noise.sample(depth, seed=1)
    same = np.array_equal(x, again, equal_nan=True)
    report.require("noise is a pure function of its seed", same, "two calls with one seed differ")
    residual = (x - depth)[np.isfinite(x)] / sigma[np.isfinite(x)]
    spread = float(np.mean(residual**2))
    tolerance = 5 * np.sqrt(2 / residual.size)
    report.require("noise has the declared sigma", abs(spread - 1) < tolerance, f"mean square of x/sigma is {spread}")


def _is_json(content: object) -> bool:
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def check_metric(metric: Metric, inputs: ScoringInputs) -> Report:
    """Holds a metric against the interface on given inputs: documented, finite, and blind to the order of draws.

    Raises:
        ConformanceError: at the first broken promise.
    """
    from exobench.metrics.aggregate import aggregate

    report = Report(f"metric {metric.name}")
    report.require("it is documented", len(metric.doc) > 80, "its doc must give formula, source and blind spots")
    table = per_spectrum(inputs, rng_for("check_metric"))
    scores = aggregate(table, inputs.names, inputs.low, inputs.high, n_bootstrap=50, metrics=[metric])
    n_wanted = len(inputs.names) if metric.per_parameter else 1
    report.require("one score a parameter, or one", len(scores) == n_wanted, f"got {len(scores)}")
    for score in scores:
        known = score.status in ("ok", "undefined", "not available")
        report.require("status is known", known, score.status)
    return report
