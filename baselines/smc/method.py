"""Sequential Monte Carlo: a trained posterior is led to the exact one in stages, with the evidence on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from exobench.inner_fit import check_names_method, fit_inner, inner_method
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.smc.posterior import SMCPosterior, SMCSettings


@register_method("smc")
class SMC(AbstractMethod):
    """Trains another method, or takes its finished fit, and leads its draws to the exact posterior in stages.

    Args:
        proposal: name of a method with a density, or a group with its ``name`` and some of its settings.
        n_populations: independent populations of particles; their scatter gives the evidence's error.
        n_particles: of each population.
        n_steps: Metropolis steps of each particle at each stage.
        effective_share: effective sample size that a stage leaves, as a share of the particles.
        defensive_share: share of the proposal that is the prior.
        refinements: as in ``importance``, like all that follow.
        n_pilot: draws that each refinement starts from.
        n_moves: random-walk moves of a thousand of them before the mixture is fitted.
        refined_share: share of the mended proposal, beside the prior's, that comes from the fitted mixture.
        components: of the fitted mixture, at most.

    Raises:
        ExobenchError: a value out of range.
    """

    capabilities: ClassVar[Capability] = Capability.NEEDS_LIKELIHOOD | Capability.AMORTISED | Capability.MISSING_BINS
    default_n_test: ClassVar[int] = 100
    default_n_draws: ClassVar[int] = 2000
    spectra_per_call: ClassVar[int] = 1

    def __init__(
        self,
        proposal: str | dict[str, Any] = "npe",
        n_populations: int = 16,
        n_particles: int = 500,
        n_steps: int = 20,
        effective_share: float = 0.7,
        defensive_share: float = 0.05,
        refinements: int = 2,
        n_pilot: int = 5000,
        n_moves: int = 30,
        refined_share: float = 0.7,
        components: int = 16,
    ) -> None:
        self.proposal = proposal
        self.n_populations = n_populations
        self.n_particles = n_particles
        self.n_steps = n_steps
        self.effective_share = effective_share
        self.defensive_share = defensive_share
        self.refinements = refinements
        self.n_pilot = n_pilot
        self.n_moves = n_moves
        self.refined_share = refined_share
        self.components = components
        check_names_method("method.proposal", proposal)
        SMCSettings.of(self)

    def skip(self, problem: InferenceProblem) -> str | None:
        """The proposal's own reason."""
        reason = inner_method("method.proposal", self.proposal, Capability.LOG_PROB).skip(problem)
        return None if reason is None else f"its proposal cannot run: {reason}"

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
    ) -> SMCPosterior:
        """Fits the proposal; see ``exobench.inner_fit.fit_inner``."""
        inner = fit_inner(
            inner_method("method.proposal", self.proposal, Capability.LOG_PROB),
            problem,
            limits=limits,
            rng=rng,
            device=device,
            workdir=workdir / "proposal",
            stop=stop,
            progress=progress,
        )
        return SMCPosterior(problem, inner, SMCSettings.of(self))

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> SMCPosterior:
        """Reads back the settings and the proposal."""
        return SMCPosterior.load(path, problem, device)
