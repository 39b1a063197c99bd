"""How far importance weights can be trusted: the shape of their largest values."""

from __future__ import annotations

import logging
import warnings
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

K_LIMIT = 0.7
"""Above this the mean of the weights converges too slowly to be used (Vehtari et al. 2024)."""

_FLAT = 1e-9


def quiet_arviz() -> ModuleType:
    """The package arviz, imported when first needed and without the announcements of its next major version."""
    logging.getLogger("arviz.preview").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def pareto_k(log_weight: Array) -> float:
    """Shape k of a generalised Pareto distribution fitted to the largest importance weights.

    Weights have finite moments up to order 1/k. Up to 0.5 the variance is finite; above 0.7 neither the posterior nor
    the evidence from these draws is reliable, whatever the effective sample size says. A proposal that misses a mode
    altogether leaves no trace in the weights, and k cannot see it either.

    Source: Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25, 72; computed by arviz.

    Args:
        log_weight: natural log of the weights, (draw,), not normalised; -inf for draws of no weight.

    Returns:
        k; 0 where the largest weights are equal, so that there is no tail; inf where fewer than 5 draws have weight or
        a weight is NaN or infinite.
    """
    weighed = log_weight[log_weight > -np.inf]
    if not np.isfinite(weighed).all() or np.isnan(log_weight).any() or len(weighed) < 5:
        return float("inf")
    if weighed.max() - np.quantile(weighed, 0.8) < _FLAT:
        return 0.0
    with np.errstate(all="ignore"):
        _, k = quiet_arviz().psislw(np.array(log_weight, dtype=np.float64))
    return float(k)
