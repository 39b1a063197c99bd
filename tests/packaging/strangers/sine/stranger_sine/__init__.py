"""A task of its own kind: a wave on a level, seen through noise that grows with the depth."""

from dataclasses import dataclass

import numpy as np
import torch

from exobench.counter_random import standard_normal
from exobench.noise import gaussian_log_likelihood
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.base import Simulator, check_theta
from exobench.task import Task

NAMES = ("level_ppm", "height_ppm")


class Wave(Simulator):
    parameter_names = NAMES

    def __init__(self, n_bin):
        self.n_bin = n_bin

    def __call__(self, theta):
        check_theta(theta, NAMES)
        phase = torch.linspace(0.0, 6.0, self.n_bin, dtype=theta.dtype, device=theta.device)
        return 1e-6 * (theta[:, :1] + theta[:, 1:] * torch.sin(phase))

    def describe(self):
        return {"simulator": "wave", "n_bin": self.n_bin}


@dataclass(frozen=True)
class WaveRecipe:
    n_bin: int

    def build(self, device="cpu"):
        return Wave(self.n_bin).to(device)

    def describe(self):
        return Wave(self.n_bin).describe()


@dataclass(frozen=True)
class ShareOfDepth:
    """Noise whose standard deviation is a share of the noise-free depth."""

    share: float

    def sigma(self, depth):
        return self.share * np.abs(depth)

    def sigma_tensor(self, depth, *, rows):
        return self.share * depth.abs()

    def add(self, depth, *, seed, rows):
        sigma = self.sigma_tensor(depth, rows=rows)
        return depth + sigma * standard_normal(seed, rows.to(depth.device), depth.shape[1]).to(depth.dtype), sigma

    def sample(self, depth, *, seed, first_row=0):
        rows = torch.arange(first_row, first_row + len(depth))
        x, sigma = self.add(torch.as_tensor(depth, dtype=torch.float64), seed=seed, rows=rows)
        return x.numpy(), sigma.numpy()

    def log_likelihood(self, depth, x, sigma):
        return gaussian_log_likelihood(depth, x, sigma)

    def describe(self):
        return {"kind": "share of depth", "share": self.share}


@register_task("sine")
def build(request, *, share: float = 0.005, n_bin: int = 30, data_seed: int = 0, shard_rows: int = 1000):
    """Builds the task."""
    edges = np.linspace(1.0, 2.0, n_bin + 1)
    space = ParameterSpace(
        (
            Parameter("level_ppm", "ppm", "level", 9_000.0, 11_000.0),
            Parameter("height_ppm", "ppm", "height", 0.0, 1_000.0),
        )
    )
    return Task(
        name="sine",
        prior=UniformPrior(space),
        wavelength_um=0.5 * (edges[1:] + edges[:-1]),
        bin_edges_um=edges,
        noise=ShareOfDepth(share),
        simulator=WaveRecipe(n_bin),
        data_seed=data_seed,
        shard_rows=shard_rows,
    )
