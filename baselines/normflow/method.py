"""Conditional spline flow on the package normflows, as a method of the benchmark."""

from __future__ import annotations

from typing import Any, ClassVar

from exobench.errors import ExobenchError
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.method import NeuralMethod
from exobench.registry import register_method


@register_method("normflow")
class NormFlow(NeuralMethod):
    """Neural posterior estimation with normflows' coupled rational-quadratic splines.

    Args:
        transforms: spline couplings, each followed by a linear map.
        hidden: width of the networks that give the splines.
        blocks: residual blocks of each of them.
        bins: of each spline.
        tail_bound: splines act on [-tail_bound, tail_bound].
        whiten: whether a Gaussian, a function of the spectrum, takes place, width and correlations off the parameters
            before the splines see them.
        embedding: see ``EmbeddingSettings``.
        training: see ``TrainingSettings``.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    default_training: ClassVar[dict[str, Any]] = {"batch_size": 256, "learning_rate": 2e-3, "epochs": 60}

    def __init__(
        self,
        transforms: int = 4,
        hidden: int = 64,
        blocks: int = 2,
        bins: int = 8,
        tail_bound: float = 5.0,
        whiten: bool = True,
        embedding: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.transforms = transforms
        self.hidden = hidden
        self.blocks = blocks
        self.bins = bins
        self.tail_bound = tail_bound
        self.whiten = whiten
        super().__init__(embedding, training)
        self._check()

    def _check(self) -> None:
        for name, low in (("transforms", 1), ("hidden", 4), ("blocks", 1), ("bins", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ExobenchError(f"method.{name}={value} must be a whole number of at least {low}.")
        if self.bins > 500:
            raise ExobenchError(f"method.bins={self.bins} must be at most 500: each bin takes 0.001 of the spline.")
        bound = self.tail_bound
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not 1.0 <= bound <= 100.0:
            raise ExobenchError(f"method.tail_bound={bound} must be a number from 1 to 100, such as 5.")
        if not isinstance(self.whiten, bool):
            raise ExobenchError(f"method.whiten={self.whiten} must be true or false.")

    def build_estimator(self, n_param: int, n_context: int) -> ConditionalEstimator:
        """The flow, random weights.

        Raises:
            MissingDependencyError: normflows is not installed.
            ExobenchError: fewer than two parameters, which a coupling cannot split.
        """
        from exobench_baselines.normflow.flow import SplineFlow

        if n_param < 2:
            raise ExobenchError("method=normflow couples parameters with each other: it needs at least two.")
        return SplineFlow(
            n_param,
            n_context,
            transforms=self.transforms,
            hidden=self.hidden,
            blocks=self.blocks,
            bins=self.bins,
            tail_bound=float(self.tail_bound),
            whiten=self.whiten,
        )
