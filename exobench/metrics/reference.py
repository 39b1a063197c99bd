"""Distances of one spectrum's draws from reference draws, parameter by parameter, and the evidence beside another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.resampling import draw_weights

Array = NDArray[np.float64]

JSD_BINS = 50

_Side = tuple[Array, Array]


def marginal_jsd(
    reference: Array,
    theta: Array,
    *,
    log_weight: Array | None = None,
    reference_log_weight: Array | None = None,
    n_bins: int = JSD_BINS,
) -> Array:
    """Jensen-Shannon divergence of each marginal, in nats: 0 for equal distributions, log 2 for disjoint ones.

    (KL(p|m) + KL(q|m))/2 with m = (p + q)/2, from histograms whose bins hold equal shares of m, so that no bandwidth
    is chosen and every shape of the prior's edge is kept. Equal distributions still give about
    (n_bins - 1)(1/n + 1/n')/8, n the effective sizes: read it beside its floor, reference against reference. It cannot
    see correlations, nor structure within a bin.

    Args:
        reference: reference draws, (draw, param).
        theta: draws of a method, (draw, param).
        log_weight: natural log of their weights, (draw,); None for equal weights.
        reference_log_weight: of the reference.
        n_bins: bins of equal share.

    Returns:
        Divergences, (param,). Source: Lin 1991, IEEE Trans. Inf. Theory 37, 145.

    Raises:
        ExobenchError: if shapes do not fit or a draw that counts is not finite.
    """
    p, q = _two_sides(reference, reference_log_weight, theta, log_weight)
    return np.array([_jsd(*pair, n_bins) for pair in _columns(p, q)])


def _jsd(a: Array, weight_a: Array, b: Array, weight_b: Array, n_bins: int) -> float:
    value, weight = np.concatenate([a, b]), 0.5 * np.concatenate([weight_a, weight_b])
    order = np.argsort(value, kind="stable")
    cumulative = np.cumsum(weight[order])
    inner = np.searchsorted(cumulative, np.arange(1, n_bins) / n_bins)
    edges = np.unique(value[order][np.minimum(inner, len(value) - 1)])
    p, q = _shares(a, weight_a, edges), _shares(b, weight_b, edges)
    middle = 0.5 * (p + q)
    return 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))


def _shares(value: Array, weight: Array, edges: Array) -> Array:
    index = np.searchsorted(edges, value, side="left")
    return np.bincount(index, weights=weight, minlength=len(edges) + 1).astype(np.float64)


def _relative_entropy(p: Array, q: Array) -> float:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0.0)
    return float(np.sum(p * np.log(ratio)))


def ks_score(
    reference: Array,
    theta: Array,
    *,
    log_weight: Array | None = None,
    reference_log_weight: Array | None = None,
) -> Array:
    """1000 (1 - D), D the Kolmogorov-Smirnov distance of each marginal from the reference's; 1000 is equality.

    The score of the Ariel machine-learning challenge of 2023 for one parameter. Equal distributions give about
    1000 - 870 sqrt(1/n + 1/n'), n the effective sizes. It cannot see correlations and sees little of the tails.

    Args:
        reference: reference draws, (draw, param).
        theta: draws of a method, (draw, param).
        log_weight: natural log of their weights, (draw,); None for equal weights.
        reference_log_weight: of the reference.

    Returns:
        Scores, (param,). Source: Yip et al. 2022, arXiv:2206.14633, for the challenge.

    Raises:
        ExobenchError: if shapes do not fit or a draw that counts is not finite.
    """
    p, q = _two_sides(reference, reference_log_weight, theta, log_weight)
    return 1000.0 * (1.0 - np.array([_ks_distance(*pair) for pair in _columns(p, q)]))


def _ks_distance(a: Array, weight_a: Array, b: Array, weight_b: Array) -> float:
    value = np.concatenate([a, b])
    order = np.argsort(value, kind="stable")
    gap = np.cumsum(np.concatenate([weight_a, -weight_b])[order])
    # Only the last of equal values is a point of both distribution functions.
    last = np.append(np.diff(value[order]) > 0.0, True)
    return float(np.abs(gap[last]).max())


def _two_sides(
    reference: Array, reference_log_weight: Array | None, theta: Array, log_weight: Array | None
) -> tuple[_Side, _Side]:
    sides = []
    for draws, logs, what in ((reference, reference_log_weight, "reference draws"), (theta, log_weight, "draws")):
        weight = draw_weights(draws, logs, what)
        counts = weight > 0.0
        sides.append((np.asarray(draws[counts], dtype=np.float64), weight[counts]))
    if sides[0][0].shape[1] != sides[1][0].shape[1]:
        raise ExobenchError(f"draws of equal parameters are compared; got {reference.shape} and {theta.shape}.")
    return sides[0], sides[1]


def _columns(p: _Side, q: _Side) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Values and weights of both sides, parameter by parameter."""
    for a, b in zip(p[0].T, q[0].T, strict=True):
        yield a, p[1], b, q[1]


@dataclass(frozen=True)
class EvidenceComparison:
    """Natural log of the evidence beside a reference's, over spectra.

    Attributes:
        difference: method minus reference, (obs,).
        combined_error: root of the sum of both squared errors, (obs,).
        z: difference over combined_error, (obs,).
        mean_z: mean of z, zero without bias; its standard error is spread_z/sqrt(obs).
        mean_z_error: that standard error.
        spread_z: standard deviation of z; one where the errors are right, above it where they are too small.
        spread_z_error: of Gaussian z, spread_z/sqrt(2 (obs - 1)).
        p_value: of a two-sided t test for zero mean.
    """

    difference: Array
    combined_error: Array
    z: Array
    mean_z: float
    mean_z_error: float
    spread_z: float
    spread_z_error: float
    p_value: float


def compare_evidence(
    log_evidence: Array, log_evidence_error: Array, reference: Array, reference_error: Array
) -> EvidenceComparison:
    """How far a method's log_evidence lies from a reference's, in units of their combined error.

    It cannot see errors that both share, nor whether an error that is right on average is right for one spectrum.

    Args:
        log_evidence: natural log, (obs,).
        log_evidence_error: one standard deviation, (obs,).
        reference: natural log, (obs,).
        reference_error: one standard deviation, (obs,); zero where it is exact.

    Raises:
        ExobenchError: if lengths differ, there are fewer than two spectra, a number is not finite, or an error of the
            pair is not positive.
    """
    arrays = [np.asarray(a, np.float64) for a in (log_evidence, log_evidence_error, reference, reference_error)]
    if any(a.shape != arrays[0].shape or a.ndim != 1 for a in arrays) or len(arrays[0]) < 2:
        raise ExobenchError(f"evidences of two spectra at least are compared; got shapes {[a.shape for a in arrays]}.")
    difference, error = arrays[0] - arrays[2], np.hypot(arrays[1], arrays[3])
    bad = ~np.isfinite(difference) | ~np.isfinite(error) | (error <= 0.0)
    if bad.any():
        first = int(np.argmax(bad))
        raise ExobenchError(
            f"log_evidence of spectrum {first}: difference {difference[first]}, combined error {error[first]}; both "
            "must be finite and the error positive."
        )
    z, n = difference / error, len(difference)
    spread = float(z.std(ddof=1))
    mean_error = spread / np.sqrt(n)
    return EvidenceComparison(
        difference,
        error,
        z,
        float(z.mean()),
        mean_error,
        spread,
        spread / np.sqrt(2.0 * (n - 1)),
        float(scipy.stats.ttest_1samp(z, 0.0).pvalue) if spread > 0.0 else 0.0,
    )
