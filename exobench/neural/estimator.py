"""What a conditional density or generative model must offer to become a posterior."""

from __future__ import annotations

import abc
from typing import ClassVar

import torch
from torch import nn


class ConditionalEstimator(nn.Module, abc.ABC):
    """q(u | context): u is unbounded, and its prior is N(0, I).

    Subclasses take their initial weights from torch's global generator, and all other randomness from the generators
    that they are handed.
    """

    has_density: ClassVar[bool] = True
    """Whether ``log_prob`` exists, and ``loss`` is its negative."""

    @abc.abstractmethod
    def loss(self, u: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """What training minimises, per row (n,), of u (n, param) and context (n, n_context)."""

    @abc.abstractmethod
    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (n, n_draws, param) for context (n, n_context), a pure function of the generator's state."""

    def log_prob(self, u: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log density (n, draw) of u (n, draw, param) for context (n, n_context)."""
        del u, context
        raise TypeError(f"{type(self).__name__} has no density.")
