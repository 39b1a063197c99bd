"""From spectra to context vectors: features, then an embedding network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exobench.networks.embeddings import build_embedding
from exobench.networks.settings import EmbeddingSettings
from exobench.networks.spectrum import FeatureShape, SpectrumFeatures


class SpectrumEncoder(nn.Module):
    """x and sigma -> context.

    Args:
        settings: of the embedding network.
        features: fitted, or of the right sizes and to be loaded.
    """

    def __init__(self, settings: EmbeddingSettings, features: SpectrumFeatures) -> None:
        super().__init__()
        self.settings = settings
        self.features = features
        self.embedding = build_embedding(settings, features)

    @classmethod
    def build(
        cls, settings: EmbeddingSettings, x: NDArray[Any], sigma: NDArray[Any], u: torch.Tensor | None = None
    ) -> SpectrumEncoder:
        """An untrained encoder, weights from torch's global generator.

        Args:
            settings: of the embedding network.
            x: noisy example spectra (n, bin), some thousands; NaN where bins are missing.
            sigma: their noise (n, bin); inf where bins are missing.
            u: their parameters in unbounded coordinates, (n, param), for a first guess; None for none.
        """
        x_, sigma_ = torch.as_tensor(np.asarray(x)), torch.as_tensor(np.asarray(sigma))
        return cls(settings, SpectrumFeatures.fitted(x_, sigma_, settings.n_component, u))

    @classmethod
    def empty(cls, description: Mapping[str, Any]) -> SpectrumEncoder:
        """An encoder of the sizes that ``describe`` gave, whose weights are to be loaded."""
        settings = EmbeddingSettings.of(description["embedding"])
        return cls(settings, SpectrumFeatures(FeatureShape(**description["features"])))

    def describe(self) -> dict[str, Any]:
        """JSON-able; for ``empty``."""
        return {"embedding": asdict(self.settings), "features": self.features.describe()}

    @property
    def n_context(self) -> int:
        """Length of the context vector; it ends in the first guess, where there is one."""
        return self.settings.n_context + self.n_guess

    @property
    def n_guess(self) -> int:
        """Numbers of the first guess that end the context: two for each parameter, or none."""
        return 2 * self.features.shape.n_param if self.features.has_guess else 0

    @property
    def n_bin(self) -> int:
        """Bins of a spectrum."""
        return self.features.shape.n_bin

    @property
    def knows_missing_bins(self) -> bool:
        """Whether the examples missed bins."""
        return self.features.shape.has_missing

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Context (n, n_context) of spectra x, sigma (n, bin)."""
        features = self.features(x, sigma)
        return torch.cat([self.embedding(features), features.guess], dim=1)
