"""The exact likelihood by nested sampling: what a trained posterior is an approximation of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench.sampling.nested_draws import cube_likelihood, draw_each
from exobench.sampling.nested_run import NestedRun, load_sampler, run_nested
from exobench.sampling.nested_settings import NestedSettings

Array = NDArray[np.float64]


@dataclass
class NestedPosterior(AbstractPosterior):
    """The posterior of the exact likelihood, sampled anew for every spectrum.

    Attributes:
        problem: gives prior and likelihood.
        settings: of the sampler.
    """

    problem: InferenceProblem
    settings: NestedSettings

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """One sampler run a spectrum; see `exobench.sampling.nested_draws.draw_each`."""

        def run(x_row: Array, sigma_row: Array, own: np.random.Generator) -> NestedRun:
            likelihood = cube_likelihood(self.problem, x_row, sigma_row)
            return run_nested(likelihood, len(self.problem.parameters), self.settings, n_draws, rng=own)

        return draw_each(self.problem, x, sigma, n_draws, run, rng=rng)

    def save(self, path: Path) -> None:
        """Writes the settings; nothing else is known."""
        self.settings.save(path)


@register_method("nested")
class Nested(AbstractMethod):
    """Nested sampling of the exact likelihood over the prior; nothing is learned from the training spectra.

    Args:
        sampler: "nautilus", "dynesty" (extra samplers) or "ultranest" (extra ultranest, GPL).
        n_live: live points.
        batch_size: points a likelihood call (nautilus, ultranest).
        n_networks: networks behind each of nautilus' bounds.
        n_effective: effective draws at which a run may end.
        effective_per_draw: effective draws for each draw asked for, where that is more.
        max_calls: most likelihood calls for one spectrum.
        max_seconds: most seconds for one spectrum.
    """

    capabilities: ClassVar[Capability] = Capability.NEEDS_LIKELIHOOD | Capability.MISSING_BINS
    learns: ClassVar[bool] = False
    default_n_test: ClassVar[int] = 25
    default_n_draws: ClassVar[int] = 1000
    spectra_per_call: ClassVar[int] = 1

    def __init__(
        self,
        sampler: str = "nautilus",
        n_live: int = 500,
        batch_size: int = 250,
        n_networks: int = 1,
        n_effective: int = 2000,
        effective_per_draw: float = 2.0,
        max_calls: int = 2_000_000,
        max_seconds: float = 900.0,
    ) -> None:
        self.sampler = sampler
        self.n_live = n_live
        self.batch_size = batch_size
        self.n_networks = n_networks
        self.n_effective = n_effective
        self.effective_per_draw = effective_per_draw
        self.max_calls = max_calls
        self.max_seconds = max_seconds
        NestedSettings.of(self)

    def skip(self, problem: InferenceProblem) -> str | None:
        """The default sampler needs two dimensions."""
        if self.sampler == "nautilus" and len(problem.parameters) < 2:
            return "nautilus needs at least two parameters; method.sampler=dynesty takes one."
        return None

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
    ) -> NestedPosterior:
        """Wraps the problem, after making sure that the sampler's package is there."""
        load_sampler(self.sampler)
        return NestedPosterior(problem, NestedSettings.of(self))

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> NestedPosterior:
        """Wraps the problem with the settings that were saved."""
        return NestedPosterior(problem, NestedSettings.load(path))
