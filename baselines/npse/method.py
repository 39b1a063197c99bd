"""Neural posterior score estimation with sbi's estimator."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench.neural.method import NeuralMethod
from exobench.neural.ode import Solver
from exobench.neural.vector_field import FieldNetwork, FieldSettings, TimeEmbedding, VectorFieldEstimator, check_flags
from exobench.registry import register_method

Diffusion = Literal["ve", "vp", "subvp"]


@register_method("npse")
class NPSE(NeuralMethod):
    """The score of the posterior diffused into a Gaussian (Sharrock et al. 2024, Geffner et al. 2023).

    Args:
        diffusion: "vp" (variance preserving), "subvp" or "ve" (exploding).
        sigma_min: smallest noise of "ve", in units of the whitened posterior's width.
        sigma_max: largest noise of "ve".
        beta_min: smallest noise rate of "vp" and "subvp".
        beta_max: largest noise rate of "vp" and "subvp".
        network: sbi's vector field network: "mlp", "ada_mlp" or "transformer".
        hidden_features: its width.
        layers: its depth.
        time_embedding: "sinusoidal" or "fourier".
        time_features: numbers that the noise level is turned into, even.
        time_frequency: highest angular frequency of the sinusoidal embedding, or scale of the Fourier one.
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

    default_training: ClassVar[dict[str, Any]] = {"epochs": 80}

    def __init__(
        self,
        diffusion: Diffusion = "vp",
        sigma_min: float = 0.01,
        sigma_max: float = 10.0,
        beta_min: float = 0.01,
        beta_max: float = 10.0,
        network: FieldNetwork = "mlp",
        hidden_features: int = 64,
        layers: int = 3,
        time_embedding: TimeEmbedding = "sinusoidal",
        time_features: int = 32,
        time_frequency: float = 10.0,
        whiten: bool = True,
        solver: Solver = "midpoint",
        n_steps: int = 16,
        times_per_row: int = 4,
        validation_times: int = 16,
        embedding: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        self.diffusion = diffusion
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.beta_min = beta_min
        self.beta_max = beta_max
        self.network = network
        self.hidden_features = hidden_features
        self.layers = layers
        self.time_embedding = time_embedding
        self.time_features = time_features
        self.time_frequency = time_frequency
        self.whiten = whiten
        self.solver = solver
        self.n_steps = n_steps
        self.times_per_row = times_per_row
        self.validation_times = validation_times
        super().__init__(embedding, training)
        self._check_diffusion()
        FieldSettings.of(self)
        check_flags(whiten=whiten)

    def _check_diffusion(self) -> None:
        if self.diffusion not in get_args(Diffusion):
            raise ExobenchError(f"method.diffusion={self.diffusion} must be one of {', '.join(get_args(Diffusion))}.")
        for low, high in (("sigma_min", "sigma_max"), ("beta_min", "beta_max")):
            smaller, larger = getattr(self, low), getattr(self, high)
            if not 0 < smaller < larger:
                raise ExobenchError(f"method.{low}={smaller} must be above 0 and below method.{high}={larger}.")

    def build_estimator(self, n_param: int, n_context: int) -> VectorFieldEstimator:
        """The score estimator of sbi behind the whitening.

        Half of its loss under its default weights g(t)^2 bounds -log q from above but for a constant (Song et al. 2021,
        Maximum likelihood training of score-based diffusion models, theorem 1), hence the scale.

        Raises:
            MissingDependencyError: sbi is not installed.
        """
        settings = FieldSettings.of(self)
        try:
            from sbi.neural_nets import posterior_score_nn
        except ImportError as error:
            raise MissingDependencyError(
                f"method=npse needs the package sbi ({error}): pip install 'sbi>=0.27,<0.28'."
            ) from error
        noise = ("sigma_min", "sigma_max") if self.diffusion == "ve" else ("beta_min", "beta_max")
        rates = {name: getattr(self, name) for name in noise}
        build = posterior_score_nn(**settings.builder_arguments(), sde_type=self.diffusion, **rates)
        field = build(torch.zeros(2, n_param), torch.zeros(2, n_context))
        whitening = GaussianWhitening(n_param, n_context) if self.whiten else None
        return VectorFieldEstimator(
            field,
            whitening,
            settings,
            loss_scale=0.5 * (field.t_max - field.t_min),
            log_times=self.diffusion != "ve",
        )
