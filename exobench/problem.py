"""All that a method may see of a task: never the test truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.noise import NoiseModel
from exobench.parameters import ParameterSpace
from exobench.prior import UniformPrior
from exobench.seeds import derived_seed

if TYPE_CHECKING:
    from exobench.method import Limits
    from exobench.simulators.base import Simulator

Array = NDArray[np.float64]
Split = Literal["train", "validation"]


class Batch(NamedTuple):
    """One batch on the device: theta (n, param), x (n, bin), sigma (n, bin), all float32."""

    theta: torch.Tensor
    x: torch.Tensor
    sigma: torch.Tensor


class Arrays(NamedTuple):
    """Spectra in memory: theta (n, param), x (n, bin), sigma (n, bin)."""

    theta: Array
    x: Array
    sigma: Array


class SpectraSource(Protocol):
    """Noise-free spectra of the splits that a method may see; the first ``n(split)`` rows of each."""

    def n(self, split: Split) -> int:
        """Number of spectra."""

    def stream(
        self,
        split: Split,
        batch_size: int,
        *,
        device: str,
        seed: int,
        noise: NoiseModel | None,
        start_step: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Endless batches, a pure function of (seed, epoch, step); slice ``rank`` of each global one."""

    def read(self, split: Split, n: int) -> tuple[Array, Array]:
        """The first n rows: theta (n, param) and noise-free depth (n, bin)."""


class FinishedFits(Protocol):
    """Finds the posterior of a finished fit."""

    def __call__(self, settings: Mapping[str, Any], limits: Limits) -> Path | None:
        """Folder of the posterior of a method with these complete settings and limits, on this problem; or None."""


class BudgetExceeded(RuntimeError):
    """A method asked for more simulations or likelihood calls than its budget allows."""


@dataclass
class CallCounter:
    """Counts calls, row by row, and raises when a budget is passed.

    Attributes:
        what: named in the error.
        budget: most rows that may be asked for; None for no bound.
        n: rows asked for so far.
    """

    what: str
    budget: int | None = None
    n: int = 0

    def add(self, rows: int) -> None:
        """Counts rows.

        Raises:
            BudgetExceeded: if the budget is passed.
        """
        self.n += rows
        if self.budget is not None and self.n > self.budget:
            raise BudgetExceeded(f"{self.n} {self.what} asked for, the budget is {self.budget}.")


