"""A first guess of every parameter: a polynomial in the leading components of the logarithmic spectrum.

A dense network finds a parameter to a percent or so of its range, however sharply the spectrum fixes it; a planet's
radius is fixed to a few ten-thousandths. Depth is a product of radius, scale height and opacities, so a polynomial of
third degree in its logarithm comes close to that, in closed form. Networks then learn what is left, in units of what
is left.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from exobench.networks.polynomial import (
    index_pairs,
    index_threes,
    least_squares,
    n_terms,
    polynomial_sizes,
    polynomial_terms,
)
from exobench.networks.whitening import components_of

_SQUARED, _CUBED = 30, 8
"""Components whose products of two, and of three, join in."""
_RIDGE = 1e-6
_HELD_OUT = 0.2
_SMALLEST_SHARE = 0.05
"""Of a bin's mean, below which its logarithm is not taken."""
_NARROWEST = 1e-5
_LOG_2PI = math.log(2.0 * math.pi)


class FirstGuess(nn.Module):
    """Guesses u, with a typical error, from a spectrum with all its bins and the noise of the examples.

    Args:
        n_bin: bins of a spectrum.
        n_param: parameters; 0 for no guess at all.
        n_component: leading components; see ``sizes``.
        n_squared: how many of them are multiplied in pairs.
        n_cubed: how many of them are multiplied in threes.
    """

    mean: torch.Tensor
    log_mean: torch.Tensor
    pairs: torch.Tensor
    threes: torch.Tensor
    projection: torch.Tensor
    coefficients: torch.Tensor
    error: torch.Tensor

    def __init__(self, n_bin: int, n_param: int, n_component: int, n_squared: int, n_cubed: int) -> None:
        super().__init__()
        self.n_param, self.n_squared, self.n_cubed = n_param, n_squared, n_cubed
        n_term = n_terms(n_component, n_squared, n_cubed)
        double = torch.float64
        self.register_buffer("mean", torch.ones(n_bin, dtype=double))
        self.register_buffer("log_mean", torch.zeros(n_bin, dtype=double))
        self.register_buffer("projection", torch.zeros(n_bin, n_component, dtype=double))
        self.register_buffer("coefficients", torch.zeros(n_term, n_param, dtype=double))
        self.register_buffer("error", torch.ones(n_param, dtype=double))
        self.register_buffer("pairs", index_pairs(n_squared), persistent=False)
        self.register_buffer("threes", index_threes(n_cubed), persistent=False)

    @staticmethod
    def sizes(n: int, n_bin: int, n_component: int) -> tuple[int, int, int]:
        """Components, and those squared and cubed, that n examples can tell: ten examples a coefficient."""
        return polynomial_sizes(int(0.8 * n), min(n_component, n_bin), _SQUARED, _CUBED)

    @torch.no_grad()
    def fit(self, x: torch.Tensor, sigma: torch.Tensor, t: torch.Tensor) -> None:
        """Least squares on most of the examples; the error is that on the others.

        Args:
            x: noisy spectra (n, bin), float64.
            sigma: their noise, (bin,).
            t: parameters in the unit cube, (n, param), float64.
        """
        self.mean.copy_(x.mean(dim=0).abs().clamp_min(1e-12))
        log_x = self._log(x)
        self.log_mean.copy_(log_x.mean(dim=0))
        noise = sigma / self.mean
        directions = components_of((log_x - self.log_mean) / noise, self.projection.shape[1])
        scale = directions.variance.clamp_min(1e-12).rsqrt()
        self.projection.copy_(directions.vectors * scale / noise[:, None])
        terms = self._terms(x)
        n_fit = len(x) - max(int(_HELD_OUT * len(x)), 1)
        self.coefficients.copy_(least_squares(terms[:n_fit], t[:n_fit], _RIDGE))
        residual = t[n_fit:] - (terms[n_fit:] @ self.coefficients).clamp(0.0, 1.0)
        # A robust width: a few corners of the prior, where the polynomial fails, must not set the scale of all.
        self.error.copy_((1.4826 * residual.abs().median(dim=0).values).clamp(_NARROWEST, 0.3))

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Guess and log width of every u, (n, 2 param), float32, of spectra x (n, bin)."""
        t = self._terms(x.double()) @ self.coefficients
        t = torch.nan_to_num(t, nan=0.5).clamp(2.0 * self.error, 1.0 - 2.0 * self.error)
        u = torch.special.ndtri(t)
        # Phi stretches: an error of t is one of u times 1 / N(u).
        log_width = self.error.log() + 0.5 * u.square() + 0.5 * _LOG_2PI
        return torch.cat([u, log_width.clamp_max(0.0)], dim=1).float()

    def _log(self, x: torch.Tensor) -> torch.Tensor:
        return (x / self.mean).clamp_min(_SMALLEST_SHARE).log()

    def _terms(self, x: torch.Tensor) -> torch.Tensor:
        z = ((self._log(x) - self.log_mean) @ self.projection).clamp(-20.0, 20.0)
        return polynomial_terms(z, self.pairs, self.threes)
