"""nautilus (Lange 2023, MNRAS 525, 3181): importance nested sampling, in batches."""

from __future__ import annotations

import time

import numpy as np

from exobench.sampling.nested_run import LogLikelihood, NestedRun
from exobench.sampling.nested_settings import NestedSettings

_ROUNDS = 4
"""Times that the target is raised for the sake of draws without duplicates."""
_FEW_DUPLICATES = 0.02
_NETWORK = {"hidden_layer_sizes": (50, 20), "max_iter": 50}
"""Smaller than nautilus' own and trained for fewer epochs: a batched likelihood costs less than large networks."""


def sample(log_likelihood: LogLikelihood, n_dim: int, settings: NestedSettings, n_draws: int, seed: int) -> NestedRun:
    """See `exobench.sampling.nested_run.NestedSampler`.

    Points of the exploration phase are discarded, without which evidence and posterior are biased. The standard error
    of the log-evidence is 1/sqrt(effective sample size), as the shells are importance-sampled.
    """
    from nautilus import Sampler

    sampler = Sampler(
        _identity,
        log_likelihood,
        n_dim=n_dim,
        n_live=settings.n_live,
        n_batch=settings.batch_size,
        n_networks=settings.n_networks,
        neural_network_kwargs=dict(_NETWORK),
        vectorized=True,
        pass_dict=False,
        seed=seed,
    )
    end = time.monotonic() + settings.max_seconds
    target = float(settings.target(n_draws))
    for _ in range(_ROUNDS):
        converged = bool(
            sampler.run(
                n_eff=target,
                n_like_max=settings.max_calls,
                timeout=max(end - time.monotonic(), 0.0),
                discard_exploration=True,
            )
        )
        run = _result(sampler, converged)
        if not converged or run.duplicate_share(n_draws) <= _FEW_DUPLICATES:
            break
        target *= 1.5
    return run


def _identity(cube: np.ndarray) -> np.ndarray:
    return cube


def _result(sampler: object, converged: bool) -> NestedRun:
    cube, log_weight, _ = sampler.posterior()  # type: ignore[attr-defined]
    log_evidence = float(sampler.log_z)  # type: ignore[attr-defined]
    error = 1.0 / np.sqrt(max(float(sampler.n_eff), 1.0))  # type: ignore[attr-defined]
    return NestedRun(cube, log_weight, log_evidence, float(error), converged)
