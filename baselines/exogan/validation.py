"""The encoder's loss on validation spectra: the same noisy spectra and the same draws' noise each time."""

from __future__ import annotations

import torch

from exobench.problem import InferenceProblem
from exobench.seeds import derived_seed
from exobench_baselines.exogan.encoder import N_NOISE
from exobench_baselines.exogan.encoding import EncoderStep

_ROWS = 1000


class EncoderValidation:
    """Mean loss of a step's encoder over fixed noisy validation spectra, of which no bin is hidden at random.

    Args:
        problem: gives the spectra.
        step: holds encoder and loss.
        seed: of the spectra's noise and of that of the draws.
        device: where they are held.
    """

    def __init__(self, problem: InferenceProblem, step: EncoderStep, seed: int, device: str) -> None:
        self.n = min(_ROWS, problem.n_validation)
        self._step, self._device = step, device
        if self.n == 0:
            return
        arrays = problem.arrays("validation", self.n, seed=derived_seed("spectra", seed))
        theta, x, sigma = (torch.as_tensor(part, dtype=torch.float32, device=device) for part in arrays)
        seen = step.visible(x, sigma)
        self._x, self._sigma = x.masked_fill(~seen, torch.nan), sigma.masked_fill(~seen, torch.inf)
        self._theta = theta
        random = torch.Generator(device=device).manual_seed(derived_seed("draws", seed))
        self._noise = torch.randn(self.n, step.n_draw, N_NOISE, generator=random, device=device)

    @torch.no_grad()
    def __call__(self) -> float:
        """The loss that training minimises, on spectra that it does not see."""
        _, loss = self._step.losses(self._x, self._sigma, self._noise, self._theta)
        return float(loss)
