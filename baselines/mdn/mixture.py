"""A mixture of normal distributions with full covariances, all functions of the context (Bishop 1994)."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.box import standard_normal_log_prob
from exobench.networks.layers import ResidualBlock
from exobench.neural.estimator import ConditionalEstimator

_LOG_SCALE_LIMIT = 10.0
_CONTEXT_LIMIT = 20.0


class GaussianMixture(ConditionalEstimator):
    """q(u | context) = sum_k w_k N(u; m_k, C_k), drawn and evaluated exactly.

    Component k maps u to a standard normal by z = (I + W_k) (u - m_k) / s_k, W_k strictly lower triangular.

    Args:
        n_param: length of u.
        n_context: length of the context vector.
        components: K.
        hidden: width of the network that gives weights, means and covariances.
    """

    def __init__(self, n_param: int, n_context: int, *, components: int, hidden: int) -> None:
        super().__init__()
        rows, columns = torch.tril_indices(n_param, n_param, offset=-1)
        self.register_buffer("places", rows * n_param + columns, persistent=False)
        self.n_param, self.components = n_param, components
        self.n_each = 1 + 2 * n_param + len(rows)
        self.head = nn.Sequential(
            nn.Linear(n_context, hidden),
            ResidualBlock(hidden),
            nn.LayerNorm(hidden),
            nn.Linear(hidden, components * self.n_each),
        )
        self._start_near_the_prior()

    def _start_near_the_prior(self) -> None:
        """All components begin close to N(0, I), their means apart enough to become different."""
        last = self.head[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(0.1)
            bias = torch.zeros(self.components, self.n_each)
            bias[:, 1 : 1 + self.n_param] = 0.3 * torch.randn(self.components, self.n_param)
            last.bias.copy_(bias.flatten())

    def loss(self, u: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """-log q(u | context), (n,)."""
        del generator
        return -self.log_prob(u[:, None], context)[:, 0]

    def log_prob(self, u: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log density (n, draw) of u (n, draw, param)."""
        log_weight, mean, log_scale, mixing = self._parts(context)
        y = (u[:, :, None] - mean[:, None]) * (-log_scale[:, None]).exp()
        z = y + torch.einsum("nkij,nmkj->nmki", mixing, y)
        log_component = standard_normal_log_prob(z) - log_scale.sum(dim=-1)[:, None]
        return torch.logsumexp(log_weight[:, None] + log_component, dim=-1)

    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (n, n_draws, param)."""
        log_weight, mean, log_scale, mixing = self._parts(context)
        component = torch.multinomial(log_weight.exp(), n_draws, replacement=True, generator=generator)
        row = torch.arange(len(context), device=context.device)[:, None]
        z = torch.randn(*component.shape, self.n_param, generator=generator, device=context.device)
        chosen = mixing[row, component]
        y = z.clone()
        for i in range(1, self.n_param):
            y[..., i] -= (chosen[..., i, :i] * y[..., :i]).sum(dim=-1)
        return mean[row, component] + log_scale.exp()[row, component] * y

    def _parts(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log weights (n, k), means and log scales (n, k, param), mixing matrices (n, k, param, param)."""
        d = self.n_param
        # Spectra far outside the training range must not drive the head to overflow.
        context = torch.nan_to_num(context).clamp(-_CONTEXT_LIMIT, _CONTEXT_LIMIT)
        out = self.head(context).view(len(context), self.components, self.n_each)
        out = out.to(torch.promote_types(out.dtype, torch.float32))
        log_scale = _LOG_SCALE_LIMIT * torch.tanh(out[..., 1 + d : 1 + 2 * d] / _LOG_SCALE_LIMIT)
        mixing = out.new_zeros(*out.shape[:2], d * d).index_copy(2, self.places, out[..., 1 + 2 * d :])
        return torch.log_softmax(out[..., 0], dim=-1), out[..., 1 : 1 + d], log_scale, mixing.view(*out.shape[:2], d, d)
