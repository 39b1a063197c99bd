"""The floor of every table: draws from the prior, whatever the spectrum says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.prior import UniformPrior
from exobench.problem import InferenceProblem
from exobench.registry import register_method

Array = NDArray[np.float64]


@dataclass
class PriorPosterior(AbstractPosterior):
    """q(theta | x) = prior(theta)."""

    prior: UniformPrior

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Independent draws of the prior for each spectrum."""
        n_param = len(self.prior.space)
        return PosteriorSamples(self.prior.sample(len(x) * n_draws, rng).reshape(len(x), n_draws, n_param))

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """The prior's density."""
        return self.prior.log_prob(theta)

    def save(self, path: Path) -> None:
        """Nothing is learned, so nothing is written but the folder."""
        path.mkdir(parents=True, exist_ok=True)


@register_method("prior")
class PriorMethod(AbstractMethod):
    """Ignores the spectra."""

    capabilities: ClassVar[Capability] = Capability.LOG_PROB | Capability.AMORTISED | Capability.MISSING_BINS
    learns: ClassVar[bool] = False
    default_n_test: ClassVar[int] = 10_000
    default_n_draws: ClassVar[int] = 200

    def fit(
        self,
        problem: InferenceProblem,
        *,
        limits: Limits,
        rng: np.random.Generator,
        device: str,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> PriorPosterior:
        """Returns the prior."""
        return PriorPosterior(problem.prior)

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> PriorPosterior:
        """Returns the prior of the problem."""
        return PriorPosterior(problem.prior)
