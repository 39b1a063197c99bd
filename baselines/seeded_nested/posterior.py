"""The seed's draws, the prior narrowed around them, and the nested sampler over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.inner_fit import InnerFit, save_inner
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.sampling.nested_draws import cube_likelihood, draw_each
from exobench.sampling.nested_run import NestedRun, systematic_rows
from exobench.sampling.nested_settings import NestedSettings
from exobench.sampling.seeded_cube import SeededCube, run_seeded
from exobench.sampling.settings_file import load_settings, save_settings

Array = NDArray[np.float64]

_FILE = "seed.json"


@dataclass(frozen=True)
class SeedSettings:
    """How the seed narrows the prior; see `exobench_baselines.seeded_nested.method.SeededNested`."""

    defensive_share: float
    seed_draws: int
    seed_components: int
    broaden: float
    seed_shift: float

    @classmethod
    def of(cls, method: object) -> Self:
        """Takes the settings from a method that stores them under the same names.

        Raises:
            ExobenchError: if a value is wrong.
        """
        return cls.from_values({field.name: getattr(method, field.name) for field in fields(cls)}, "method")

    @classmethod
    def from_values(cls, values: Mapping[str, Any], key: str) -> Self:
        """Checks every value.

        Raises:
            ExobenchError: if one is wrong; the message names ``key`` and what is right.
        """
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
                raise ExobenchError(f"{key}.{name}={value!r} must be a number.")
        settings = cls(**values)
        checks = {
            "defensive_share": (0.0 < settings.defensive_share <= 1.0, "above 0 and at most 1"),
            "seed_draws": (isinstance(settings.seed_draws, int) and settings.seed_draws >= 100, "whole, 100 or more"),
            "seed_components": (
                isinstance(settings.seed_components, int) and settings.seed_components >= 1,
                "whole, 1 or more",
            ),
            "broaden": (settings.broaden >= 1.0, "at least 1, or the seed's own tails are cut"),
        }
        for name, (right, wanted) in checks.items():
            if not right:
                raise ExobenchError(f"{key}.{name}={values[name]!r} must be {wanted}.")
        return settings

    def save(self, path: Path) -> None:
        """Writes the settings into a folder, made if missing."""
        save_settings(path / _FILE, self)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        return load_settings(path / _FILE, lambda values: cls.from_values(values, str(path / _FILE)))


@dataclass
class SeededNestedPosterior(AbstractPosterior):
    """The posterior of the exact likelihood, sampled anew for every spectrum, from a start that the seed gives.

    Attributes:
        problem: gives prior and likelihood.
        inner: the seed's method, fitted.
        seed: how the seed narrows the prior.
        settings: of the sampler.
    """

    problem: InferenceProblem
    inner: InnerFit
    seed: SeedSettings
    settings: NestedSettings

    def __post_init__(self) -> None:
        self.n_parameters_trained = self.inner.posterior.n_parameters_trained

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """One sampler run a spectrum; see `exobench.sampling.nested_draws.draw_each`."""

        def run(x_row: Array, sigma_row: Array, own: np.random.Generator) -> NestedRun:
            cube = self._seed_cube(x_row, sigma_row, own)
            likelihood = cube_likelihood(self.problem, x_row, sigma_row)
            return run_seeded(likelihood, cube, self.settings, n_draws, rng=own)

        return draw_each(self.problem, x, sigma, n_draws, run, rng=rng)

    def _seed_cube(self, x: Array, sigma: Array, rng: np.random.Generator) -> SeededCube:
        drawn = self.inner.posterior.sample(x[None], sigma[None], self.seed.seed_draws, rng=rng)
        theta = np.asarray(drawn.theta[0], dtype=np.float64)
        if drawn.log_weight is not None:
            theta = theta[systematic_rows(drawn.log_weight[0], self.seed.seed_draws, rng)]
        return SeededCube.around(
            self.problem.parameters.to_unit_cube(theta),
            share=self.seed.defensive_share,
            most_components=self.seed.seed_components,
            broaden=self.seed.broaden,
            shift=self.seed.seed_shift,
            seed=int(rng.integers(2**31)),
        )

    def save(self, path: Path) -> None:
        """Writes the seed's posterior and the settings."""
        save_inner(self.inner, path)
        self.seed.save(path)
        self.settings.save(path)
