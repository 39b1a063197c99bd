"""Features of spectra: standardised bins, whitened components, noise and missing bins; never NaN or infinite."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from exobench.networks.first_guess import FirstGuess
from exobench.networks.inferred_features import InferredFeatures
from exobench.networks.whitening import Components, components_of

_SIGMA_GROUPS = 16
_LIMIT = 12.0


class Features(NamedTuple):
    """What an embedding network sees.

    Attributes:
        bins: channels along wavelength, (n, channel, bin).
        summary: numbers about the whole spectrum, (n, summary).
        guess: first guess of every u and its log width, (n, 2 param); see ``FirstGuess``. (n, 0) where there is none.
    """

    bins: torch.Tensor
    summary: torch.Tensor
    guess: torch.Tensor


class FeatureShape(NamedTuple):
    """What must be known to build features before their statistics are loaded.

    Attributes:
        n_bin: bins of a spectrum.
        n_component: whitened components.
        has_missing: whether examples missed bins.
        has_varying_sigma: whether the noise differed from example to example.
        n_param: parameters to guess.
        guess_sizes: components of the guess, and those squared and cubed; all zero for no guess.
        n_inferred: components inferred from varied noise and missing bins, see ``InferredFeatures``; 0 for none.
    """

    n_bin: int
    n_component: int
    has_missing: bool
    has_varying_sigma: bool
    n_param: int = 0
    guess_sizes: tuple[int, int, int] = (0, 0, 0)
    n_inferred: int = 0


class SpectrumFeatures(nn.Module):
    """Standardises spectra by statistics of noisy examples.

    A spectrum is split into its level (mean deviation from the mean spectrum), its shape about that level and the
    shape's amplitude: radius, scale height and abundances act mostly on one of them. Where the noise is the same for
    all and no bin is missing, whitened principal components join in; elsewhere inferred ones, with how well each is
    known, and they fill the missing bins.

    Args:
        shape: sizes; the statistics are zeros and ones until loaded or fitted.
    """

    mean: torch.Tensor
    spread: torch.Tensor
    level_spread: torch.Tensor
    log_amplitude: torch.Tensor
    log_sigma: torch.Tensor
    groups: torch.Tensor

    def __init__(self, shape: FeatureShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.zeros(shape.n_bin))
        self.register_buffer("spread", torch.ones(shape.n_bin))
        self.register_buffer("level_spread", torch.tensor(1.0))
        self.register_buffer("log_amplitude", torch.tensor([0.0, 1.0]))
        self.register_buffer("log_sigma", torch.tensor(0.0))
        group = torch.arange(shape.n_bin) * _SIGMA_GROUPS // shape.n_bin
        self.register_buffer("groups", torch.eye(_SIGMA_GROUPS)[group], persistent=False)
        self.components = Components(shape.n_bin, shape.n_component)
        self.has_guess = bool(shape.n_param and shape.guess_sizes[0])
        guess: FirstGuess | None = None
        inferred: InferredFeatures | None = None
        if self.has_guess and shape.n_inferred:
            inferred = InferredFeatures(shape.n_bin, shape.n_param, shape.guess_sizes)
        elif self.has_guess:
            guess = FirstGuess(shape.n_bin, shape.n_param, *shape.guess_sizes)
        self.guess, self.inferred = guess, inferred
        self.n_channel = 1 + int(shape.has_missing) + int(shape.has_varying_sigma)
        self.n_summary = 2 + shape.n_component + (_SIGMA_GROUPS if shape.has_varying_sigma else 0)
        self.n_summary += shape.n_param if self.has_guess else 0
        self.n_summary += 0 if inferred is None else inferred.n_summary

    @classmethod
    def fitted(
        cls, x: torch.Tensor, sigma: torch.Tensor, n_component: int, u: torch.Tensor | None = None
    ) -> SpectrumFeatures:
        """Features by statistics of noisy examples.

        Args:
            x: spectra (n, bin), NaN where bins are missing.
            sigma: their noise, inf where bins are missing.
            n_component: whitened components wanted.
            u: parameters in unbounded coordinates, (n, param), for a first guess; None for no guess. Where the noise
                varies or bins are missing, the guess is the prior until ``inferred`` is fitted.
        """
        x, sigma = x.double(), sigma.double()
        seen = torch.isfinite(x) & torch.isfinite(sigma)
        has_missing = not bool(seen.all())
        first = sigma[:1].expand_as(sigma)
        has_varying_sigma = bool((seen & seen[:1] & ((sigma / first - 1.0).abs() > 1e-3)).any())
        whitened = not has_missing and not has_varying_sigma and bool((sigma > 0).all())
        n_component = min(n_component, x.shape[1], len(x) - 1)
        n_param = 0 if u is None else u.shape[1]
        sizes_for = FirstGuess.sizes if whitened else InferredFeatures.sizes
        sizes = sizes_for(len(x), x.shape[1], n_component) if n_param else (0, 0, 0)
        n_inferred, n_component = (0, n_component) if whitened else (sizes[0], 0)
        shape = FeatureShape(x.shape[1], n_component, has_missing, has_varying_sigma, n_param, sizes, n_inferred)
        features = cls(shape)
        features._fit(x.masked_fill(~seen, torch.nan), sigma, seen)
        if features.guess is not None and u is not None:
            features.guess.fit(x, sigma[0], torch.special.ndtr(u.double()))
        return features

    def _fit(self, x: torch.Tensor, sigma: torch.Tensor, seen: torch.Tensor) -> None:
        mean = torch.nan_to_num(x.nanmean(dim=0), nan=float(x.nanmean()))
        deviation = x - mean
        level = deviation.nanmean(dim=1, keepdim=True)
        shape = deviation - level
        log_amplitude = 0.5 * shape.square().nanmean(dim=1).clamp_min(1e-30).log()
        spread = torch.nan_to_num(shape.square().nanmean(dim=0).sqrt(), nan=0.0)
        noisy = seen & (sigma > 0)
        self.mean.copy_(mean)
        self.spread.copy_(spread.clamp_min(max(1e-3 * float(spread.mean()), 1e-12)))
        self.level_spread.copy_(level.nan_to_num().std().clamp_min(1e-12))
        self.log_amplitude.copy_(torch.stack([log_amplitude.mean(), log_amplitude.std().clamp_min(1e-6)]))
        self.log_sigma.copy_(sigma[noisy].log().mean() if bool(noisy.any()) else torch.tensor(0.0))
        if self.shape.n_component:
            self.components.set(components_of(deviation / sigma, self.shape.n_component), sigma[0])

    def describe(self) -> dict[str, Any]:
        """JSON-able; ``SpectrumFeatures(FeatureShape(**description))`` has the same sizes."""
        return self.shape._asdict()

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> Features:
        """Features of spectra x, sigma (n, bin), all within +-12."""
        with torch.autocast(x.device.type, enabled=False):
            return self._features(x.float(), sigma.float())

    def _features(self, x: torch.Tensor, sigma: torch.Tensor) -> Features:
        seen = torch.isfinite(x) & torch.isfinite(sigma)
        told = None if self.inferred is None else self.inferred(x, sigma)
        whole, there = (x, seen) if told is None else (told.filled, torch.ones_like(seen))
        level, shape, log_amplitude = self._split(whole, there)
        summary = [level / self.level_spread, (log_amplitude - self.log_amplitude[0]) / self.log_amplitude[1]]
        channels = [shape / self.spread]
        if self.shape.has_missing:
            channels.append((~seen).float())
        if self.shape.has_varying_sigma:
            excess = torch.where(seen & (sigma > 0), sigma.clamp_min(1e-30).log() - self.log_sigma, 0.0)
            channels.append(excess)
            summary.append((excess @ self.groups) / (seen.float() @ self.groups).clamp_min(1.0))
        if self.shape.n_component:
            summary.append(self.components(torch.where(seen, x - self.mean, 0.0)))
        guess = x.new_zeros(len(x), 0)
        if self.guess is not None:
            guess = self.guess(torch.where(seen, x, self.mean))
        if told is not None:
            guess = told.guess
            summary.append(told.summary)
        if self.has_guess:
            summary.append(guess[:, : self.shape.n_param])
        bins = torch.stack(channels, dim=1).clamp(-_LIMIT, _LIMIT)
        return Features(bins, torch.cat(summary, dim=1).clamp(-_LIMIT, _LIMIT), guess)

    def _split(self, x: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Level (n, 1), shape (n, bin) and log amplitude of the shape (n, 1), of the bins that are seen."""
        count = seen.sum(dim=1, keepdim=True).clamp_min(1)
        deviation = torch.where(seen, x - self.mean, 0.0)
        level = deviation.sum(dim=1, keepdim=True) / count
        shape = torch.where(seen, deviation - level, 0.0)
        log_amplitude = 0.5 * (shape.square().sum(dim=1, keepdim=True) / count).clamp_min(1e-30).log()
        return level, shape, log_amplitude
