"""A random forest whose leaves give the posterior, after HELA (Marquez-Neila et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from exobench.errors import ExobenchError, unknown_name
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench.seeds import stable_hash
from exobench_baselines.random_forest.features import KINDS
from exobench_baselines.random_forest.growing import NoisyCopies, Plan, grow
from exobench_baselines.random_forest.posterior import ForestPosterior


@register_method("random_forest")
class RandomForest(AbstractMethod):
    """One forest for all parameters; draws are training parameters from the leaves of a spectrum.

    ``limits.steps`` counts trees.

    Args:
        trees: of the forest.
        min_samples_leaf: fewest training rows in a leaf.
        min_impurity_decrease: a split must lower the variance of the parameters, averaged over them in units of the
            prior's range and weighted by the share of rows at hand, by at least this.
        max_features: share of the columns that a split chooses from, or "sqrt".
        features: "components" (noise-whitened principal components) or "bins" (the spectrum as it is).
        n_components: principal components.
        noise_copies: noisy copies of the training spectra; trees take them in turn.
        max_spectra: most training spectra that are used.
        trees_per_batch: trees between two checkpoints.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    capabilities: ClassVar[Capability] = Capability.AMORTISED | Capability.SURPRISE
    default_n_test: ClassVar[int] = 10_000
    default_n_draws: ClassVar[int] = 200

    def __init__(
        self,
        trees: int = 200,
        min_samples_leaf: int = 5,
        min_impurity_decrease: float = 0.0,
        max_features: float | str = 0.5,
        features: str = "components",
        n_components: int = 20,
        noise_copies: int = 4,
        max_spectra: int = 200_000,
        trees_per_batch: int = 8,
    ) -> None:
        self.trees = trees
        self.min_samples_leaf = min_samples_leaf
        self.min_impurity_decrease = min_impurity_decrease
        self.max_features = max_features
        self.features = features
        self.n_components = n_components
        self.noise_copies = noise_copies
        self.max_spectra = max_spectra
        self.trees_per_batch = trees_per_batch
        self._check()

    def _check(self) -> None:
        names = ("trees", "min_samples_leaf", "n_components", "noise_copies", "max_spectra", "trees_per_batch")
        for name in names:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ExobenchError(f"method.{name}={value} must be a whole number of at least 1.")
        decrease = self.min_impurity_decrease
        if isinstance(decrease, bool) or not isinstance(decrease, int | float) or not 0 <= decrease < 1:
            raise ExobenchError(f"method.min_impurity_decrease={decrease} must be a number from 0 to below 1.")
        share = self.max_features
        is_share = isinstance(share, int | float) and not isinstance(share, bool) and 0 < share <= 1
        if share != "sqrt" and not is_share:
            raise ExobenchError(f"method.max_features={share} must be a share above 0 and up to 1, or sqrt.")
        if self.features not in KINDS:
            raise unknown_name("method.features", str(self.features), KINDS)

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
    ) -> ForestPosterior:
        """Grows the trees; see ``AbstractMethod.fit``. A forest has no use for a GPU."""
        n_rows = min(problem.n_train, limits.n_train or problem.n_train, self.max_spectra)
        plan = self._plan(problem, limits, n_rows, int(rng.integers(2**62)))
        copies = NoisyCopies(problem, n_rows, plan.seed, self.features, self.n_components)
        theta = problem.arrays("train", n_rows, noise_copies=0).theta
        target = problem.parameters.to_unit_cube(theta)
        trees = grow(plan, copies, target, workdir=workdir, stop=stop, progress=progress)
        return ForestPosterior(copies.features, trees, theta, problem.parameters.names)

    def _plan(self, problem: InferenceProblem, limits: Limits, n_rows: int, seed: int) -> Plan:
        options: dict[str, Any] = {
            "min_samples_leaf": min(self.min_samples_leaf, max(1, n_rows // 2)),
            "min_impurity_decrease": float(self.min_impurity_decrease),
            "max_features": self.max_features if self.max_features == "sqrt" else float(self.max_features),
        }
        plan = Plan(
            trees=min(self.trees, limits.steps or self.trees),
            trees_per_batch=self.trees_per_batch,
            seconds=limits.seconds,
            noise_copies=self.noise_copies,
            seed=seed,
            key="",
            options=options,
        )
        data = [problem.name, n_rows, problem.wavelength_um.tolist(), problem.parameters.describe()]
        key = stable_hash([asdict(plan), self.features, self.n_components, data, problem.noise.describe()])
        return replace(plan, key=key)

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> ForestPosterior:
        """Reads back a saved forest; see ``ForestPosterior.load``."""
        return ForestPosterior.load(path, problem.parameters.names)
