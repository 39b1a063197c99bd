"""A transformer over patches of neighbouring bins (Vaswani et al. 2017; patches as in Dosovitskiy et al. 2021)."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.settings import N_HEAD, EmbeddingSettings
from exobench.networks.spectrum import Features, SpectrumFeatures

_MOST_PATCHES = 32


class AttentionBlock(nn.Module):
    """Self-attention, then two dense layers, each beside an identity and normalised first."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.dense_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.query_key_value = nn.Linear(size, 3 * size)
        self.mix = nn.Linear(size, size)
        self.first, self.second = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Same shape as tokens (n, token, size)."""
        n, n_token, size = tokens.shape
        split = self.query_key_value(self.attention_norm(tokens)).view(n, n_token, 3, N_HEAD, size // N_HEAD)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.dropout(self.mix(seen.transpose(1, 2).reshape(n, n_token, size)))
        dense = self.second(nn.functional.gelu(self.first(self.dense_norm(tokens))))
        return tokens + self.dropout(dense)


class PatchTransformer(nn.Module):
    """One token a patch and one for the summary, out of which the context is read."""

    def __init__(self, settings: EmbeddingSettings, features: SpectrumFeatures) -> None:
        super().__init__()
        n_bin = features.shape.n_bin
        self.patch = -(-n_bin // _MOST_PATCHES)
        self.n_patch = -(-n_bin // self.patch)
        self.padding = self.n_patch * self.patch - n_bin
        self.first = nn.Linear(features.n_channel * self.patch, settings.size)
        self.summary = nn.Linear(features.n_summary, settings.size)
        self.place = nn.Parameter(0.1 * torch.randn(self.n_patch, settings.size))
        self.blocks = nn.Sequential(*[AttentionBlock(settings.size, settings.dropout) for _ in range(settings.blocks)])
        self.last = nn.Sequential(nn.LayerNorm(settings.size), nn.Linear(settings.size, settings.n_context))

    def forward(self, features: Features) -> torch.Tensor:
        """Context (n, n_context)."""
        bins = nn.functional.pad(features.bins, (0, self.padding))
        n, n_channel, _ = bins.shape
        patches = bins.view(n, n_channel, self.n_patch, self.patch).transpose(1, 2).flatten(2)
        tokens = torch.cat([self.summary(features.summary)[:, None], self.first(patches) + self.place], dim=1)
        return self.last(self.blocks(tokens)[:, 0])
