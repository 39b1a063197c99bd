"""A task whose posterior is known in closed form: a linear simulator under Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.base import Simulator
from exobench.task import Task, TaskRequest
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior

Array = NDArray[np.float64]


def parameter_names(n_param: int) -> tuple[str, ...]:
    """Names of the parameters, in order."""
    return tuple(f"theta_{column + 1}" for column in range(n_param))


@dataclass(frozen=True)
class LinearGaussianRecipe:
    """Picklable description of the linear simulator."""

    n_param: int
    n_bin: int
    matrix_seed: int

    def build(self, device: str = "cpu", *, differentiable: bool = False) -> Simulator:
        """The simulator on a device; it can always be differentiated."""
        del differentiable
        from exobench.simulators.linear_gaussian import LinearGaussianSimulator

        names = parameter_names(self.n_param)
        return LinearGaussianSimulator(self.n_param, self.n_bin, self.matrix_seed, parameter_names=names).to(device)

    def matrix_and_offset(self) -> tuple[Array, Array]:
        """A (bin, param) and b (bin,) of x = A theta + b."""
        from exobench.simulators.linear_gaussian import LinearGaussianSimulator

        simulator = LinearGaussianSimulator(self.n_param, self.n_bin, self.matrix_seed)
        return simulator.matrix.numpy(), simulator.offset.numpy()

    def describe(self) -> dict[str, object]:
        """What determines the spectra."""
        return {"kind": "linear_gaussian", "n_param": self.n_param, "n_bin": self.n_bin, "seed": self.matrix_seed}


@register_task("linear_gaussian")
def build(
    request: TaskRequest,
    *,
    noise_ppm: float = 100.0,
    n_param: int = 4,
    n_bin: int = 40,
    matrix_seed: int = 0,
    data_seed: int = 0,
    shard_rows: int = 10_000,
) -> Task:
    """Builds the task.

    Args:
        request: must leave simulator and opacities alone; there is no atmosphere here.
        noise_ppm: one standard deviation of the noise in every bin.
        n_param: number of parameters.
        n_bin: number of bins.
        matrix_seed: draws the matrix of the simulator.
        data_seed: moves every spectrum.
        shard_rows: rows of one file of the shared data set.

    Returns:
        The task.

    Raises:
        ExobenchError: if a simulator or opacities are asked for.
    """
    if request.simulator != "auto" or request.opacities_path is not None:
        raise ExobenchError(
            "task linear_gaussian has one simulator and no opacities: leave simulator=auto and opacities.path=null."
        )
    space = ParameterSpace(
        tuple(Parameter(name, "1", rf"$\theta_{name[6:]}$", -1.0, 1.0) for name in parameter_names(n_param))
    )
    if n_bin < 1 or n_param < 1:
        raise ExobenchError(f"task.n_bin={n_bin} and task.n_param={n_param} must both be at least 1.")
    edges = np.linspace(1.0, 2.0, n_bin + 1)
    recipe = LinearGaussianRecipe(n_param, n_bin, matrix_seed)
    return Task(
        name="linear_gaussian",
        prior=UniformPrior(space),
        wavelength_um=0.5 * (edges[1:] + edges[:-1]),
        bin_edges_um=edges,
        noise=ConstantNoise(noise_ppm),
        simulator=recipe,
        data_seed=data_seed,
        shard_rows=shard_rows,
        exact=LinearGaussianPosterior(*recipe.matrix_and_offset(), space),
    )
