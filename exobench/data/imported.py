"""Spectra that were imported, in the shards and manifest of any other data set.

An imported set is a task whose simulator is replaced by a record of where the spectra came from. That record enters the
data set's key and the task_id, so scores on imported spectra never stand beside scores on simulated ones.

Rows keep the order of the source. Of every ten shards, the first goes to the test split and the second to the
validation split, until each holds 10,000 rows; all others are for training. More rows only add shards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from exobench.data.choice import DEFAULT_CACHE_GIB, DataChoice
from exobench.data.manifest import Manifest, load_manifest, manifest_of
from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.shard import Depth, Theta, encode_shard, entry_of, has_right_size
from exobench.data.source import RunData, open_data, recipe_of
from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.task import N_TEST_MAX, Task

if TYPE_CHECKING:
    from exobench.simulators.base import Simulator

KIND = "imported"
HELD_OUT_ROWS = N_TEST_MAX
_SHARDS_A_ROUND = 10
_SECONDS_BETWEEN_MANIFESTS = 2.0
_SOURCES_NAME = "sources.json"


@dataclass(frozen=True)
class ImportedSpectra:
    """Stands where a task's simulator recipe stood: says where its spectra came from, and cannot make others.

    Attributes:
        source: name of the import, such as "exogan_osf".
        content_sha256: checksum over the checksums of the source's files, in order.
        flavour: constants with which the source's numbers were turned into the task's units.
        shard_rows: spectra a shard; decides which spectra are the test set.
    """

    source: str
    content_sha256: str
    flavour: str
    shard_rows: int

    def build(self, device: str = "cpu", *, differentiable: bool = False) -> Simulator:
        """There is none.

        Raises:
            ExobenchError: always.
        """
        del device, differentiable
        self._refuse()

    def describe(self) -> dict[str, object]:
        """What determines the spectra."""
        return {
            "kind": KIND,
            "source": self.source,
            "content_sha256": self.content_sha256,
            "flavour": self.flavour,
            "shard_rows": self.shard_rows,
        }

    def _refuse(self) -> NoReturn:
        raise ExobenchError(
            f"data={self.source} was imported and has no simulator: run the import again for missing or damaged "
            "shards; a method that needs the simulator or the likelihood runs on the task's own data."
        )


def imported_task(task: Task, spectra: ImportedSpectra) -> Task:
    """The same task on imported spectra: same parameters, prior, grid and noise, another task_id."""
    return replace(task, simulator=spectra, shard_rows=spectra.shard_rows, data_seed=0)


def place_of(shard: int, shard_rows: int) -> tuple[str, int]:
    """Split and number within it of the source's shard, counted from 0."""
    most_held_out = -(-HELD_OUT_ROWS // shard_rows)
    turn, place = divmod(shard, _SHARDS_A_ROUND)
    if place < 2 and turn < most_held_out:
        return ("test", "validation")[place], turn
    held_out = min(turn + (place > 0), most_held_out) + min(turn + (place > 1), most_held_out)
    return "train", shard - held_out


class ShardWriter:
    """Collects rows by their number in the source and writes every shard that is full, whole or not at all.

    Args:
        recipe: of the imported task.
        folder: the data set's folder, held by this process.

    Raises:
        ExobenchError: the folder holds another data set.
    """

    def __init__(self, recipe: DataRecipe, folder: Path) -> None:
        self._recipe, self._folder = recipe, folder
        self.manifest: Manifest = manifest_of(recipe, folder)
        self._open: dict[int, tuple[Theta, Depth, int]] = {}
        self._written = time.monotonic()

    def needs(self, start: int, n: int) -> bool:
        """Whether a shard with any of these rows is missing."""
        return any(not self._is_finished(shard) for shard in self._shards(start, n))

    def put(self, start: int, theta: Theta, depth: Depth) -> None:
        """Takes rows start, start + 1, ...: theta (n, param) and depth (n, bin), ascending in wavelength.

        Raises:
            ExobenchError: the disk is full.
        """
        rows = self._recipe.shard_rows
        for shard in self._shards(start, len(theta)):
            if self._is_finished(shard):
                continue
            first, last = max(start, shard * rows), min(start + len(theta), (shard + 1) * rows)
            held = self._open.pop(shard, None) or (
                np.empty((rows, theta.shape[1])),
                np.empty((rows, depth.shape[1]), dtype=np.float32),
                0,
            )
            into, taken = slice(first - shard * rows, last - shard * rows), slice(first - start, last - start)
            held[0][into], held[1][into] = theta[taken], depth[taken]
            n_held = held[2] + last - first
            if n_held == rows:
                self._write(shard, held[0], held[1])
            else:
                self._open[shard] = (held[0], held[1], n_held)

    def close(self) -> int:
        """Writes the manifest.

        Returns:
            Rows left out because they fill no shard.
        """
        self._write_manifest()
        return sum(n_held for *_, n_held in self._open.values())

    def _shards(self, start: int, n: int) -> range:
        rows = self._recipe.shard_rows
        return range(start // rows, -(-(start + n) // rows))

    def _is_finished(self, shard: int) -> bool:
        split, index = place_of(shard, self._recipe.shard_rows)
        entry = self.manifest.shards[split].get(index)
        return entry is not None and has_right_size(self._folder, entry)

    def _write(self, shard: int, theta: Theta, depth: Depth) -> None:
        split, index = place_of(shard, self._recipe.shard_rows)
        content = encode_shard(self._recipe, split, index, theta, depth)
        entry = entry_of(self._recipe, split, index, content)
        path = self._folder / entry.file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        self.manifest.shards[split][index] = entry
        if time.monotonic() - self._written > _SECONDS_BETWEEN_MANIFESTS:
            self._write_manifest()

    def _write_manifest(self) -> None:
        if any(self.manifest.shards.values()):
            self.manifest.write(self._folder)
        self._written = time.monotonic()


def find_imported(task: Task, root: Path, source: str, key: str | None = None) -> Task:
    """Looks for an imported set of a task under the data root.

    Args:
        task: the task whose parameters, prior and grid the set must have.
        root: data root.
        source: name of the import.
        key: folder of the set; needed only where there are several.

    Returns:
        The task on these spectra.

    Raises:
        ExobenchError: there is no finished one, there are several, or it belongs to other settings of the task.
    """
    begun = {manifest.key: manifest for manifest in _imported_manifests(root / task.name, source)}
    found = {name: manifest for name, manifest in begun.items() if is_complete(root / task.name / name)}
    if not found:
        raise ExobenchError(
            f"there is no {'finished import' if begun else 'imported set'} '{source}' of task {task.name} in "
            f"{root / task.name}: run 'python -m exobench.data fetch exogan' and then "
            "'python -m exobench.data import exogan'."
        )
    if key is None and len(found) > 1:
        raise ExobenchError(f"data.key must say which imported set of '{source}' is meant: {', '.join(sorted(found))}.")
    manifest = next(iter(found.values())) if key is None else found.get(key)
    if manifest is None:
        raise ExobenchError(f"data.key={key} is no imported set of '{source}'; there are: {', '.join(sorted(found))}.")
    description: Mapping[str, Any] = manifest.configuration["description"]
    spectra = ImportedSpectra(
        source, str(description["content_sha256"]), str(description["flavour"]), int(description["shard_rows"])
    )
    imported = imported_task(task, spectra)
    if recipe_of(imported).key != manifest.key:
        raise ExobenchError(
            f"the imported set {root / task.name / manifest.key} belongs to other settings of task {task.name} "
            "(prior or wavelengths): leave the task at its defaults or run the import again."
        )
    return imported


def open_imported(
    task: Task,
    root: Path,
    *,
    n_train: int,
    n_validation: int,
    n_test: int,
    cache_gib: float = DEFAULT_CACHE_GIB,
) -> RunData:
    """Opens the imported set of a task that ``find_imported`` gave.

    Args:
        task: the task on imported spectra.
        root: data root.
        n_train: training spectra.
        n_validation: validation spectra.
        n_test: test spectra.
        cache_gib: a split that takes no more memory than this is kept there.

    Returns:
        As ``exobench.data.source.open_data``.

    Raises:
        ExobenchError: the set holds fewer spectra than asked for.
    """
    recipe = recipe_of(task)
    manifest = manifest_of(recipe, recipe.folder(root))
    for split, n, setting in zip(SPLITS, (n_train, n_validation, n_test), ("budget", "budget", "n_test"), strict=True):
        if n > manifest.rows(split):
            raise ExobenchError(
                f"{n:,} {split} spectra asked for; the imported set {recipe.folder(root)} has "
                f"{manifest.rows(split):,}: lower {setting} or import more files."
            )
    choice = DataChoice(cache_gib=cache_gib)
    return open_data(task, root, n_train=n_train, n_validation=n_validation, n_test=n_test, choice=choice)


def read_sources(folder: Path) -> dict[str, int]:
    """Rows of the source files that an earlier import counted, by checksum."""
    try:
        listed = json.loads((folder / _SOURCES_NAME).read_text())["files"]
        return {str(item["sha256"]): int(item["rows"]) for item in listed}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_sources(folder: Path, files: list[dict[str, object]], *, complete: bool) -> None:
    """Records the source files dealt with (name, checksum and rows of each), and whether they are all."""
    content = {"complete": complete, "files": files}
    write_atomically(folder / _SOURCES_NAME, (json.dumps(content, indent=1) + "\n").encode())


def is_complete(folder: Path) -> bool:
    """Whether the import of a folder came to its end."""
    try:
        return json.loads((folder / _SOURCES_NAME).read_text())["complete"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _imported_manifests(folder: Path, source: str) -> list[Manifest]:
    manifests = []
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            manifest = load_manifest(path.parent)
        except ExobenchError:
            continue  # another set's damage is that set's to report
        description = manifest.configuration.get("description") if manifest else None
        if manifest and isinstance(description, dict) and description.get("source") == source:
            manifests.append(manifest)
    return manifests
