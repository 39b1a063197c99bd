"""Posterior-predictive check: do the draws explain the spectrum that they were drawn for?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]


def log_likelihood_peak(sigma: Array) -> Array:
    """Log-likelihood of a model that meets every bin, -sum(log sigma) - n_bin log(2 pi)/2, (obs,).

    Args:
        sigma: one standard deviation, (obs, bin), inf where the bin is missing.
    """
    present = np.isfinite(sigma)
    return -np.sum(np.where(present, np.log(np.where(present, sigma, 1.0)) + 0.5 * np.log(2.0 * np.pi), 0.0), axis=-1)


def predictive_p_value(log_likelihood: Array, peak: Array, n_bin: Array, weight: Array) -> Array:
    """Probability that data replicated from a draw lie further from its model than the observed ones; (obs,).

    The chi-square of the observed data is twice the distance of the log-likelihood from its peak; that of replicated
    data has the chi-square distribution with n_bin degrees of freedom, whatever the draw.

    Args:
        log_likelihood: exact Gaussian log-likelihood of the draws, (obs, draw).
        peak: see `log_likelihood_peak`, (obs,).
        n_bin: bins that are not missing, (obs,).
        weight: weights that sum to one, (obs, draw).

    Returns:
        p-values. Source: Gelman, Meng & Stern 1996, Statistica Sinica 6, 733, with chi-square as discrepancy.
    """
    chi_square = np.maximum(2.0 * (peak[:, None] - log_likelihood), 0.0)
    tail = special.chdtrc(n_bin[:, None], chi_square)
    return np.einsum("od,od->o", weight, np.where(weight > 0.0, tail, 0.0))
