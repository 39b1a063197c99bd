"""A mixture of Student t distributions over unbounded coordinates, fitted to points: heavy enough to propose from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from exobench.sampling.random_walk import cholesky_of

Array = NDArray[np.float64]

_DEGREES_OF_FREEDOM = 6
_POINTS_A_PARAMETER = 10
_SMALLEST_VARIANCE = 1e-3


@dataclass(frozen=True, eq=False)
class StudentMixture:
    """Student t distributions over v, where u = centre + factor v.

    Attributes:
        centre: (param,).
        factor: lower triangular, (param, param).
        shares: (component,), sum to one.
        parts: frozen ``scipy.stats.multivariate_t`` over v.
    """

    centre: Array
    factor: Array
    shares: Array
    parts: tuple[Any, ...]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws u in random order, (n, param)."""
        counts = zip(self.parts, rng.multinomial(n, self.shares), strict=True)
        drawn = [part.rvs(int(m), random_state=rng).reshape(m, len(self.centre)) for part, m in counts if m > 0]
        return self.centre + rng.permutation(np.concatenate(drawn)) @ self.factor.T

    def log_prob(self, u: Array) -> Array:
        """Natural log of the density at u (n, param), shape (n,)."""
        v = _whitened(u, self.centre, self.factor)
        pairs = zip(self.parts, self.shares, strict=True)
        logs = [part.logpdf(v).reshape(len(v)) + np.log(share) for part, share in pairs]
        return np.asarray(logsumexp(np.stack(logs), axis=0)) - float(np.sum(np.log(np.diag(self.factor))))


def fit_student_mixture(u: Array, n_components: int, rng: np.random.Generator) -> StudentMixture:
    """Fits normal distributions to points u (n, param) and gives them heavier tails.

    Args:
        u: points, (n, param).
        n_components: at most; fewer where there are fewer than ten points for each parameter and component.
        rng: the only source of randomness.
    """
    # Imported here: scikit-learn takes a second. One thread: on matrices this small more of them only wait.
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    centre, factor = u.mean(axis=0), cholesky_of(u)
    n_components = max(1, min(n_components, len(u) // (_POINTS_A_PARAMETER * u.shape[1])))
    seed = int(rng.integers(2**31))
    model = GaussianMixture(n_components, reg_covar=_SMALLEST_VARIANCE, random_state=seed)
    with threadpool_limits(1):
        model.fit(_whitened(u, centre, factor))
    parts = tuple(
        multivariate_t(mean, covariance, df=_DEGREES_OF_FREEDOM)
        for mean, covariance in zip(model.means_, model.covariances_, strict=True)
    )
    return StudentMixture(centre, factor, np.asarray(model.weights_, dtype=np.float64), parts)


def _whitened(u: Array, centre: Array, factor: Array) -> Array:
    return np.asarray(solve_triangular(factor, (u - centre).T, lower=True).T)
