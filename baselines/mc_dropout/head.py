"""Dense layers whose dropout stays on: every pass draws another network (Gal & Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn

from exobench.neural.estimator import ConditionalEstimator

OUTPUTS = ("point", "gaussian")
_LOG_SCALE_LIMIT = 10.0


class DropoutHead(ConditionalEstimator):
    """Draws of u by stochastic passes through dense layers.

    Args:
        n_param: length of u.
        n_context: length of the context vector.
        dense: widths of the hidden layers; dropout follows each.
        dropout: share of hidden numbers set to zero, in training and after.
        output: "point" answers each pass with u itself, trained by the squared error; "gaussian" with mean and
            standard deviation of u, trained by the likelihood (Kendall & Gal 2017), and a draw from that.
    """

    has_density: ClassVar[bool] = False

    def __init__(self, n_param: int, n_context: int, *, dense: Sequence[int], dropout: float, output: str) -> None:
        super().__init__()
        widths = [n_context, *dense]
        self.hidden = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(widths)])
        self.last = nn.Linear(widths[-1], n_param if output == "point" else 2 * n_param)
        self.dropout, self.is_gaussian = dropout, output == "gaussian"

    def loss(self, u: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Mean squared error of one pass, or its negative log-likelihood per parameter, (n,)."""
        mean, log_scale = self._pass(context, 1, generator)
        squared = (u[:, None] - mean).square()
        if self.is_gaussian:
            squared = 0.5 * squared * (-2.0 * log_scale).exp() + log_scale
        return squared.mean(dim=(1, 2))

    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (n, n_draws, param), each from a pass of its own."""
        mean, log_scale = self._pass(context, n_draws, generator)
        if not self.is_gaussian:
            return mean
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        return mean + log_scale.exp() * noise

    def _pass(
        self, context: torch.Tensor, n_draws: int, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and natural log of the standard deviation of u, each (n, n_draws, param)."""
        # The first layer comes before any dropout, so that all draws of a spectrum share it.
        h = nn.functional.relu(self.hidden[0](context))[:, None].expand(-1, n_draws, -1)
        h = self._drop(h, generator)
        for layer in self.hidden[1:]:
            h = self._drop(nn.functional.relu(layer(h)), generator)
        out = self.last(h).float()
        if not self.is_gaussian:
            return out, torch.zeros_like(out)
        mean, log_scale = out.chunk(2, dim=-1)
        return mean, _LOG_SCALE_LIMIT * torch.tanh(log_scale / _LOG_SCALE_LIMIT)

    def _drop(self, h: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        if self.dropout == 0.0:
            return h
        kept = torch.rand(h.shape, generator=generator, device=h.device) >= self.dropout
        return h * kept / (1.0 - self.dropout)
