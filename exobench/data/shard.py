"""One shard: an HDF5 file whose bytes follow from its rows alone.

Layout: datasets ``theta`` (row, param) float64 and ``depth`` (row, bin), float32 or uint16 and then with ``range``
(row, 2) float32, stored in blocks of about a thousand rows, each with a checksum that HDF5 tests on every read;
attributes say which shard of which data set it is. Nothing is compressed: the fast filter of HDF5 takes a twelfth off
uint16 and two fifths off float32, and makes both six times slower to read.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.data.recipe import FORMAT_VERSION, DataRecipe
from exobench.data.storage import Depth, StoredDepth, pack
from exobench.errors import ExobenchError

Theta = NDArray[np.float64]

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class ShardEntry:
    """A finished shard, as the manifest lists it.

    Attributes:
        file: path relative to the data set's folder.
        rows: number of spectra.
        bytes: size of the file.
        seed: seed of its draws.
        sha256: checksum of the file.
    """

    file: str
    rows: int
    bytes: int
    seed: int
    sha256: str

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return asdict(self)


def shard_file(split: str, index: int) -> str:
    """A shard's path relative to the data set's folder."""
    return f"{split}/shard_{index:05d}.h5"


def block_rows(shard_rows: int) -> int:
    """Rows that are stored, and best read, together: about a thousand, and evenly many in each block of a shard."""
    n_block = -(-shard_rows // _BLOCK_ROWS)
    return -(-shard_rows // n_block)


def encode_shard(recipe: DataRecipe, split: str, index: int, theta: Theta, depth: Depth) -> bytes:
    """The content of a shard's file for theta (row, param) and depth (row, bin).

    Built in memory: a full disk then shows as one plain error when the bytes are written.

    Raises:
        ExobenchError: depths that the recipe's storage cannot hold.
    """
    rows = block_rows(recipe.shard_rows)
    parts = _parts(theta, pack(depth, recipe.storage))
    with h5py.File("shard.h5", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for name, values in parts.items():
            # HDF5 would otherwise record the time, and two runs would differ.
            chunks = (min(rows, len(values)), values.shape[1])
            file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)
        file.attrs.update(_identity(recipe, split, index))
        file.attrs["content_sha256"] = _content_digest(parts)
        file.flush()
        return bytes(file.id.get_file_image())


def read_rows(path: Path, start: int, stop: int) -> tuple[Theta, StoredDepth]:
    """Rows start to stop of a shard: theta (row, param) and their depths as stored.

    Raises:
        ExobenchError: the file is missing or damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            extremes = file["range"][start:stop] if "range" in file else None
            return file["theta"][start:stop], StoredDepth(file["depth"][start:stop], extremes)
    except (OSError, KeyError) as error:
        raise ExobenchError(
            f"shard {path} cannot be read ({error}). Delete it, or run 'python -m exobench.data verify repair=true' "
            "with the settings of its data set: it is made again."
        ) from error


def entry_of(recipe: DataRecipe, split: str, index: int, content: bytes) -> ShardEntry:
    """The manifest's entry for a shard's content."""
    return ShardEntry(
        file=shard_file(split, index),
        rows=recipe.shard_rows,
        bytes=len(content),
        seed=recipe.seed(split, index),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def adopt_shard(recipe: DataRecipe, folder: Path, split: str, index: int) -> ShardEntry | None:
    """Checks a shard that no manifest vouches for, against its own digest and identity.

    Returns:
        Its entry, or None where it is missing, damaged or another data set's.
    """
    path = folder / shard_file(split, index)
    try:
        with h5py.File(path, "r", locking=False) as file:
            attributes = dict(file.attrs)
            parts = {name: file[name][:] for name in file}
    except (OSError, KeyError, TypeError):
        return None
    if {name: (values.shape, values.dtype) for name, values in parts.items()} != _expected_parts(recipe):
        return None
    expected = {**_identity(recipe, split, index), "content_sha256": _content_digest(parts)}
    if set(attributes) != set(expected) or any(attributes[name] != value for name, value in expected.items()):
        return None
    return entry_of(recipe, split, index, path.read_bytes())


def is_intact(folder: Path, entry: ShardEntry) -> bool:
    """Whether a listed shard's file has the checksum that the manifest gives."""
    path = folder / entry.file
    if not has_right_size(folder, entry):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def has_right_size(folder: Path, entry: ShardEntry) -> bool:
    """Whether a listed shard's file is there in full length: the check that costs nothing."""
    try:
        return (folder / entry.file).stat().st_size == entry.bytes
    except OSError:
        return False


def _identity(recipe: DataRecipe, split: str, index: int) -> dict[str, int | str]:
    return {
        "format_version": FORMAT_VERSION,
        "key": recipe.key,
        "split": split,
        "shard": index,
        "seed": recipe.seed(split, index),
    }


def _parts(theta: Theta, depth: StoredDepth) -> dict[str, NDArray]:
    """The datasets of a shard by name."""
    parts: dict[str, NDArray] = {"theta": np.ascontiguousarray(theta, dtype="<f8"), "depth": depth.values}
    return parts if depth.extremes is None else {**parts, "range": depth.extremes}


def _expected_parts(recipe: DataRecipe) -> dict[str, tuple[tuple[int, int], np.dtype]]:
    """Shape and kind of every dataset that a whole shard holds."""
    rows = recipe.shard_rows
    parts = _parts(np.empty((0, recipe.n_param)), pack(np.empty((0, recipe.n_bin), np.float32), recipe.storage))
    return {name: ((rows, values.shape[1]), values.dtype) for name, values in parts.items()}


def _content_digest(parts: dict[str, NDArray]) -> str:
    digest = hashlib.sha256()
    for name in ("theta", "depth", "range"):
        if name in parts:
            digest.update(np.ascontiguousarray(parts[name]).data)
    return digest.hexdigest()
