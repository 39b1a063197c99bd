"""A residual network along wavelength."""

from __future__ import annotations

import torch
from torch import nn

from exobench.networks.layers import SummaryHead
from exobench.networks.settings import EmbeddingSettings
from exobench.networks.spectrum import Features, SpectrumFeatures

_SMALLEST_WIDTH = 8
_LAST_LENGTH = 8
_GROUPS = 4


class ConvolutionBlock(nn.Module):
    """Two convolutions of three bins beside a projection; halves the length.

    Args:
        n_in: channels of the input.
        n_out: channels of the output.
        dropout: share of channels set to zero in training.
    """

    def __init__(self, n_in: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.GroupNorm(_GROUPS, n_in), nn.GroupNorm(_GROUPS, n_out)
        self.first = nn.Conv1d(n_in, n_out, 3, stride=2, padding=1)
        self.second = nn.Conv1d(n_out, n_out, 3, padding=1)
        self.beside = nn.Conv1d(n_in, n_out, 1, stride=2)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """(n, n_out, ceil(length / 2)) of h (n, n_in, length)."""
        inner = self.first(nn.functional.silu(self.first_norm(h)))
        inner = self.second(self.dropout(nn.functional.silu(self.second_norm(inner))))
        return self.beside(h) + inner


class ResidualCNN(nn.Module):
    """Convolution blocks, each of half the length and at most twice the channels of the one before.

    A learned number for each place and channel follows the first convolution, as a convolution alone does not know
    where in the spectrum it is. The summary joins in at the end.
    """

    def __init__(self, settings: EmbeddingSettings, features: SpectrumFeatures) -> None:
        super().__init__()
        widths = [_width(settings.size >> (settings.blocks - 1 - i)) for i in range(settings.blocks)]
        self.first = nn.Conv1d(features.n_channel, widths[0], 7, stride=2, padding=3)
        length = (features.shape.n_bin + 1) // 2
        self.place = nn.Parameter(0.1 * torch.randn(widths[0], length))
        before = [widths[0], *widths[:-1]]
        self.blocks = nn.Sequential(
            *[ConvolutionBlock(a, b, settings.dropout) for a, b in zip(before, widths, strict=True)]
        )
        for _ in widths:
            length = (length + 1) // 2
        self.length = min(length, _LAST_LENGTH)
        self.head = SummaryHead(widths[-1] * self.length, features.n_summary, settings)

    def forward(self, features: Features) -> torch.Tensor:
        """Context (n, n_context)."""
        h = self.blocks(self.first(features.bins) + self.place)
        h = nn.functional.adaptive_avg_pool1d(h, self.length).flatten(1)
        return self.head(h, features.summary)


def _width(wanted: int) -> int:
    """A number of channels that divides into groups."""
    return max(_SMALLEST_WIDTH, wanted // _GROUPS * _GROUPS)
