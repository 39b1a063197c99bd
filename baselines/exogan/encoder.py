"""A stochastic encoder: from a spectrum, whole or with bins missing, to latents whose picture completes it.

Each call with fresh noise gives another latent, so that many calls give starts spread as the completions should be.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

N_NOISE = 16
_SIGMA_GROUPS = 16
_FEATURE_LIMIT = 12.0


class SpectrumStatistics(NamedTuple):
    """What spectra are standardised by.

    Attributes:
        mean: mean spectrum, (bin,).
        spread: standard deviation of each bin once a spectrum's own level is removed, (bin,).
        level_sigma: standard deviation of the levels.
        log_amplitude: mean and standard deviation of the log amplitude about the level, (2,).
        log_sigma: mean log noise, a number.
    """

    mean: torch.Tensor
    spread: torch.Tensor
    level_sigma: torch.Tensor
    log_amplitude: torch.Tensor
    log_sigma: torch.Tensor


def statistics_of(x: torch.Tensor, sigma: torch.Tensor) -> SpectrumStatistics:
    """Statistics of noisy training spectra x, sigma (n, bin), NaN and inf where bins are missing."""
    mean = torch.nan_to_num(x.nanmean(dim=0), nan=float(torch.nan_to_num(x).mean()))
    deviation = x - mean
    level = deviation.nanmean(dim=1, keepdim=True)
    shape = deviation - level
    log_amplitude = shape.square().nanmean(dim=1).clamp_min(1e-30).log() * 0.5
    finite = torch.isfinite(sigma) & (sigma > 0)
    log_sigma = sigma[finite].log().mean() if bool(finite.any()) else torch.tensor(0.0)
    spread = shape.square().nanmean(dim=0).sqrt()
    typical = torch.nan_to_num(spread, nan=0.0).mean().clamp_min(1e-12)
    return SpectrumStatistics(
        mean=mean,
        spread=torch.nan_to_num(spread, nan=0.0).clamp_min(1e-3 * typical),
        level_sigma=level.nan_to_num().std().clamp_min(1e-12),
        log_amplitude=torch.stack([log_amplitude.mean(), log_amplitude.std().clamp_min(1e-6)]),
        log_sigma=log_sigma,
    )


class SpectrumFeatures(nn.Module):
    """Turns spectra into standardised inputs: shape, missing bins, level, amplitude and noise."""

    mean: torch.Tensor
    spread: torch.Tensor
    level_sigma: torch.Tensor
    log_amplitude: torch.Tensor
    log_sigma: torch.Tensor
    groups: torch.Tensor

    def __init__(self, statistics: SpectrumStatistics) -> None:
        super().__init__()
        for name, value in statistics._asdict().items():
            self.register_buffer(name, value.clone().float())
        n_bin = len(statistics.mean)
        group = torch.arange(n_bin) * _SIGMA_GROUPS // n_bin
        self.register_buffer("groups", torch.eye(_SIGMA_GROUPS)[group])
        self.n_feature = 2 * n_bin + 2 + _SIGMA_GROUPS

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Features (n, n_feature) of x, sigma (n, bin)."""
        seen = torch.isfinite(x) & torch.isfinite(sigma)
        count = seen.sum(dim=1, keepdim=True).clamp_min(1)
        deviation = torch.where(seen, x - self.mean, 0.0)
        level = deviation.sum(dim=1, keepdim=True) / count
        shape = torch.where(seen, deviation - level, 0.0)
        log_amplitude = 0.5 * (shape.square().sum(dim=1, keepdim=True) / count).clamp_min(1e-30).log()
        excess = torch.where(seen & (sigma > 0), sigma.clamp_min(1e-30).log() - self.log_sigma, 0.0)
        noise = (excess @ self.groups) / (seen.float() @ self.groups).clamp_min(1.0)
        amplitude = (log_amplitude - self.log_amplitude[0]) / self.log_amplitude[1]
        features = [shape / self.spread, (~seen).float(), level / self.level_sigma, amplitude, noise]
        return torch.cat(features, dim=1).clamp(-_FEATURE_LIMIT, _FEATURE_LIMIT)


class ResidualBlock(nn.Module):
    """Two dense layers beside an identity."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.first, self.second = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Same shape as h (..., size)."""
        return h + self.second(nn.functional.silu(self.first(self.norm(h))))


class StochasticEncoder(nn.Module):
    """x, sigma and noise -> the latents that are tied to the parameters, in (-1, 1).

    Args:
        statistics: what spectra are standardised by.
        n_tied: number of tied latents.
        size: width of the trunk, which sees the spectrum once.
        n_block: residual blocks of the trunk.
        head_size: width of the head, which sees noise and runs once a draw.
    """

    def __init__(
        self, statistics: SpectrumStatistics, n_tied: int, size: int = 256, n_block: int = 3, head_size: int = 128
    ) -> None:
        super().__init__()
        self.features = SpectrumFeatures(statistics)
        self.first = nn.Linear(self.features.n_feature, size)
        self.trunk = nn.Sequential(*[ResidualBlock(size) for _ in range(n_block)], nn.LayerNorm(size))
        self.context = nn.Linear(size, head_size)
        self.noise = nn.Linear(N_NOISE, head_size, bias=False)
        self.head = nn.Sequential(ResidualBlock(head_size), ResidualBlock(head_size), nn.Linear(head_size, n_tied))

    def embed(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Context (n, head_size) of spectra (n, bin)."""
        return self.context(self.trunk(self.first(self.features(x, sigma))))

    def latents(self, context: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Tied latents (n, draw, n_tied) for context (n, head_size) and noise (n, draw, N_NOISE)."""
        return torch.tanh(self.head(context[:, None] + self.noise(noise)))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Tied latents (n, draw, n_tied) of spectra (n, bin) for noise (n, draw, N_NOISE)."""
        return self.latents(self.embed(x, sigma), noise)


def random_masks(share: float, seen: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Bins that stay seen in training, (n, bin), bool: a share of the rows lose some.

    A third of those keep one window of bins, a third lose one, a third lose bins at random. A row that would lose all
    keeps one.

    Args:
        share: of the rows that lose bins.
        seen: bins that there are to lose, (n, bin), bool.
        generator: on the device of seen.
    """
    (n, n_bin), device = seen.shape, seen.device
    uniform = torch.rand(n, 4, 1, generator=generator, device=device)
    place = torch.arange(n_bin, device=device)[None] / n_bin
    length = 0.05 + 0.95 * uniform[:, 1]
    start = uniform[:, 2] * (1.0 - length)
    window = (place >= start) & (place <= start + length)
    sparse = torch.rand(n, n_bin, generator=generator, device=device) >= 0.9 * uniform[:, 1]
    kind = (3.0 * uniform[:, 3]).long()
    # A window that is lost is never more than nine tenths of the grid, so that something stays seen.
    lost = ~(window & (place <= start + 0.9))
    masks = torch.where(kind == 0, window, torch.where(kind == 1, lost, sparse))
    masks = (masks | (uniform[:, 0] >= share)) & seen
    empty = ~masks.any(dim=1, keepdim=True)
    return masks | (empty & _one_bin(seen, uniform[:, 2])) if bool(empty.any()) else masks


def _one_bin(seen: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The bin of seen (n, bin) that is as far among the seen ones as place (n, 1) in [0, 1) says; none if none is."""
    rank = seen.cumsum(dim=1)
    return seen & (rank == 1 + (place * rank[:, -1:]).long())
