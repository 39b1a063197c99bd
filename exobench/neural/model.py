"""A box, an encoder and an estimator as one module: what is trained and stored."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.box import BoxTransform, standard_normal_log_prob
from exobench.networks.encoder import SpectrumEncoder
from exobench.neural.estimator import ConditionalEstimator


class NeuralModel(nn.Module):
    """q(theta | x, sigma).

    Args:
        box: theta <-> u.
        encoder: x, sigma -> context; where it makes a first guess of u, the estimator is of what that leaves.
        estimator: q(u | context).
    """

    def __init__(self, box: BoxTransform, encoder: SpectrumEncoder, estimator: ConditionalEstimator) -> None:
        super().__init__()
        self.box = box
        self.encoder = encoder
        self.estimator = estimator

    def forward(
        self, theta: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Loss per row (n,) of theta (n, param) and spectra x, sigma (n, bin).

        With a density it is -log(q / prior) in nats: zero for a posterior that is the prior. Otherwise it is the
        estimator's own.
        """
        return self.loss_at(theta, self.encoder(x, sigma), generator)

    def loss_at(self, theta: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """As ``forward``, for contexts (n, n_context)."""
        u = self.box.to_unbounded(theta)
        rest, log_width = self.residual(u[:, None], context)
        loss = self.estimator.loss(rest[:, 0].float(), context, generator)
        return loss + (standard_normal_log_prob(u) + log_width).float() if self.estimator.has_density else loss

    def residual(self, u: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the first guess leaves of u (n, draw, param), in units of its width, and the sum of log widths (n,)."""
        guess, log_width = self._guess(context)
        return (u - guess[:, None]) * (-log_width).exp()[:, None], log_width.sum(dim=-1)

    def add_guess(self, rest: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Back from what ``residual`` gave: u (n, draw, param), float64."""
        guess, log_width = self._guess(context)
        return guess[:, None] + log_width.exp()[:, None] * rest.double()

    def _guess(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Guess of u and its log width, (n, param) each, float64; zeros where the encoder makes none."""
        if not self.encoder.n_guess:
            zeros = context.new_zeros(len(context), self.box.n_param, dtype=torch.float64)
            return zeros, zeros
        guess, log_width = context[:, -self.encoder.n_guess :].double().chunk(2, dim=1)
        return guess, log_width

    @torch.no_grad()
    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws of theta (n, n_draws, param), float64, inside the box, for context (n, n_context)."""
        return self.box.to_theta(self.add_guess(self.estimator.sample(context, n_draws, generator), context))

    @torch.no_grad()
    def log_prob(self, theta: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log density over declared units, (n, draw), of theta (n, draw, param); -inf outside the box."""
        u = self.box.to_unbounded(theta)
        rest, log_width = self.residual(u, context)
        log_prob_u = self.estimator.log_prob(rest.float(), context).double() - log_width[:, None]
        log_prob = self.box.log_prob_theta(log_prob_u, u)
        return torch.where(self.box.inside(theta), log_prob, -torch.inf)
