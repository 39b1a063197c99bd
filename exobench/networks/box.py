"""The prior's box mapped to unbounded numbers whose prior is exactly standard normal."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_EDGE = 1e-7
_LOG_TWO_PI = math.log(2.0 * math.pi)


def standard_normal_log_prob(u: torch.Tensor) -> torch.Tensor:
    """Natural log of N(u; 0, I) over the last axis of u (..., param); shape (...)."""
    return -0.5 * (u.square().sum(dim=-1) + u.shape[-1] * _LOG_TWO_PI)


class BoxTransform(nn.Module):
    """u = Phi^-1((theta - low) / (high - low)), Phi being the normal distribution function.

    A uniform prior over the box becomes N(0, I), and whatever is drawn in u lies inside the box. Densities change by
    log q(theta) = log q(u) - log N(u; 0, I) - sum log(high - low). Computed in float64.

    Args:
        low: lower edges of the box, (param,), in declared units.
        high: upper edges, (param,).
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(np.array(low), dtype=torch.float64))
        self.register_buffer("high", torch.as_tensor(np.array(high), dtype=torch.float64))

    @property
    def n_param(self) -> int:
        """Number of parameters."""
        return len(self.low)

    @property
    def log_volume(self) -> torch.Tensor:
        """Natural log of the box's volume, which is minus the log density of the uniform prior."""
        return (self.high - self.low).log().sum()

    def to_unbounded(self, theta: torch.Tensor) -> torch.Tensor:
        """U (..., param), float64, of theta (..., param); a theta at an edge or beyond counts as 1e-7 inside."""
        t = (theta.double() - self.low) / (self.high - self.low)
        return torch.special.ndtri(t.clamp(_EDGE, 1.0 - _EDGE))

    def to_theta(self, u: torch.Tensor) -> torch.Tensor:
        """Theta (..., param), float64, inside the box, of u (..., param)."""
        theta = self.low + (self.high - self.low) * torch.special.ndtr(u.double())
        return torch.minimum(torch.maximum(theta, self.low), self.high)

    def inside(self, theta: torch.Tensor) -> torch.Tensor:
        """Whether theta (..., param) lies in the box, edges included; shape (...)."""
        theta = theta.double()
        return ((theta >= self.low) & (theta <= self.high)).all(dim=-1)

    def log_prob_theta(self, log_prob_u: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Natural log density over theta where that over u is log_prob_u (...), at u (..., param)."""
        return log_prob_u.double() - standard_normal_log_prob(u.double()) - self.log_volume
