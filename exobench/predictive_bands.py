"""What draws predict of their own spectra: quantiles of the simulated depth, for a few spectra that people look at."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.drawing import Drawn
from exobench.errors import ExobenchError
from exobench.metrics.draws import spread_draws
from exobench.results import PREDICTIVE, RunRecord, write_arrays
from exobench.shifts.finished import task_of
from exobench.task import Task

Array = NDArray[np.float64]
log = logging.getLogger(__name__)

N_SPECTRA, N_PREDICTED = 5, 200
"""Leading test spectra, and draws of each that are simulated: seconds at most, even with k-tables."""

LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)
"""Probabilities of the quantiles."""


def predicted_quantiles(task: Task, theta: NDArray[Any], log_weight: Array | None) -> Array:
    """Quantiles of the noise-free depth over the draws of each spectrum.

    Args:
        task: gives the simulator; its calls are counted for nobody.
        theta: draws, (obs, draw, param), in declared units.
        log_weight: (obs, draw), or None for equal weights.

    Returns:
        Depth fractions, (obs, quantile, bin) at `LEVELS`; NaN for a spectrum without a usable draw.

    Raises:
        ExobenchError: if the task has no simulator, as that of imported spectra.
    """
    simulator = task.simulator.build("cpu")
    chosen = spread_draws(theta, log_weight, N_PREDICTED)
    found = np.full((len(theta), len(LEVELS), len(task.wavelength_um)), np.nan)
    for row, draws in enumerate(chosen):
        used = theta[row, draws[draws >= 0]].astype(np.float64)
        # A draw outside the box has no spectrum that the simulator answers for.
        used = used[task.prior.log_prob(used) > -np.inf] if len(used) else used
        if len(used):
            with torch.no_grad():
                depth = simulator(torch.as_tensor(used)).double().cpu().numpy()
            found[row] = np.quantile(depth, LEVELS, axis=0)
    return found


def write_predictive(task: Task, test: TestSpectra, drawn: Drawn, folder: Path) -> None:
    """Stores the first spectra of a run with what its draws predict of them, as ``predictive.h5``.

    Holds ``wavelength_um`` (bin,), ``x`` and ``sigma`` (obs, bin), ``theta_true`` (obs, param) and ``depth``
    (obs, quantile, bin). Imported spectra have no simulator, and then there is no file.
    """
    x, sigma, theta_true = test.head(N_SPECTRA)
    log_weight = None if drawn.log_weight is None else drawn.log_weight[:N_SPECTRA]
    try:
        depth = predicted_quantiles(task, drawn.theta[:N_SPECTRA], log_weight)
    except ExobenchError as error:
        log.info("no spectrum is predicted: %s", error)
        return
    arrays: dict[str, Any] = {
        "wavelength_um": task.wavelength_um,
        "x": x,
        "sigma": sigma,
        "theta_true": theta_true,
        "depth": depth.astype(np.float32),
    }
    write_arrays(folder / PREDICTIVE, arrays, {"levels": LEVELS, "task_id": task.task_id})


def quantiles_of_run(record: RunRecord, theta: NDArray[Any], log_weight: Array | None) -> Array:
    """Quantiles that draws of a finished run predict, from the simulator of its task.

    Args:
        record: names the task.
        theta: (obs, draw, param).
        log_weight: (obs, draw), or None for equal weights.

    Returns:
        See `predicted_quantiles`.

    Raises:
        ExobenchError: if the task is not the one that the record was made with, or has no simulator.
    """
    return predicted_quantiles(task_of(record), theta, log_weight)
