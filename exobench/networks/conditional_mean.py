"""What a spectrum says of the leading components, whatever its noise and whichever of its bins are missing.

A projection on principal components needs every bin and counts all alike. Where the noise differs from spectrum to
spectrum and bins are missing, the components z of the logarithmic spectrum are inferred instead: with a prior N(0, I)
over z, and noise of the sigma that came with the spectrum, mean and covariance of z are known in closed form,

    covariance = (I + P^T W P)^-1,    mean = covariance P^T W (log x - log mean),

W being the inverse variance of log x, zero where a bin is missing. A bin without information has no influence, and a
spectrum without information gives the prior.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from exobench.networks.whitening import components_of

_SMALLEST_SHARE, _LARGEST_SHARE = 0.05, 20.0
"""Of a bin's mean: what lies beyond is taken for these."""
_LARGEST_BIAS = 0.02
_LEAST_WEIGHT = 1e-12


class Inferred(NamedTuple):
    """Components of spectra as the noise lets them be known; float64.

    Attributes:
        z: conditional means, (n, component); the training spectra have mean 0 and variance 1.
        log_spread: natural logs of the conditional standard deviations, (n, component), at most 0.
        log_noise: natural log of the noise over the depth, a typical bin's, missing ones counted, (n, 1).
    """

    z: torch.Tensor
    log_spread: torch.Tensor
    log_noise: torch.Tensor


class ConditionalMean(nn.Module):
    """Infers the leading components of the logarithmic spectrum; see the module's words.

    Args:
        n_bin: bins of a spectrum.
        n_component: components.
    """

    mean: torch.Tensor
    log_mean: torch.Tensor
    directions: torch.Tensor
    remainder: torch.Tensor
    least_noise: torch.Tensor

    def __init__(self, n_bin: int, n_component: int) -> None:
        super().__init__()
        double = torch.float64
        self.register_buffer("mean", torch.ones(n_bin, dtype=double))
        self.register_buffer("log_mean", torch.zeros(n_bin, dtype=double))
        self.register_buffer("directions", torch.zeros(n_bin, n_component, dtype=double))
        self.register_buffer("remainder", torch.zeros(n_bin, dtype=double))
        self.register_buffer("least_noise", torch.tensor(1e-6, dtype=double))
        pairs = torch.triu_indices(n_component, n_component)
        place = torch.zeros(n_component, n_component, dtype=torch.long)
        place[pairs[0], pairs[1]] = place[pairs[1], pairs[0]] = torch.arange(pairs.shape[1])
        self.register_buffer("pairs", pairs, persistent=False)
        self.register_buffer("place", place.flatten(), persistent=False)

    pairs: torch.Tensor
    place: torch.Tensor

    @torch.no_grad()
    def fit(self, depth: torch.Tensor, sigma: torch.Tensor) -> None:
        """Finds the components that stand out most from the noise.

        Args:
            depth: noise-free spectra (n, bin), float64, all bins present.
            sigma: examples of the noise, (n, bin); inf where bins are missing.
        """
        self.mean.copy_(depth.mean(dim=0).abs().clamp_min(1e-12))
        log_depth = self._log(depth)
        self.log_mean.copy_(log_depth.mean(dim=0))
        deviation = log_depth - self.log_mean
        noise = self._typical_noise(sigma)
        n_component = self.directions.shape[1]
        found = components_of(deviation / noise, n_component)
        self.directions.copy_(found.vectors * found.variance.clamp_min(0.0).sqrt() * noise[:, None])
        left = deviation - (deviation / noise) @ found.vectors @ found.vectors.T * noise
        self.remainder.copy_(left.square().mean(dim=0))

    def _typical_noise(self, sigma: torch.Tensor) -> torch.Tensor:
        """Geometric mean of the noise over the mean depth, (bin,); keeps the least noise for ``forward``."""
        told = torch.isfinite(sigma) & (sigma > 0)
        log_noise = torch.where(told, sigma.clamp_min(1e-30).log() - self.mean.log(), torch.nan)
        if not bool(told.any()):
            return torch.full_like(self.mean, 1e-6)
        self.least_noise.copy_(0.5 * log_noise[told].min().exp())
        typical = log_noise.nanmean(dim=0)
        return torch.nan_to_num(typical, nan=float(typical.nanmean())).exp()

    @torch.no_grad()
    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> Inferred:
        """What spectra x, sigma (n, bin) say of the components; NaN and inf mark missing bins.

        Noise of less than half of the least in the examples is taken for that half.
        """
        weight, deviation = self._weighed(x.double(), sigma.double())
        # P^T W P of every row as one matrix product: each row's weights times all products of two directions.
        transposed = self.directions.T.contiguous()
        products = (transposed[self.pairs[0]] * transposed[self.pairs[1]]).T
        n, n_component = len(x), self.directions.shape[1]
        precision = (weight @ products)[:, self.place].view(n, n_component, n_component)
        precision.diagonal(dim1=1, dim2=2).add_(1.0)
        factor = torch.linalg.cholesky_ex(precision).L
        unit = torch.eye(n_component, dtype=factor.dtype, device=factor.device).expand_as(factor)
        inverse = torch.linalg.solve_triangular(factor, unit, upper=False)
        right = (weight * deviation) @ self.directions
        z = (inverse.mT @ (inverse @ right[..., None]))[..., 0]
        log_spread = 0.5 * inverse.square().sum(dim=1).clamp_min(1e-300).log()
        log_noise = -0.5 * weight.mean(dim=1, keepdim=True).clamp_min(_LEAST_WEIGHT).log()
        return Inferred(z, log_spread, log_noise)

    def filled(self, x: torch.Tensor, seen: torch.Tensor, inferred: Inferred) -> torch.Tensor:
        """Spectra x (n, bin), with what the components say in the bins that are not seen; float64."""
        expected = self.mean * (self.log_mean + inferred.z @ self.directions.T).clamp(-3.0, 3.0).exp()
        return torch.where(seen, x.double(), expected)

    def left_over(self, x: torch.Tensor, sigma: torch.Tensor, inferred: Inferred) -> torch.Tensor:
        """Chi-square (n,) of what the inferred components leave of spectra x, sigma (n, bin)."""
        weight, deviation = self._weighed(x.double(), sigma.double())
        return (weight * (deviation - inferred.z @ self.directions.T).square()).sum(dim=1)

    def _weighed(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Inverse variance of log x in each bin, zero where it is missing, and its deviation from the mean's log."""
        seen = torch.isfinite(x) & torch.isfinite(sigma)
        share = torch.where(seen, x / self.mean, 1.0)
        noise = torch.where(seen, sigma / self.mean, 1.0).clamp_min(self.least_noise)
        weight = torch.where(seen, noise.square().reciprocal(), 0.0)
        # A deep spectrum's logarithm has less noise: sigma is set against the spectrum's own level.
        level = (weight * share).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp_min(_LEAST_WEIGHT)
        variance = (noise / level.clamp(_SMALLEST_SHARE, _LARGEST_SHARE)).square()
        # The mean of a noisy number's logarithm lies half its relative variance below the logarithm of its mean.
        deviation = self._log_share(share) + (0.5 * variance).clamp_max(_LARGEST_BIAS) - self.log_mean
        return torch.where(seen, (variance + self.remainder).reciprocal(), 0.0), torch.where(seen, deviation, 0.0)

    def _log(self, depth: torch.Tensor) -> torch.Tensor:
        return self._log_share(depth / self.mean)

    def _log_share(self, share: torch.Tensor) -> torch.Tensor:
        return share.clamp(_SMALLEST_SHARE, _LARGEST_SHARE).log()
