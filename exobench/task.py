"""A task: what is to be retrieved, under which physics, noise and prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from exobench.errors import unknown_name
from exobench.exact import ExactPosterior
from exobench.method import Capability
from exobench.noise import NoiseModel
from exobench.opacities.binning import AVERAGES
from exobench.parameters import ParameterSpace
from exobench.prior import UniformPrior
from exobench.problem import CallCounter, FinishedFits, InferenceProblem, SpectraSource
from exobench.seeds import derived_seed, stable_hash
from exobench.simulators.base import Simulator

Array = NDArray[np.float64]

N_TEST_MAX = 10_000
"""Size of the largest test set; the smaller ones (25, 100, 1000) are its first rows."""

NESTED_TEST_SETS = (25, 100, 1000, N_TEST_MAX)


class SimulatorRecipe(Protocol):
    """How to build a simulator in any process: small, picklable, and able to say what determines its numbers."""

    def build(self, device: str = "cpu", *, differentiable: bool = False) -> Simulator:
        """The simulator on a device; one that can be differentiated in theta where that is asked for."""

    def describe(self) -> dict[str, object]:
        """JSON-able; two recipes with equal descriptions give equal spectra."""


@dataclass(frozen=True)
class TaskRequest:
    """What the user asked of the simulator, for the task's builder to follow or to refuse.

    Attributes:
        simulator: kind of simulator, "auto" for the task's own.
        opacities_path: folder of opacity files, None for the task's own.
        opacities_average: how files of cross-sections become bin values, "transmission" or "mean"; of no effect on
            k-tables and on the band model.

    Raises:
        ExobenchError: there is no such average.
    """

    simulator: str = "auto"
    opacities_path: str | None = None
    opacities_average: str = "transmission"

    def __post_init__(self) -> None:
        if self.opacities_average not in AVERAGES:
            raise unknown_name("opacities.average", str(self.opacities_average), AVERAGES)


@dataclass(frozen=True)
class Task:
    """A retrieval problem with its test set.

    Attributes:
        name: as in the registry.
        prior: over theta.
        wavelength_um: bin centres, ascending, (bin,).
        bin_edges_um: (bin + 1,), or lower and upper edge of each bin, (bin, 2), where bins leave gaps.
        noise: the noise model.
        simulator: recipe of the simulator.
        data_seed: moves every spectrum of every split; never set by ``seed=``.
        shard_rows: rows of one file of the shared data set.
        test_noise: the noise of the test spectra, None for ``noise``.
        exact: the posterior in closed form, for comparisons with it; None where there is none. No part of what
            determines the scores, and never seen by a method.
    """

    name: str
    prior: UniformPrior
    wavelength_um: Array
    bin_edges_um: Array
    noise: NoiseModel
    simulator: SimulatorRecipe
    data_seed: int = 0
    shard_rows: int = 10_000
    test_noise: NoiseModel | None = None
    exact: ExactPosterior | None = None

    @property
    def parameters(self) -> ParameterSpace:
        """Names, units and ranges of theta."""
        return self.prior.space

    def describe_data(self) -> dict[str, object]:
        """What determines the noise-free spectra; the shared data set is keyed by its hash."""
        return {
            "task": self.name,
            "prior": self.prior.describe(),
            "simulator": self.simulator.describe(),
            "wavelength_um": stable_hash([float(f"{value:.12e}") for value in np.ravel(self.bin_edges_um)]),
            "data_seed": self.data_seed,
            "shard_rows": self.shard_rows,
        }

    def describe(self) -> dict[str, object]:
        """What determines the scores: the data, the noise and the test set."""
        noise: dict[str, object] = {"noise": self.noise.describe()}
        if self.test_noise is not None:
            noise["test_noise"] = self.test_noise.describe()
        return self.describe_data() | noise | {"n_test_max": N_TEST_MAX}

    @property
    def task_id(self) -> str:
        """Hash of ``describe``; only records of one task_id may be compared."""
        return stable_hash(self.describe())

    def test_noise_seed(self) -> int:
        """Seed of the test set's noise: depends on the task alone."""
        return derived_seed(self.task_id, "test noise")

    def problem(
        self,
        spectra: SpectraSource,
        capabilities: Capability,
        device: str = "cpu",
        *,
        simulation_budget: int | None = None,
        finished_fits: FinishedFits | None = None,
    ) -> InferenceProblem:
        """What a method with these capabilities may see.

        Args:
            spectra: training and validation spectra.
            capabilities: of the method.
            device: of the simulator.
            simulation_budget: most simulations that the method may ask for by itself; None for no bound.
            finished_fits: finds fits that methods built on others may use.
        """
        needs_likelihood = Capability.NEEDS_LIKELIHOOD in capabilities
        needs_simulator = Capability.NEEDS_SIMULATOR in capabilities
        needs_gradient = Capability.NEEDS_GRADIENT in capabilities
        return InferenceProblem(
            name=self.name,
            parameters=self.parameters,
            prior=self.prior,
            wavelength_um=self.wavelength_um,
            bin_edges_um=self.bin_edges_um,
            noise=self.noise,
            spectra=spectra,
            simulator=self.simulator.build(device) if needs_likelihood or needs_simulator else None,
            allow_likelihood=needs_likelihood,
            allow_simulator=needs_simulator,
            gradient_simulator=self.simulator.build(device, differentiable=True) if needs_gradient else None,
            finished_fits=finished_fits,
            simulator_calls=CallCounter("simulations", simulation_budget),
        )
