"""The proposal for one spectrum: a trained posterior and the prior, mended by the likelihood of their draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem
from exobench.sampling.proposal import FromPrior, Mixture, Proposal, Trained
from exobench.sampling.psis import pareto_k
from exobench.sampling.refinement import InBox, posterior_points
from exobench.sampling.student_mixture import fit_student_mixture
from exobench.sampling.weighing import weighed_draws
from exobench.settings import whole_number

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ProposalSettings:
    """How a proposal is made.

    Attributes:
        defensive_share: share of it that is the prior, which bounds every weight.
        refinements: how often it is mended by a mixture fitted to its weighted draws; 0 for never.
        n_pilot: draws that each refinement starts from.
        n_moves: random-walk moves of a thousand of them towards the posterior before the mixture is fitted.
        refined_share: share of the mended proposal, beside the prior's, that comes from the fitted mixture.
        components: of the fitted mixture, at most.
    """

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
        whole_number("method.refinements", self.refinements, 0, 20)
        whole_number("method.n_pilot", self.n_pilot, 10)
        whole_number("method.n_moves", self.n_moves, 1, 10_000)
        whole_number("method.components", self.components, 1, 1000)
        for key in ("defensive_share", "refined_share"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
                raise ExobenchError(f"method.{key}={value} must be a number from 0 to below 1.")


def proposal_for(
    problem: InferenceProblem,
    trained: AbstractPosterior,
    x: Array,
    sigma: Array,
    settings: ProposalSettings,
    rng: np.random.Generator,
) -> tuple[Proposal, dict[str, float]]:
    """The proposal for one spectrum x, sigma (bin,), and how good it was before it was mended.

    The draws that mended it are not handed on: those that the proposal gives from now on are independent of them.
    """
    defence = settings.defensive_share
    learned, prior = Trained(trained, x, sigma), FromPrior(problem.prior)
    proposal = Mixture((learned, prior), (1.0 - defence, defence))
    notes: dict[str, float] = {}
    for refinement in range(settings.refinements):
        pilot = weighed_draws(problem, proposal, x, sigma, settings.n_pilot, rng)
        if refinement == 0:
            notes = {"proposal_efficiency": pilot.efficiency, "proposal_psis_k": pareto_k(pilot.log_weight)}
        points = posterior_points(problem, pilot, x, sigma, settings.n_moves, rng)
        if points is not None:
            fitted = InBox(problem.parameters, fit_student_mixture(points, settings.components, rng))
            refined = (1.0 - defence) * settings.refined_share
            proposal = Mixture((learned, prior, fitted), (1.0 - defence - refined, defence, refined))
    return proposal, notes
