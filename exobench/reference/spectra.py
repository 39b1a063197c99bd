"""Reference draws and evidence for the first test spectra of a task, from a closed form or from another run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.c2st import N_C2ST
from exobench.progress import track
from exobench.results import DIAGNOSTICS, DRAWS, RunRecord, read_arrays
from exobench.seeds import rng_for

Array = NDArray[np.float64]

EXACT, PUBLISHED = "exact", "task"
VALUE, ERROR = "log_evidence", "log_evidence_error"


@dataclass(frozen=True, eq=False)
class SpectrumDraws:
    """Draws of one spectrum: theta (draw, param), log_weight (draw,) or None for equal weights."""

    theta: Array
    log_weight: Array | None

    def finite(self) -> SpectrumDraws:
        """Those that count and are finite."""
        kept = np.isfinite(self.theta).all(axis=1)
        if self.log_weight is None:
            return SpectrumDraws(self.theta[kept], None)
        kept &= self.log_weight > -np.inf
        return SpectrumDraws(self.theta[kept], self.log_weight[kept])

    def halves(self, seed: int) -> tuple[SpectrumDraws, SpectrumDraws]:
        """Two halves that share no draw."""
        order = np.random.default_rng(seed).permutation(len(self.theta))
        first, second = (
            SpectrumDraws(self.theta[half], None if self.log_weight is None else self.log_weight[half])
            for half in np.array_split(order, 2)
        )
        return first, second


@dataclass(frozen=True, eq=False)
class StoredDraws:
    """What a run, or the closed form, says of the first test spectra of a task.

    Attributes:
        name: ``"exact"``, or task/method/hash/seed of a run.
        task_id: of the task.
        theta_true: (obs, param), which names the spectra.
        theta: draws (obs, draw, param).
        log_weight: (obs, draw), or None for equal weights.
        diagnostics: arrays (obs,) by name.
    """

    name: str
    task_id: str
    theta_true: Array
    theta: Array
    log_weight: Array | None
    diagnostics: dict[str, Array]

    def spectrum(self, row: int) -> SpectrumDraws:
        """Draws of one spectrum."""
        return SpectrumDraws(
            np.asarray(self.theta[row], np.float64), None if self.log_weight is None else self.log_weight[row]
        )

    def evidence(self) -> tuple[Array, Array] | None:
        """log_evidence and its error, (obs,) each, where they are known."""
        if VALUE not in self.diagnostics or ERROR not in self.diagnostics:
            return None
        return self.diagnostics[VALUE], self.diagnostics[ERROR]


def run_name(record: RunRecord) -> str:
    """``task/method/hash/seed`` of a run."""
    return "/".join(record.folder.absolute().parts[-4:])


def stored_draws(record: RunRecord, n_obs: int) -> StoredDraws:
    """Draws and diagnostics that a run left of its first n_obs test spectra; all that it stored if they are fewer.

    Raises:
        ExobenchError: if the run was skipped or failed, or left no draws.
    """
    if record["status"] != "ok":
        raise ExobenchError(f"{record.folder}: the run is '{record['status']}' and left no draws.")
    arrays = read_arrays(record.folder / DRAWS)
    log_weight = arrays.get("log_weight")
    path = record.folder / DIAGNOSTICS
    diagnostics = {name: values[:n_obs] for name, values in read_arrays(path).items()} if path.exists() else {}
    return StoredDraws(
        run_name(record),
        record["task_id"],
        arrays["theta_true"][:n_obs],
        arrays["theta"][:n_obs],
        None if log_weight is None else log_weight[:n_obs],
        diagnostics,
    )


def exact_draws(record: RunRecord, n_obs: int, data: Path, n_draws: int = 2 * N_C2ST) -> StoredDraws:
    """Independent draws and the evidence of the task's closed form for the spectra of a run.

    Args:
        record: names the task.
        n_obs: test spectra, from the first one on.
        data: root of the shared data sets.
        n_draws: draws a spectrum; twice those of one comparison, for the floor.

    Raises:
        ExobenchError: if the task has no closed form, or is not the one that the record was made with.
    """
    # With these comes torch, which who only reads stored draws need not wait for.
    from exobench.data.choice import DataChoice
    from exobench.data.source import open_data
    from exobench.registry import build_task
    from exobench.task import TaskRequest

    config = record["config"]
    task = build_task(config["task"], TaskRequest(config["simulator"]))
    if task.exact is None:
        raise ExobenchError(f"task {task.name} has no posterior in closed form; give the folder of a run as reference.")
    if task.task_id != record["task_id"]:
        raise ExobenchError(
            f"{record.folder} is of another task {task.name} ({record['task_id']}, now {task.task_id})."
        )
    n_obs = min(n_obs, record["n_test"])
    test = open_data(task, data, n_train=0, n_validation=0, n_test=n_obs, choice=DataChoice()).test
    theta = [
        task.exact.sample(
            test.x[row : row + 1], test.sigma[row : row + 1], n_draws, rng=rng_for(task.task_id, EXACT, row)
        )
        for row in track(range(n_obs), "exact draws")
    ]
    evidence = task.exact.log_evidence(test.x, test.sigma)
    return StoredDraws(
        EXACT,
        task.task_id,
        test.theta_true,
        np.concatenate(theta),
        None,
        {VALUE: evidence.value, ERROR: evidence.error},
    )
