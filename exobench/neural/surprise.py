"""How unlike its training spectra a trained model finds a spectrum, from what every stored fit holds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.networks.inferred_features import InferredFeatures
from exobench.networks.spectrum import SpectrumFeatures
from exobench.neural.model import NeuralModel

Array = NDArray[np.float64]

SIGMA_TOLERANCE = 1e-3
"""Relative difference of sigma that features of one sigma take for none."""
N_DRAWS = 32
_SPECTRA_A_CALL = 1000
_SEED = 0
_TINY = 1e-30
_LEAST_SHARE = 1e-12
"""Known of a component that noise hides: below it, one minus an exponential is rounding."""
# Mean and standard deviation of log(1 + |z|) and log(1 + z^2) of a standard normal z.
_LOG_SIZE = (0.535, 0.318)
_LOG_SQUARE = (0.533, 0.518)


def surprise(model: NeuralModel, x: Array, sigma: Array) -> Array:
    """How unlike the training spectra each spectrum is; higher for less alike.

    Where the training noise was one and the same, four departures from what is typical of the training spectra, each in
    about its own standard deviations, add in quadrature:

    * the chi-square of what the leading principal components leave, which noise of the told sigma explains; too small
      counts as well (typicality, Nalisnick et al. 2019, arXiv:1906.02994);
    * the trailing half of the components, beyond the training spread: leading ones hold the prior's own variety;
    * the distance between the two estimates that the model holds, the polynomial first guess and the network's mean,
      in widths of the guess: they were fitted to agree on the training spectra alone;
    * a told sigma other than that of training, which such a model ignores.

    Large values enter by their logarithms, since spectra at the corners of the prior have them, too. Where the noise
    varied or bins were missing, the first three are taken with the components inferred under the spectrum's own sigma;
    a sigma counts only beyond the noisiest or the least noisy training spectrum. Without components there is only the
    size of the spectrum's level, amplitude and shape, in units of the training spread.

    Args:
        model: trained, on its device, in evaluation mode.
        x: spectra (obs, bin), NaN where a bin is missing.
        sigma: their noise, inf there.

    Returns:
        Finite numbers, (obs,), of which only the order has a meaning.
    """
    value = np.concatenate(
        [_surprise(model, x[k : k + _SPECTRA_A_CALL], sigma[k : k + _SPECTRA_A_CALL]) for k in _starts(len(x))]
    )
    return np.nan_to_num(value, nan=np.finfo(np.float64).max)


def _starts(n: int) -> range:
    return range(0, max(n, 1), _SPECTRA_A_CALL)


@torch.no_grad()
def _surprise(model: NeuralModel, x: Array, sigma: Array) -> Array:
    features = model.encoder.features
    device = features.mean.device
    x_, sigma_ = (torch.as_tensor(values, dtype=torch.float64, device=device) for values in (x, sigma))
    if features.inferred is not None:
        parts = _by_inferred(features.inferred, x_, sigma_)
    elif features.shape.n_component:
        parts = [*_by_components(features, x_, sigma_), _told(features, sigma_)]
    else:
        return np.asarray(_by_size(features, x_, sigma_).cpu().numpy())
    if model.encoder.n_guess:
        parts.append(_disagreement(model, x_, sigma_))
    return np.asarray(torch.stack(parts).square().sum(dim=0).sqrt().cpu().numpy())


def _by_components(
    features: SpectrumFeatures, x: torch.Tensor, sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the components leave, and the size of the trailing ones, (n,) each."""
    projection = features.components.projection.double()
    n_bin, n_component = projection.shape
    deviation = x - features.mean.double()
    free = n_bin - n_component
    left = _left_over(deviation, sigma, projection)
    beyond = (left - free) / (2.0 * free) ** 0.5 if free else torch.zeros_like(left)
    trailing = (deviation @ projection)[:, n_component // 2 :]
    return beyond, _excess(trailing.square().log1p(), _LOG_SQUARE)


def _by_inferred(inferred: InferredFeatures, x: torch.Tensor, sigma: torch.Tensor) -> list[torch.Tensor]:
    """What inferred components leave, the size of the trailing ones, and noise beyond that of training; (n,) each."""
    found = inferred.components(x, sigma)
    share_known = 1.0 - (2.0 * found.log_spread).exp()
    n_seen = (torch.isfinite(x) & torch.isfinite(sigma)).sum(dim=1)
    free = (n_seen - share_known.sum(dim=1)).clamp_min(1.0)
    beyond = (inferred.components.left_over(x, sigma, found) - free) / (2.0 * free).sqrt()
    half = found.z.shape[1] // 2
    # Of a component that noise hides, the conditional mean stays small; it is set against what it scatters by.
    trailing = found.z[:, half:] / share_known[:, half:].clamp_min(_LEAST_SHARE).sqrt()
    return [beyond, _excess(trailing.square().log1p(), _LOG_SQUARE), inferred.guess.beyond_noise(found)]


def _excess(sizes: torch.Tensor, normal: tuple[float, float]) -> torch.Tensor:
    """By how many standard deviations the sum of sizes (n, k) exceeds that of standard normal numbers; 0 for less."""
    mean, spread = normal
    count = sizes.shape[1]
    return ((sizes.sum(dim=1) - mean * count) / (spread * count**0.5)).clamp_min(0.0)


def _left_over(deviation: torch.Tensor, sigma: torch.Tensor, projection: torch.Tensor) -> torch.Tensor:
    """Chi-square (n,) of the part of deviations (n, bin) that lies outside the components."""
    chi2 = deviation.new_empty(len(deviation))
    shape = sigma / sigma.mean(dim=1, keepdim=True)
    # Spectra whose sigma has one shape share their basis, which takes longest.
    kinds, kind = torch.unique(shape.float(), dim=0, return_inverse=True)
    for number in range(len(kinds)):
        rows = kind == number
        y = deviation[rows] / sigma[rows]
        basis = torch.linalg.qr(projection * shape[rows][0, :, None]).Q
        chi2[rows] = (y - (y @ basis) @ basis.T).square().sum(dim=1)
    return chi2


def _told(features: SpectrumFeatures, sigma: torch.Tensor) -> torch.Tensor:
    ratio = sigma.clamp_min(_TINY).log().mean(dim=1) - features.log_sigma.double()
    return ratio / SIGMA_TOLERANCE


def _disagreement(model: NeuralModel, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Distance of the mean of draws from the first guess, all parameters together, (n,)."""
    context = model.encoder(x.float(), sigma.float())
    generator = torch.Generator(device=context.device).manual_seed(_SEED)
    rest = model.estimator.sample(context, N_DRAWS, generator).double()
    return _excess(rest.mean(dim=1).abs().log1p(), _LOG_SIZE)


def _by_size(features: SpectrumFeatures, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    seen = torch.isfinite(x) & torch.isfinite(sigma)
    count = seen.sum(dim=1).clamp_min(1)
    deviation = torch.where(seen, x - features.mean.double(), 0.0)
    level = deviation.sum(dim=1) / count
    shape = torch.where(seen, deviation - level[:, None], 0.0)
    centre, spread = features.log_amplitude.double()
    log_amplitude = 0.5 * (shape.square().sum(dim=1) / count).clamp_min(_TINY).log()
    parts = [
        (level / features.level_spread.double()).square(),
        ((log_amplitude - centre) / spread).square(),
        (shape / features.spread.double()).square().sum(dim=1) / count,
    ]
    return torch.stack(parts).sum(dim=0).sqrt()
