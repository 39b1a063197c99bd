"""Which differences between methods are real: ranks that count only differences found beyond doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.aggregate import resample_counts
from exobench.metrics.calibration import holm
from exobench.metrics.statistics import average

Array = NDArray[np.float64]

LEVEL = 0.05
"""Probability, at most, that any of the differences counted is none."""

FEWEST_SEEDS = 5
"""From this number of seeds on, a method's spread between fits is part of the error."""

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods ranked on the same spectra; a matrix's entry [i, j] is of method i minus method j.

    Attributes:
        ranks: 1 + the number of methods that are better, (method,); methods may share one, and 2 may be missing.
        better: whether i is better than j, (method, method).
        difference: of the mean scores, (method, method).
        standard_error: of the difference, (method, method).
        p_value: two-sided, adjusted by Holm over all pairs, (method, method); 1 on the diagonal.
        bootstrap_p: two-sided, by the paired bootstrap, not adjusted, (method, method).
        n_seeds: fits of each method, (method,).
        n_obs: spectra.
        level: family-wise, of the differences counted.
    """

    ranks: NDArray[np.int64]
    better: NDArray[np.bool_]
    difference: Array
    standard_error: Array
    p_value: Array
    bootstrap_p: Array
    n_seeds: NDArray[np.int64]
    n_obs: int
    level: float

    @property
    def claim(self) -> str:
        """What the ranks say, and of what."""
        n = len(self.ranks)
        if n == 1:
            return "Rank: there is no other method to be better."
        pairs = n * (n - 1) // 2
        many = int(np.sum(self.n_seeds >= FEWEST_SEEDS))
        how = (
            f"Rank: 1 + the number of methods that are better on these {self.n_obs:,} spectra, by paired differences "
            f"at level {self.level:g} after Holm's correction over all {pairs} pair{'' if pairs == 1 else 's'}."
        )
        if many == n:
            return (
                f"{how} Each method was fitted from {FEWEST_SEEDS} seeds or more, which enter: this is about methods."
            )
        which = "no method was" if not many else f"{many} of {n} methods were"
        return f"{how} It is about these trained models: {which} fitted from {FEWEST_SEEDS} seeds or more."


def rank_methods(
    scores: Sequence[Array],
    *,
    higher_is_better: bool = False,
    level: float = LEVEL,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Ranking:
    """Ranks methods by the mean of a score over the same spectra.

    Each pair is tested by a paired t: the mean difference over its standard error, which adds the spread over spectra
    of the difference of the methods' means over seeds and, for a method with `FEWEST_SEEDS` or more, the spread of its
    seeds' means; degrees of freedom by Welch and Satterthwaite (Welch 1947, Biometrika 34, 28). The p-value comes from
    t and not from resamples, because Holm's correction over many pairs asks for values smaller than the share of one
    resample. A paired bootstrap over spectra, and over seeds where they enter, must agree: a difference whose own
    bootstrap p-value is not below the level is not counted, whatever t says of it.

    Seeds of two methods count as independent, which is careful where both were fitted to the same spectra. With fewer
    seeds a method is its fits at hand, averaged. It cannot see that the spectra are drawn from one prior: the ranks
    are for that prior.

    Args:
        scores: one array a method, (obs,) or (seed, obs), all of the same spectra in the same order and finite.
        higher_is_better: of the score; the energy score is better lower.
        level: family-wise probability of counting a difference that is none.
        n_bootstrap: resamples.
        seed: of the resamples.

    Raises:
        ExobenchError: if there is no method, lengths differ, there are fewer than two spectra, a score is not finite,
            or level or n_bootstrap make no sense.
    """
    fits = _checked(scores, level, n_bootstrap)
    means = np.stack([fit.mean(axis=0) for fit in fits], axis=1)
    size = np.abs(means).mean()
    seeds = [fit.mean(axis=1) if len(fit) >= FEWEST_SEEDS else None for fit in fits]
    first, second = np.triu_indices(len(fits), k=1)
    difference = means.mean(axis=0)[first] - means.mean(axis=0)[second]
    error, freedom = _errors(means, seeds, first, second)
    raw = _t_test(difference, error, freedom, _ROUNDING * size)
    checked = _bootstrap_p(means, seeds, first, second, n_bootstrap, seed, _ROUNDING * size)
    adjusted = holm(raw) if len(raw) else raw
    real = (adjusted < level) & (checked < level)
    n = len(fits)
    matrix = _full(n, first, second, difference, -1.0, 0.0)
    counted = _full(n, first, second, real.astype(np.float64), 1.0, 0.0) > 0.0
    better = counted & ((matrix > 0.0) if higher_is_better else (matrix < 0.0))
    return Ranking(
        ranks=1 + better.sum(axis=0),
        better=better,
        difference=matrix,
        standard_error=_full(n, first, second, error, 1.0, 0.0),
        p_value=_full(n, first, second, adjusted, 1.0, 1.0),
        bootstrap_p=_full(n, first, second, checked, 1.0, 1.0),
        n_seeds=np.array([len(fit) for fit in fits]),
        n_obs=len(means),
        level=level,
    )


def _checked(scores: Sequence[Array], level: float, n_bootstrap: int) -> list[Array]:
    """The scores as (seed, obs)."""
    if len(scores) == 0:
        raise ExobenchError("a ranking needs at least one method.")
    if not 0.0 < level < 1.0 or n_bootstrap < 1.0 / level:
        raise ExobenchError(
            f"level={level} must lie in (0, 1), and n_bootstrap={n_bootstrap} must be at least 1/level."
        )
    fits = [np.atleast_2d(np.asarray(score, dtype=np.float64)) for score in scores]
    n_obs = fits[0].shape[-1]
    for place, fit in enumerate(fits):
        if fit.ndim != 2 or len(fit) == 0 or fit.shape[1] != n_obs or n_obs < 2:
            raise ExobenchError(
                f"scores of method {place} have shape {fit.shape}; a ranking needs (seed, obs) with the same two or "
                f"more spectra for all methods, {n_obs} in the first."
            )
        n_bad = int(np.sum(~np.isfinite(fit).all(axis=0)))
        if n_bad:
            raise ExobenchError(f"scores of method {place} are not finite for {n_bad} of {n_obs} spectra.")
    return fits


def _errors(
    means: Array, seeds: Sequence[Array | None], first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Standard errors of the pairs' differences and their degrees of freedom, (pair,) each."""
    n_obs = len(means)
    covariance = np.atleast_2d(np.cov(means, rowvar=False))
    spread = np.diag(covariance)
    # The difference of variances loses all digits for two methods that are one: those few are taken directly.
    over_spectra = spread[first] + spread[second] - 2.0 * covariance[first, second]
    lost = over_spectra < 1e-6 * (spread[first] + spread[second])
    over_spectra[lost] = np.var(means[:, first[lost]] - means[:, second[lost]], axis=0, ddof=1)
    over_seeds = np.array([0.0 if own is None else np.var(own, ddof=1) / len(own) for own in seeds])
    freedom_seeds = np.array([1.0 if own is None else len(own) - 1.0 for own in seeds])
    parts = np.stack([over_spectra / n_obs, over_seeds[first], over_seeds[second]])
    each = np.stack([np.full(len(first), n_obs - 1.0), freedom_seeds[first], freedom_seeds[second]])
    total, below = parts.sum(axis=0), (parts**2 / each).sum(axis=0)
    freedom = np.divide(total**2, below, out=np.full_like(total, n_obs - 1.0), where=below > 0.0)
    return np.sqrt(total), freedom


