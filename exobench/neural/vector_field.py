"""Posteriors drawn by a vector field that carries a Gaussian into them: sbi's estimators behind one interface."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import torch
from torch import nn

from exobench.errors import ExobenchError
from exobench.networks.box import standard_normal_log_prob
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench.neural.ode import Field, Solver, divergence_of, solve, solve_with_log_det

FieldNetwork = Literal["mlp", "ada_mlp", "transformer"]
TimeEmbedding = Literal["sinusoidal", "fourier"]

TRANSFORMER_HEADS = 4
_REST_LIMIT = 1e6
"""On draws: behind a first guess u counts in the guess's width, as little as 1e-5, so no smaller one is safe."""
_STATE_LIMIT = 20.0


@dataclass(frozen=True)
class FieldSettings:
    """What the methods with a vector field have in common; attributes are arguments of theirs of the same names.

    Attributes:
        network: sbi's vector field network.
        hidden_features: its width.
        layers: its depth.
        time_embedding: how time enters.
        time_features: numbers that time is turned into, even.
        time_frequency: highest angular frequency of the sinusoidal embedding, or scale of the Fourier one.
        solver: one step's rule.
        n_steps: fixed steps of the solver.
        times_per_row: times at which each row's loss is taken in training, stratified.
        validation_times: the same in evaluation mode, where the loss must have little noise.
    """

    network: FieldNetwork
    hidden_features: int
    layers: int
    time_embedding: TimeEmbedding
    time_features: int
    time_frequency: float
    solver: Solver
    n_steps: int
    times_per_row: int
    validation_times: int

    @classmethod
    def of(cls, method: object) -> FieldSettings:
        """The settings among a method's attributes, checked.

        Raises:
            ExobenchError: naming ``method.<key>=<value>`` and what is right.
        """
        settings = cls(**{field.name: getattr(method, field.name) for field in fields(cls)})
        settings.check()
        return settings

    def check(self) -> None:
        """Refuses values that no fit can use.

        Raises:
            ExobenchError: naming ``method.<key>=<value>`` and what is right.
        """
        for key, allowed in (("network", FieldNetwork), ("time_embedding", TimeEmbedding), ("solver", Solver)):
            if getattr(self, key) not in get_args(allowed):
                raise ExobenchError(f"method.{key}={getattr(self, key)} must be one of {', '.join(get_args(allowed))}.")
        for key in ("hidden_features", "layers", "time_features", "n_steps", "times_per_row", "validation_times"):
            count = getattr(self, key)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ExobenchError(f"method.{key}={count} must be a whole number of at least 1.")
        if self.time_features % 2:
            raise ExobenchError(f"method.time_features={self.time_features} must be even: a sine for each cosine.")
        if not self.time_frequency > 0:
            raise ExobenchError(f"method.time_frequency={self.time_frequency} must be above 0.")
        if self.network == "transformer" and self.hidden_features % TRANSFORMER_HEADS:
            raise ExobenchError(
                f"method.hidden_features={self.hidden_features} must be a multiple of {TRANSFORMER_HEADS}, "
                "the heads of a transformer."
            )

    def builder_arguments(self) -> dict[str, Any]:
        """Arguments of ``posterior_flow_nn`` and ``posterior_score_nn``; nothing is z-scored or embedded there.

        sbi's sinusoidal frequencies run from 1 to nearly 1/``sinusoidal_max_freq`` radians per unit of time, hence the
        inverse; its networks know the Fourier embedding by another word than its factories document.
        """
        return {
            "model": self.network,
            "z_score_theta": "none",
            "z_score_x": "none",
            "hidden_features": self.hidden_features,
            "num_layers": self.layers,
            "time_emb_type": "sinusoidal" if self.time_embedding == "sinusoidal" else "random_fourier",
            "t_embedding_dim": self.time_features,
            "sinusoidal_max_freq": 1.0 / self.time_frequency,
            "fourier_scale": self.time_frequency,
            **({"num_heads": TRANSFORMER_HEADS} if self.network == "transformer" else {}),
        }


def check_flags(**flags: object) -> None:
    """Refuses arguments that are neither true nor false.

    Raises:
        ExobenchError: naming ``method.<key>=<value>``.
    """
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise ExobenchError(f"method.{key}={value} must be true or false.")


