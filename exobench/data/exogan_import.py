"""Writes the original ExoGAN spectra into a task's shards: checked file by file, resumable, in parallel."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.comparison import Comparison, compare_with_simulator
from exobench.data.exogan_osf import FLAVOUR, SOURCE, list_chunks, read_chunk
from exobench.data.generate import Workers, resolve_workers
from exobench.data.imported import ImportedSpectra, ShardWriter, imported_task, read_sources, write_sources
from exobench.data.recipe import SPLITS
from exobench.data.shard import Depth, Theta
from exobench.data.source import recipe_of
from exobench.errors import ExobenchError
from exobench.files import folder_lock, remove_leftovers
from exobench.progress import Progress
from exobench.registry import build_task
from exobench.simulators.base import Simulator
from exobench.task import Task, TaskRequest

Array = NDArray[np.float64]

_ROWS_A_FILE = 10_000
"""As published; used for the progress display only."""
_ROWS_COMPARED_A_FILE = 64
_ROWS_COMPARED = 256


@dataclass(frozen=True)
class ImportReport:
    """What an import left on disk.

    Attributes:
        folder: of the data set.
        key: its name, for ``data.key``.
        task_id: of the task on these spectra.
        rows: spectra in each split.
        left_out: spectra at the end that fill no shard.
        comparison: beside the simulator; None where nothing had to be read.
    """

    folder: Path
    key: str
    task_id: str
    rows: dict[str, int]
    left_out: int
    comparison: Comparison | None

    def lines(self) -> list[str]:
        """The report in words."""
        counts = ", ".join(f"{n:,} {split}" for split, n in self.rows.items())
        lines = [f"imported into {self.folder}: {counts} spectra (task_id {self.task_id})"]
        if self.left_out:
            lines.append(f"left out: {self.left_out:,} spectra at the end, which fill no shard")
        if self.comparison:
            lines.append(f"check: {self.comparison.line()}")
        return lines


def import_exogan(
    source: Path,
    data_root: Path,
    *,
    task_name: str,
    shard_rows: int = 10_000,
    opacities_path: str | None = None,
    workers: Workers = "auto",
    progress: bool = True,
) -> ImportReport:
    """Imports ``chunck_*.pkgz`` files as the data set of a task. A second call goes on from where the first ended.

    Args:
        source: folder of the files, or one file.
        data_root: data root.
        task_name: the task whose parameters, prior and wavelengths they have.
        shard_rows: rows of one shard; smaller shards split a small set more finely.
        opacities_path: opacities of the comparison; None for the task's own.
        workers: processes that read files, or "auto".
        progress: show progress.

    Returns:
        What was imported, and how it compares with the simulator.

    Raises:
        ExobenchError: a file is refused, the spectra fill less than three shards, or the disk is full. Shards that were
            finished before are kept; there is never a part of one.
    """
    task = build_task(
        {"name": task_name, "flavour": FLAVOUR}, TaskRequest(opacities_path=opacities_path)
    )  # the files' own constants
    files = list_chunks(source)
    checksums = _checksums(files, progress)
    content = hashlib.sha256("\n".join(checksums).encode()).hexdigest()
    imported = imported_task(task, ImportedSpectra(SOURCE, content, FLAVOUR, shard_rows))
    recipe = recipe_of(imported)
    folder = recipe.folder(data_root)
    simulator = task.simulator.build()
    with folder_lock(folder):
        remove_leftovers(folder)
        writer = ShardWriter(recipe, folder)
        job = _Job(task, simulator, files, checksums, resolve_workers(workers), progress)
        try:
            job.run(writer, read_sources(folder))
        finally:
            left_out = writer.close()
            write_sources(folder, job.listed(), complete=job.is_complete)
    rows = {split: writer.manifest.rows(split) for split in SPLITS}
    if not all(rows.values()):
        raise ExobenchError(
            f"{source}: {sum(job.rows):,} spectra fill less than three shards of {shard_rows:,}, one for each split: "
            "import more files or use smaller shards (--shard-rows 1000)."
        )
    return ImportReport(folder, recipe.key, imported.task_id, rows, left_out, job.comparison())


class _Job:
    """The reading of one import: files in order, the first spectra of each held against the simulator."""

    def __init__(
        self,
        task: Task,
        simulator: Simulator,
        files: Sequence[Path],
        checksums: Sequence[str],
        n_process: int,
        progress: bool,
    ) -> None:
        self._task, self._simulator, self._files, self._checksums = task, simulator, files, checksums
        self._n_process, self._progress = n_process, progress
        self._samples: list[tuple[Theta, Depth]] = []
        self.rows: list[int] = []

    def run(self, writer: ShardWriter, known: dict[str, int]) -> None:
        """Reads what the writer still needs; ``known`` gives the rows of files that were read before."""
        total = sum(known.get(checksum, _ROWS_A_FILE) for checksum in self._checksums)
        todo = self._todo(writer, known)
        with (
            Progress(f"import {SOURCE}", total, show=self._progress) as bar,
            closing(self._read([self._files[number] for number in sorted(todo)])) as spectra,
        ):
            for number, checksum in enumerate(self._checksums):
                start = sum(self.rows)
                if number in todo:
                    theta, depth = next(spectra)
                    self._compare(self._files[number], theta, depth)
                    writer.put(start, theta, depth)
                    self.rows.append(len(theta))
                else:
                    self.rows.append(known[checksum])
                bar.add(self.rows[-1])

    @property
    def is_complete(self) -> bool:
        """Whether every file has been dealt with."""
        return len(self.rows) == len(self._files)

    def listed(self) -> list[dict[str, object]]:
        """The files dealt with, with their checksums and rows."""
        return [
            {"name": path.name, "sha256": checksum, "rows": rows}
            for path, checksum, rows in zip(self._files, self._checksums, self.rows, strict=False)
        ]

    def comparison(self) -> Comparison | None:
        """The spectra that were looked at beside the simulator's."""
        if not self._samples:
            return None
        theta = np.concatenate([theta for theta, _ in self._samples])
        depth = np.concatenate([depth for _, depth in self._samples])
        return compare_with_simulator(theta, depth.astype(np.float64), self._simulator)

    def _todo(self, writer: ShardWriter, known: dict[str, int]) -> set[int]:
        """Files to read: all from the first whose rows are not known, before it those with rows that are missing."""
        todo: set[int] = set()
        start = 0
        for number, checksum in enumerate(self._checksums):
            if checksum not in known:
                return todo | set(range(number, len(self._checksums)))
            if writer.needs(start, known[checksum]):
                todo.add(number)
            start += known[checksum]
        return todo

    def _compare(self, path: Path, theta: Theta, depth: Depth) -> None:
        sample = theta[:_ROWS_COMPARED_A_FILE], depth[:_ROWS_COMPARED_A_FILE]
        comparison = compare_with_simulator(sample[0], sample[1].astype(np.float64), self._simulator)
        if comparison.looks_reversed:
            raise ExobenchError(
                f"{path}: data/spectrum fits the simulator better turned round ({comparison.line()}); "
                "expected descending wavelength."
            )
        if sum(len(theta) for theta, _ in self._samples) < _ROWS_COMPARED:
            self._samples.append(sample)

    def _read(self, files: Sequence[Path]) -> Generator[tuple[Theta, Depth], None, None]:
        space, wavelength_um = self._task.parameters, self._task.wavelength_um
        if min(self._n_process, len(files)) <= 1:
            yield from (read_chunk(path, space, wavelength_um) for path in files)
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(self._n_process, len(files)), mp_context=context) as pool:
            waiting: deque[Future[tuple[Theta, Depth]]] = deque()
            try:
                for path in files:
                    waiting.append(pool.submit(read_chunk, path, space, wavelength_um))
                    if len(waiting) > self._n_process:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BrokenProcessPool as error:
                raise ExobenchError(
                    "a process that read a file died, most often for want of memory. Finished shards are kept: "
                    "start again with fewer workers."
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _checksums(files: Sequence[Path], progress: bool) -> list[str]:
    found = []
    with Progress("checksums", len(files), "files", show=progress) as bar:
        for path in files:
            with path.open("rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
            bar.add(1)
    return found
