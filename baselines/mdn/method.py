"""Mixture density network as a method of the benchmark."""

from __future__ import annotations

from typing import Any, ClassVar

from exobench.errors import ExobenchError
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.method import NeuralMethod
from exobench.registry import register_method
from exobench_baselines.mdn.mixture import GaussianMixture


@register_method("mdn")
class MDN(NeuralMethod):
    """Neural posterior estimation with a mixture of full-covariance normal distributions.

    Args:
        components: of the mixture.
        hidden: width of the network that gives weights, means and covariances.
        embedding: see ``EmbeddingSettings``.
        training: see ``TrainingSettings``.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    default_training: ClassVar[dict[str, Any]] = {"batch_size": 256, "learning_rate": 2e-3, "epochs": 60}

    def __init__(
        self,
        components: int = 8,
        hidden: int = 256,
        embedding: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.components = components
        self.hidden = hidden
        super().__init__(embedding, training)
        for name, low in (("components", 1), ("hidden", 4)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ExobenchError(f"method.{name}={value} must be a whole number of at least {low}.")

    def build_estimator(self, n_param: int, n_context: int) -> ConditionalEstimator:
        """The mixture, random weights."""
        return GaussianMixture(n_param, n_context, components=self.components, hidden=self.hidden)
