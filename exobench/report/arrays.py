"""Per-spectrum arrays of one record, each read from its file when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.results import RECORD

Array = NDArray[np.float64]

NEEDED = ("theta_true", "median", "q16", "q84", "squared_error", "range_error", "rank")
"""Arrays (obs, param) without which a record is damaged; ``energy_score`` (obs,) is the other one."""


class StoredArrays(Mapping[str, Array]):
    """What a run's ``scores.h5`` holds: (obs,) or (obs, param), read-only.

    A page of a thousand records needs a few of some fifty arrays of each, so that reading all would take most of its
    time.

    Args:
        path: the file.
        n_obs: spectra that the record promises.
        n_param: parameters.

    Raises:
        ExobenchError: if the file is missing or damaged, or lacks an array that every record has; later, on access, if
            an array is damaged or has another shape.
    """

    def __init__(self, path: Path, n_obs: int, n_param: int) -> None:
        self._path, self._shape = path, (n_obs, n_param)
        self._read: dict[str, Array] = {}
        try:
            with h5py.File(path, "r") as file:
                self._names = tuple(file)
                shapes = {key: file[key].shape for key in (*NEEDED, "energy_score") if key in self._names}
        except (OSError, RuntimeError, AttributeError) as error:
            raise self._damaged(error) from error
        for key, wanted in [*((key, self._shape) for key in NEEDED), ("energy_score", self._shape[:1])]:
            if key not in shapes:
                raise ExobenchError(f"{path} lacks '{key}'; run it again with rerun=true.")
            if shapes[key] != wanted:
                raise ExobenchError(f"{path}: '{key}' has shape {shapes[key]}; {RECORD} promises {wanted}.")

    def __getitem__(self, key: str) -> Array:
        """One array.

        Raises:
            KeyError: if the file has none of this name.
        """
        if key not in self._names:
            raise KeyError(key)
        self.read((key,))
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        """Names of the arrays."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._names)

    def read(self, names: Iterable[str]) -> None:
        """Reads those of some arrays that the file has; opening it for each would cost as much as the arrays."""
        wanted = [key for key in names if key in self._names and key not in self._read]
        if not wanted:
            return
        try:
            with h5py.File(self._path, "r") as file:
                found = {key: np.asarray(file[key][()], np.float64) for key in wanted}
        except (OSError, RuntimeError) as error:
            raise self._damaged(error) from error
        for key, values in found.items():
            self._check(key, values.shape, self._shape[0])
            values.flags.writeable = False
            self._read[key] = values

    def head(self, n_obs: int) -> dict[str, Array]:
        """The first spectra of all arrays, read without the rest."""
        try:
            with h5py.File(self._path, "r") as file:
                found = {key: np.asarray(file[key][:n_obs], np.float64) for key in self._names}
        except (OSError, RuntimeError) as error:
            raise self._damaged(error) from error
        for key, values in found.items():
            self._check(key, values.shape, min(n_obs, self._shape[0]))
        return found

    def _check(self, key: str, shape: tuple[int, ...], n_obs: int) -> None:
        wanted = (n_obs, self._shape[1])
        if shape not in (wanted, wanted[:1]):
            raise ExobenchError(f"{self._path}: '{key}' has shape {shape}; expected {wanted} or {wanted[:1]}.")

    def _damaged(self, error: Exception) -> ExobenchError:
        return ExobenchError(f"{self._path} cannot be read ({error}); remove its folder and run again.")


def stored_arrays(path: Path, n_obs: int, n_param: int) -> StoredArrays:
    """The arrays of a file; those of the last few files are kept, as long as the files do not change.

    Raises:
        ExobenchError: as `StoredArrays`.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ExobenchError(f"{path} cannot be read ({error}); run it again with rerun=true.") from error
    return _opened(path, found.st_mtime_ns, found.st_size, n_obs, n_param)


@lru_cache(maxsize=4)
def _opened(path: Path, mtime_ns: int, size: int, n_obs: int, n_param: int) -> StoredArrays:
    return StoredArrays(path, n_obs, n_param)
