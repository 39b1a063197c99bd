"""Flow matching posterior estimation with sbi's estimator."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from exobench.errors import MissingDependencyError
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench.neural.method import NeuralMethod
from exobench.neural.ode import Solver
from exobench.neural.vector_field import FieldNetwork, FieldSettings, TimeEmbedding, VectorFieldEstimator, check_flags
from exobench.registry import register_method


@register_method("fmpe")
class FMPE(NeuralMethod):
    """A vector field that moves N(0, I) into the posterior along straight lines (Wildberger et al. 2023).

    Args:
        network: sbi's vector field network: "mlp", "ada_mlp" or "transformer".
        hidden_features: its width.
        layers: its depth.
        time_embedding: "sinusoidal" or "fourier".
        time_features: numbers that time is turned into, even.
        time_frequency: highest angular frequency of the sinusoidal embedding, or scale of the Fourier one.
        gaussian_baseline: sbi's option: the network learns the difference from the field of N(0, I) to N(0, I).
        whiten: whether a conditional Gaussian takes location, width and correlation out of the posterior first.
        solver: "euler", "midpoint", "heun" or "rk4".
        n_steps: fixed steps of the solver.
        times_per_row: times at which each row's loss is taken in training.
        validation_times: the same in validation.
        embedding: settings of the embedding network.
        training: settings of the training.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    default_training: ClassVar[dict[str, Any]] = {"epochs": 100}

    def __init__(
        self,
        network: FieldNetwork = "mlp",
        hidden_features: int = 64,
        layers: int = 3,
        time_embedding: TimeEmbedding = "sinusoidal",
        time_features: int = 32,
        time_frequency: float = 30.0,
        gaussian_baseline: bool = True,
        whiten: bool = True,
        solver: Solver = "midpoint",
        n_steps: int = 10,
        times_per_row: int = 4,
        validation_times: int = 16,
        embedding: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.hidden_features = hidden_features
        self.layers = layers
        self.time_embedding = time_embedding
        self.time_features = time_features
        self.time_frequency = time_frequency
        self.gaussian_baseline = gaussian_baseline
        self.whiten = whiten
        self.solver = solver
        self.n_steps = n_steps
        self.times_per_row = times_per_row
        self.validation_times = validation_times
        super().__init__(embedding, training)
        FieldSettings.of(self)
        check_flags(whiten=whiten, gaussian_baseline=gaussian_baseline)

    def build_estimator(self, n_param: int, n_context: int) -> VectorFieldEstimator:
        """The ``FlowMatchingEstimator`` of sbi behind the whitening.

        Raises:
            MissingDependencyError: sbi is not installed.
        """
        settings = FieldSettings.of(self)
        try:
            from sbi.neural_nets import posterior_flow_nn
        except ImportError as error:
            raise MissingDependencyError(
                f"method=fmpe needs the package sbi ({error}): pip install 'sbi>=0.27,<0.28'."
            ) from error
        build = posterior_flow_nn(**settings.builder_arguments(), gaussian_baseline=self.gaussian_baseline)
        field = build(torch.zeros(2, n_param), torch.zeros(2, n_context))
        whitening = GaussianWhitening(n_param, n_context) if self.whiten else None
        return VectorFieldEstimator(field, whitening, settings, loss_scale=float(n_param))
