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
        encoder: x, sigma -> context.
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
        loss = self.estimator.loss(u.float(), context, generator)
        return loss + standard_normal_log_prob(u).float() if self.estimator.has_density else loss

    @torch.no_grad()
    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws of theta (n, n_draws, param), float64, inside the box, for context (n, n_context)."""
        return self.box.to_theta(self.estimator.sample(context, n_draws, generator))

    @torch.no_grad()
    def log_prob(self, theta: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log density over declared units, (n, draw), of theta (n, draw, param); -inf outside the box."""
        u = self.box.to_unbounded(theta)
        log_prob = self.box.log_prob_theta(self.estimator.log_prob(u.float(), context), u)
        return torch.where(self.box.inside(theta), log_prob, -torch.inf)
