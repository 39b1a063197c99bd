"""Losses of training and of in-painting."""

from __future__ import annotations

import torch
from torch.nn.functional import softplus

from exobench.errors import ExobenchError


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy of real pictures as real plus that of generated ones as generated."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of generated pictures as real, one number a logit (the non-saturating loss)."""
    return softplus(-fake_logits)


def energy_score(draws: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Energy score with the unbiased spread term (Gneiting & Raftery 2007, JASA 102, 359).

    Args:
        draws: (n, draw, param), two draws or more.
        truth: (n, param).

    Returns:
        (n,); its expectation is least where the draws come from the truth's distribution.
    """
    n_draw = draws.shape[1]
    to_truth = _norm(draws - truth[:, None]).mean(dim=1)
    between = _norm(draws[:, :, None] - draws[:, None]).sum(dim=(1, 2)) / (n_draw * (n_draw - 1))
    return to_truth - 0.5 * between


def mean_crps(draws: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Continuous ranked probability score of each margin, summed over parameters; (n,).

    The spread term is computed from order statistics, which costs n log n.
    """
    n_draw = draws.shape[1]
    to_truth = (draws - truth[:, None]).abs().mean(dim=1)
    ordered = draws.sort(dim=1).values
    weight = 2.0 * torch.arange(n_draw, device=draws.device, dtype=draws.dtype) + 1.0 - n_draw
    between = 2.0 * (weight[None, :, None] * ordered).sum(dim=1) / (n_draw * (n_draw - 1))
    return (to_truth - 0.5 * between).sum(dim=1)


def require_finite(loss: torch.Tensor, what: str, step: int, advice: str) -> None:
    """Ends training at a loss that is not finite.

    Raises:
        ExobenchError: naming the loss, the step and what to change.
    """
    if not bool(torch.isfinite(loss).all()):
        raise ExobenchError(f"exogan: the {what} loss is not finite at step {step}; {advice}.")


def _norm(difference: torch.Tensor) -> torch.Tensor:
    # The shift keeps the gradient finite where two draws coincide.
    return (difference.square().sum(dim=-1) + 1e-12).sqrt()
