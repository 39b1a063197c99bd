"""ultranest (Buchner 2021, JOSS 6, 3001; GPL): reactive nested sampling, in batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from exobench.sampling.nested_run import LogLikelihood, NestedRun
from exobench.sampling.nested_settings import NestedSettings

_FIRST_LOOK_CALLS = 2000
_EVIDENCE_LEFT = 0.01


def sample(log_likelihood: LogLikelihood, n_dim: int, settings: NestedSettings, n_draws: int, seed: int) -> NestedRun:
    """See `exobench.sampling.nested_run.NestedSampler`.

    ultranest draws from numpy's global generator, which is seeded here and put back afterwards. It adds live points
    until it holds the effective sample size.
    """
    from ultranest import ReactiveNestedSampler

    end = time.monotonic() + settings.max_seconds
    names = [f"dimension_{column}" for column in range(n_dim)]
    with _global_seed(seed):
        sampler = ReactiveNestedSampler(
            names,
            log_likelihood,
            log_dir=None,
            vectorized=True,
            ndraw_min=settings.batch_size,
            ndraw_max=max(settings.batch_size, 65536),
        )
        # ultranest gives its logger a handler and a level of its own each time.
        sampler.logger.setLevel(logging.ERROR)
        results, converged = _advance(sampler, settings, settings.target(n_draws), end)
    weighted = results["weighted_samples"]
    with np.errstate(divide="ignore"):
        log_weight = np.log(np.asarray(weighted["weights"]))
    log_weight -= np.logaddexp.reduce(log_weight)
    cube = np.asarray(weighted["upoints"])
    return NestedRun(cube, log_weight, float(results["logz"]), float(results["logzerr"]), converged)


def _advance(sampler: Any, settings: NestedSettings, target: int, end: float) -> tuple[dict[str, Any], bool]:
    """Runs in rounds of calls, so that the clock is looked at; a round goes on from where the last one stopped."""
    start, most = time.monotonic(), min(_FIRST_LOOK_CALLS, settings.max_calls)
    while True:
        results = sampler.run(
            min_ess=target,
            min_num_live_points=settings.n_live,
            max_ncalls=most,
            dlogz=0.5,
            frac_remain=_EVIDENCE_LEFT,
            show_status=False,
            viz_callback=None,
        )
        if sampler.ncall < most:
            return results, float(results["ess"]) >= 0.9 * target
        now = time.monotonic()
        affordable = int(sampler.ncall * max(end - now, 0.0) / max(now - start, 1e-3))
        if sampler.ncall >= settings.max_calls or affordable < settings.batch_size:
            return results, False
        most = min(sampler.ncall + min(sampler.ncall, affordable), settings.max_calls)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
