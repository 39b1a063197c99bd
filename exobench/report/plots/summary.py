"""What the figures need of one run's per-spectrum arrays, computed once and kept in the run's cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.calibration import MISSING_SHARE, complete_ranks, coverage_curve, ks_uniform
from exobench.metrics.tarp import tarp_coverage
from exobench.report.entries import Entry
from exobench.report.plots.layout import rounded
from exobench.report.plots.spec import Caches
from exobench.report.scores import energy_scores
from exobench.results import SCORES

Array = NDArray[np.float64]

LEVELS = np.linspace(0.0, 1.0, 41)
"""At which coverage is kept."""
FEWEST = 10
"""Spectra below which nothing is said of calibration."""
N_SCATTER = 120
"""Spectra in a plot of estimate over truth: the first ones, so that every method shows the same."""

_VERSION = 2
"""Goes up when a number kept here would change."""
_MOST_BINS, _MOST_ENERGY_BINS = 20, 30


def at_size(entry: Entry, caches: Caches, n_obs: int) -> dict[str, Any]:
    """Statistics of a run's first n_obs spectra.

    Returns:
        ``n_rank``, ``coverage`` (param, level) at `LEVELS`, ``counts`` (param, bin), ``ks_p`` (param,), ``coverage_68``
        and ``coverage_95`` (param,), ``n_tarp`` and ``tarp`` (level,); those that the spectra do not give are missing.
    """
    key = f"figures {_VERSION} of {n_obs}"
    found: dict[str, Any] = caches[entry.anchor].get(key, lambda: _statistics(entry, n_obs))
    return found


def mean_energy(entry: Entry, caches: Caches, n_obs: int) -> list[float] | None:
    """Mean energy score of a run's first n_obs spectra and its standard error; None where not all of them have one."""
    own = caches[entry.anchor]
    found: list[float] | None = own.get(
        f"mean energy {_VERSION} of {n_obs}", lambda: _mean_energy(energy_scores(entry, own)[:n_obs])
    )
    return found


def scatter(entry: Entry, caches: Caches) -> dict[str, list[list[float | None]]]:
    """Truth, median and the distances ``up`` and ``down`` to q84 and q16 of the first spectra, (param, obs) each."""
    found: dict[str, list[list[float | None]]] = caches[entry.anchor].get(
        f"scatter {_VERSION}", lambda: _scatter(_read(entry, ("theta_true", "median", "q16", "q84"), N_SCATTER))
    )
    return found


def _scatter(arrays: dict[str, Array]) -> dict[str, list[list[float | None]]]:
    median = arrays["median"]
    shown = {
        "theta_true": arrays["theta_true"],
        "median": median,
        "up": np.maximum(arrays["q84"] - median, 0.0),
        "down": np.maximum(median - arrays["q16"], 0.0),
    }
    return {name: [rounded(column) for column in values.T] for name, values in shown.items()}


def energy_histogram(entry: Entry, caches: Caches) -> dict[str, Any]:
    """``edges``, ``counts`` and ``median`` of the energy scores, and ``n_left_out``, those that have no logarithm."""
    found: dict[str, Any] = caches[entry.anchor].get(
        f"energy {_VERSION}", lambda: _energy_histogram(energy_scores(entry, caches[entry.anchor]))
    )
    return found


def _read(entry: Entry, names: Sequence[str], n_obs: int) -> dict[str, Array]:
    """The first rows of some arrays, without those that the record may lack."""
    arrays = entry.arrays()
    arrays.read(names)
    return {name: arrays[name][:n_obs] for name in names if name in arrays}


def _statistics(entry: Entry, n_obs: int) -> dict[str, Any]:
    arrays = _read(entry, ("rank", "tarp_rank"), n_obs)
    found: dict[str, Any] = {}
    kept, n_missing = complete_ranks(arrays["rank"])
    if n_missing <= MISSING_SHARE * n_obs and len(kept) >= FEWEST:
        curve = coverage_curve(kept, np.array([*LEVELS, 0.68, 0.95])).T
        n_bins = rank_bins(len(kept))
        found |= {
            "n_rank": len(kept),
            "coverage": [rounded(column[:-2]) for column in curve],
            "counts": [np.histogram(column, bins=n_bins, range=(0.0, 1.0))[0].tolist() for column in kept.T],
            "ks_p": _ks_p(entry, kept, n_obs),
            "coverage_68": curve[:, -2].tolist(),
            "coverage_95": curve[:, -1].tolist(),
        }
    tarp = arrays.get("tarp_rank", np.empty(0))
    if tarp.ndim != 1:
        raise ExobenchError(f"{entry.record.folder / SCORES}: 'tarp_rank' has shape {tarp.shape}; expected ({n_obs},).")
    tarp = tarp[np.isfinite(tarp)]
    if len(tarp) >= max(FEWEST, (1.0 - MISSING_SHARE) * n_obs):
        found |= {"n_tarp": len(tarp), "tarp": rounded(tarp_coverage(tarp, LEVELS))}
    return found


def _mean_energy(energy: Array) -> list[float] | None:
    if len(energy) < 2 or not np.isfinite(energy).all():
        return None
    return [float(energy.mean()), float(energy.std(ddof=1) / np.sqrt(len(energy)))]


def _ks_p(entry: Entry, ranks: Array, n_obs: int) -> list[float | None]:
    """p-values of uniform ranks: those that the run wrote of all its spectra, since the test itself is slow."""
    if n_obs == entry.n_test and entry.is_current:
        written = {score.parameter: score.value for score in entry.stored_scores if score.metric == "sbc_ks_p"}
        if all(written.get(name) is not None for name in entry.names):
            return [written[name] for name in entry.names]
    return rounded(ks_uniform(ranks)[1])


def rank_bins(n_obs: int) -> int:
    """Bins of a histogram of ranks: five spectra a bin at least, twenty bins at most."""
    return int(np.clip(n_obs // 5, 2, _MOST_BINS))


def energy_bins(n_obs: int) -> int:
    """Bins of a histogram of energy scores: growing with the cube root of the spectra, thirty at most."""
    return int(np.clip(round(3.0 * n_obs ** (1.0 / 3.0)), 2, _MOST_ENERGY_BINS))


def _energy_histogram(energy: Array) -> dict[str, Any]:
    """Counts in bins of equal width in the logarithm; ``n_left_out`` spectra have no positive score."""
    good = energy[np.isfinite(energy) & (energy > 0.0)]
    left_out = int(len(energy) - len(good))
    if len(good) < 2:
        return {"edges": [], "counts": [], "median": None, "n_left_out": left_out}
    # A few spectra far below all others would squeeze the rest.
    low, high = np.quantile(good, 0.002), good.max()
    edges = np.geomspace(min(low, 0.99 * high), high * (1.0 + 1e-9), energy_bins(len(good)) + 1)
    counts, _ = np.histogram(np.maximum(good, edges[0]), edges)
    return {
        "edges": rounded(edges),
        "counts": counts.tolist(),
        "median": float(np.median(good)),
        "n_left_out": left_out,
    }
