"""Noise whose level, shape and missing bins differ from spectrum to spectrum, each a pure function of (seed, row)."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.counter_random import standard_normal
from exobench.errors import ExobenchError
from exobench.noise import gaussian_log_likelihood
from exobench.seeds import derived_seed

Array = NDArray[np.float64]

PPM = 1e-6


class RowNoise(abc.ABC):
    """Gaussian noise with a sigma of its own for every row; sigma is given to the method.

    A row's sigma and noise depend on the seed and on the row's name alone, not on the batch it comes in.
    """

    @abc.abstractmethod
    def row_sigma(self, rows: torch.Tensor, n_bin: int, seed: int) -> torch.Tensor:
        """One standard deviation, inf where a bin is missing.

        Args:
            rows: int64 names of the rows, shape (n,).
            n_bin: number of bins.
            seed: names the stream.

        Returns:
            Depth fractions, float32, shape (n, n_bin), on the device of rows.
        """

    @abc.abstractmethod
    def describe(self) -> dict[str, object]:
        """What determines the model."""

    def sigma(self, depth: Array) -> Array:
        """Sigma of rows 0, 1, ... of the stream of seed 0, for depth (n, bin)."""
        return self.sigma_tensor(torch.as_tensor(depth), rows=torch.arange(len(depth))).double().numpy()

    def sigma_tensor(self, depth: torch.Tensor, *, rows: torch.Tensor) -> torch.Tensor:
        """As ``sigma``, for named rows, on the device of depth."""
        return self.row_sigma(rows.to(depth.device), depth.shape[1], 0).to(depth.dtype)

    def sample(self, depth: Array, *, seed: int, first_row: int = 0) -> tuple[Array, Array]:
        """Noisy x and sigma for depth (n, bin); x = NaN and sigma = inf where a bin is missing."""
        rows = torch.arange(first_row, first_row + len(depth))
        x, sigma = self.add(torch.as_tensor(depth, dtype=torch.float64), seed=seed, rows=rows)
        return x.numpy(), sigma.numpy()

    def add(self, depth: torch.Tensor, *, seed: int, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``sample``, on the device of depth (n, bin), for named rows (n,)."""
        rows = rows.to(depth.device)
        sigma = self.row_sigma(rows, depth.shape[1], seed).to(depth.dtype)
        normal = standard_normal(seed, rows, depth.shape[1]).to(depth.dtype)
        missing = torch.isinf(sigma)
        x = depth + torch.where(missing, 0.0, sigma) * normal
        return x.masked_fill(missing, math.nan), sigma

    def log_likelihood(self, depth: Array, x: Array, sigma: Array) -> Array:
        """See ``gaussian_log_likelihood``."""
        return gaussian_log_likelihood(depth, x, sigma)


@dataclass(frozen=True)
class InstrumentNoise(RowNoise):
    """A floor and photon noise: sigma^2 = floor^2 + (level x shape)^2, the level log-uniform from spectrum to spectrum.

    Attributes:
        floor_ppm: what more photons do not remove, in every bin.
        level_ppm: lowest and highest photon noise of the bin whose shape is one.
        shape: photon noise of each bin relative to that bin.
    """

    floor_ppm: float
    level_ppm: tuple[float, float]
    shape: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_levels("noise level", self.level_ppm)
        if not (math.isfinite(self.floor_ppm) and self.floor_ppm >= 0):
            raise ExobenchError(f"noise floor {self.floor_ppm} ppm must be a number of at least 0.")
        if not all(math.isfinite(value) and value > 0 for value in self.shape):
            raise ExobenchError("the noise shape must be positive in every bin.")

    def row_sigma(self, rows: torch.Tensor, n_bin: int, seed: int) -> torch.Tensor:
        """See `RowNoise.row_sigma`."""
        if n_bin != len(self.shape):
            raise ExobenchError(f"instrument noise has {len(self.shape)} bins, the spectra have {n_bin}.")
        photon = _log_uniform(rows, seed, self.level_ppm) * torch.tensor(self.shape, device=rows.device)
        return PPM * torch.sqrt(self.floor_ppm**2 + photon**2)

    def describe(self) -> dict[str, object]:
        """What determines the model."""
        return {
            "kind": "instrument",
            "floor_ppm": float(self.floor_ppm),
            "level_ppm": [float(level) for level in self.level_ppm],
            "shape": [float(f"{value:.6g}") for value in self.shape],
        }


