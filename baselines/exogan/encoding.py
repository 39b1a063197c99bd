"""Training of the encoder on noisy spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from exobench.problem import Batch
from exobench_baselines.exogan.encoder import N_NOISE, StochasticEncoder, random_masks
from exobench_baselines.exogan.losses import energy_score, mean_crps, require_finite
from exobench_baselines.exogan.schedule import Stage
from exobench_baselines.exogan.trainer import set_learning_rate

_LARGEST_GRADIENT = 1.0
_MARGIN_WEIGHT = 0.3


@dataclass
class EncoderStep:
    """One step: the encoder's draws must score well against the latents that are tied to the true parameters.

    The loss is the energy score plus the scores of the margins, both proper (Gneiting & Raftery 2007), so that it is
    least where the draws are spread as the parameters are, given the spectrum.

    Attributes:
        encoder: the network.
        optimiser: its optimiser.
        to_tied: parameters (n, param) to tied latents (n, param).
        stage: for the learning rate.
        learning_rate: at its highest.
        n_draw: draws a spectrum.
        mask_share: share of the spectra that lose bins.
        seen: bins that the method's mask shows, (bin,), bool.
    """

    encoder: StochasticEncoder
    optimiser: torch.optim.Optimizer
    to_tied: Callable[[torch.Tensor], torch.Tensor]
    stage: Stage
    learning_rate: float
    n_draw: int
    mask_share: float
    seen: torch.Tensor

    def __call__(self, batch: Batch, random: torch.Generator) -> dict[str, torch.Tensor]:
        """Trains on noisy spectra."""
        set_learning_rate(self.optimiser, self.learning_rate * self.stage.cosine())
        masks = random_masks(self.mask_share, self.visible(batch.x, batch.sigma), random)
        x = batch.x.masked_fill(~masks, torch.nan)
        sigma = batch.sigma.masked_fill(~masks, torch.inf)
        noise = torch.randn(len(x), self.n_draw, N_NOISE, generator=random, device=random.device)
        score, loss = self.losses(x, sigma, noise, batch.theta)
        require_finite(loss, "encoder", self.stage.step, "lower method.encoder_learning_rate")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoder.parameters(), _LARGEST_GRADIENT)
        self.optimiser.step()
        return {"energy_score": score.detach()}

    def visible(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Bins of spectra (n, bin) that are there and that the method's mask shows, bool."""
        return torch.isfinite(x) & torch.isfinite(sigma) & self.seen

    def losses(
        self, x: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor, theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean energy score and loss of draws for spectra (n, bin), noise (n, draw, N_NOISE) and theta (n, param)."""
        # Half the latents' range is the unit cube's.
        draws, truth = 0.5 * self.encoder(x, sigma, noise), 0.5 * self.to_tied(theta)
        score = energy_score(draws, truth).mean()
        return score, score + _MARGIN_WEIGHT * mean_crps(draws, truth).mean()
