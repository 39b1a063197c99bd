"""A convolutional network with Monte-Carlo dropout, the baseline of the Ariel data challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.method import Capability
from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.spectrum import SpectrumFeatures
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.method import NeuralMethod
from exobench.neural.posterior import NeuralPosterior
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.mc_dropout.convolutional import ChallengeEncoder, length_left
from exobench_baselines.mc_dropout.head import OUTPUTS, DropoutHead
from exobench_baselines.mc_dropout.posterior import DropoutPosterior


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

    capabilities: ClassVar[Capability] = Capability.AMORTISED | Capability.MISSING_BINS | Capability.SURPRISE
    encoder_class: ClassVar[type[SpectrumEncoder]] = ChallengeEncoder
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

    def fit(self, problem: InferenceProblem, **how: Any) -> DropoutPosterior:
        """Trains; see ``NeuralMethod.fit``."""
        return _with_passes(super().fit(problem, **how))

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> DropoutPosterior:
        """Reads back a saved posterior."""
        return _with_passes(super().load_posterior(path, problem, device))

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

    def build_encoder(self, x: NDArray[Any], sigma: NDArray[Any], u: torch.Tensor) -> SpectrumEncoder:
        """The challenge's convolutions, random weights; they take no first guess of u."""
        del u
        features = SpectrumFeatures.fitted(torch.as_tensor(x), torch.as_tensor(sigma), self.n_component)
        return ChallengeEncoder(self.filters, features)


def _with_passes(found: NeuralPosterior) -> DropoutPosterior:
    return DropoutPosterior(found.model, found.description, found.device)


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low
