"""A first guess of every parameter from components that are known more or less well, spectrum by spectrum."""

from __future__ import annotations

import math

import torch
from torch import nn

from exobench.networks.conditional_mean import Inferred
from exobench.networks.polynomial import (
    index_pairs,
    index_threes,
    least_squares,
    n_terms,
    polynomial_sizes,
    polynomial_terms,
)

_SQUARED, _CUBED = 20, 12
"""Components whose products of two, and of three, join in."""
_RIDGE = 1e-6
_HELD_OUT = 0.2
_LIMIT = 20.0
_WIDTH_LIMIT = 4.0
"""Bounds of the components in the polynomial, and of what the error is told from."""
_NARROWEST = 1e-5
_LOG_2PI = math.log(2.0 * math.pi)
_WIDEST = math.exp(-0.5 * _LOG_2PI)
"""Error in the middle of the unit interval that is the prior's width in u: Phi has this slope there."""
_MEAN_LOG_NORMAL = -0.635181422730739
"""Mean of log |z| of a standard normal z, -(Euler's constant + log 2) / 2."""


class VariedGuess(nn.Module):
    """Guesses u, with a typical error of this spectrum, from its inferred components.

    The guess is a polynomial of third degree. The logarithm of its error is a second, smaller regression on how well
    the components are known and on where they lie. Beyond the noisiest example the error grows with the noise, up to
    the prior's width, and the guess goes to the prior's middle.

    Args:
        n_param: parameters.
        n_component: components; see ``sizes``.
        n_squared: how many of them are multiplied in pairs.
        n_cubed: how many of them are multiplied in threes.
    """

    coefficients: torch.Tensor
    error_coefficients: torch.Tensor
    least_log_error: torch.Tensor
    centre: torch.Tensor
    scale: torch.Tensor
    least_noise: torch.Tensor
    most_noise: torch.Tensor
    pairs: torch.Tensor
    threes: torch.Tensor

    def __init__(self, n_param: int, n_component: int, n_squared: int, n_cubed: int) -> None:
        super().__init__()
        double = torch.float64
        n_term, n_error = n_terms(n_component, n_squared, n_cubed), 2 + 3 * n_component
        self.register_buffer("coefficients", torch.zeros(n_term, n_param, dtype=double))
        self.register_buffer("error_coefficients", torch.zeros(n_error, n_param, dtype=double))
        self.register_buffer("least_log_error", torch.zeros(n_param, dtype=double))
        self.register_buffer("centre", torch.zeros(n_component + 1, dtype=double))
        self.register_buffer("scale", torch.ones(n_component + 1, dtype=double))
        self.register_buffer("least_noise", torch.tensor(0.0, dtype=double))
        self.register_buffer("most_noise", torch.tensor(0.0, dtype=double))
        self.register_buffer("pairs", index_pairs(n_squared), persistent=False)
        self.register_buffer("threes", index_threes(n_cubed), persistent=False)

    @staticmethod
    def sizes(n: int, n_component: int) -> tuple[int, int, int]:
        """Components, and those squared and cubed, that n distinct examples can tell."""
        return polynomial_sizes(int((1.0 - _HELD_OUT) * n), n_component, _SQUARED, _CUBED)

    @torch.no_grad()
    def fit(self, inferred: Inferred, t: torch.Tensor, copies: int = 1) -> None:
        """Least squares on most of the examples; the error is learnt on the others.

        Args:
            inferred: components of noisy examples, (copies x n) rows: n spectra, then the same with other noise.
            t: parameters of the n spectra in the unit cube, (n, param), float64.
            copies: how often each spectrum occurs.
        """
        n = len(t)
        held_out = (torch.arange(n, device=t.device) >= n - max(int(_HELD_OUT * n), 1)).repeat(copies)
        t = t.repeat(copies, 1)
        known = torch.cat([inferred.log_spread, inferred.log_noise], dim=1)
        self.centre.copy_(known.mean(dim=0))
        self.scale.copy_(known.std(dim=0).clamp_min(1e-6))
        self.least_noise.copy_(inferred.log_noise.min())
        self.most_noise.copy_(inferred.log_noise.max())
        terms = self._terms(inferred)
        self.coefficients.copy_(least_squares(terms[~held_out], t[~held_out], _RIDGE))
        residual = t[held_out] - (terms[held_out] @ self.coefficients).clamp(0.0, 1.0)
        self._fit_error(self._error_terms(inferred)[held_out], residual.abs(), copies)

    def _fit_error(self, terms: torch.Tensor, error: torch.Tensor, copies: int) -> None:
        """The regression of log errors; few distinct examples tell little beyond the mean, so it is held to that."""
        # A mean of logarithms is robust: a few corners of the prior, where the polynomial fails, set no scale.
        log_error = error.clamp_min(_NARROWEST).log() - _MEAN_LOG_NORMAL
        mean = log_error.mean(dim=0)
        coefficients = least_squares(terms, log_error - mean, ridge=terms.shape[1] * copies / len(terms))
        coefficients[0] += mean
        self.error_coefficients.copy_(coefficients)
        self.least_log_error.copy_((terms @ coefficients).min(dim=0).values)

    @torch.no_grad()
    def forward(self, inferred: Inferred) -> torch.Tensor:
        """Guess and log width of every u, (n, 2 param), float32."""
        error = self.error(inferred)
        margin = 0.5 * error / _WIDEST
        t = torch.nan_to_num(self._terms(inferred) @ self.coefficients, nan=0.5)
        u = torch.special.ndtri(torch.minimum(torch.maximum(t, margin), 1.0 - margin))
        # Phi stretches: an error of t is one of u times 1 / N(u).
        log_width = error.log() + 0.5 * u.square() + 0.5 * _LOG_2PI
        return torch.cat([u, log_width.clamp_max(0.0)], dim=1).float()

    def error(self, inferred: Inferred) -> torch.Tensor:
        """Typical error of every t, (n, param)."""
        log_error = (self._error_terms(inferred) @ self.error_coefficients).clamp_min(self.least_log_error)
        noisier = (inferred.log_noise - self.most_noise).clamp_min(0.0)
        return torch.nan_to_num(log_error + noisier, nan=0.0).exp().clamp(_NARROWEST, _WIDEST)

    def known(self, inferred: Inferred) -> torch.Tensor:
        """How well each component is known, and the noise, standardised by the examples; (n, component + 1)."""
        told = torch.cat([inferred.log_spread, inferred.log_noise], dim=1)
        return ((told - self.centre) / self.scale).clamp(-_WIDTH_LIMIT, _WIDTH_LIMIT)

    def beyond_noise(self, inferred: Inferred) -> torch.Tensor:
        """By how much the noise lies outside that of the examples, in their standard deviations of its log, (n,)."""
        log_noise = inferred.log_noise[:, 0]
        outside = (log_noise - self.most_noise).clamp_min(0.0) + (self.least_noise - log_noise).clamp_min(0.0)
        return outside / self.scale[-1]

    def _terms(self, inferred: Inferred) -> torch.Tensor:
        return polynomial_terms(inferred.z.clamp(-_LIMIT, _LIMIT), self.pairs, self.threes)

    def _error_terms(self, inferred: Inferred) -> torch.Tensor:
        z = inferred.z.clamp(-_WIDTH_LIMIT, _WIDTH_LIMIT)
        return torch.cat([torch.ones_like(z[:, :1]), self.known(inferred), z, z.square() - 1.0], dim=1)