@dataclass(frozen=True)
class VariedNoise(RowNoise):
    """A level times a smooth shape in wavelength, with bins missing at random; all three differ between spectra.

    Attributes:
        level_ppm: lowest and highest level, drawn log-uniformly, in ppm.
        fixed_levels_ppm: in place of a random level, these in turn by row; empty for random levels.
        shape_dex: standard deviation of the base-ten log of the shape about its mean.
        largest_missing: share of missing bins, uniform from 0 to this between spectra.
        n_wave: cosines in the bin's number that make up the shape.
    """

    level_ppm: tuple[float, float] = (5.0, 200.0)
    fixed_levels_ppm: tuple[float, ...] = ()
    shape_dex: float = 0.1
    largest_missing: float = 0.3
    n_wave: int = 3

    def __post_init__(self) -> None:
        _check_levels("noise level", self.level_ppm)
        if not all(math.isfinite(level) and level > 0 for level in self.fixed_levels_ppm):
            raise ExobenchError(f"noise levels {list(self.fixed_levels_ppm)} must be positive numbers of ppm.")
        if not 0.0 <= self.largest_missing < 1.0:
            raise ExobenchError(f"largest share of missing bins {self.largest_missing} must lie in [0, 1).")
        if not (math.isfinite(self.shape_dex) and self.shape_dex >= 0 and self.n_wave >= 1):
            raise ExobenchError(f"shape_dex={self.shape_dex} must be at least 0 and n_wave={self.n_wave} at least 1.")

    def row_sigma(self, rows: torch.Tensor, n_bin: int, seed: int) -> torch.Tensor:
        """See `RowNoise.row_sigma`."""
        if self.fixed_levels_ppm:
            levels = torch.tensor(self.fixed_levels_ppm, device=rows.device)
            level = levels[rows.remainder(len(levels))][:, None]
        else:
            level = _log_uniform(rows, seed, self.level_ppm)
        sigma = PPM * level * 10.0 ** (self.shape_dex * self._waves(rows, n_bin, seed))
        share = self.largest_missing * _uniform(rows, derived_seed(seed, "share of missing bins"), 1)
        return sigma.masked_fill(_uniform(rows, derived_seed(seed, "missing bins"), n_bin) < share, math.inf)

    def _waves(self, rows: torch.Tensor, n_bin: int, seed: int) -> torch.Tensor:
        """Smooth curves of unit variance and zero mean over the bins, shape (n, n_bin)."""
        position = (torch.arange(n_bin, device=rows.device) + 0.5) / n_bin
        order = torch.arange(1, self.n_wave + 1, device=rows.device)
        waves = math.sqrt(2.0 / self.n_wave) * torch.cos(math.pi * order[:, None] * position)
        return standard_normal(derived_seed(seed, "noise shape"), rows, self.n_wave) @ waves

    def describe(self) -> dict[str, object]:
        """What determines the model."""
        return {
            "kind": "varied",
            "level_ppm": [float(level) for level in self.level_ppm],
            "fixed_levels_ppm": [float(level) for level in self.fixed_levels_ppm],
            "shape_dex": float(self.shape_dex),
            "largest_missing": float(self.largest_missing),
            "n_wave": int(self.n_wave),
        }


def photon_noise_shape(bin_edges_um: Array, star_temperature_k: float, n_point: int = 16) -> Array:
    """Photon noise of each bin relative to the median bin, for a black body and an instrument that loses nothing.

    Args:
        bin_edges_um: lower and upper edge of each bin, shape (n_bin, 2).
        star_temperature_k: of the black body.
        n_point: wavelengths that a bin is integrated over.

    Returns:
        Shape (n_bin,): the inverse square root of the number of photons, over its median.

    Raises:
        ExobenchError: the temperature is not a positive number.
    """
    if not 0 < star_temperature_k < math.inf:
        raise ExobenchError(f"star_temperature_k={star_temperature_k} must be a positive number of K, such as 5800.")
    second_radiation_constant_um_k = 14387.768775
    fraction = (np.arange(n_point) + 0.5) / n_point
    width = np.diff(bin_edges_um, axis=1)
    wavelength = bin_edges_um[:, :1] + fraction * width
    # Photons per wavelength of a black body: its energy, which goes as wavelength^-5, over that of a photon.
    rate = wavelength**-4.0 / np.expm1(second_radiation_constant_um_k / (wavelength * star_temperature_k))
    noise = (rate.mean(axis=1) * width[:, 0]) ** -0.5
    return np.asarray(noise / np.median(noise))


def _log_uniform(rows: torch.Tensor, seed: int, bounds: tuple[float, float]) -> torch.Tensor:
    """Log-uniform between bounds, one a row, shape (n, 1)."""
    low, high = math.log(bounds[0]), math.log(bounds[1])
    return torch.exp(low + (high - low) * _uniform(rows, derived_seed(seed, "noise level"), 1))


def _uniform(rows: torch.Tensor, seed: int, n_column: int) -> torch.Tensor:
    """Uniform numbers in [0, 1], float32, shape (n, n_column): the normal distribution's quantile of normal ones."""
    return 0.5 * torch.erfc(standard_normal(seed, rows, n_column) * -math.sqrt(0.5))


def _check_levels(name: str, bounds: tuple[float, float]) -> None:
    if len(bounds) != 2 or not (0 < bounds[0] <= bounds[1] < math.inf):
        raise ExobenchError(f"{name} {list(bounds)} ppm must be two positive numbers, the lower one first.")
