"""Importance sampling of the exact posterior, spectrum by spectrum."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.inner_fit import InnerFit, load_inner, save_inner
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.progress import track
from exobench.sampling.importance import WeightedDraws
from exobench.sampling.proposal_search import ProposalSettings, proposal_for
from exobench.sampling.psis import pareto_k
from exobench.sampling.settings_file import load_settings, save_settings
from exobench.sampling.weighing import weighed_draws

Array = NDArray[np.float64]

_SETTINGS = "importance.json"


@dataclass(frozen=True)
class ImportanceSettings:
    """See ``exobench_baselines.importance.method.Importance`` for what each does."""

    n_proposal: int
    defensive_share: float
    refinements: int
    n_pilot: int
    n_moves: int
    refined_share: float
    components: int

    def of_proposal(self) -> ProposalSettings:
        """The part that concerns the proposal."""
        return ProposalSettings(**{field.name: getattr(self, field.name) for field in fields(ProposalSettings)})


@dataclass
class ImportancePosterior(AbstractPosterior):
    """Draws of a trained posterior, weighed by the exact likelihood.

    Attributes:
        problem: with prior and likelihood.
        inner: the trained posterior that proposes.
        settings: of the sampler.
    """

    problem: InferenceProblem
    inner: InnerFit
    settings: ImportanceSettings

    def __post_init__(self) -> None:
        self.n_parameters_trained = self.inner.posterior.n_parameters_trained

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Weighted draws, none twice; see ``exobench.sampling.importance.thinned_rows``.

        Where a spectrum has fewer draws with weight than asked for, the rest repeat a draw with weight zero.
        """
        streams = track(rng.spawn(len(x)), "importance")
        rows = [self._spectrum(x[row], sigma[row], n_draws, stream) for row, stream in enumerate(streams)]
        n_most = max(1, *(len(draws.theta) for draws, _ in rows))
        padded = [_padded(draws, n_most, self.problem) for draws, _ in rows]
        return PosteriorSamples(
            np.stack([draws.theta for draws in padded]),
            np.stack([draws.log_weight for draws in padded]),
            {name: np.array([notes[name] for _, notes in rows]) for name in rows[0][1]},
        )

    def _spectrum(
        self, x: Array, sigma: Array, n_draws: int, rng: np.random.Generator
    ) -> tuple[WeightedDraws, dict[str, float]]:
        calls_before = self.problem.likelihood_calls.n
        proposal, notes = proposal_for(self.problem, self.inner.posterior, x, sigma, self.settings.of_proposal(), rng)
        draws = weighed_draws(self.problem, proposal, x, sigma, self.settings.n_proposal, rng)
        notes = {
            **notes,
            "efficiency": draws.efficiency,
            "effective_sample_size": draws.effective_sample_size,
            "psis_k": pareto_k(draws.log_weight),
            "log_evidence": draws.log_evidence,
            "log_evidence_error": draws.log_evidence_error,
            "likelihood_calls": float(self.problem.likelihood_calls.n - calls_before),
        }
        return draws.thinned(n_draws, rng), notes

    def save(self, path: Path) -> None:
        """Writes the settings and the trained posterior."""
        save_settings(path / _SETTINGS, self.settings)
        save_inner(self.inner, path)

    @classmethod
    def load(cls, path: Path, problem: InferenceProblem, device: str) -> ImportancePosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        settings = load_settings(path / _SETTINGS, lambda values: ImportanceSettings(**values))
        return cls(problem, load_inner(path, problem, device), settings)


def _padded(draws: WeightedDraws, n: int, problem: InferenceProblem) -> WeightedDraws:
    """As many draws as n, those added without weight."""
    missing = n - len(draws.theta)
    if missing == 0:
        return draws
    filler = (
        draws.theta[:1]
        if len(draws.theta)
        else problem.prior.from_unit_cube(np.full((1, len(problem.parameters)), 0.5))
    )
    theta = np.concatenate([draws.theta, np.repeat(filler, missing, axis=0)])
    return WeightedDraws(theta, np.concatenate([draws.log_weight, np.full(missing, -np.inf)]))
