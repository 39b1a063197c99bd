"""One shard: an HDF5 file whose bytes follow from its rows alone.

Layout: datasets ``theta`` (row, param) float64 and ``depth`` (row, bin) float32, stored in blocks of about a thousand
rows, each with a checksum that HDF5 tests on every read; attributes say which shard of which data set it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.data.recipe import FORMAT_VERSION, DataRecipe
from exobench.errors import ExobenchError

Theta = NDArray[np.float64]
Depth = NDArray[np.float32]

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
    """
    rows = block_rows(recipe.shard_rows)
    with h5py.File("shard.h5", "w", driver="core", backing_store=False, libver=("v110", "v110")) as file:
        for name, values in (("theta", theta), ("depth", depth)):
            # HDF5 would otherwise record the time, and two runs would differ.
            chunks = (min(rows, len(values)), values.shape[1])
            file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)
        file.attrs.update(_identity(recipe, split, index))
        file.attrs["content_sha256"] = _content_digest(theta, depth)
        file.flush()
        return bytes(file.id.get_file_image())


def read_rows(path: Path, start: int, stop: int) -> tuple[Theta, Depth]:
    """Rows start to stop of a shard: theta (row, param) and depth (row, bin).

    Raises:
        ExobenchError: the file is missing or damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            return file["theta"][start:stop], file["depth"][start:stop]
    except (OSError, KeyError) as error:
        raise ExobenchError(
            f"shard {path} cannot be read ({error}). Delete it: it is made again by the next run."
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
            theta, depth = file["theta"][:], file["depth"][:]
    except (OSError, KeyError):
        return None
    expected = {**_identity(recipe, split, index), "content_sha256": _content_digest(theta, depth)}
    if theta.shape != (recipe.shard_rows, recipe.n_param) or depth.shape != (recipe.shard_rows, recipe.n_bin):
        return None
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


def _content_digest(theta: Theta, depth: Depth) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(theta, dtype="<f8").data)
    digest.update(np.ascontiguousarray(depth, dtype="<f4").data)
    return digest.hexdigest()
