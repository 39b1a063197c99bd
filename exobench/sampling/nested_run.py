"""One nested sampling run over the unit cube, whichever package does it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from exobench.errors import MissingDependencyError
from exobench.sampling.nested_settings import NestedSettings

Array = NDArray[np.float64]
LogLikelihood = Callable[[Array], Array]

LOWEST_LOG_LIKELIHOOD = -1e300
"""Stands for a likelihood of zero; samplers compare and subtract, which infinities do not survive."""

_MODULES = {
    "nautilus": ("exobench.sampling.with_nautilus", "nautilus", "nautilus-sampler, a dependency of exobench itself"),
    "dynesty": ("exobench.sampling.with_dynesty", "dynesty", "the extra 'samplers' (pip install 'exobench[samplers]')"),
    "ultranest": (
        "exobench.sampling.with_ultranest",
        "ultranest",
        "the extra 'ultranest' (pip install 'exobench[ultranest]'; GPL)",
    ),
}


@dataclass(frozen=True, eq=False)
class NestedRun:
    """Weighted points of the posterior over the unit cube, and the evidence.

    Attributes:
        cube: points, (point, dim).
        log_weight: natural log of their weights, which sum to one, (point,).
        log_evidence: natural log of the integral of the likelihood over the cube.
        log_evidence_error: its standard error.
        converged: whether the sampler met its own criterion before a limit on calls or seconds.
    """

    cube: Array
    log_weight: Array
    log_evidence: float
    log_evidence_error: float
    converged: bool

    @property
    def effective_sample_size(self) -> float:
        """Kish's effective number of points, (sum w)^2 / sum w^2."""
        return float(np.exp(-logsumexp(2.0 * self.log_weight)))

    def duplicate_share(self, n_draws: int) -> float:
        """Share of repeated points among n_draws equal-weight draws, as ``systematic_rows`` takes them."""
        return float(np.maximum(np.exp(self.log_weight) - 1.0 / n_draws, 0.0).sum())


class NestedSampler(Protocol):
    """A package's sampler behind the common signature."""

    def __call__(
        self, log_likelihood: LogLikelihood, n_dim: int, settings: NestedSettings, n_draws: int, seed: int
    ) -> NestedRun:
        """Runs to the end, or to a limit."""


def run_nested(
    log_likelihood: LogLikelihood, n_dim: int, settings: NestedSettings, n_draws: int, *, rng: np.random.Generator
) -> NestedRun:
    """Integrates a likelihood over the unit cube.

    Args:
        log_likelihood: natural log of the likelihood of points (n, dim) in the cube; shape (n,).
        n_dim: dimensions of the cube.
        settings: sampler, sizes and limits.
        n_draws: equal-weight draws that will be taken from the run; it goes on until it holds enough points.
        rng: decides the sampler's random numbers.

    Raises:
        MissingDependencyError: if the sampler's package is not installed.
    """
    sampler = load_sampler(settings.sampler)
    seed = int(rng.integers(2**31))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Their own arithmetic meets -inf and empty shells on purpose; the status is what counts.
        warnings.simplefilter("ignore")
        return sampler(_guarded(log_likelihood), n_dim, settings, n_draws, seed)


def load_sampler(name: str) -> NestedSampler:
    """The sampler of that name.

    Raises:
        MissingDependencyError: if its package is not installed.
    """
    module, package, remedy = _MODULES[name]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"method.sampler={name} needs the package {package} ({error}); install {remedy}."
        ) from error
    sampler: NestedSampler = importlib.import_module(module).sample
    return sampler


def _guarded(log_likelihood: LogLikelihood) -> LogLikelihood:
    def finite(cube: Array) -> Array:
        values = log_likelihood(cube)
        return np.where(values > LOWEST_LOG_LIKELIHOOD, values, LOWEST_LOG_LIKELIHOOD)

    return finite


def systematic_rows(log_weight: Array, n_draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of n_draws equal-weight draws from weighted points, in random order.

    Systematic sampling over a random order of the points: point i is taken n_draws w_i times on average and never more
    than one time above or below that, so that none appears twice while n_draws max(w) <= 1. Source: Madow 1949, Annals
    of Mathematical Statistics 20, 333.

    Args:
        log_weight: natural log of the weights, (point,), of any scale.
        n_draws: draws wanted.
        rng: decides the order and the offset.

    Returns:
        Rows, (n_draws,).
    """
    order = rng.permutation(len(log_weight))
    weight = np.exp(log_weight[order] - log_weight.max())
    edges = np.cumsum(weight)
    ticks = (np.arange(n_draws) + rng.random()) * (edges[-1] / n_draws)
    rows = order[np.minimum(np.searchsorted(edges, ticks, side="right"), len(order) - 1)]
    return rng.permutation(rows)
