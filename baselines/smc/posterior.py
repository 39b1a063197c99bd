"""Draws of the exact posterior by sequential Monte Carlo, spectrum by spectrum."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from exobench.errors import ExobenchError
from exobench.inner_fit import InnerFit, load_inner, save_inner
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.progress import track
from exobench.sampling.bridge import BridgeSettings, Crossing, LogDensities, cross
from exobench.sampling.proposal import Proposal
from exobench.sampling.proposal_search import ProposalSettings, proposal_for
from exobench.sampling.psis import quiet_arviz
from exobench.sampling.refinement import unbounded
from exobench.sampling.settings_file import load_settings, save_settings
from exobench.sampling.weighing import log_joint
from exobench.settings import whole_number

Array = NDArray[np.float64]

_SETTINGS = "smc.json"
_R_HAT_LIMIT = 1.05
_LARGEST_ERROR = 0.3
"""Of the log evidence: populations that scatter by more have not found the same posterior."""


@dataclass(frozen=True)
class SMCSettings:
    """See ``exobench_baselines.smc.method.SMC`` for what each does."""

    n_populations: int
    n_particles: int
    n_steps: int
    effective_share: float
    defensive_share: float
    refinements: int
    n_pilot: int
    n_moves: int
    refined_share: float
    components: int

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ExobenchError: a value out of range.
        """
        whole_number("method.n_populations", self.n_populations, 2, 1000)
        whole_number("method.n_particles", self.n_particles, 50)
        whole_number("method.n_steps", self.n_steps, 1, 10_000)
        share = self.effective_share
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 < share < 1.0:
            raise ExobenchError(f"method.effective_share={share} must be a number between 0 and 1.")
        self.of_proposal()

    @classmethod
    def of(cls, method: object) -> Self:
        """Takes the settings from a method that stores them under the same names."""
        return cls(**{field.name: getattr(method, field.name) for field in fields(cls)})

    def of_proposal(self) -> ProposalSettings:
        """The part that concerns the proposal."""
        return ProposalSettings(**{field.name: getattr(self, field.name) for field in fields(ProposalSettings)})

    def of_bridge(self) -> BridgeSettings:
        """The part that concerns the way from there."""
        return BridgeSettings(self.n_populations, self.n_particles, self.n_steps, self.effective_share)


