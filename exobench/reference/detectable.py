"""Which gases the exact posteriors of a task's test spectra show: log Bayes factors, for the regions of every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.bayes_factor import log_bayes_factors
from exobench.metrics.regions import BAYES_KEY
from exobench.reference.published import AGREED, Published, load_published
from exobench.results import RECORD, SCORES, read_arrays, read_record

Array = NDArray[np.float64]

EXACT_METHOD = "exact"
"""Name of the records that `exobench.reference.exact_row` writes."""
_ABUNDANCE = "log10_"


def gases_of(names: Sequence[str]) -> list[str]:
    """The parameters that are abundances of gases, by their names: base-ten logarithms."""
    return [name for name in names if name.startswith(_ABUNDANCE)]


@dataclass(frozen=True, eq=False)
class Detectable:
    """Log Bayes factors of the first test spectra of a task, from one place.

    Attributes:
        theta_true: truths, which name the spectra, (obs, param).
        columns: ``log_bayes_factor.<gas>``, (obs,) each; NaN where the draws do not say whether it exceeds 3.
    """

    theta_true: Array
    columns: dict[str, Array]


def detectable_gases(task: str, task_id: str, names: Sequence[str], runs_of_task: Path) -> tuple[Detectable, ...]:
    """What the exact posteriors at hand say: those that the task publishes, then rows "exact" among its runs.

    A gas counts as absent at the low end of its prior, where no spectrum of the task can show it; see
    `exobench.metrics.bayes_factor.log_bayes_factor_savage_dickey`.

    Args:
        task: name.
        task_id: posteriors of another one are not used.
        names: of the parameters.
        runs_of_task: folder of the task's runs.
    """
    if not gases_of(names):
        return ()
    rows = sorted((runs_of_task / EXACT_METHOD).glob(f"*/*/{RECORD}"))
    return _read(task, task_id, tuple(names), tuple((path.parent, path.stat().st_mtime_ns) for path in rows))


def aligned(sources: Sequence[Detectable], theta_true: Array) -> dict[str, Array]:
    """Log Bayes factors of a run's spectra: the first source that decides counts.

    Args:
        sources: from `detectable_gases`.
        theta_true: truths of the run's spectra, (obs, param).

    Returns:
        ``log_bayes_factor.<gas>`` (obs,), NaN where not known; empty where none is known at all.
    """
    found: dict[str, Array] = {}
    for source in sources:
        n = min(len(source.theta_true), len(theta_true))
        if not np.allclose(source.theta_true[:n], theta_true[:n], rtol=1e-5):
            continue
        for key, values in source.columns.items():
            column = found.setdefault(key, np.full(len(theta_true), np.nan))
            column[:n] = np.where(np.isnan(column[:n]), values[:n], column[:n])
    return {key: column for key, column in found.items() if np.isfinite(column).any()}


@lru_cache(maxsize=16)
def _read(
    task: str, task_id: str, names: tuple[str, ...], rows: tuple[tuple[Path, int], ...]
) -> tuple[Detectable, ...]:
    """The times of the rows are in the key alone, so that a row made anew is read anew."""
    return (*_of_published(task, task_id, names), *_of_exact_rows([folder for folder, _ in rows], task_id))


def _of_published(task: str, task_id: str, names: Sequence[str]) -> list[Detectable]:
    try:
        published = load_published(task, task_id)
    except ExobenchError:
        return []  # the task publishes none, or those of another task_id
    return [Detectable(published.theta_true, _columns(published, gases_of(names)))]


def _columns(published: Published, gases: Sequence[str]) -> dict[str, Array]:
    """NaN for the spectra on which the two samplers did not agree."""
    n_draws = published.theta.shape[1]
    size = published.columns.get("effective_sample_size", np.full(len(published.theta), np.nan))
    found: dict[str, list[float]] = {}
    for row, draws in enumerate(published.theta):
        # Draws that were thinned to equal weights say no more than the sampler's effective ones.
        worth = int(np.nan_to_num(np.clip(size[row], 1, n_draws), nan=n_draws))
        some = draws[np.linspace(0, n_draws - 1, worth).astype(np.int64)][None]
        columns = log_bayes_factors(some, None, published.names, published.low, published.high, gases)
        for key, (value,) in columns.items():
            found.setdefault(key, []).append(value if published.status[row] == AGREED else np.nan)
    return {key: np.array(values) for key, values in found.items()}


def _of_exact_rows(folders: Sequence[Path], task_id: str) -> list[Detectable]:
    sources = []
    for folder in folders:
        record = read_record(folder)
        if record["status"] == "ok" and record["task_id"] == task_id:
            arrays = read_arrays(folder / SCORES)
            columns = {key: values for key, values in arrays.items() if key.startswith(f"{BAYES_KEY}.")}
            sources.append(Detectable(arrays["theta_true"], columns))
    return sources
