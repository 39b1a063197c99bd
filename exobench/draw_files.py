"""Files of posterior draws that other programs wrote, as inputs of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.draw_tables import PriorBox, read_prior, read_truths
from exobench.errors import ExobenchError
from exobench.metrics.inputs import ScoringInputs
from exobench.metrics.predictive import log_likelihood_peak
from exobench.metrics.regions import BAYES_KEY, NOISE_KEY, noise_level_ppm
from exobench.metrics.tarp import FEWEST_FOR_TARP, reference_points
from exobench.results import DRAWS, RECORD, find_record

Array = NDArray[np.float64]

NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")

OF_DRAWS = ("log_weight", "log_prob", "log_likelihood")
"""Optional, (obs, draw); in NetCDF variables of the group posterior or sample_stats."""
OF_SPECTRA = ("log_prob_true", "prior_log_prob", "log_likelihood_true", "log_likelihood_peak", "n_bin")
"""Optional, (obs,)."""
OF_RUNS = ("task", "n_test", "n_stored")
"""What a run of exobench notes in its file: how many test spectra it had, and how many of them the file holds."""
_OTHER = ("theta", "theta_true", "names", "units", "low", "high", "x", "sigma", "reference_point", NOISE_KEY)


@dataclass(frozen=True, eq=False)
class DrawSet:
    """Draws of many spectra and what is known beside them.

    Attributes:
        inputs: of the scores.
        columns: further arrays (obs,) that regions are made from: noise level, Bayes factors of gases.
        notes: what was assumed, or not read.
    """

    inputs: ScoringInputs
    columns: dict[str, Array]
    notes: tuple[str, ...]


def read_draws(files: Sequence[Path], prior: Path | None, truths: Path | None, n_obs: int | None = None) -> DrawSet:
    """Reads draws, truths and prior.

    Args:
        files: one HDF5 file, one NetCDF file of all spectra, or one NetCDF file for each.
        prior: CSV with the parameters and their ranges; None where the HDF5 file has them.
        truths: CSV or HDF5 with the truths; None where the files of draws have them.
        n_obs: use the first spectra only; None for all.

    Returns:
        Checked inputs of the scores.

    Raises:
        ExobenchError: for a file that cannot be read or lacks something, and for whatever `ScoringInputs` refuses.
    """
    box = None if prior is None else read_prior(prior)
    if any(path.suffix.lower() in NETCDF for path in files):
        from exobench.draw_netcdf import read_netcdf

        if box is None:
            raise ExobenchError("NetCDF files name no prior: give prior=FILE.csv with columns name, low, high.")
        return _draw_set(read_netcdf(files, box, truths), box, n_obs, [])
    if len(files) > 1:
        raise ExobenchError(f"{len(files)} files given: HDF5 holds all spectra in one; NetCDF files end in .nc.")
    found, notes = _read_hdf5(files[0])
    if box is None:
        box = _box_in(found, files[0], notes)
    if truths is not None:
        found["theta_true"] = read_truths(truths, box.names, None)
    for name in ("theta", "theta_true"):
        if name not in found:
            raise ExobenchError(f"{files[0]} has no dataset {name}{_HOW.get(name, '')}.")
    return _draw_set(found, box, n_obs, notes)


_HOW = {"theta_true": " (obs, param), and truths= was not given", "theta": " (obs, draw, param)"}


_FORMS = "Draws are HDF5 with datasets theta and theta_true, or NetCDF, whose name ends in .nc (--help shows both)"


def _read_hdf5(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Datasets and attributes by name, and a note of what is not read."""
    found: dict[str, Any] = {}
    unread: list[str] = []
    notes: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            n_stored, n_test = (file.attrs.get(name) for name in ("n_stored", "n_test"))
            if n_stored is not None and n_stored != n_test:
                notes.append(f"{path.name} holds the first {n_stored} of the run's {n_test} test spectra")
            for name in (*file, *file.attrs):
                if name in OF_RUNS and name in file.attrs:
                    continue
                known = name in (*_OTHER, *OF_DRAWS, *OF_SPECTRA) or name.startswith(f"{BAYES_KEY}.")
                if not known or isinstance(file.get(name), h5py.Group):
                    unread.append(name)
                elif name in file:
                    found[name] = file[name][()]
                else:
                    found.setdefault(name, file.attrs[name])
    except OSError as error:
        why = error if h5py.is_hdf5(path) else f"it is none. {_FORMS}"
        raise ExobenchError(f"{path} cannot be read as HDF5: {str(why).rstrip('.')}.") from error
    if unread:
        notes.append(f"not read from {path.name}: {', '.join(sorted(unread))}")
    return found, notes


