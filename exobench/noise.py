"""Noise models: what the instrument adds to a noise-free depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.counter_random import standard_normal
from exobench.errors import ExobenchError

Array = NDArray[np.float64]


class NoiseModel(Protocol):
    """Public noise of a task. The likelihood is Gaussian with exactly the sigma that is passed along."""

    def sigma(self, depth: Array) -> Array:
        """One standard deviation of each bin for depth (n, bin); shape (n, bin)."""

    def sample(self, depth: Array, *, seed: int, first_row: int = 0) -> tuple[Array, Array]:
        """Noisy x and sigma, (n, bin) each, for rows first_row, first_row + 1, ... of the stream of ``seed``."""

    def add(self, depth: torch.Tensor, *, seed: int, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``sample``, on the device of depth (n, bin); rows (n,) int64 names each row's noise."""

    def sigma_tensor(self, depth: torch.Tensor, *, rows: torch.Tensor) -> torch.Tensor:
        """As ``sigma``, on the device."""

    def log_likelihood(self, depth: Array, x: Array, sigma: Array) -> Array:
        """Natural log of N(x; depth, sigma^2) summed over the bins that are not missing."""

    def describe(self) -> dict[str, object]:
        """What determines the model, for hashing and for records."""


def gaussian_log_likelihood(depth: Array, x: Array, sigma: Array) -> Array:
    """Natural log of the Gaussian density of x given depth.

    Args:
        depth: model depths, (n, bin).
        x: observed depths, (bin,) or (n, bin), NaN where missing.
        sigma: one standard deviation, as x, inf where missing.

    Returns:
        Shape (n,); missing bins do not contribute.
    """
    present = np.isfinite(x) & np.isfinite(sigma)
    residual = np.where(present, (x - depth) / np.where(present, sigma, 1.0), 0.0)
    log_norm = np.where(present, np.log(np.where(present, sigma, 1.0)) + 0.5 * np.log(2 * np.pi), 0.0)
    return -np.sum(0.5 * residual**2 + log_norm, axis=-1)


@dataclass(frozen=True)
class ConstantNoise:
    """The same Gaussian noise in every bin of every spectrum.

    Attributes:
        noise_ppm: one standard deviation, parts per million of the stellar flux.
    """

    noise_ppm: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.noise_ppm) and self.noise_ppm > 0):
            raise ExobenchError(f"task.noise_ppm={self.noise_ppm} must be a positive number of ppm.")

    def sigma(self, depth: Array) -> Array:
        """One standard deviation as a depth fraction, the shape of depth."""
        return np.full_like(depth, self.noise_ppm * 1e-6, dtype=float)

    def sample(self, depth: Array, *, seed: int, first_row: int = 0) -> tuple[Array, Array]:
        """Noisy x and sigma for depth (n, bin)."""
        rows = torch.arange(first_row, first_row + len(depth))
        x, sigma = self.add(torch.as_tensor(depth, dtype=torch.float64), seed=seed, rows=rows)
        return x.numpy(), sigma.numpy()

    def add(self, depth: torch.Tensor, *, seed: int, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy x and sigma on the device of depth."""
        sigma = self.sigma_tensor(depth, rows=rows)
        normal = standard_normal(seed, rows.to(depth.device), depth.shape[1])
        return depth + sigma * normal.to(depth.dtype), sigma

    def sigma_tensor(self, depth: torch.Tensor, *, rows: torch.Tensor) -> torch.Tensor:
        """One standard deviation on the device of depth."""
        del rows
        return torch.full_like(depth, self.noise_ppm * 1e-6)

    def log_likelihood(self, depth: Array, x: Array, sigma: Array) -> Array:
        """See ``gaussian_log_likelihood``."""
        return gaussian_log_likelihood(depth, x, sigma)

    def describe(self) -> dict[str, object]:
        """What determines the model."""
        return {"kind": "constant", "noise_ppm": float(self.noise_ppm)}
