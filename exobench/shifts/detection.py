"""Does the method know? How well its own measure of surprise tells shifted from unshifted spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.drawing import Drawn
from exobench.errors import ExobenchError
from exobench.method import Capability
from exobench.problem import InferenceProblem
from exobench.shifts.finished import FinishedRun

Array = NDArray[np.float64]

N_BOOTSTRAP = 200
_DRAWS_TRIED = 200
"""Draws of a spectrum whose likelihood is asked for, those of the largest weights first."""
NO_SURPRISE = "the method has no measure of surprise: neither Capability.SURPRISE nor a likelihood"


@dataclass(frozen=True)
class Detection:
    """Area under the receiver operating characteristic, shifted against unshifted spectra.

    Attributes:
        auroc: probability that a shifted spectrum surprises more than an unshifted one; 0.5 for no difference.
        standard_error: from a bootstrap over spectra, both versions of a spectrum together.
    """

    auroc: float
    standard_error: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"value": self.auroc, "standard_error": self.standard_error, "status": "ok", "reason": None}


def detection(unshifted: Array, shifted: Array, *, n_bootstrap: int = N_BOOTSTRAP, seed: int = 0) -> Detection:
    """How well surprises tell two versions of the same spectra apart; ties count half.

    Args:
        unshifted: surprise of each spectrum, (obs,).
        shifted: of its shifted version, (obs,).
        n_bootstrap: resamples of spectra.
        seed: of the resamples.

    Raises:
        ExobenchError: if lengths differ, there are fewer than two, or a number is not finite.
    """
    if unshifted.shape != shifted.shape or unshifted.ndim != 1 or len(unshifted) < 2:
        raise ExobenchError(f"an AUROC needs two equal lengths of at least 2; got {unshifted.shape}, {shifted.shape}.")
    if not (np.isfinite(unshifted).all() and np.isfinite(shifted).all()):
        raise ExobenchError("an AUROC needs finite surprises.")
    rng, n_obs = np.random.default_rng(seed), len(unshifted)
    rows = rng.integers(0, n_obs, size=(n_bootstrap, n_obs))
    resampled = [_auroc(unshifted[row], shifted[row]) for row in rows]
    return Detection(_auroc(unshifted, shifted), float(np.std(resampled, ddof=1)))


def _auroc(unshifted: Array, shifted: Array) -> float:
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([0, 1], [len(unshifted), len(shifted)])
    return float(roc_auc_score(labels, np.concatenate([unshifted, shifted])))


def surprise_of(run: FinishedRun, test: TestSpectra, drawn: Drawn) -> Array | None:
    """The method's surprise at each spectrum, (obs,), or None where it has no measure of it.

    A method that declares ``Capability.SURPRISE`` is asked. One that uses the likelihood is judged by its best draw.
    """
    if Capability.SURPRISE in run.method.capabilities:
        return np.asarray(run.posterior.surprise(test.x, test.sigma), dtype=np.float64)
    if Capability.NEEDS_LIKELIHOOD in run.method.capabilities:
        return misfit_of_best_draw(run.problem, test, drawn)
    return None


def misfit_of_best_draw(problem: InferenceProblem, test: TestSpectra, drawn: Drawn) -> Array:
    """How untypical the chi-square of the best draw is: standard deviations from the degrees of freedom.

    The best of at most 200 draws of a spectrum, those of the largest weights; both too large and too small count.

    Args:
        problem: gives the likelihood, and counts the calls.
        test: the spectra.
        drawn: draws of all of them.

    Returns:
        Finite numbers, (obs,).
    """
    n_param = test.theta_true.shape[1]
    misfit = np.empty(len(test.x))
    for row, (x, sigma) in enumerate(zip(test.x, test.sigma, strict=True)):
        theta = _most_weighty(drawn, row)
        seen = np.isfinite(x) & np.isfinite(sigma)
        free = max(int(seen.sum()) - n_param, 1)
        log_norm = np.log(sigma[seen]).sum() + 0.5 * seen.sum() * np.log(2.0 * np.pi)
        best = float(problem.log_likelihood(theta, x, sigma).max()) if len(theta) else -np.inf
        misfit[row] = abs(-2.0 * (best + log_norm) - free) / np.sqrt(2.0 * free)
    return np.nan_to_num(misfit, nan=np.finfo(np.float64).max)


def _most_weighty(drawn: Drawn, row: int) -> Array:
    """At most 200 finite draws of one spectrum, (draw, param)."""
    theta = np.asarray(drawn.theta[row], dtype=np.float64)
    finite = np.isfinite(theta).all(axis=1)
    if drawn.log_weight is None:
        return theta[finite][:_DRAWS_TRIED]
    order = np.argsort(-drawn.log_weight[row][finite], kind="stable")
    return theta[finite][order][:_DRAWS_TRIED]