def _t_test(difference: Array, error: Array, freedom: Array, rounding: float) -> Array:
    """Two-sided p-values; differences of rounding size are none, constant ones certain."""
    # The same score plus a constant has no spread but that of rounding, which must not divide.
    t = np.divide(difference, error, out=np.full_like(error, np.inf), where=error > rounding)
    return np.where(np.abs(difference) <= rounding, 1.0, 2.0 * scipy.stats.t.sf(np.abs(t), freedom))


def _bootstrap_p(
    means: Array,
    seeds: Sequence[Array | None],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    n_bootstrap: int,
    seed: int,
    rounding: float,
) -> Array:
    """Share of resamples that move a difference by at least its own size, (pair,)."""
    centre = means.mean(axis=0)
    # Spectra and seeds move the mean independently to first order, so that their moves add.
    moves = np.concatenate(
        [average(means - centre, counts) for counts in resample_counts(len(means), n_bootstrap, seed)]
    )
    rng = np.random.default_rng([seed, 1])
    for place, own in enumerate(seeds):
        if own is not None:
            # One seed fewer than there are makes the resamples' variance the unbiased one (Rao & Wu 1988).
            chosen = rng.integers(0, len(own), size=(n_bootstrap, len(own) - 1))
            moves[:, place] += own[chosen].mean(axis=1) - own.mean()
    difference = np.abs(centre[first] - centre[second])
    extreme = np.zeros(len(first))
    for row in np.array_split(moves, max(1, len(first) * n_bootstrap // 4_000_000)):
        extreme += (np.abs(row[:, first] - row[:, second]) >= difference).sum(axis=0)
    return np.where(difference <= rounding, 1.0, (1.0 + extreme) / (1.0 + n_bootstrap))


def _full(
    n: int, first: NDArray[np.int64], second: NDArray[np.int64], values: Array, mirrored: float, diagonal: float
) -> Array:
    """A matrix over methods from values of its upper triangle."""
    matrix = np.full((n, n), diagonal)
    matrix[first, second], matrix[second, first] = values, mirrored * values
    return matrix
