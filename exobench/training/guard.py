"""Gradient clipping, and steps whose loss or gradient is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class BadStep:
    """The first of the steps that were left out in a row.

    Attributes:
        step: its number.
        loss: its loss.
        parameter: the first parameter whose gradient is not finite; None where the loss alone is not.
        in_a_row: steps left out so far without a good one between them.
    """

    step: int
    loss: float
    parameter: str | None
    in_a_row: int

    def text(self, learning_rate: float) -> str:
        """What happened, for a message."""
        place = f"first in the gradient of {self.parameter}" if self.parameter else "its gradient is finite"
        what = "loss" if not math.isfinite(self.loss) else "gradient"
        return (
            f"the {what} of training step {self.step} is not finite (loss {self.loss:g}, {place}, "
            f"learning rate {learning_rate:.3g})"
        )


class GradientGuard:
    """Clips gradients and marks the steps to leave out, all on the device: nothing waits for it.

    Args:
        named: names and parameters that are trained.
        clip_norm: largest norm of all gradients together, or None.
        device: where they are.
    """

    def __init__(self, named: Sequence[tuple[str, nn.Parameter]], clip_norm: float | None, device: str) -> None:
        self._named = list(named)
        self._clip_norm = math.inf if clip_norm is None else clip_norm
        zero = torch.zeros((), device=device)
        self.n_skipped, self._in_a_row = zero.clone(), zero.clone()
        self._first = torch.zeros(3, device=device, dtype=torch.float64)  # step, loss, parameter
        self.norm = zero.clone()

    def __call__(self, step: int, loss: torch.Tensor) -> torch.Tensor:
        """Clips in place.

        Args:
            step: number of the step.
            loss: its mean loss, the same on every rank.

        Returns:
            1.0 where the step must be left out, else 0.0; a scalar on the device, as fused AdamW takes it.
        """
        gradients = [parameter.grad for _, parameter in self._named if parameter.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        self.norm = torch.linalg.vector_norm(norms)
        if math.isfinite(self._clip_norm):
            torch._foreach_mul_(gradients, (self._clip_norm / (self.norm + 1e-6)).clamp(max=1.0))
        bad = ~(torch.isfinite(self.norm) & torch.isfinite(loss))
        self._note(step, loss, norms, bad)
        return bad.float()

    def _note(self, step: int, loss: torch.Tensor, norms: torch.Tensor, bad: torch.Tensor) -> None:
        if norms.device.type == "cpu" and not bad:  # the usual case where looking costs nothing
            self._in_a_row.zero_()
            return
        which = (~torch.isfinite(norms)).to(torch.uint8).argmax()
        which = torch.where(torch.isfinite(norms).all(), -1, which)
        here = torch.stack([torch.full_like(loss, step).double(), loss.double(), which.double()])
        self._first = torch.where(bad & (self._in_a_row == 0), here, self._first)
        self._in_a_row = torch.where(bad, self._in_a_row + 1, 0.0)
        self.n_skipped = self.n_skipped + bad.float()

    def look(self) -> BadStep | None:
        """The first of the steps just left out, or None if the last step was good. Waits for the device."""
        in_a_row = int(self._in_a_row)
        if not in_a_row:
            return None
        step, loss, which = self._first.tolist()
        names = [name for name, parameter in self._named if parameter.grad is not None]
        return BadStep(int(step), loss, names[int(which)] if which >= 0 else None, in_a_row)

    def total(self) -> int:
        """Steps left out so far. Waits for the device."""
        return int(self.n_skipped)

    def resume(self, n_skipped: int) -> None:
        """Goes on counting from an earlier process's number."""
        self.n_skipped.fill_(n_skipped)