@dataclass(frozen=True)
class InferenceProblem:
    """What is to be inferred, and from what.

    Attributes:
        name: the task's name.
        parameters: names, units and ranges of theta.
        prior: sample, log_prob, from_unit_cube.
        wavelength_um: bin centres, ascending, (bin,).
        bin_edges_um: (bin + 1,), or lower and upper edge of each bin, (bin, 2).
        noise: public noise model of the task.
        spectra: noise-free training and validation spectra.
        allow_likelihood: whether this method declared that it needs the likelihood.
        allow_simulator: whether this method declared that it needs the simulator.
        gradient_simulator: a simulator that can be differentiated, for a method that declared that it needs gradients.
        finished_fits: finds finished fits of other methods on this problem; None where there are none.
    """

    name: str
    parameters: ParameterSpace
    prior: UniformPrior
    wavelength_um: Array
    bin_edges_um: Array
    noise: NoiseModel
    spectra: SpectraSource
    simulator: Simulator | None = None
    allow_likelihood: bool = False
    allow_simulator: bool = False
    gradient_simulator: Simulator | None = None
    finished_fits: FinishedFits | None = None
    likelihood_calls: CallCounter = field(default_factory=lambda: CallCounter("likelihood calls"))
    simulator_calls: CallCounter = field(default_factory=lambda: CallCounter("simulations"))

    @property
    def n_train(self) -> int:
        """Distinct training spectra."""
        return self.spectra.n("train")

    @property
    def n_validation(self) -> int:
        """Distinct validation spectra; they count towards the budget."""
        return self.spectra.n("validation")

    @property
    def n_bin(self) -> int:
        """Number of wavelength bins."""
        return len(self.wavelength_um)

    def stream(
        self,
        split: Split,
        batch_size: int,
        *,
        device: str = "cpu",
        seed: int = 0,
        noise: bool = True,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Endless shuffled batches with fresh noise each epoch.

        Args:
            split: "train" or "validation".
            batch_size: rows a batch; the last rows of an epoch that do not fill a batch are left out of that epoch.
            device: torch device of the batches.
            seed: orders rows and draws noise; a pure function of (seed, epoch, step).
            noise: add the task's noise; without it x is the noise-free depth and sigma is zero.
            start_step: steps to skip, to resume.
            rank: this process among those that train together; it gets slice ``rank`` of every batch.
            world_size: processes that share the batches.

        Returns:
            An iterator of ``Batch``.
        """
        # A source that serves one process alone need not know of ranks.
        share = {} if world_size == 1 else {"rank": rank, "world_size": world_size}
        return self.spectra.stream(
            split,
            batch_size,
            device=device,
            seed=seed,
            noise=self.noise if noise else None,
            start_step=start_step,
            **share,
        )

    def arrays(self, split: Split, n: int | None = None, *, noise_copies: int = 1, seed: int = 0) -> Arrays:
        """The first n rows of a split, each with ``noise_copies`` draws of noise (0: noise-free, one copy).

        Returns:
            theta, x and sigma with n * max(noise_copies, 1) rows, copies of a row side by side.
        """
        n = self.spectra.n(split) if n is None else n
        if not 0 < n <= self.spectra.n(split):
            raise ExobenchError(f"{n} rows of the {split} split asked for; it has {self.spectra.n(split)}.")
        theta, depth = self.spectra.read(split, n)
        copies = max(noise_copies, 1)
        theta, depth = np.repeat(theta, copies, axis=0), np.repeat(depth, copies, axis=0)
        if noise_copies == 0:
            return Arrays(theta, depth, self.noise.sigma(depth))
        x, sigma = self.noise.sample(depth, seed=derived_seed("arrays noise", seed, split))
        return Arrays(theta, x, sigma)

    def log_likelihood(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Exact Gaussian log-likelihood of theta (n, param) for one spectrum x, sigma (bin,); shape (n,). Counted.

        Raises:
            PermissionError: unless the method declared NEEDS_LIKELIHOOD.
        """
        if not self.allow_likelihood or self.simulator is None:
            raise PermissionError("declare Capability.NEEDS_LIKELIHOOD to call the likelihood.")
        self.likelihood_calls.add(len(theta))
        return self.noise.log_likelihood(self._depth(theta), x, sigma)

    def log_likelihood_gradient(self, theta: Array, x: Array, sigma: Array) -> tuple[Array, Array]:
        """The exact log-likelihood and its gradient in theta; each row counts as one likelihood call.

        Args:
            theta: (n, param), in declared units.
            x: one spectrum (bin,), or one for each row (n, bin); NaN where missing.
            sigma: as x, inf where missing.

        Returns:
            The log-likelihood (n,) and its gradient (n, param).

        Raises:
            PermissionError: unless the method declared NEEDS_GRADIENT.
        """
        if self.gradient_simulator is None:
            raise PermissionError("declare Capability.NEEDS_GRADIENT to call the likelihood's gradient.")
        self.likelihood_calls.add(len(theta))
        parameters = torch.as_tensor(theta).requires_grad_(True)
        depth = self.gradient_simulator(parameters)
        values = depth.detach().double().cpu().numpy()
        present = np.isfinite(x) & np.isfinite(sigma)
        slope = np.where(present, (x - values) / np.where(present, sigma, 1.0) ** 2, 0.0)
        # The chain rule by hand keeps the residual in double precision whatever the simulator computes in.
        (gradient,) = torch.autograd.grad(depth, parameters, torch.as_tensor(slope).to(depth))
        return self.noise.log_likelihood(values, x, sigma), gradient.double().cpu().numpy()

    def simulate(self, theta: Array) -> Array:
        """Noise-free depth (n, bin) for theta (n, param). Counted.

        Raises:
            PermissionError: unless the method declared NEEDS_SIMULATOR.
        """
        if not self.allow_simulator:
            raise PermissionError("declare Capability.NEEDS_SIMULATOR to call the simulator.")
        self.simulator_calls.add(len(theta))
        return self._depth(theta)

    def _depth(self, theta: Array) -> Array:
        if self.simulator is None:
            raise ExobenchError(f"task {self.name} has no simulator here: its spectra were imported.")
        with torch.no_grad():
            return self.simulator(torch.as_tensor(theta)).double().cpu().numpy()
