"""One posterior's evidence under the likelihood of other code, by reweighting its draws."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.progress import track
from exobench.registry import build_task
from exobench.task import Task, TaskRequest

Array = NDArray[np.float64]

LARGEST_DIFFERENCE = 0.05
"""Nats within which the evidence under the taurex package's likelihood must lie."""


@dataclass(frozen=True)
class Reweighted:
    """How far the evidence of one spectrum moves under another likelihood.

    Attributes:
        spectrum: its number.
        what: what was compared.
        n_draws: draws reweighted.
        log_evidence_difference: natural log, the other likelihood's minus ours.
        standard_error: of the difference, from the scatter of the ratios.
        effective_sample_size: of the weights.
        largest_depth_difference_ppm: between the two codes' spectra over all draws and bins.
        within: whether the difference is at most `LARGEST_DIFFERENCE`.
    """

    spectrum: int
    what: str
    n_draws: int
    log_evidence_difference: float
    standard_error: float
    effective_sample_size: float
    largest_depth_difference_ppm: float
    within: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


def evidence_ratio(log_ratio: Array) -> tuple[float, float, float]:
    """Natural log of E_posterior[L'/L] = Z'/Z from draws of the posterior, its standard error, and the effective size.

    Args:
        log_ratio: ln L'(theta) - ln L(theta) at draws of the posterior of L, (draw,).
    """
    n = len(log_ratio)
    total, squares = float(logsumexp(log_ratio)), float(logsumexp(2.0 * log_ratio))
    effective = float(np.exp(2.0 * total - squares))
    return total - float(np.log(n)), float(np.sqrt(max(n / effective - 1.0, 0.0) / max(n - 1.0, 1.0))), effective


def under_taurex(
    settings: dict[str, Any], request: TaskRequest, row: int, theta: Array, x: Array, sigma: Array
) -> Reweighted | str:
    """The evidence of one spectrum under the likelihood of the installed taurex package.

    Where the task's k-tables combine by random overlap, which TauREx 3 does not know, both codes sum the gases at equal
    g instead, and the two evidences that result are compared.

    Args:
        settings: name and leaves of the task.
        request: simulator and opacities of the reference posteriors.
        row: number of the spectrum.
        theta: draws of its reference posterior, (draw, param).
        x: depth fractions, (bin,).
        sigma: as x.

    Returns:
        The comparison, or why there is none.
    """
    ours = build_task(settings, request)
    what = "taurex 3 for the task's own simulator"
    changed = dict(settings)
    base = ours
    if ours.simulator.describe().get("k_table_overlap") == "random":
        what = (
            "taurex 3 for the task's own simulator, k-tables of both summed at equal g (taurex knows no random overlap)"
        )
        changed["k_table_overlap"] = "equal_g"
        base = build_task(changed, request)
    try:
        other = build_task(changed, TaskRequest("taurex3", request.opacities_path, request.opacities_average))
        theirs = _depth(other, theta)
    except MissingDependencyError as missing:
        raise ExobenchError(f"{missing} Or leave this comparison out: taurex=false.") from missing
    except ExobenchError as refused:
        return f"there is no such comparison: {refused}"
    middle = _depth(base, theta)
    likelihood = ours.noise.log_likelihood
    log_theirs, log_middle = likelihood(theirs, x, sigma), likelihood(middle, x, sigma)
    start = log_middle if base is ours else likelihood(_depth(ours, theta), x, sigma)
    to_theirs, error, effective = evidence_ratio(log_theirs - start)
    difference = to_theirs
    if base is not ours:
        difference -= evidence_ratio(log_middle - start)[0]
        # Both evidences rest on the same draws; what is left is the scatter of their ratio under those weights.
        weight = np.exp(log_middle - start - logsumexp(log_middle - start))
        error = float(np.sqrt(np.sum((weight * np.expm1(log_theirs - log_middle - difference)) ** 2)))
        effective = float(1.0 / np.sum(weight**2))
    return Reweighted(
        row,
        what,
        len(theta),
        difference,
        error,
        effective,
        float(1e6 * np.nanmax(np.abs(theirs - middle))),
        abs(difference) <= LARGEST_DIFFERENCE,
    )


def _depth(task: Task, theta: Array, at_once: int = 250) -> Array:
    simulator = task.simulator.build("cpu")
    firsts = track(range(0, len(theta), at_once), f"simulating {len(theta):,} draws", "calls")
    parts = [simulator(torch.as_tensor(theta[k : k + at_once])) for k in firsts]
    return np.asarray(torch.cat(parts).double().numpy())
