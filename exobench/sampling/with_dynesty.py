"""dynesty (Speagle 2020, MNRAS 493, 3132): nested sampling, one point at a time."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from exobench.sampling.nested_run import LogLikelihood, NestedRun
from exobench.sampling.nested_settings import NestedSettings

Array = NDArray[np.float64]

_CALLS_BETWEEN_LOOKS = 5000
_EVIDENCE_LEFT = 0.01
"""A run ends when the live points may add less than this to the log-evidence, as nautilus' share in its live set."""


def sample(log_likelihood: LogLikelihood, n_dim: int, settings: NestedSettings, n_draws: int, seed: int) -> NestedRun:
    """See `exobench.sampling.nested_run.NestedSampler`.

    A static run with ``n_live`` points is repeated, and the runs are merged, until the effective sample size is met.
    """
    from dynesty import NestedSampler
    from dynesty.utils import merge_runs

    def one(point: Array) -> float:
        return float(log_likelihood(point[None])[0])

    end = time.monotonic() + settings.max_seconds
    rng = np.random.default_rng(seed)
    runs: list[object] = []
    calls = 0
    while True:
        sampler = NestedSampler(one, _identity, n_dim, nlive=settings.n_live, rstate=rng)
        finished, spent = _advance(sampler, settings.max_calls - calls, end)
        calls += spent
        if finished or not runs:
            # A later run that was cut off would drag a good one down.
            runs.append(sampler.results)
        merged = merge_runs(runs, print_progress=False) if len(runs) > 1 else runs[0]
        run = _result(merged, converged=False)
        enough = run.effective_sample_size >= settings.target(n_draws)
        if enough or not finished:
            return _result(merged, converged=enough and finished)


def _advance(sampler: object, calls_left: int, end: float) -> tuple[bool, int]:
    """Runs one static sampler to its end, or until calls or time are spent; whether it ended, and its calls."""
    finished = False
    while not finished and sampler.ncall < calls_left and time.monotonic() < end:  # type: ignore[attr-defined]
        before = sampler.ncall  # type: ignore[attr-defined]
        most = min(_CALLS_BETWEEN_LOOKS, calls_left - before)
        sampler.run_nested(  # type: ignore[attr-defined]
            dlogz=_EVIDENCE_LEFT, maxcall=most, add_live=False, print_progress=False
        )
        finished = sampler.ncall - before < most  # type: ignore[attr-defined]
    sampler.add_final_live(print_progress=False)  # type: ignore[attr-defined]
    return finished, int(sampler.ncall)  # type: ignore[attr-defined]


def _identity(cube: Array) -> Array:
    return cube


def _result(results: object, *, converged: bool) -> NestedRun:
    log_weight = np.asarray(results["logwt"] - results["logz"][-1])  # type: ignore[index]
    log_weight = log_weight - np.logaddexp.reduce(log_weight)
    error = float(results["logzerr"][-1])  # type: ignore[index]
    cube = np.asarray(results["samples_u"])  # type: ignore[index]
    return NestedRun(cube, log_weight, float(results["logz"][-1]), error, converged)  # type: ignore[index]
