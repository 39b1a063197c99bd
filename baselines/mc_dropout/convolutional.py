"""The challenge's convolutional network, up to its dense layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from exobench.errors import ExobenchError
from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.spectrum import FeatureShape, SpectrumFeatures

_WIDTH = 3


class ChallengeEncoder(SpectrumEncoder):
    """Stages of two convolutions of three bins and a pooling of two; the flattened maps join the summary numbers.

    Args:
        filters: maps of each stage.
        features: fitted, or of the right sizes and to be loaded.

    Raises:
        ExobenchError: the spectrum has too few bins for so many stages.
    """

    def __init__(self, filters: Sequence[int], features: SpectrumFeatures) -> None:
        nn.Module.__init__(self)  # SpectrumEncoder's own would build a shared embedding network
        self.filters = tuple(filters)
        self.features = features
        length = length_left(features.shape.n_bin, len(self.filters))
        layers: list[nn.Module] = []
        for n_in, n_out in zip((features.n_channel, *self.filters[:-1]), self.filters, strict=True):
            layers += [nn.Conv1d(n_in, n_out, _WIDTH), nn.ReLU(), nn.Conv1d(n_out, n_out, _WIDTH), nn.ReLU()]
            layers.append(nn.MaxPool1d(2))
        self.embedding = nn.Sequential(*layers, nn.Flatten())
        self._n_context = self.filters[-1] * length + features.n_summary

    @classmethod
    def empty(cls, description: Mapping[str, Any]) -> ChallengeEncoder:
        """An encoder of the sizes that ``describe`` gave, whose weights are to be loaded."""
        return cls(description["filters"], SpectrumFeatures(FeatureShape(**description["features"])))

    def describe(self) -> dict[str, Any]:
        """JSON-able; for ``empty``."""
        return {"filters": list(self.filters), "features": self.features.describe()}

    @property
    def n_context(self) -> int:
        """Length of the context vector."""
        return self._n_context

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Context (n, n_context) of spectra x, sigma (n, bin)."""
        features = self.features(x, sigma)
        return torch.cat([self.embedding(features.bins), features.summary], dim=1)


def length_left(n_bin: int, stages: int) -> int:
    """Bins that are left after the stages.

    Raises:
        ExobenchError: none are.
    """
    length = n_bin
    for _ in range(stages):
        length = (length - 2 * (_WIDTH - 1)) // 2
    if length < 1:
        raise ExobenchError(f"method.filters has {stages} stages, too many for spectra of {n_bin} bins; name fewer.")
    return length
