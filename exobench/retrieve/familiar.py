"""Whether a spectrum is like those that a run was trained on, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.choice import DataChoice
from exobench.data.source import open_data
from exobench.method import Capability
from exobench.seeds import derived_seed, rng_for
from exobench.shifts.finished import FinishedRun

Array = NDArray[np.float64]
Simulate = Callable[[Array], Array]

N_KNOWN = 1000
"""Validation spectra that a spectrum is compared with."""
N_FITTED = 64
"""Of them, those that are retrieved under the spectrum's own noise."""
N_DRAWS_FITTED = 32
"""Draws of each whose best one counts."""
MOST_UNUSUAL = 0.99
"""Share of the validation spectra that must be less unusual for a warning."""
PPM = 1e6


@dataclass(frozen=True, eq=False)
class Known:
    """Validation spectra of a run's task.

    Attributes:
        depth: noise-free, (n, bin).
        x: with the task's own noise, (n, bin).
        sigma: of that noise.
    """

    depth: Array
    x: Array
    sigma: Array


@dataclass(frozen=True)
class Finding:
    """One comparison with the training set.

    Attributes:
        name: of the comparison.
        value: of the spectrum.
        limit: beyond which it is unlike the training set.
        unusual: whether it is.
        words: what it means.
    """

    name: str
    value: float
    limit: float
    unusual: bool
    words: str


def known_spectra(run: FinishedRun, data: Path) -> Known:
    """The first validation spectra of the run's task, made where they are missing.

    Raises:
        ExobenchError: the data cannot be made or read.
    """
    n = max(100, min(int(run.record["n_validation"]), N_KNOWN))
    opened = open_data(run.task, data, n_train=0, n_validation=n, n_test=0, workers=1, choice=DataChoice())
    _, depth = opened.source.read("validation", n)
    x, sigma = run.task.noise.sample(depth, seed=derived_seed(run.task.task_id, "known spectra"))
    return Known(depth, x, sigma)


def compare(run: FinishedRun, known: Known, x: Array, sigma: Array, theta: Array, simulate: Simulate) -> list[Finding]:
    """All comparisons that the run's method allows.

    Args:
        run: finished.
        known: validation spectra.
        x: the spectrum, (bin,), NaN where missing.
        sigma: inf there.
        theta: draws of its posterior from the run, before any refinement, (draw, param).
        simulate: noise-free depths (n, bin) of theta (n, param).
    """
    findings = [_missing(known, x), _noise(known, sigma)]
    if Capability.SURPRISE in run.method.capabilities:
        findings.append(_surprise(run, known, x, sigma))
    if Capability.AMORTISED in run.method.capabilities:
        findings.append(_misfit(run, known, x, sigma, theta, simulate))
    return findings


def _missing(known: Known, x: Array) -> Finding:
    share, most = float(np.isnan(x).mean()), float(np.isnan(known.x).mean(axis=1).max())
    words = f"{100 * share:.3g} % of the bins are missing; in training at most {100 * most:.0f} % were"
    return Finding("missing_share", share, most, share > most + 1e-9, words)


def _noise(known: Known, sigma: Array) -> Finding:
    def level(values: Array) -> Array:
        return PPM * np.nanmedian(np.where(np.isfinite(values), values, np.nan), axis=-1)

    own, usual = float(level(sigma)), level(known.sigma)
    low, high = float(usual.min()), float(usual.max())
    # A per cent for the rounding of files.
    unusual = not low * 0.99 <= own <= high * 1.01
    words = f"the median error is {own:.3g} ppm in the task's bins; in training it was {low:.3g} to {high:.3g} ppm"
    return Finding("noise_ppm", own, high if own > high else low, unusual, words)


def _surprise(run: FinishedRun, known: Known, x: Array, sigma: Array) -> Finding:
    usual = np.asarray(run.posterior.surprise(known.x, known.sigma), dtype=np.float64)
    own = float(run.posterior.surprise(x[None], sigma[None])[0])
    return _ranked(
        "surprise",
        own,
        usual,
        "the network finds the spectrum more unusual than {share} of those held out (surprise {value})",
    )


def _misfit(run: FinishedRun, known: Known, x: Array, sigma: Array, theta: Array, simulate: Simulate) -> Finding:
    """Chi-square per bin of the best draw against that of held-out spectra with the same noise and the same gaps."""
    depth = known.depth[:N_FITTED]
    rng = rng_for(run.task.task_id, "retrieved held-out spectra")
    seen = np.isfinite(x)
    spread = np.where(seen, sigma, 0.0)
    noisy = np.where(seen, depth + spread * rng.standard_normal(depth.shape), np.nan)
    samples = run.posterior.sample(noisy, np.tile(sigma, (len(depth), 1)), N_DRAWS_FITTED, rng=rng)
    draws = run.task.parameters.clip(np.nan_to_num(np.asarray(samples.theta, dtype=np.float64)))
    simulated = simulate(draws.reshape(-1, draws.shape[-1])).reshape(*draws.shape[:2], -1)
    usual = np.array([_best_fit(noisy[k], sigma, simulated[k]) for k in range(len(depth))])
    own = _best_fit(x, sigma, simulate(theta[:N_DRAWS_FITTED]))
    return _ranked(
        "misfit",
        own,
        usual,
        "the best draw fits worse than those of {share} of held-out spectra (chi-square a bin {value})",
    )


def _best_fit(x: Array, sigma: Array, depth: Array) -> float:
    """Least chi-square per bin of draws' depths (draw, bin)."""
    seen = np.isfinite(x)
    return float((((x - depth)[:, seen] / sigma[seen]) ** 2).mean(axis=1).min())


def _ranked(name: str, own: float, usual: Array, words: str) -> Finding:
    limit, share = float(np.quantile(usual, MOST_UNUSUAL)), float(np.mean(usual < own))
    text = words.format(share=f"{100 * share:.0f} %", value=f"{own:.3g}; the limit is {limit:.3g}")
    return Finding(name, own, limit, own > limit, text)


def warning(findings: list[Finding]) -> str | None:
    """One paragraph for a person, or None where nothing is unusual."""
    unusual = [finding.words for finding in findings if finding.unusual]
    if not unusual:
        return None
    return (
        f"WARNING: this spectrum is not like those the run was trained on: {'; '.join(unusual)}. A trained method may "
        "be wrong here without its intervals showing it; check with refine=importance or refine=nested, or with the "
        "TauREx file."
    )
