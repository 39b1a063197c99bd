"""Layers shared by the embedding networks."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.settings import EmbeddingSettings


class ResidualBlock(nn.Module):
    """Two dense layers beside an identity, normalised first.

    Args:
        size: width of input, hidden layer and output.
        dropout: share of hidden numbers set to zero in training.
    """

    def __init__(self, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Same shape as h (..., size)."""
        return h + self.second(self.dropout(nn.functional.silu(self.first(self.norm(h)))))


class SummaryHead(nn.Module):
    """Joins what a network made of the bins with the summary, then one residual block.

    Args:
        n_hidden: length of what comes from the bins.
        n_summary: length of the summary.
        settings: of the embedding.
    """

    def __init__(self, n_hidden: int, n_summary: int, settings: EmbeddingSettings) -> None:
        super().__init__()
        self.from_bins, self.from_summary = nn.Linear(n_hidden, settings.size), nn.Linear(n_summary, settings.size)
        self.block = ResidualBlock(settings.size, settings.dropout)
        self.last = nn.Sequential(nn.LayerNorm(settings.size), nn.Linear(settings.size, settings.n_context))

    def forward(self, h: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
        """Context (n, n_context) of h (n, n_hidden) and summary (n, n_summary)."""
        return self.last(self.block(self.from_bins(h) + self.from_summary(summary)))
