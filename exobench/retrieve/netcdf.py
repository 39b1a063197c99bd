"""The draws as NetCDF in ArviZ's InferenceData layout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.retrieve.admission import NOT_FOR_SCIENCE
from exobench.retrieve.answer import REFINED_BY, Answer

Array = NDArray[np.float64]


def write_netcdf(path: Path, answer: Answer, wavelength_um: Array, run_name: str) -> None:
    """Writes posterior, sample_stats (weights), posterior_predictive, observed_data and constant_data.

    Args:
        path: of the file.
        answer: with its draws; one chain.
        wavelength_um: centres of the task's bins, (bin,).
        run_name: noted in the file.
    """
    import arviz

    attributes = {
        "run": run_name,
        "refined_by": REFINED_BY[answer.refine] if answer.refine else "",
        "spectrum": str(answer.spectrum.path),
        "mark": f"{NOT_FOR_SCIENCE}: {answer.mark}" if answer.mark else "",
        "warning": answer.warning or "",
    }
    log_weight = np.zeros(len(answer.theta)) if answer.log_weight is None else answer.log_weight
    data = arviz.from_dict(
        posterior={name: answer.theta[None, :, column] for column, name in enumerate(answer.space.names)},
        sample_stats={"log_weight": log_weight[None]},
        posterior_predictive={"depth": answer.predicted[None]},
        observed_data={"depth": answer.x},
        constant_data={"sigma": answer.sigma},
        coords={"wavelength_um": wavelength_um},
        dims={"depth": ["wavelength_um"], "sigma": ["wavelength_um"]},
        attrs=attributes,
    )
    for parameter in answer.space.parameters:
        data.posterior[parameter.name].attrs["unit"] = parameter.unit
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    data.to_netcdf(str(part))
    os.replace(part, path)
