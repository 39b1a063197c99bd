"""Nested sampling of many spectra, one after another, with what each of them cost."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from exobench.posterior import PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.progress import track
from exobench.sampling.nested_run import LogLikelihood, NestedRun, systematic_rows

Array = NDArray[np.float64]
OneSpectrum = Callable[[Array, Array, np.random.Generator], NestedRun]

DIAGNOSTICS = (
    "log_evidence",
    "log_evidence_error",
    "likelihood_calls",
    "effective_sample_size",
    "duplicate_share",
    "converged",
    "seconds",
)


def cube_likelihood(problem: InferenceProblem, x: Array, sigma: Array) -> LogLikelihood:
    """The problem's likelihood of one spectrum x, sigma (bin,) over the prior's unit cube; every call is counted."""

    def log_likelihood(cube: Array) -> Array:
        return problem.log_likelihood(problem.prior.from_unit_cube(cube), x, sigma)

    return log_likelihood


def draw_each(
    problem: InferenceProblem,
    x: Array,
    sigma: Array,
    n_draws: int,
    run: OneSpectrum,
    *,
    rng: np.random.Generator,
) -> PosteriorSamples:
    """Runs a nested sampler for each spectrum and takes equal-weight draws from its points.

    Args:
        problem: counts likelihood calls.
        x: depth fractions (obs, bin).
        sigma: as x.
        n_draws: draws a spectrum; all of them are returned. Repeated points are counted in ``duplicate_share``.
        run: from x (bin,), sigma (bin,) and a generator to a run whose points lie in the prior's unit cube.
        rng: decides everything; a spectrum's numbers do not depend on how the spectra before it went.

    Returns:
        Draws with ``DIAGNOSTICS``, one number a spectrum. ``converged`` is 0 where a limit on calls or seconds ended
        the run early: its draws and evidence are then not to be trusted.
    """
    seeds = rng.integers(2**63, size=len(x))
    theta = np.empty((len(x), n_draws, len(problem.parameters)))
    notes = {name: np.empty(len(x)) for name in DIAGNOSTICS}
    for row, (x_row, sigma_row, seed) in enumerate(track(zip(x, sigma, seeds, strict=True), "nested", total=len(x))):
        own = np.random.default_rng(int(seed))
        start, calls = time.perf_counter(), problem.likelihood_calls.n
        result = run(x_row, sigma_row, own)
        points = result.cube[systematic_rows(result.log_weight, n_draws, own)]
        theta[row] = problem.parameters.clip(problem.prior.from_unit_cube(points))
        notes["log_evidence"][row] = result.log_evidence
        notes["log_evidence_error"][row] = result.log_evidence_error
        notes["likelihood_calls"][row] = problem.likelihood_calls.n - calls
        notes["effective_sample_size"][row] = result.effective_sample_size
        notes["duplicate_share"][row] = result.duplicate_share(n_draws)
        notes["converged"][row] = result.converged
        notes["seconds"][row] = time.perf_counter() - start
    return PosteriorSamples(theta, None, dict(notes))