class VectorFieldEstimator(ConditionalEstimator):
    """q(u | context) by the flow of an ordinary differential equation from a Gaussian at t_max to u at t_min.

    The field is an sbi estimator (``FlowMatchingEstimator``, or a score estimator through its probability-flow
    equation) in the coordinates w of ``GaussianWhitening``. That one is fitted beside it by its own likelihood: the
    field's loss sends no gradient into it, only into the context.

    Args:
        field: sbi's ``ConditionalVectorFieldEstimator`` with an identity embedding.
        whitening: fitted beside the field; None to let the field work on u itself.
        settings: solver, steps and times.
        loss_scale: what sbi's loss is multiplied by before the whitening's loss is added.
        log_times: take training times log-uniform from t_min to t_max, weighted back to uniform, where sbi's weights
            grow as 1/t.
    """

    has_density = True

    def __init__(
        self,
        field: nn.Module,
        whitening: GaussianWhitening | None,
        settings: FieldSettings,
        *,
        loss_scale: float = 1.0,
        log_times: bool = False,
    ) -> None:
        super().__init__()
        self.field: Any = field
        self.whitening = whitening
        self.settings = settings
        self.loss_scale = loss_scale
        self.log_times = log_times

    @property
    def n_param(self) -> int:
        """Length of u."""
        return int(self.field.input_shape[0])

    def loss(self, u: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """The scaled loss of sbi plus the whitening Gaussian's negative log density, (n,); not a likelihood.

        sbi draws from torch's global generator; with a generator given, that one is seeded from it and put back.
        """
        n_times = self.settings.times_per_row if self.training else self.settings.validation_times
        w, gaussian = u, torch.zeros_like(u[:, 0])
        if self.whitening is not None:
            whitened, log_det = self.whitening.whiten(u[:, None], context)
            w = whitened[:, 0].detach()
            gaussian = -standard_normal_log_prob(whitened[:, 0]) - log_det[:, 0]
        if generator is None:
            return gaussian + self._field_loss(w, context, n_times)
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        devices = [u.device] if u.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            return gaussian + self._field_loss(w, context, n_times)

    def _field_loss(self, w: torch.Tensor, context: torch.Tensor, n_times: int) -> torch.Tensor:
        strata = torch.arange(n_times, device=w.device, dtype=w.dtype)
        share = (strata + torch.rand(len(w), 1, device=w.device, dtype=w.dtype)) / n_times
        times, weight = self._training_times(share)
        rows = torch.arange(len(w), device=w.device).repeat_interleave(n_times)
        loss = self.field.loss(w[rows], context[rows], times=times.flatten())
        return self.loss_scale * (weight * loss.reshape(len(w), n_times)).mean(1)

    def _training_times(self, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Times at shares of their distribution, and the weight that makes averages over them uniform in time."""
        low, high = self.field.t_min, self.field.t_max
        if not self.log_times:
            return low + (high - low) * share, torch.ones_like(share)
        log_ratio = math.log(high / low)
        times = low * torch.exp(log_ratio * share)
        return times, times * (log_ratio / (high - low))

    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (n, n_draws, d); the state is bounded at every step, so that finite weights give finite draws."""
        base = torch.randn((len(context), n_draws, self.n_param), generator=generator, device=generator.device)
        return self.transported(base.to(context), context)

    def transported(self, base: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """U (n, draw, d) that standard normal numbers of the same shape become."""
        start = (self.field.mean_base + self.field.std_base * base).flatten(0, 1)
        limit = _STATE_LIMIT * float(self.field.std_base.max())
        velocity = self._velocity(context, base.shape[1])
        w = solve(velocity, start, self.times(context).flip(0), self.settings.solver, limit=limit).reshape(base.shape)
        u = w if self.whitening is None else self.whitening.colour(w, context)
        return u.clamp(-_REST_LIMIT, _REST_LIMIT)

    def log_prob(self, u: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log of q(u | context) (n, draw) of u (n, draw, d): the flow backwards, with its exact divergence."""
        w, log_det = (u, 0.0) if self.whitening is None else self.whitening.whiten(u, context)
        velocity = divergence_of(self._velocity(context, u.shape[1]))
        end, log_volume = solve_with_log_det(velocity, w.flatten(0, 1), self.times(context), self.settings.solver)
        base = torch.distributions.Normal(self.field.mean_base, self.field.std_base)
        return (base.log_prob(end).sum(-1) + log_volume).reshape(u.shape[:2]) + log_det

    def times(self, like: torch.Tensor) -> torch.Tensor:
        """The solver's times, ascending from t_min to t_max, (n_steps + 1,)."""
        return self.field.solve_schedule(self.settings.n_steps + 1).flip(0).to(like)

    def _velocity(self, context: torch.Tensor, n_draws: int) -> Field:
        condition = context.repeat_interleave(n_draws, 0)
        return lambda state, time: self.field.ode_fn(state, condition, time.expand(len(state)))
