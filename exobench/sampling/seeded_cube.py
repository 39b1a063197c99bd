"""A prior narrowed around a seed's draws, without moving the evidence: posterior repartitioning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from exobench.sampling.gaussian_mixture import GaussianMixture
from exobench.sampling.nested_run import LogLikelihood, NestedRun, run_nested
from exobench.sampling.nested_settings import NestedSettings

Array = NDArray[np.float64]

_CUBE_MARGIN, _CUBE_EDGE = 1e-9, 1e-15
_TAIL = 1e-3
"""Of g, every coordinate's conditional distribution loses this much on either side. A wrong seed's far tails would
reach the posterior through slivers of the cube that no sampler follows; cut off, they leave it to the full prior."""
_WIDE, _WIDE_SHARE = 2.0, 0.25
"""A quarter of g is twice as wide: where the seed's tails end too soon, the likelihood ratio still rises gently."""


@dataclass(frozen=True, eq=False)
class SeededCube:
    """Maps a unit cube to the prior's unit cube such that most of it falls where a seed says the posterior is.

    In u = Phi^-1(prior's unit cube) the prior is N(0, I). The narrowed prior is the mixture
    pi~(u) = (1 - share) g(u) + share N(u; 0, I), with g a Gaussian mixture fitted to the seed's draws, its far tails
    cut off. The cube's first coordinate (above or below share) chooses between the two; the others are mapped to the
    one chosen. Nested sampling over the cube with the
    likelihood L N(u; 0, I) / pi~(u) has the evidence and the posterior of L over the prior, whatever g is, and that
    ratio never exceeds 1 / share. Where the seed is wrong, the posterior lies below ``share`` in the first coordinate,
    with the shape that it has in plain nested sampling. Source: Chen et al. 2018 (arXiv:1803.06387) and Petrosyan &
    Handley 2022 (arXiv:2212.01760) on posterior repartitioning.

    Attributes:
        fitted: g over u.
        share: of the full prior.
    """

    fitted: GaussianMixture
    share: float

    @classmethod
    def around(
        cls,
        cube: Array,
        *,
        share: float,
        most_components: int,
        broaden: float,
        shift: float = 0.0,
        seed: int = 0,
    ) -> Self:
        """Fits the seed's draws.

        Args:
            cube: the draws in the prior's unit cube, (draw, param); those that are not finite are left out.
            share: of the full prior, in (0, 1].
            most_components: of g.
            broaden: factor on the standard deviations of g's components.
            shift: moves the draws by so many of their standard deviations in u, a stress test.
            seed: of the fit.

        Raises:
            ExobenchError: if too few draws are finite.
        """
        if share == 1.0:
            return cls(GaussianMixture.standard(cube.shape[1]), share)
        kept = cube[np.isfinite(cube).all(axis=1)]
        u = ndtri(np.clip(kept, _CUBE_MARGIN, 1.0 - _CUBE_MARGIN))
        if len(u):
            u = u + shift * u.std(axis=0)
        fitted = GaussianMixture.fit(u, most_components=most_components, broaden=broaden, seed=seed)
        return cls(fitted.mixed_with(fitted.broadened(_WIDE), _WIDE_SHARE), share)

    @property
    def n_dim(self) -> int:
        """Dimensions of the cube that is mapped: one more than the prior's."""
        return self.fitted.mean.shape[1] + 1

    def to_prior_cube(self, cube: Array) -> tuple[Array, Array]:
        """Points of the prior's cube (n, param) and ln(prior / pi~) there (n,), for uniform points (n, param + 1)."""
        from_fit = cube[:, 0] >= self.share
        prior_cube = cube[:, 1:].copy()
        u = ndtri(np.clip(prior_cube, _CUBE_EDGE, 1.0 - _CUBE_EDGE))
        if from_fit.any():
            u[from_fit] = self.fitted.from_unit_cube(_TAIL + (1.0 - 2.0 * _TAIL) * cube[from_fit, 1:])
            prior_cube[from_fit] = ndtr(u[from_fit])
        log_prior = GaussianMixture.standard(u.shape[1]).log_prob(u)
        log_mixed = np.logaddexp(self._log_fit(u, from_fit), np.log(self.share) + log_prior)
        return prior_cube, log_prior - log_mixed

    def _log_fit(self, u: Array, from_fit: NDArray[np.bool_]) -> Array:
        """ln((1 - share) g(u)), -inf where g was cut off; points drawn from g lie inside by construction."""
        if self.share == 1.0:
            return np.full(len(u), -np.inf)
        kept = from_fit.copy()
        level = self.fitted.to_unit_cube(u[~from_fit])
        kept[~from_fit] = np.all((level >= _TAIL) & (level <= 1.0 - _TAIL), axis=1)
        log_fit = self.fitted.log_prob(u) - u.shape[1] * np.log1p(-2.0 * _TAIL) + np.log1p(-self.share)
        return np.where(kept, log_fit, -np.inf)


def run_seeded(
    log_likelihood: LogLikelihood,
    seeded: SeededCube,
    settings: NestedSettings,
    n_draws: int,
    *,
    rng: np.random.Generator,
) -> NestedRun:
    """As ``run_nested``, over the narrowed prior; the run's points are those of the prior's unit cube.

    Args:
        log_likelihood: over the prior's unit cube.
        seeded: the narrowed prior.
        settings: of the sampler.
        n_draws: draws that will be taken.
        rng: decides the sampler's random numbers.
    """

    def over_seeded(cube: Array) -> Array:
        prior_cube, log_ratio = seeded.to_prior_cube(cube)
        return log_likelihood(prior_cube) + log_ratio

    run = run_nested(over_seeded, seeded.n_dim, settings, n_draws, rng=rng)
    return replace(run, cube=seeded.to_prior_cube(run.cube)[0])
