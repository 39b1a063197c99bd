"""The exact likelihood on top of a run's answer, through the registered methods that do that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import PromisedSpectra
from exobench.errors import ExobenchError
from exobench.method import Capability, Limits, Progress
from exobench.posterior import PosteriorSamples
from exobench.registry import build_method, settings_of
from exobench.shifts.finished import FinishedRun

Array = NDArray[np.float64]

_METHODS = {
    "importance": ("importance", "proposal"),
    "smc": ("smc", "proposal"),
    "nested": ("seeded_nested", "seed_method"),
}
"""For each kind: the registered method, and its setting that names the method it starts from."""
_NEEDS = {"importance": Capability.LOG_PROB, "smc": Capability.LOG_PROB, "nested": Capability.AMORTISED}
LARGEST_PARETO_K = 0.7
LEAST_EFFECTIVE = 200.0


def refined(
    run: FinishedRun, kind: str, x: Array, sigma: Array, n_draws: int, device: str, rng: np.random.Generator
) -> PosteriorSamples:
    """Draws of the exact posterior, found from where the run's fit points to.

    Args:
        run: finished; its fit is used, nothing is trained.
        kind: "importance" (the fit's draws are weighed), "smc" (they are led to the exact posterior in stages) or
            "nested" (the fit narrows the prior of a nested sampler).
        x: (1, bin).
        sigma: (1, bin).
        n_draws: most draws.
        device: resolved.
        rng: the only source of randomness.

    Raises:
        ExobenchError: the run's method cannot be refined so.
    """
    if Capability.NEEDS_LIKELIHOOD in run.method.capabilities:
        name = run.method.registered_name
        raise ExobenchError(f"refine={kind}: {name} uses the exact likelihood already; leave refine out.")
    if _NEEDS[kind] not in run.method.capabilities:
        other = "refine=nested" if kind == "importance" else "a run of another method"
        raise ExobenchError(
            f"refine={kind} needs a method with {_NEEDS[kind].name}, and {run.method.registered_name} has none; "
            f"use {other}."
        )
    name, start = _METHODS[kind]
    settings: dict[str, Any] = {"name": name, start: settings_of(run.method)}
    method = build_method(settings)
    record = run.record
    problem = run.task.problem(
        PromisedSpectra(record["n_train"], record["n_validation"]),
        method.capabilities,
        device,
        finished_fits=run.problem.finished_fits,
    )
    limits = record["config"]["limits"]
    with tempfile.TemporaryDirectory() as folder:
        posterior = method.fit(
            problem,
            limits=Limits(record["n_train"], limits["steps"], limits["seconds"]),
            rng=rng,
            device=device,
            workdir=Path(folder),
            stop=lambda: False,
            progress=Progress.silent(),
        )
        return posterior.sample(x, sigma, n_draws, rng=rng)


def doubts(kind: str, diagnostics: dict[str, Any]) -> list[str]:
    """What the refinement's own diagnostics warn of."""
    numbers = {name: float(np.ravel(values)[0]) for name, values in diagnostics.items()}
    found = []
    if numbers.get("psis_k", -np.inf) > LARGEST_PARETO_K:
        found.append(
            f"WARNING: refine={kind}: Pareto k is {numbers['psis_k']:.2f}, above {LARGEST_PARETO_K}; use refine=smc."
        )
    effective = numbers.get("effective_sample_size", np.inf)
    if effective < LEAST_EFFECTIVE:
        found.append(
            f"WARNING: refine={kind}: the effective sample size is {effective:.0f}, below {LEAST_EFFECTIVE:.0f}."
        )
    if numbers.get("converged", 1.0) < 1.0:
        found.append(f"WARNING: refine={kind}: the sampler did not converge.")
    return found
