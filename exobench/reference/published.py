"""The reference posteriors that a task publishes: one small file in the task's folder, keyed by task_id."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.reference.spectra import StoredDraws
from exobench.registry import TASKS, names

Array = NDArray[np.float64]

FORMAT = 1
FILE = "posteriors.h5"
FOLDER = "reference"
AGREED, UNRESOLVED = "agreed", "unresolved"

_LEVELS = 65535
"""Draws are kept as this many steps between a posterior's own lowest and highest draw."""


@dataclass(frozen=True, eq=False)
class Published:
    """Reference posteriors of the first test spectra of one task.

    Attributes:
        task: name.
        task_id: the only task_id that they are the posteriors of.
        names: of the parameters.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        wavelength_um: bin centres, (bin,).
        x: the spectra, depth fractions, (obs, bin).
        sigma: as x.
        theta_true: (obs, param).
        theta: draws of equal weight, (obs, draw, param).
        columns: one number a spectrum, (obs,): ``log_evidence`` and ``log_evidence_error`` (natural log),
            ``effective_sample_size``, ``converged``, ``seconds``, ``likelihood_calls``, ``rerun``, the check's
            ``check_log_evidence`` and ``check_log_evidence_error``, and ``c2st`` of the check beside ``c2st_floor``;
            NaN where there is none.
        status: ``"agreed"`` or ``"unresolved"`` of each spectrum.
        named: row of each named observation.
        notes: JSON-able: samplers and their settings, criteria, comparison with other code, versions, hardware.
    """

    task: str
    task_id: str
    names: tuple[str, ...]
    low: Array
    high: Array
    wavelength_um: Array
    x: Array
    sigma: Array
    theta_true: Array
    theta: Array
    columns: dict[str, Array]
    status: tuple[str, ...]
    named: dict[str, int]
    notes: dict[str, Any]

    @property
    def name(self) -> str:
        """For tables."""
        return f"published/{self.task}/{self.task_id}"

    def stored_draws(self, n_obs: int | None = None) -> StoredDraws:
        """The first n_obs posteriors in the form in which runs are compared; all by default."""
        columns = {name: values[:n_obs] for name, values in self.columns.items()}
        return StoredDraws(self.name, self.task_id, self.theta_true[:n_obs], self.theta[:n_obs], None, columns)


def task_folder(task: str) -> Path:
    """The folder of a task's package, where its reference posteriors lie.

    Raises:
        ExobenchError: if there is no such task.
    """
    if task not in names(TASKS):
        raise unknown_name("task", task, names(TASKS))
    point = next(point for point in entry_points(group=TASKS) if point.name == task)
    spec = find_spec(point.module)
    if spec is None or spec.origin is None:
        raise ExobenchError(f"task {task}: its module {point.module} has no folder on disk.")
    return Path(spec.origin).parent


def published_path(task: str) -> Path:
    """Where a task's reference posteriors lie."""
    return task_folder(task) / FOLDER / FILE


def load_published(task: str, task_id: str) -> Published:
    """Reads a task's published posteriors.

    Args:
        task: name.
        task_id: of the run or task that is to be compared with them.

    Raises:
        ExobenchError: if there are none, or they belong to another task_id.
    """
    path = published_path(task)
    if not path.is_file():
        raise ExobenchError(
            f"task {task} publishes no reference posteriors ({path} is missing); make them with "
            f"'python -m exobench.reference make task={task}'."
        )
    found = read_published(path)
    if found.task_id != task_id:
        raise ExobenchError(
            f"{path} holds the posteriors of task_id {found.task_id}, not of {task_id}: prior, simulator, opacities, "
            "noise or test set differ. Make those of this one with 'python -m exobench.reference make' and out=FILE."
        )
    return found


def write_published(path: Path, published: Published) -> None:
    """Writes the file, atomically, making its folder."""
    low, high = published.theta.min(axis=1), published.theta.max(axis=1)
    width = np.where(high > low, high - low, 1.0)
    steps = np.rint((published.theta - low[:, None]) / width[:, None] * _LEVELS)
    arrays = {
        "draws": steps.astype(np.uint16),
        "draws_low": low,
        "draws_high": high,
        "wavelength_um": published.wavelength_um,
        "x": published.x.astype(np.float32),
        "sigma": published.sigma.astype(np.float32),
        "theta_true": published.theta_true,
        "prior_low": published.low,
        "prior_high": published.high,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with h5py.File(part, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=9, shuffle=True)
        columns = file.create_group("columns")
        for name, values in published.columns.items():
            columns.create_dataset(name, data=np.asarray(values, np.float64))
        file.attrs.update({"format": FORMAT, "task": published.task, "task_id": published.task_id})
        for name, content in (
            ("names", list(published.names)),
            ("status", list(published.status)),
            ("named", published.named),
            ("notes", published.notes),
        ):
            file.create_dataset(name, data=json.dumps(content))
    os.replace(part, path)


def read_published(path: Path) -> Published:
    """Reads a file of reference posteriors.

    Raises:
        ExobenchError: if it is missing, damaged, or of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(path, file)
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, ExobenchError):
            raise
        raise ExobenchError(f"{path} cannot be read as reference posteriors ({error}).") from error


def _read(path: Path, file: h5py.File) -> Published:
    if int(file.attrs["format"]) != FORMAT:
        raise ExobenchError(f"{path} has format {file.attrs['format']}; this version reads {FORMAT}.")
    low, high = file["draws_low"][()], file["draws_high"][()]
    share = file["draws"][()].astype(np.float64) / _LEVELS
    text: Mapping[str, Any] = {
        name: json.loads(file[name].asstr()[()]) for name in ("names", "status", "named", "notes")
    }
    return Published(
        task=str(file.attrs["task"]),
        task_id=str(file.attrs["task_id"]),
        names=tuple(text["names"]),
        low=file["prior_low"][()],
        high=file["prior_high"][()],
        wavelength_um=file["wavelength_um"][()],
        x=file["x"][()].astype(np.float64),
        sigma=file["sigma"][()].astype(np.float64),
        theta_true=file["theta_true"][()],
        theta=low[:, None] + share * (high - low)[:, None],
        columns={name: values[()] for name, values in file["columns"].items()},
        status=tuple(text["status"]),
        named=dict(text["named"]),
        notes=dict(text["notes"]),
    )
