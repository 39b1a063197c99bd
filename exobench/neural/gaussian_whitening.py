"""A conditional Gaussian that takes location, width and correlation out of a posterior."""

from __future__ import annotations

import torch
from torch import nn

_LOG_WIDTH_MIN = -8.0
_LOG_WIDTH_MAX = 1.5


class GaussianWhitening(nn.Module):
    """N(u; m, (P^T P)^-1) with mean m and lower triangular P read off the context, and the map w = P (u - m).

    A posterior whose width is a hundredth of the prior's is hard to draw for a vector field that starts at the prior's
    width: the field has to divide by time. In w the posterior is near N(0, I) for every spectrum, and only its shape is
    left to learn. Row i of P is exp(a_i) times (b_i1, ..., b_i,i-1, 1), so that the b are regression coefficients. At
    first m = 0 and P = I: the prior.

    Args:
        n_param: d.
        n_context: numbers of context.
        hidden: width of the one hidden layer.
    """

    def __init__(self, n_param: int, n_context: int, hidden: int = 128) -> None:
        super().__init__()
        self.n_param = n_param
        last = nn.Linear(hidden, n_param + n_param * (n_param + 1) // 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(nn.Linear(n_context, hidden), nn.GELU(), last)
        rows, columns = torch.tril_indices(n_param, n_param, offset=-1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)

    rows: torch.Tensor
    columns: torch.Tensor

    def forward(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean (n, d), P (n, d, d) and log det P (n,) for contexts (n, c)."""
        raw = self.head(context).float()
        d = self.n_param
        mean, log_diagonal, coefficients = raw[:, :d], _bounded(raw[:, d : 2 * d]), raw[:, 2 * d :]
        unit = torch.eye(d, dtype=raw.dtype, device=raw.device).repeat(len(raw), 1, 1)
        unit[:, self.rows, self.columns] = coefficients
        return mean, unit * log_diagonal.exp()[..., None], log_diagonal.sum(-1)

    def whiten(self, u: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Whitened w (n, draw, d) of u (n, draw, d), and log |dw/du| (n, 1)."""
        mean, factor, log_det = self(context)
        return (u - mean[:, None]) @ factor.mT, log_det[:, None]

    def colour(self, w: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Back to u (n, draw, d) of w (n, draw, d)."""
        mean, factor, _ = self(context)
        return mean[:, None] + torch.linalg.solve_triangular(factor, w.mT, upper=False).mT


def _bounded(raw: torch.Tensor) -> torch.Tensor:
    """-log width, kept smoothly inside its limits; 0 stays 0."""
    low, high = -_LOG_WIDTH_MAX, -_LOG_WIDTH_MIN
    return torch.where(raw < 0, low * torch.tanh(raw / low), high * torch.tanh(raw / high))