def _box_in(found: Mapping[str, Any], path: Path, notes: list[str]) -> PriorBox:
    missing = [name for name in ("names", "low", "high") if name not in found]
    record = find_record(path.parent) if missing and path.name == DRAWS else None
    if record is not None and "parameters" in record.content:
        notes.append(f"names, low and high are those of {RECORD} beside {path.name}")
        rows = record["parameters"]
        low, high = (np.array([row[end] for row in rows], dtype=np.float64) for end in ("low", "high"))
        return PriorBox(tuple(row["name"] for row in rows), tuple(row["unit"] for row in rows), low, high)
    if missing:
        raise ExobenchError(
            f"{path} has no {', '.join(missing)}: add them (param,), or give prior=FILE.csv with name, low, high."
        )
    names = _texts(found["names"])
    units = _texts(found["units"]) if "units" in found else ("",) * len(names)
    return PriorBox(names, units, _numbers("low", found["low"]), _numbers("high", found["high"]))


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in np.atleast_1d(values))


def _numbers(name: str, values: Any) -> Array:
    array = np.asarray(values)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise ExobenchError(f"{name} must hold real numbers; it holds {array.dtype}.")
    # Draws stay in single precision where they were stored in it: they are most of the memory.
    return array if name == "theta" and array.dtype == np.float32 else array.astype(np.float64)


def _draw_set(found: Mapping[str, Any], box: PriorBox, n_obs: int | None, notes: list[str]) -> DrawSet:
    """Inputs of the scores from arrays by name."""
    arrays = {name: _numbers(name, values) for name, values in found.items() if name not in ("names", "units")}
    if arrays["theta"].ndim != 3:
        raise ExobenchError(f"theta has shape {arrays['theta'].shape}; it must be (obs, draw, param).")
    total = len(arrays["theta"])
    if n_obs is not None and n_obs > total:
        raise ExobenchError(f"n_obs={n_obs}: there are {total} spectra.")
    for name, values in arrays.items():
        if name not in ("low", "high") and (values.ndim == 0 or len(values) != total):
            raise ExobenchError(f"{name} has shape {values.shape}; theta is of {total} spectra, its first axis.")
    arrays = {k: v if k in ("low", "high") else v[:n_obs] for k, v in arrays.items()}
    fields: dict[str, Any] = {
        name: arrays[name] for name in (*OF_DRAWS, *OF_SPECTRA, "reference_point") if name in arrays
    }
    inputs = ScoringInputs(box.names, box.units, box.low, box.high, arrays["theta_true"], arrays["theta"], **fields)
    fields |= _from_spectra(arrays, inputs, notes)
    if inputs.log_prob_true is not None and inputs.prior_log_prob is None:
        fields["prior_log_prob"] = np.full(inputs.n_obs, -float(np.sum(np.log(box.high - box.low))))
        notes.append("prior_log_prob is not given: the prior is taken as uniform between low and high")
    if "log_weight" in arrays:
        _note_weights(arrays["log_weight"], notes)
    inputs = ScoringInputs(box.names, box.units, box.low, box.high, arrays["theta_true"], arrays["theta"], **fields)
    columns = {k: v for k, v in arrays.items() if k == NOISE_KEY or k.startswith(f"{BAYES_KEY}.")}
    if "sigma" in arrays:
        columns.setdefault(NOISE_KEY, noise_level_ppm(arrays["sigma"]))
    return DrawSet(inputs, columns, tuple(notes))


def _from_spectra(arrays: Mapping[str, Array], inputs: ScoringInputs, notes: list[str]) -> dict[str, Array]:
    """What follows from the spectra: TARP's reference points, and the best likelihood that there could be."""
    fields: dict[str, Array] = {}
    if "x" in arrays and inputs.reference_point is None:
        if inputs.n_obs >= FEWEST_FOR_TARP:
            fields["reference_point"] = reference_points(arrays["x"], inputs.theta_true, inputs.low, inputs.high)
        else:
            notes.append(f"TARP's reference points need {FEWEST_FOR_TARP} spectra; there are {inputs.n_obs}")
    if "sigma" in arrays and inputs.log_likelihood is not None and inputs.log_likelihood_peak is None:
        fields["log_likelihood_peak"] = log_likelihood_peak(arrays["sigma"])
        fields["n_bin"] = np.isfinite(arrays["sigma"]).sum(axis=1).astype(np.float64)
        notes.append("the likelihood is taken as Gaussian with the given sigma, its normalisation included")
    return fields


def _note_weights(log_weight: Array, notes: list[str]) -> None:
    empty = np.flatnonzero(~(log_weight > -np.inf).any(axis=1))
    if len(empty):
        notes.append(f"the weights of {len(empty)} spectra sum to zero; the first is spectrum {empty[0]}")
