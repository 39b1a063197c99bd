"""Importance weights: evidence, effective size, and a smaller set of draws that stands for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]

_LOG_RANGE = 690.0


@dataclass(frozen=True, eq=False)
class WeightedDraws:
    """Draws of a proposal with the weights that make them draws of the posterior.

    Attributes:
        theta: (draw, param), in declared units.
        log_weight: natural log of prior times likelihood over proposal density, (draw,), not normalised; -inf where the
            posterior has no mass.
    """

    theta: Array
    log_weight: Array

    @property
    def effective_sample_size(self) -> float:
        """Kish's (sum w)^2 / sum w^2 (Kish 1965, Survey Sampling); 0 where no draw has weight."""
        if not (self.log_weight > -np.inf).any():
            return 0.0
        return float(np.exp(2.0 * logsumexp(self.log_weight) - logsumexp(2.0 * self.log_weight)))

    @property
    def efficiency(self) -> float:
        """Effective draws for each draw of the proposal, from 0 to 1."""
        return self.effective_sample_size / len(self.log_weight)

    @property
    def log_evidence(self) -> float:
        """Natural log of the mean weight."""
        return float(logsumexp(self.log_weight)) - float(np.log(len(self.log_weight)))

    @property
    def log_evidence_error(self) -> float:
        """Standard error of ``log_evidence`` by the delta method: the mean weight's, relative to it."""
        n, effective = len(self.log_weight), self.effective_sample_size
        if effective == 0.0 or n < 2:
            return float("inf")
        return float(np.sqrt(max(n / effective - 1.0, 0.0) / (n - 1.0)))

    def thinned(self, n_draws: int, rng: np.random.Generator) -> WeightedDraws:
        """At most n_draws of the draws, none twice, in random order; see ``thinned_rows``."""
        rows, log_weight = thinned_rows(self.log_weight, n_draws, rng)
        return WeightedDraws(self.theta[rows], log_weight)


def thinned_rows(log_weight: Array, n_draws: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array]:
    """Chooses draws so that weighted sums over those chosen are unbiased for sums over all.

    Draws heavier than a threshold c are all kept with their weight; of the others each is kept with probability w/c
    and then weighs c. So no draw comes twice, weights are as equal as they can be, and where no draw outweighs c they
    are equal. This is the optimal thinning of Fearnhead & Clifford 2003, JRSS B 65, 887.

    Args:
        log_weight: (draw,), natural log, not normalised.
        n_draws: how many to choose.
        rng: the only source of randomness.

    Returns:
        Rows chosen, in random order, and the natural log of their new weights, the largest of them 0; fewer than
        n_draws where fewer have weight (more than 1e-300 of the largest), none where none has.
    """
    # Smaller weights are zero in double precision once divided by the largest.
    weighed = np.flatnonzero(log_weight > max(float(log_weight.max()) - _LOG_RANGE, -np.finfo(float).max))
    if len(weighed) == 0:
        return weighed, np.zeros(0)
    weight = np.exp(log_weight[weighed] - log_weight[weighed].max())
    threshold = _threshold(weight, n_draws)
    keep = np.minimum(weight / threshold, 1.0) if threshold > 0.0 else np.ones(len(weight))
    order = rng.permutation(len(weighed))
    # Systematic sampling: a draw is chosen when the running sum of probabilities passes the next whole number.
    passed = np.floor(np.cumsum(keep[order]) + rng.random() + 1e-12)
    chosen = order[np.diff(passed, prepend=0.0) > 0.0][:n_draws]
    chosen = rng.permutation(chosen)
    new_weight = np.log(np.maximum(weight[chosen], threshold))
    return weighed[chosen], new_weight - new_weight.max()


def _threshold(weight: Array, n_draws: int) -> float:
    """The c with sum of min(1, w/c) = n_draws; 0 where there are no more weights than that."""
    if len(weight) <= n_draws:
        return 0.0
    descending = np.sort(weight)[::-1]
    rest = np.cumsum(descending[::-1])[::-1]
    n_kept = np.arange(n_draws)
    candidates = rest[:n_draws] / (n_draws - n_kept)
    # The first k for which the next weight is below the threshold that keeping k of them whole implies.
    return float(candidates[np.argmax(descending[:n_draws] <= candidates)])
