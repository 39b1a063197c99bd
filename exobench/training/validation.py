"""The validation loss: the same noisy spectra and the same random numbers each time."""

from __future__ import annotations

import torch
from torch import nn

from exobench.problem import InferenceProblem
from exobench.seeds import derived_seed
from exobench.training.distributed import Ranks
from exobench.training.randomness import seed_global

_ROWS_A_CALL = 2048


class ValidationLoss:
    """Mean loss over fixed noisy validation spectra, always in float32.

    Args:
        problem: gives the spectra.
        rows: most spectra to look at.
        seed: of their noise and of the loss's random numbers.
        device: where they are held.
        ranks: processes that share the work; piece k goes to process k modulo their number.
    """

    def __init__(self, problem: InferenceProblem, rows: int, seed: int, device: str, ranks: Ranks) -> None:
        self.n = min(rows, problem.n_validation)
        self._seed, self._device, self._ranks = seed, device, ranks
        self._pieces: list[tuple[int, tuple[torch.Tensor, ...]]] = []
        if self.n == 0:
            return
        arrays = problem.arrays("validation", self.n, seed=derived_seed("validation noise", seed))
        for number, start in enumerate(range(0, self.n, _ROWS_A_CALL)):
            if number % ranks.world_size == ranks.rank:
                rows_here = slice(start, start + _ROWS_A_CALL)
                piece = (torch.as_tensor(part[rows_here], dtype=torch.float32, device=device) for part in arrays)
                self._pieces.append((number, tuple(piece)))

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> float:
        """The mean loss of the model, which is left in the mode it was in."""
        was_training = model.training
        model.eval()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for number, (theta, x, sigma) in self._pieces:
            seed = derived_seed("validation loss", self._seed, number)
            seed_global(seed, self._device)
            generator = torch.Generator(self._device).manual_seed(seed)
            total += model(theta, x, sigma, generator).double().sum()
        model.train(was_training)
        return float(self._ranks.total(total)) / self.n
