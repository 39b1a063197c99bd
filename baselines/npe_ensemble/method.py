"""Ensembles of neural posteriors that differ in their seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from exobench.errors import ExobenchError
from exobench.inner_fit import inner_method, merged
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.npe_ensemble.members import fit_members, share
from exobench_baselines.npe_ensemble.posterior import EnsemblePosterior

_NEEDS = Capability.LOG_PROB | Capability.AMORTISED | Capability.MISSING_BINS


@register_method("npe_ensemble")
class NPEEnsemble(AbstractMethod):
    """An equal mixture of several fits of one method (deep ensemble, Lakshminarayanan et al. 2017).

    Limits on steps and seconds are divided among the members.

    Args:
        member: a registered method with a density, or a group with its ``name`` and some of its settings.
        members: how many.
        epochs: passes of each member over the training spectra, its ``training.epochs``; null for the member's own. A
            value in ``member`` goes before it.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    capabilities: ClassVar[Capability] = _NEEDS | Capability.SURPRISE
    default_n_test: ClassVar[int] = 10_000
    default_n_draws: ClassVar[int] = 200

    def __init__(self, member: Any = "npe", members: int = 4, epochs: float | None = 18.0) -> None:
        self.member = member
        self.members = members
        self.epochs = epochs
        if not isinstance(member, str | Mapping) or (isinstance(member, Mapping) and "name" not in member):
            raise ExobenchError(f"method.member={member} must be a method's name, such as npe, or a group with a name.")
        if isinstance(members, bool) or not isinstance(members, int) or members < 1:
            raise ExobenchError(f"method.members={members} must be a whole number of at least 1.")
        is_number = isinstance(epochs, int | float) and not isinstance(epochs, bool)
        if epochs is not None and not (is_number and epochs > 0):
            raise ExobenchError(f"method.epochs={epochs} must be a positive number, or null for the member's own.")

    def member_method(self) -> AbstractMethod:
        """The method of each member.

        Raises:
            ExobenchError: there is no such method, it has no density, or a setting is wrong.
        """
        given: dict[str, Any] = {"name": self.member} if isinstance(self.member, str) else dict(self.member)
        if self.epochs is not None:
            given = merged({"training": {"epochs": self.epochs}}, given)
        return inner_method("method.member", given, _NEEDS)

    def skip(self, problem: InferenceProblem) -> str | None:
        """The member's reason."""
        return self.member_method().skip(problem)

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
    ) -> EnsemblePosterior:
        """Fits the members one after another; see ``AbstractMethod.fit``. Finished members stay finished."""
        return EnsemblePosterior(
            fit_members(
                self.member_method(),
                problem,
                self.members,
                limits=share(limits, self.members),
                rng=rng,
                device=device,
                workdir=workdir,
                stop=stop,
                progress=progress,
            )
        )

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> EnsemblePosterior:
        """Reads back a saved ensemble."""
        return EnsemblePosterior.load(path, problem, device)
