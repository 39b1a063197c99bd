"""A moving average of the weights, which is what is validated and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

_RISE = 10.0


class WeightAverage:
    """Exponential moving average of some parameters.

    The decay rises as (1 + step) / (10 + step) to its value, so that the random start is soon forgotten.

    Args:
        parameters: what is averaged.
        decay: at most; 0 keeps the average equal to the parameters.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], decay: float) -> None:
        self._parameters = [parameter.detach() for parameter in parameters]
        self._decay = decay
        self.values = [parameter.clone() for parameter in self._parameters]

    def update(self, step: int) -> None:
        """Moves the average towards the parameters; ``step`` counts from 0."""
        decay = min(self._decay, (1.0 + step) / (_RISE + step))
        torch._foreach_lerp_(self.values, self._parameters, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Lends the averages to the model in place of its parameters."""
        own = [parameter.clone() for parameter in self._parameters]
        torch._foreach_copy_(self._parameters, self.values)
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, own)
