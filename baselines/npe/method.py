"""Neural posterior estimation with the flows of the package sbi."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.method import Limits, Progress
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.method import NeuralMethod
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.npe.posterior import NPEPosterior

FLOWS = ("maf", "maf_rqs", "nsf", "zuko_maf", "zuko_nsf")
MOST_BINS = 500
"""A bin takes at least a thousandth of a spline."""


@register_method("npe")
class NPE(NeuralMethod):
    """Neural posterior estimation: a normalising flow trained on -log q(theta | x).

    Args:
        flow: sbi's name of it, one of ``FLOWS``. nsf couples halves of theta (fast both ways); the others are
            autoregressive, one pass a parameter to draw.
        transforms: layers of the flow.
        hidden: width of their networks.
        bins: of the splines (nsf, maf_rqs, zuko_nsf).
        tail_bound: where splines end and the identity begins (nsf, maf_rqs; zuko's are fixed at 5).
        whiten: a conditional Gaussian in front of the flow, see ``GaussianWhitening``.
        embedding: see ``EmbeddingSettings``.
        training: see ``TrainingSettings``.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    default_embedding: ClassVar[dict[str, Any]] = {"blocks": 2, "n_context": 64}
    default_training: ClassVar[dict[str, Any]] = {
        "epochs": 70,
        "batch_size": 256,
        "learning_rate": 4e-3,
        "weight_decay": 3e-3,
    }

    def __init__(
        self,
        flow: str = "nsf",
        transforms: int = 3,
        hidden: int = 80,
        bins: int = 8,
        tail_bound: float = 5.0,
        whiten: bool = True,
        embedding: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.flow = flow
        self.transforms = transforms
        self.hidden = hidden
        self.bins = bins
        self.tail_bound = tail_bound
        self.whiten = whiten
        super().__init__(embedding, training)
        self._check()

    def _check(self) -> None:
        if self.flow not in FLOWS:
            raise ExobenchError(f"method.flow={self.flow} must be one of {', '.join(FLOWS)}.")
        for name, low in (("transforms", 1), ("hidden", 4), ("bins", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ExobenchError(f"method.{name}={value} must be a whole number of at least {low}.")
        if self.bins > MOST_BINS:
            raise ExobenchError(f"method.bins={self.bins} must be at most {MOST_BINS}.")
        bound = self.tail_bound
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 1.0 <= bound <= 100.0:
            raise ExobenchError(f"method.tail_bound={bound} must be a number from 1 to 100, such as 5.")
        if not isinstance(self.whiten, bool):
            raise ExobenchError(f"method.whiten={self.whiten} must be true or false.")

    def build_estimator(self, n_param: int, n_context: int) -> ConditionalEstimator:
        """A flow of sbi, random weights.

        Raises:
            MissingDependencyError: sbi is not installed.
        """
        try:
            from exobench_baselines.npe.density import build_density
            from exobench_baselines.npe.estimator import SbiEstimator
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"method=npe needs the package sbi ({error}): pip install 'sbi>=0.27,<0.28'."
            ) from error
        density = build_density(
            self.flow,
            n_param,
            n_context,
            transforms=self.transforms,
            hidden=self.hidden,
            bins=self.bins,
            tail_bound=float(self.tail_bound),
            whiten=self.whiten,
        )
        return SbiEstimator(density)

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
    ) -> NPEPosterior:
        """Trains; see ``NeuralMethod.fit``."""
        fitted = super().fit(
            problem, limits=limits, rng=rng, device=device, workdir=workdir, stop=stop, progress=progress
        )
        return NPEPosterior(fitted.model, fitted.description, fitted.device)

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> NPEPosterior:
        """Reads back a saved posterior; see ``NeuralMethod.load_posterior``."""
        loaded = super().load_posterior(path, problem, device)
        return NPEPosterior(loaded.model, loaded.description, loaded.device)
