"""A convolutional network with Monte-Carlo dropout, the baseline of the Ariel data challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch

from exobench.errors import ExobenchError, unknown_name
from exobench.method import Capability, Limits
from exobench.networks.box import BoxTransform
from exobench.networks.spectrum import SpectrumFeatures
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.method import N_EXAMPLE, NeuralMethod
from exobench.neural.model import NeuralModel
from exobench.neural.posterior import NeuralPosterior, read_description, read_weights
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.mc_dropout.convolutional import ChallengeEncoder, length_left
from exobench_baselines.mc_dropout.head import OUTPUTS, DropoutHead


@register_method("mc_dropout")
class MCDropout(NeuralMethod):
    """A network trained for a point answer; its dropout, left on, gives the draws.

    Args:
        filters: maps of each stage of the convolutional network.
        dense: widths of the dense layers; dropout follows each.
        dropout: share of their numbers set to zero.
        output: "point" (squared error, as in the challenge) or "gaussian" (mean and standard deviation).
        n_component: whitened principal components given beside the maps; 0 for none.
        training: see ``TrainingSettings``.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    capabilities: ClassVar[Capability] = Capability.AMORTISED | Capability.MISSING_BINS
    default_training: ClassVar[dict[str, Any]] = {"epochs": 12, "batch_size": 256, "settle_share": 0.0}

    def __init__(
        self,
        filters: tuple[int, ...] = (32, 64, 64),
        dense: tuple[int, ...] = (500, 100),
        dropout: float = 0.1,
        output: str = "point",
        n_component: int = 0,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.filters = filters
        self.dense = dense
        self.dropout = dropout
        self.output = output
        self.n_component = n_component
        super().__init__(None, training)
        self._check()

    def _check(self) -> None:
        for name in ("filters", "dense"):
            value = getattr(self, name)
            if not isinstance(value, list | tuple) or not value or not all(_is_whole(one, 1) for one in value):
                raise ExobenchError(f"method.{name}={value} must be a list of whole numbers, such as [32, 64].")
        share = self.dropout
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ExobenchError(f"method.dropout={share} must lie between 0 and 1: it is what makes draws differ.")
        if self.output not in OUTPUTS:
            raise unknown_name("method.output", str(self.output), OUTPUTS)
        if not _is_whole(self.n_component, 0):
            raise ExobenchError(f"method.n_component={self.n_component} must be a whole number of at least 0.")

    def skip(self, problem: InferenceProblem) -> str | None:
        """Why the network does not fit these spectra, or None."""
        try:
            length_left(problem.n_bin, len(self.filters))
        except ExobenchError as error:
            return str(error)
        return None

    def build_estimator(self, n_param: int, n_context: int) -> ConditionalEstimator:
        """The dense layers, random weights."""
        return DropoutHead(n_param, n_context, dense=self.dense, dropout=self.dropout, output=self.output)

    def untrained(self, problem: InferenceProblem, limits: Limits, seed: int) -> NeuralModel:
        """The model with random weights; see ``NeuralMethod.untrained``."""
        n = min(problem.n_train, limits.n_train or N_EXAMPLE, N_EXAMPLE)
        examples = problem.arrays("train", n, seed=seed)
        features = SpectrumFeatures.fitted(
            torch.as_tensor(examples.x), torch.as_tensor(examples.sigma), self.n_component
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = ChallengeEncoder(self.filters, features)
            estimator = self.build_estimator(len(problem.parameters), encoder.n_context)
        return NeuralModel(BoxTransform(problem.parameters.low, problem.parameters.high), encoder, estimator)

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> NeuralPosterior:
        """Reads back a saved posterior.

        Raises:
            ExobenchError: the folder holds no posterior, or one of other parameters.
        """
        description = read_description(path)
        names = list(problem.parameters.names)
        if description["parameters"] != names:
            raise ExobenchError(f"{path} is of parameters {description['parameters']}, the task has {names}.")
        encoder = ChallengeEncoder.empty(description["encoder"])
        estimator = cls(**description["arguments"]).build_estimator(len(names), encoder.n_context)
        box = BoxTransform(problem.parameters.low, problem.parameters.high)
        model = NeuralModel(box, encoder, estimator)
        read_weights(path, model, device)
        return NeuralPosterior(model, description, device)


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
