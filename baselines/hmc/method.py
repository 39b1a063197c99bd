"""Hamiltonian Monte Carlo through the differentiable simulator, with the exact likelihood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench.settings import whole_number
from exobench_baselines.hmc.posterior import HMCPosterior
from exobench_baselines.hmc.sampler import SamplerSettings


@register_method("hmc")
class HMC(AbstractMethod):
    """Learns nothing beforehand: every spectrum is sampled afresh.

    Args:
        n_chains: chains of a spectrum, one batch for the simulator.
        n_search: draws of the prior that the search starts from.
        n_particles: particles that are annealed from there to the posterior; the chains start on some of them.
        n_moves: random-walk moves of each particle at each temperature.
        n_jumps: proposals to each chain before each trajectory, from a mixture fitted to the annealed particles; 0 for
            trajectories alone.
        components: of that mixture, at most.
        warm_up: trajectories that settle the step size; not kept.
        target_acceptance: mean acceptance that the step size is settled for.
        max_leapfrog: most leapfrog steps of one trajectory.
        ess_share: chains go on until the effective sample size is this share of the draws asked for ...
        max_states: ... or until they hold this many times as many states as draws were asked for.
        r_hat_limit: a spectrum whose R-hat is larger is marked as not converged.

    Raises:
        ExobenchError: a value out of range.
    """

    capabilities: ClassVar[Capability] = (
        Capability.NEEDS_LIKELIHOOD | Capability.NEEDS_GRADIENT | Capability.MISSING_BINS
    )
    learns: ClassVar[bool] = False
    default_n_test: ClassVar[int] = 25
    default_n_draws: ClassVar[int] = 2000
    spectra_per_call: ClassVar[int] = 1

    def __init__(
        self,
        n_chains: int = 64,
        n_search: int = 16_384,
        n_particles: int = 1024,
        n_moves: int = 8,
        n_jumps: int = 20,
        components: int = 12,
        warm_up: int = 20,
        target_acceptance: float = 0.8,
        max_leapfrog: int = 64,
        ess_share: float = 0.8,
        max_states: float = 8.0,
        r_hat_limit: float = 1.05,
    ) -> None:
        self.n_chains = n_chains
        self.n_search = n_search
        self.n_particles = n_particles
        self.n_moves = n_moves
        self.n_jumps = n_jumps
        self.components = components
        self.warm_up = warm_up
        self.target_acceptance = target_acceptance
        self.max_leapfrog = max_leapfrog
        self.ess_share = ess_share
        self.max_states = max_states
        self.r_hat_limit = r_hat_limit
        self._settings()

    def _settings(self) -> SamplerSettings:
        for key, low in (
            ("n_chains", 4),
            ("n_moves", 1),
            ("n_jumps", 0),
            ("components", 1),
            ("warm_up", 1),
            ("max_leapfrog", 1),
        ):
            whole_number(f"method.{key}", getattr(self, key), low)
        whole_number("method.n_particles", self.n_particles, self.n_chains)
        whole_number("method.n_search", self.n_search, self.n_particles)
        _within("target_acceptance", self.target_acceptance, 0.1, 0.99)
        _within("ess_share", self.ess_share, 0.0, 10.0)
        _within("max_states", self.max_states, 1.0, 1000.0)
        _within("r_hat_limit", self.r_hat_limit, 1.0, 10.0)
        return SamplerSettings(
            n_chains=self.n_chains,
            n_search=self.n_search,
            n_particles=self.n_particles,
            n_moves=self.n_moves,
            n_jumps=self.n_jumps,
            components=self.components,
            warm_up=self.warm_up,
            target_acceptance=self.target_acceptance,
            max_leapfrog=self.max_leapfrog,
            ess_share=self.ess_share,
            max_states=self.max_states,
            r_hat_limit=self.r_hat_limit,
        )

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
    ) -> HMCPosterior:
        """Nothing to learn; the training spectra are not touched."""
        del limits, rng, device, workdir, stop, progress
        return HMCPosterior(problem, self._settings())

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> HMCPosterior:
        """Reads the settings back."""
        del device
        return HMCPosterior.load(path, problem)


def _within(key: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ExobenchError(f"method.{key}={value} must be a number from {low:g} to {high:g}.")
