"""Features from inferred components: what they are, how well they are known, and the first guess they give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import nn

from exobench.networks.conditional_mean import ConditionalMean, Inferred
from exobench.networks.varied_guess import VariedGuess

MOST_INFERRED = 24
"""Components at most; the work grows as the square."""
_ROWS_A_CALL = 1024


class Told(NamedTuple):
    """What inferred components tell of spectra.

    Attributes:
        filled: the spectra, with what the components say in missing bins, (n, bin).
        summary: the components and how well each is known, (n, 2 component + 1).
        guess: first guess of every u and its log width, (n, 2 param).
    """

    filled: torch.Tensor
    summary: torch.Tensor
    guess: torch.Tensor


class InferredFeatures(nn.Module):
    """Components inferred from spectra of any noise, and a first guess from them; the prior until fitted.

    Args:
        n_bin: bins of a spectrum.
        n_param: parameters to guess.
        guess_sizes: components, and those squared and cubed in the guess.
    """

    def __init__(self, n_bin: int, n_param: int, guess_sizes: tuple[int, int, int]) -> None:
        super().__init__()
        self.components = ConditionalMean(n_bin, guess_sizes[0])
        self.guess = VariedGuess(n_param, *guess_sizes)
        self.n_summary = 2 * guess_sizes[0] + 1

    @staticmethod
    def sizes(n: int, n_bin: int, n_component: int) -> tuple[int, int, int]:
        """Components, and those squared and cubed, that n distinct examples can tell."""
        return VariedGuess.sizes(n, min(n_component, n_bin, MOST_INFERRED))

    @torch.no_grad()
    def fit(self, depth: torch.Tensor, noisy: Iterable[tuple[torch.Tensor, torch.Tensor]], u: torch.Tensor) -> None:
        """Finds the components of noise-free spectra and fits the guess to noisy ones.

        Args:
            depth: noise-free spectra (n, bin), float64.
            noisy: x and sigma of the same spectra, (n, bin) each, once or several times with other noise.
            u: their parameters in unbounded coordinates, (n, param).
        """
        copies: list[Inferred] = []
        for x, sigma in noisy:
            if not copies:
                self.components.fit(depth, sigma)
            copies.append(_joined(map(self.components, x.split(_ROWS_A_CALL), sigma.split(_ROWS_A_CALL))))
        self.guess.fit(_joined(copies), torch.special.ndtr(u.double()), len(copies))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> Told:
        """What spectra x, sigma (n, bin) tell; float32 and finite whatever they are."""
        inferred = self.components(x, sigma)
        filled = self.components.filled(x, torch.isfinite(x) & torch.isfinite(sigma), inferred)
        summary = torch.cat([inferred.z, self.guess.known(inferred)], dim=1)
        return Told(filled.float(), summary.float(), self.guess(inferred))


def _joined(parts: Iterable[Inferred]) -> Inferred:
    return Inferred(*(torch.cat(column) for column in zip(*parts, strict=True)))
