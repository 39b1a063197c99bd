"""Makes the shards that a split needs: in parallel, resumable, the same bytes whoever makes them."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from exobench.data.manifest import Manifest, manifest_of
from exobench.data.recipe import SPLITS, DataRecipe
from exobench.data.shard import adopt_shard, has_right_size, is_intact
from exobench.data.worker import make_here, make_in_processes, refuse_unguarded_scripts
from exobench.errors import ExobenchError, unknown_name
from exobench.files import folder_lock, remove_leftovers
from exobench.progress import Progress, clock

Workers = int | str
"""A number of processes, or "auto"."""

_SECONDS_BETWEEN_MANIFESTS = 2.0

log = logging.getLogger(__name__)


def ensure_split(
    recipe: DataRecipe, root: Path, split: str, n: int, *, workers: Workers = "auto", progress: bool = True
) -> None:
    """Makes the shards that hold the first n rows of a split, where they are not there yet.

    May be killed at any moment and started again, and called by several processes at once. Files are checked by
    their sizes here, by HDF5's block checksums whenever they are read, and by their own in ``verify``.

    Args:
        recipe: what to make.
        root: data root; the data set's folder is ``recipe.folder(root)``.
        split: "train", "validation" or "test".
        n: rows needed; whole shards are made.
        workers: processes, or "auto": one for each core that this process may use.
        progress: show a bar on a terminal, and say at level INFO when it starts and ends.

    Raises:
        ExobenchError: a wrong argument, a folder that holds another data set, too little disk, or a simulator's error.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    n_process = resolve_workers(workers)
    if not missing_shards(recipe, root, split, n):
        return
    if n_process > 1:
        refuse_unguarded_scripts()
    folder = recipe.folder(root)
    wanted = range(recipe.n_shards(n))
    with folder_lock(folder):
        # Another process may have made them while this one waited.
        manifest = manifest_of(recipe, folder)
        try:
            _complete(recipe, manifest, folder, split, wanted, n_process, progress)
        finally:
            remove_leftovers(folder)


def missing_shards(recipe: DataRecipe, root: Path, split: str, n: int) -> list[int]:
    """Numbers of the shards that the first n rows of a split need and that are not there in full length.

    Raises:
        ExobenchError: the folder holds another data set.
    """
    folder = recipe.folder(root)
    return _missing(manifest_of(recipe, folder), folder, split, range(recipe.n_shards(n)))


def verify(
    recipe: DataRecipe, root: Path, *, repair: bool = False, workers: Workers = "auto", progress: bool = True
) -> list[str]:
    """Reads every listed shard and compares its checksum with the manifest's.

    Args:
        recipe: the data set.
        root: data root.
        repair: make damaged and missing shards again.
        workers: processes for the repair.
        progress: show progress.

    Returns:
        The files that were damaged or missing, relative to the data set's folder.

    Raises:
        ExobenchError: there is no such data set.
    """
    folder = recipe.folder(root)
    manifest = manifest_of(recipe, folder)
    listed = [(split, index, entry) for split in SPLITS for index, entry in sorted(manifest.shards[split].items())]
    if not listed:
        raise ExobenchError(f"there is no data set in {folder}: nothing to verify.")
    damaged: dict[str, list[int]] = {split: [] for split in SPLITS}
    with Progress(f"verify {recipe.task_name}", sum(entry.rows for *_, entry in listed), show=progress) as bar:
        for split, index, entry in listed:
            if not is_intact(folder, entry):
                damaged[split].append(index)
            bar.add(entry.rows)
    if repair:
        _remake(recipe, folder, damaged, resolve_workers(workers), progress)
    return [manifest.shards[split][index].file for split in SPLITS for index in damaged[split]]


def resolve_workers(workers: Workers) -> int:
    """The number of processes that a setting means.

    Raises:
        ExobenchError: it is neither "auto" nor a positive whole number.
    """
    if workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(workers, int) and workers > 0:
        return workers
    raise ExobenchError(f"workers={workers} must be auto or a positive whole number.")


def _missing(manifest: Manifest, folder: Path, split: str, wanted: Iterable[int]) -> list[int]:
    entries = manifest.shards[split]
    return [index for index in wanted if index not in entries or not has_right_size(folder, entries[index])]


def _complete(
    recipe: DataRecipe,
    manifest: Manifest,
    folder: Path,
    split: str,
    wanted: Sequence[int],
    n_process: int,
    progress: bool,
) -> None:
    remove_leftovers(folder)
    _adopt(recipe, manifest, folder, split, _missing(manifest, folder, split, wanted))
    todo = _missing(manifest, folder, split, wanted)
    _check_space(recipe, folder, len(todo))
    done = (len(wanted) - len(todo)) * recipe.shard_rows
    what, total = f"{recipe.task_name} {split}", len(wanted) * recipe.shard_rows
    start = time.perf_counter()
    level = logging.INFO if progress else logging.DEBUG
    log.log(level, "%s: making %s spectra ...", what, f"{total - done:,}")
    with Progress(what, total, done=done, show=progress) as bar:
        _make(recipe, manifest, folder, split, todo, n_process, bar)
    log.log(level, "%s: made in %s", what, clock(time.perf_counter() - start))


def _adopt(recipe: DataRecipe, manifest: Manifest, folder: Path, split: str, unlisted: Iterable[int]) -> None:
    """Takes up sound shards that a killed process finished but did not list."""
    for index in unlisted:
        manifest.shards[split].pop(index, None)
        if (entry := adopt_shard(recipe, folder, split, index)) is not None:
            manifest.shards[split][index] = entry


def _make(
    recipe: DataRecipe, manifest: Manifest, folder: Path, split: str, todo: list[int], n_process: int, bar: Progress
) -> None:
    # A single shard is done here sooner than a new process has started.
    alone = min(n_process, len(todo)) <= 1
    made = (
        make_here(recipe, folder, split, todo) if alone else make_in_processes(recipe, folder, split, todo, n_process)
    )
    written = time.monotonic()
    try:
        # Closed here, so that no worker is left when the lock is released.
        with closing(made):
            for index, entry in made:
                manifest.shards[split][index] = entry
                bar.add(entry.rows)
                if time.monotonic() - written > _SECONDS_BETWEEN_MANIFESTS:
                    manifest.write(folder)
                    written = time.monotonic()
    except BaseException:
        # The shards vouch for themselves: a full disk's first message is worth more than a second one.
        with suppress(ExobenchError):
            manifest.write(folder)
        raise
    manifest.write(folder)


def _remake(recipe: DataRecipe, folder: Path, damaged: dict[str, list[int]], n_process: int, progress: bool) -> None:
    with folder_lock(folder):
        manifest = manifest_of(recipe, folder)
        for split, indices in damaged.items():
            if indices:
                with Progress(f"repair {split}", len(indices) * recipe.shard_rows, show=progress) as bar:
                    _make(recipe, manifest, folder, split, indices, n_process, bar)


def _check_space(recipe: DataRecipe, folder: Path, n_shard: int) -> None:
    needed, free = n_shard * recipe.shard_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise ExobenchError(
            f"{folder} needs {needed / 1e9:.2f} GB more, the disk has {free / 1e9:.2f} GB free. "
            "Free some space, lower the budget or choose another paths.data."
        )