@dataclass
class SMCPosterior(AbstractPosterior):
    """Draws of a trained posterior, led to the exact one.

    Attributes:
        problem: with prior and likelihood.
        inner: the trained posterior at the start.
        settings: of the sampler.
    """

    problem: InferenceProblem
    inner: InnerFit
    settings: SMCSettings

    def __post_init__(self) -> None:
        self.n_parameters_trained = self.inner.posterior.n_parameters_trained

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Equal-weight draws: at most as many as there are particles, each population by its evidence."""
        streams = track(rng.spawn(len(x)), "smc")
        rows = [self._spectrum(x[row], sigma[row], n_draws, stream) for row, stream in enumerate(streams)]
        diagnostics: dict[str, Array | float] = {
            name: np.array([notes[name] for _, notes in rows]) for name in rows[0][1]
        }
        return PosteriorSamples(np.stack([theta for theta, _ in rows]), None, diagnostics)

    def _spectrum(
        self, x: Array, sigma: Array, n_draws: int, rng: np.random.Generator
    ) -> tuple[Array, dict[str, float]]:
        start, calls = time.perf_counter(), self.problem.likelihood_calls.n
        proposal, notes = proposal_for(self.problem, self.inner.posterior, x, sigma, self.settings.of_proposal(), rng)
        crossing = self._crossing(proposal, x, sigma, rng)
        particles = crossing.u.reshape(-1, crossing.u.shape[-1])
        chosen = _chosen(crossing, min(n_draws, len(particles)), rng)
        r_hat, effective = _agreement(crossing)
        notes |= {
            "log_evidence": crossing.log_evidence,
            "log_evidence_error": crossing.log_evidence_error,
            "converged": float(
                crossing.arrived and r_hat <= _R_HAT_LIMIT and crossing.log_evidence_error <= _LARGEST_ERROR
            ),
            "r_hat": r_hat,
            "effective_sample_size": effective,
            "duplicate_share": 1.0 - len(np.unique(particles[chosen], axis=0)) / len(chosen),
            "stages": float(crossing.n_stages),
            "acceptance": crossing.acceptance,
            "likelihood_calls": float(self.problem.likelihood_calls.n - calls),
            "seconds": time.perf_counter() - start,
        }
        return self._to_theta(particles[chosen]), notes

    def _crossing(self, proposal: Proposal, x: Array, sigma: Array, rng: np.random.Generator) -> Crossing:
        settings = self.settings.of_bridge()
        space = self.problem.parameters
        theta = rng.permutation(proposal.sample(settings.n_populations * settings.n_particles, rng))
        # A draw outside the box, or none at all, has a place at the box's face but weighs nothing.
        start = unbounded(space, space.clip(np.nan_to_num(theta)))
        return cross(start, self._densities(proposal, x, sigma), settings, rng, alive=space.inside(theta))

    def _densities(self, proposal: Proposal, x: Array, sigma: Array) -> LogDensities:
        log_range = float(np.log(self.problem.parameters.high - self.problem.parameters.low).sum())

        def densities(u: Array) -> tuple[Array, Array]:
            theta = self._to_theta(u)
            log_slope = log_range - 0.5 * np.sum(u**2 + np.log(2.0 * np.pi), axis=1)
            return proposal.log_prob(theta) + log_slope, log_joint(self.problem, theta, x, sigma) + log_slope

        return densities

    def _to_theta(self, u: Array) -> Array:
        space = self.problem.parameters
        return space.clip(space.from_unit_cube(ndtr(u)))

    def save(self, path: Path) -> None:
        """Writes the settings and the trained posterior."""
        save_settings(path / _SETTINGS, self.settings)
        save_inner(self.inner, path)

    @classmethod
    def load(cls, path: Path, problem: InferenceProblem, device: str) -> SMCPosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        settings = load_settings(path / _SETTINGS, lambda values: SMCSettings(**values))
        return cls(problem, load_inner(path, problem, device), settings)


def _shares(crossing: Crossing) -> Array:
    """What each population counts, (population,): its evidence's share; equal where there is none."""
    if not np.isfinite(crossing.log_weight).any():
        return np.full(len(crossing.log_weight), 1.0 / len(crossing.log_weight))
    weight = np.exp(crossing.log_weight - crossing.log_weight.max())
    return np.asarray(weight / weight.sum(), np.float64)


def _chosen(crossing: Crossing, n_draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of particles of equal weight, in random order: systematic resampling over all populations."""
    n_populations, n_particles = crossing.u.shape[:2]
    order = rng.permutation(n_populations * n_particles)
    weight = np.repeat(_shares(crossing) / n_particles, n_particles)[order]
    ticks = (np.arange(n_draws) + rng.random()) / n_draws
    rows = np.minimum(np.searchsorted(np.cumsum(weight), ticks), len(order) - 1)
    return rng.permutation(order[rows])


def _agreement(crossing: Crossing) -> tuple[float, float]:
    """Largest R-hat of the populations' means, and what the particles are worth.

    The worth is the number of independent draws whose population means would scatter as these do, for the worst
    parameter, times Kish's share of populations that count; particles of one population share ancestors.
    """
    u = crossing.u
    n = u.shape[1]
    within = u.var(axis=1, ddof=1).mean(axis=0)
    between = u.mean(axis=1).var(axis=0, ddof=1)
    r_hat = max(float(quiet_arviz().rhat(u[:, :, k], method="identity")) for k in range(u.shape[2]))
    worth = float(np.min(within / np.maximum(between, within / n))) * u.shape[0]
    return r_hat, worth / (len(u) * float(np.sum(_shares(crossing) ** 2)))
