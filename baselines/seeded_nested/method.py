"""A trained method's posterior narrows the prior of a nested sampler; the evidence is right for any seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.inner_fit import fit_inner, inner_method, load_inner
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench.sampling.nested_run import load_sampler
from exobench.sampling.nested_settings import NestedSettings
from exobench_baselines.seeded_nested.posterior import SeededNestedPosterior, SeedSettings

Array = NDArray[np.float64]

_SEED_NEEDS = Capability.AMORTISED


@register_method("seeded_nested")
class SeededNested(AbstractMethod):
    """Nested sampling of the exact likelihood over a prior that a trained method has narrowed.

    Args:
        seed_method: registered name, or a mapping with ``name`` and some of its settings; any AMORTISED method.
        defensive_share: of the full prior in the narrowed one, above 0 and up to 1 (plain nested sampling).
        seed_draws: draws of the seed that its density is fitted to.
        seed_components: most Gaussians of that density.
        broaden: factor on the standard deviations of the Gaussians.
        seed_shift: moves the seed by so many of its standard deviations in every parameter, as a stress test.
        sampler: as in ``nested``, like all that follow.
        n_live: live points.
        batch_size: points a likelihood call.
        n_networks: networks behind each of nautilus' bounds.
        n_effective: effective draws at which a run may end.
        effective_per_draw: effective draws for each draw asked for, where that is more.
        max_calls: most likelihood calls for one spectrum.
        max_seconds: most seconds for one spectrum.
    """

    capabilities: ClassVar[Capability] = Capability.NEEDS_LIKELIHOOD | Capability.MISSING_BINS
    default_n_test: ClassVar[int] = 25
    default_n_draws: ClassVar[int] = 1000
    spectra_per_call: ClassVar[int] = 1

    def __init__(
        self,
        seed_method: str | dict[str, Any] = "npe",
        defensive_share: float = 0.1,
        seed_draws: int = 2000,
        seed_components: int = 8,
        broaden: float = 1.2,
        seed_shift: float = 0.0,
        sampler: str = "nautilus",
        n_live: int = 500,
        batch_size: int = 250,
        n_networks: int = 1,
        n_effective: int = 2000,
        effective_per_draw: float = 2.0,
        max_calls: int = 2_000_000,
        max_seconds: float = 900.0,
    ) -> None:
        self.seed_method = seed_method
        self.defensive_share = defensive_share
        self.seed_draws = seed_draws
        self.seed_components = seed_components
        self.broaden = broaden
        self.seed_shift = seed_shift
        self.sampler = sampler
        self.n_live = n_live
        self.batch_size = batch_size
        self.n_networks = n_networks
        self.n_effective = n_effective
        self.effective_per_draw = effective_per_draw
        self.max_calls = max_calls
        self.max_seconds = max_seconds
        if not isinstance(seed_method, str | Mapping):
            raise ExobenchError(
                f"method.seed_method={seed_method!r} must be a method's name, or a group with its name."
            )
        SeedSettings.of(self)
        NestedSettings.of(self)

    def skip(self, problem: InferenceProblem) -> str | None:
        """What stands in the way of the sampler or of the seed's method."""
        if self.sampler == "nautilus" and len(problem.parameters) < 2:
            return "nautilus needs at least two parameters; method.sampler=dynesty takes one."
        return self._seed().skip(problem)

    def fit(
        self,
        problem: InferenceProblem,
        *,
        limits: Limits,
        rng: np.random.Generator,
        device: str,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> SeededNestedPosterior:
        """Trains the seed's method, or takes a finished fit of it; the sampler itself learns nothing."""
        load_sampler(self.sampler)
        inner = fit_inner(
            self._seed(),
            problem,
            limits=limits,
            rng=rng,
            device=device,
            workdir=workdir / "seed_method",
            stop=stop,
            progress=progress,
        )
        return SeededNestedPosterior(problem, inner, SeedSettings.of(self), NestedSettings.of(self))

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> SeededNestedPosterior:
        """Reads back the seed's posterior and the settings."""
        inner = load_inner(path, problem, device)
        return SeededNestedPosterior(problem, inner, SeedSettings.load(path), NestedSettings.load(path))

    def _seed(self) -> AbstractMethod:
        return inner_method("method.seed_method", self.seed_method, _SEED_NEEDS)
