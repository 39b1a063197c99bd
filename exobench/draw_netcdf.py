"""Draws in NetCDF files of the InferenceData layout, as ArviZ, PyMC, Stan's interfaces and numpyro write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.draw_tables import PriorBox, read_truths
from exobench.errors import ExobenchError
from exobench.sampling.psis import quiet_arviz

Array = NDArray[np.float64]

SAMPLE_DIMS = ("chain", "draw")
_OPTIONAL = ("log_weight", "log_prob")
_OF_TRUTH = "log_prob_true"


def read_netcdf(files: Sequence[Path], box: PriorBox, truths: Path | None) -> dict[str, Array]:
    """Reads draws and truths; chains are joined.

    Args:
        files: one file of all spectra, or one for each.
        box: names the parameters: a posterior variable each, (chain, draw) or (chain, draw, obs); or one variable
            ``theta`` of all, (chain, draw, param) or (chain, draw, obs, param).
        truths: as of `read_truths`; None for the group constant_data, a variable for each parameter.

    Returns:
        ``theta`` (obs, draw, param), ``theta_true`` (obs, param), and where they are there ``log_weight`` and
        ``log_prob`` (obs, draw), and ``log_prob_true`` (obs,) of the group constant_data. A spectrum with fewer draws
        than others is filled up with draws of weight zero.

    Raises:
        ExobenchError: if a file cannot be read, lacks a parameter, or has more axes than these.
    """
    parts = [_read_one(path, box, with_truth=truths is None) for path in files]
    if len(files) > 1:
        several = [path for path, part in zip(files, parts, strict=True) if len(part["theta"]) != 1]
        if several:
            raise ExobenchError(f"{several[0]} holds several spectra; of several files each must hold one.")
    found = _joined(parts)
    if truths is not None:
        found["theta_true"] = read_truths(truths, box.names, files if len(files) > 1 else None)
    return found


def _read_one(path: Path, box: PriorBox, *, with_truth: bool) -> dict[str, Array]:
    try:
        data = quiet_arviz().from_netcdf(str(path))
        groups = {name: data[name].load() for name in data.groups()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = error if h5py.is_hdf5(path) else "it is no NetCDF-4 file, such as ArviZ writes with to_netcdf"
        raise ExobenchError(f"{path} cannot be read as NetCDF of the InferenceData layout: {why}.") from error
    if "posterior" not in groups:
        raise ExobenchError(f"{path} has no group posterior; it has {', '.join(groups) or 'none'}.")
    found = {"theta": _theta(groups["posterior"], box, path)}
    for name in _OPTIONAL:
        for group in ("posterior", "sample_stats"):
            if name in groups.get(group, {}):
                found[name] = _samples(groups[group][name], path)
    if with_truth:
        found["theta_true"] = _truth(groups.get("constant_data"), box, path)
    if _OF_TRUTH in groups.get("constant_data", {}):
        found[_OF_TRUTH] = np.asarray(groups["constant_data"][_OF_TRUTH].values, dtype=np.float64).reshape(-1)
    return found


def _theta(posterior: Any, box: PriorBox, path: Path) -> Array:
    """Draws, (obs, draw, param)."""
    missing = [name for name in box.names if name not in posterior]
    if not missing:
        samples = [_samples(posterior[name], path) for name in box.names]
        if len({each.shape for each in samples}) > 1:
            raise ExobenchError(f"{path}: the parameters' variables in the group posterior differ in their axes.")
        return np.stack(samples, axis=-1)
    if "theta" not in posterior:
        raise ExobenchError(f"{path}: the group posterior has no variable {', '.join(missing)}.")
    theta = posterior["theta"]
    if theta.shape[-1] != len(box.names):
        raise ExobenchError(f"{path}: theta has shape {theta.shape}; the prior has {len(box.names)} parameters.")
    last = theta.dims[-1]
    return np.stack([_samples(theta.isel({last: k}), path) for k in range(len(box.names))], axis=-1)


def _samples(variable: Any, path: Path) -> Array:
    """A variable (chain, draw) or (chain, draw, obs) as (obs, draw), the chains one after the other."""
    others = [dim for dim in variable.dims if dim not in SAMPLE_DIMS]
    if any(dim not in variable.dims for dim in SAMPLE_DIMS) or len(others) > 1:
        raise ExobenchError(
            f"{path}: {variable.name} has the axes ({', '.join(map(str, variable.dims))}); "
            "(chain, draw) or (chain, draw, obs) are read."
        )
    values = np.asarray(variable.transpose(*others, *SAMPLE_DIMS).values, dtype=np.float64)
    return values.reshape(-1 if others else 1, variable.sizes["chain"] * variable.sizes["draw"])


def _truth(constants: Any, box: PriorBox, path: Path) -> Array:
    """Truths, (obs, param), from the group constant_data."""
    missing = [name for name in box.names if constants is None or name not in constants]
    if missing:
        raise ExobenchError(
            f"{path} has no truth of {', '.join(missing)} in a group constant_data; give truths=FILE.csv."
        )
    columns = [np.atleast_1d(np.asarray(constants[name].values, dtype=np.float64)) for name in box.names]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1:
        raise ExobenchError(f"{path}: the truths in constant_data must be one number for each spectrum.")
    return np.stack(columns, axis=1)


def _joined(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """All spectra, each with as many draws as the longest has."""
    n_draws = max(part["theta"].shape[1] for part in parts)
    uneven = any(part["theta"].shape[1] < n_draws for part in parts)
    names = {name for part in parts for name in part}
    if uneven:
        names.add("log_weight")
    found: dict[str, list[Array]] = {name: [] for name in sorted(names)}
    for part in parts:
        shape = part["theta"].shape[:2]
        n_more = n_draws - shape[1]
        for name, values in found.items():
            if name == "theta_true":
                values.append(part[name])
            elif name == _OF_TRUTH:
                values.append(part.get(name, np.full(shape[0], np.nan)))
            elif name == "theta":
                values.append(np.concatenate([part[name], np.repeat(part[name][:, :1], n_more, axis=1)], axis=1))
            elif name == "log_weight":
                own = part.get(name, np.zeros(shape))
                values.append(np.pad(own, ((0, 0), (0, n_more)), constant_values=-np.inf))
            else:
                own = part.get(name, np.full(shape, np.nan))
                values.append(np.pad(own, ((0, 0), (0, n_more)), constant_values=np.nan))
    return {name: np.concatenate(values) for name, values in found.items()}
