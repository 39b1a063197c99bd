"""Embedding networks: from features to a context vector."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.attention import PatchTransformer
from exobench.networks.convolutional import ResidualCNN
from exobench.networks.layers import ResidualBlock
from exobench.networks.settings import EmbeddingSettings
from exobench.networks.spectrum import Features, SpectrumFeatures


class ResidualMLP(nn.Module):
    """Dense residual blocks on all features side by side."""

    def __init__(self, settings: EmbeddingSettings, features: SpectrumFeatures) -> None:
        super().__init__()
        n_input = features.n_channel * features.shape.n_bin + features.n_summary
        self.first = nn.Linear(n_input, settings.size)
        self.blocks = nn.Sequential(*[ResidualBlock(settings.size, settings.dropout) for _ in range(settings.blocks)])
        self.last = nn.Sequential(nn.LayerNorm(settings.size), nn.Linear(settings.size, settings.n_context))

    def forward(self, features: Features) -> torch.Tensor:
        """Context (n, n_context)."""
        h = self.first(torch.cat([features.bins.flatten(1), features.summary], dim=1))
        return self.last(self.blocks(h))


def build_embedding(settings: EmbeddingSettings, features: SpectrumFeatures) -> nn.Module:
    """The network that the settings name, with random weights, for these features."""
    kinds: dict[str, type[nn.Module]] = {
        "residual_mlp": ResidualMLP,
        "residual_cnn": ResidualCNN,
        "transformer": PatchTransformer,
    }
    return kinds[settings.kind](settings, features)
