"""Exact rows of shifts: what the exact posterior at the told sigma scores on shifted spectra of a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.paired import paired_difference
from exobench.metrics.score import METRICS_VERSION
from exobench.seeds import stable_hash
from exobench.shifts.catalogue import NamedShift
from exobench.shifts.record import Content, find_shift_record, per_spectrum_of, write_shift_record

Array = NDArray[np.float64]

FOLDER = ".exact-of-shifts"
"""Among the runs of a task; hidden, as it holds no run."""


NO_ROW_ON_FILES = "there is no exact row of a shift to opacities of files"


def exact_row_key(named: NamedShift, task_id: str) -> str:
    """What an exact row is known by; the number of spectra is the row's own."""
    return stable_hash(
        {
            "exact row of": named.describe(),
            "task_id": task_id,
            "metrics_version": METRICS_VERSION,
        }
    )


def exact_row_folder(runs_of_task: Path, name: str) -> Path:
    """Where the exact row of a shift lies."""
    return runs_of_task / FOLDER / name


def write_exact_row(folder: Path, key: str, content: Mapping[str, Any]) -> Content:
    """Writes the row's record, last."""
    return write_shift_record(folder, {"shift_key": key, **content})


def how_to_make(task: str, name: str) -> str:
    """The reason why a shift has no exact row, with the command that makes one."""
    return (
        f"the task has no closed form, and no exact row of this shift lies among its runs; make it with "
        f"'python -m exobench.reference exact task={task} shift={name} n_test=25'"
    )


def exact_row_beside(runs_of_task: Path, name: str, key: str, folder: Path) -> Content | None:
    """An exact row as the record of a run under the same shift holds it; None where there is none.

    Args:
        runs_of_task: folder of the task's runs.
        name: of the shift.
        key: of the row.
        folder: of the run's scores under the shift, for the difference on the spectra that both have.

    Returns:
        The row's number of spectra, scores and calibration, and ``energy_score_beyond_exact``: the run's mean energy
        score beyond the row's, paired over the spectra that both have.
    """
    row_folder = exact_row_folder(runs_of_task, name)
    row = find_shift_record(row_folder, key)
    if row is None:
        return None
    ours, exact = per_spectrum_of(folder), per_spectrum_of(row_folder)
    n = min(len(ours["energy_score"]), len(exact["energy_score"]))
    if n < 2 or not np.allclose(ours["theta_true"][:n], exact["theta_true"][:n]):
        return None
    difference = paired_difference(ours["energy_score"][:n], exact["energy_score"][:n])
    kept = {name: row[name] for name in ("n_test", "n_draws", "n_by_source", "smallest_ess", "scores", "calibration")}
    return {"status": "ok", **kept, "n_compared": n, "energy_score_beyond_exact": difference._asdict()}
