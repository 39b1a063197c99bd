"""Principal components of spectra in units of noise, each scaled to unit spread."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Directions(NamedTuple):
    """Leading principal directions.

    Attributes:
        vectors: orthonormal, (bin, component), leading first.
        variance: along each direction, noise included, (component,).
    """

    vectors: torch.Tensor
    variance: torch.Tensor


def components_of(y: torch.Tensor, n_component: int) -> Directions:
    """Principal directions of examples y (n, bin), in units of noise and centred."""
    variance, vectors = torch.linalg.eigh(y.T @ y / len(y))
    order = torch.argsort(variance, descending=True)[:n_component]
    return Directions(vectors[:, order], variance[order])


class Components(nn.Module):
    """Projects deviations from the mean spectrum on directions in units of noise, and scales each to unit spread.

    A direction of small variance beside the overall spread may hold what a parameter does; scaled so, it is seen as
    well as the others, down to those in which noise (variance one) is all there is.
    """

    projection: torch.Tensor

    def __init__(self, n_bin: int, n_component: int) -> None:
        super().__init__()
        self.register_buffer("projection", torch.zeros(n_bin, n_component))

    def set(self, directions: Directions, sigma: torch.Tensor) -> None:
        """Takes directions found for deviations over sigma (bin,)."""
        scale = directions.variance.clamp_min(1e-12).rsqrt()
        self.projection.copy_(directions.vectors * scale / sigma[:, None])

    def forward(self, deviation: torch.Tensor) -> torch.Tensor:
        """Whitened components (n, component) of deviations (n, bin), depth fractions."""
        return deviation @ self.projection
