"""Importance sampling: a trained posterior proposes, the exact likelihood decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from exobench.inner_fit import check_names_method, fit_inner, inner_method
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench.settings import whole_number
from exobench_baselines.importance.posterior import ImportancePosterior, ImportanceSettings


@register_method("importance")
class Importance(AbstractMethod):
    """Trains another method, or takes its finished fit, and weighs its draws by the exact likelihood.

    Args:
        proposal: name of a method with a density, or a group with its ``name`` and some of its settings.
        n_proposal: draws of a spectrum that are weighed.
        defensive_share: share of them that come from the prior, which bounds every weight.
        refinements: how often the proposal is mended by a mixture fitted to its weighted draws; 0 for never.
        n_pilot: draws that each refinement starts from.
        n_moves: random-walk moves of a thousand of them towards the posterior before the mixture is fitted.
        refined_share: share of the mended proposal, beside the prior's, that comes from the fitted mixture.
        components: of the fitted mixture, at most.

    Raises:
        ExobenchError: a value out of range.
    """

    capabilities: ClassVar[Capability] = Capability.NEEDS_LIKELIHOOD | Capability.AMORTISED | Capability.MISSING_BINS
    default_n_test: ClassVar[int] = 100
    default_n_draws: ClassVar[int] = 2000
    if_weights_are_uneven: ClassVar[str] = (
        "method=smc leads the same proposal to the posterior in stages; a larger method.n_proposal weighs more draws"
    )
    spectra_per_call: ClassVar[int] = 1

    def __init__(
        self,
        proposal: str | dict[str, Any] = "npe",
        n_proposal: int = 20_000,
        defensive_share: float = 0.05,
        refinements: int = 2,
        n_pilot: int = 5000,
        n_moves: int = 30,
        refined_share: float = 0.7,
        components: int = 16,
    ) -> None:
        self.proposal = proposal
        self.n_proposal = n_proposal
        self.defensive_share = defensive_share
        self.refinements = refinements
        self.n_pilot = n_pilot
        self.n_moves = n_moves
        self.refined_share = refined_share
        self.components = components
        self._settings()

    def _settings(self) -> ImportanceSettings:
        check_names_method("method.proposal", self.proposal)
        whole_number("method.n_proposal", self.n_proposal, 10)
        settings = ImportanceSettings(
            n_proposal=self.n_proposal,
            defensive_share=self.defensive_share,
            refinements=self.refinements,
            n_pilot=self.n_pilot,
            n_moves=self.n_moves,
            refined_share=self.refined_share,
            components=self.components,
        )
        settings.of_proposal()
        return settings

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
    ) -> ImportancePosterior:
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
        return ImportancePosterior(problem, inner, self._settings())

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> ImportancePosterior:
        """Reads back the settings and the proposal."""
        return ImportancePosterior.load(path, problem, device)
