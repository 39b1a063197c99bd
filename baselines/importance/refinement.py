"""A proposal made from the weighted draws of another: several Student t distributions over unbounded coordinates.

Population Monte Carlo in the manner of Cappé, Douc, Guillin, Marin & Robert 2008, Stat. Comput. 18, 447.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import multivariate_t

from exobench.parameters import ParameterSpace
from exobench.sampling.importance import WeightedDraws

Array = NDArray[np.float64]

_DEGREES_OF_FREEDOM = 6
_EDGE = 1e-9
_FITTED_DRAWS = 4000
_EFFECTIVE_A_PARAMETER = 20
_SMALLEST_LOG_POWER = -40.0


@dataclass(frozen=True, eq=False)
class StudentMixture:
    """Student t distributions over u = Phi^-1(unit cube) = centre + factor v, so that all draws lie in the box.

    Attributes:
        space: the box.
        centre: (param,).
        factor: lower triangular, (param, param).
        shares: (component,), sum to one.
        parts: frozen ``scipy.stats.multivariate_t`` over v.
    """

    space: ParameterSpace
    centre: Array
    factor: Array
    shares: Array
    parts: tuple[Any, ...]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param)."""
        counts = rng.multinomial(n, self.shares)
        n_param = len(self.space)
        pairs = zip(self.parts, counts, strict=True)
        drawn = [part.rvs(int(m), random_state=rng).reshape(m, n_param) for part, m in pairs if m > 0]
        u = self.centre + np.concatenate(drawn) @ self.factor.T
        return self.space.clip(self.space.from_unit_cube(ndtr(u)))

    def log_prob(self, theta: Array) -> Array:
        """Natural log of the density over declared units at theta (n, param), shape (n,)."""
        u = unbounded(self.space, theta)
        pairs = zip(self.parts, self.shares, strict=True)
        v = _whitened(u, self.centre, self.factor)
        logs = [part.logpdf(v).reshape(len(v)) + np.log(share) for part, share in pairs]
        jacobian = np.sum(-0.5 * u**2 - 0.5 * np.log(2.0 * np.pi) + np.log(self.space.high - self.space.low), axis=-1)
        jacobian += np.sum(np.log(np.diag(self.factor)))
        return np.asarray(logsumexp(np.stack(logs), axis=0)) - jacobian


def unbounded(space: ParameterSpace, theta: Array) -> Array:
    """Maps theta (n, param) in the box to u, finite at the box's faces too."""
    return ndtri(np.clip(space.to_unit_cube(theta), _EDGE, 1.0 - _EDGE))


def student_mixture(
    space: ParameterSpace, draws: WeightedDraws, n_components: int, rng: np.random.Generator
) -> StudentMixture | None:
    """Fits a mixture to weighted draws; None where too few have weight for a covariance.

    While few draws carry the weight it is tempered: raised to the largest power at which the effective sample size is
    20 for each parameter (after Koblents & Míguez 2015, Stat. Comput. 25, 407).
    """
    # Imported here: scikit-learn takes a second. One thread: on matrices this small more of them only wait.
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    log_weight = tempered(draws.log_weight, _EFFECTIVE_A_PARAMETER * len(space))
    if not (log_weight > -np.inf).any():
        return None
    weight = np.exp(log_weight - log_weight.max())
    chosen = rng.choice(len(weight), _FITTED_DRAWS, p=weight / weight.sum())
    u = unbounded(space, draws.theta[chosen])
    n_distinct = len(np.unique(chosen))
    if n_distinct < 2 * len(space):
        return None
    n_components = max(1, min(n_components, n_distinct // (5 * len(space))))
    centre, factor = u.mean(axis=0), np.linalg.cholesky(np.cov(u, rowvar=False).reshape(len(space), -1) + _floor(u))
    white = _whitened(u, centre, factor)
    seed = int(rng.integers(2**31))
    with threadpool_limits(1):
        fitted = GaussianMixture(n_components, reg_covar=1e-3, random_state=seed).fit(white)
    parts = tuple(
        multivariate_t(mean, covariance, df=_DEGREES_OF_FREEDOM)
        for mean, covariance in zip(fitted.means_, fitted.covariances_, strict=True)
    )
    return StudentMixture(space, centre, factor, np.asarray(fitted.weights_, dtype=np.float64), parts)


def tempered(log_weight: Array, wanted: float) -> Array:
    """The log weights (draw,) times the largest power up to one that gives an effective sample size of ``wanted``."""
    finite = log_weight[log_weight > -np.inf]
    if len(finite) <= wanted:
        return np.where(log_weight > -np.inf, 0.0, -np.inf)

    def surplus(log_power: float) -> float:
        scaled = np.exp(log_power) * finite
        return float(2.0 * logsumexp(scaled) - logsumexp(2.0 * scaled) - np.log(wanted))

    if surplus(0.0) >= 0.0:
        return log_weight
    power = np.exp(brentq(surplus, _SMALLEST_LOG_POWER, 0.0, xtol=1e-3)) if surplus(_SMALLEST_LOG_POWER) > 0.0 else 0.0
    return np.where(log_weight > -np.inf, power * np.maximum(log_weight, finite.min()), -np.inf)


def _whitened(u: Array, centre: Array, factor: Array) -> Array:
    return np.asarray(solve_triangular(factor, (u - centre).T, lower=True).T)


def _floor(u: Array) -> Array:
    return np.diag(1e-9 * u.var(axis=0) + 1e-18)
