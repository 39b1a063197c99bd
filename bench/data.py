"""Speed and memory of the data set, beside plain h5py: `python bench/data.py --out FILE`.

Spectra of hotjupiter are made on one-thread processes and streamed with the task's noise from memory, from shards that
the operating system has cached, from shards that it has not, and straight from the simulator. Sets of other sizes are
stand-ins for memory only: their shards are links to those that were made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Self

import h5py
import numpy as np
import torch

from exobench.data import DataRecipe, OnlineSource, ShardedSource, ShardStore, ensure_split
from exobench.data.manifest import manifest_of
from exobench.data.shard import shard_file
from exobench.data.source import recipe_of
from exobench.data.storage import STORAGES
from exobench.data.store import ReaderSource
from exobench.noise import NoiseModel
from exobench.problem import Batch
from exobench.registry import build_task
from exobench.task import TaskRequest

BATCH = 4096
MEMORY_SIZES = (100_000, 10_000_000)
TRAIN_BATCH = 2048
HIDDEN = 640


class WatchedChildren:
    """Notes the peak memory of the largest child process, a few times a second."""

    def __enter__(self) -> Self:
        self.peak_mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for child in multiprocessing.active_children():
                with contextlib.suppress(OSError):
                    self.peak_mib = max(self.peak_mib, peak_mib(str(child.pid)))


def peak_mib(process: str = "self") -> float:
    """Peak resident memory of a process; unlike getrusage it does not count what its parent held."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024 if "VmHWM:" in status else 0.0


def generator(recipe: DataRecipe, root: Path, n: int, workers: int) -> dict[str, float]:
    """Makes n spectra: seconds to start, rate from then on, size, and the peak memory of the largest worker."""
    start = time.time()
    with WatchedChildren() as watched:
        ensure_split(recipe, root, "train", n, workers=workers, progress=False)
    files = list((recipe.folder(root) / "train").glob("*.h5"))
    written = sorted(file.stat().st_mtime for file in files)
    # Every worker has started once each has written a shard.
    rate = recipe.shard_rows * (len(files) - workers) / (written[-1] - written[workers - 1])
    to_start = written[workers - 1] - start - recipe.shard_rows * workers / rate
    return {
        "seconds_to_start": to_start,
        "spectra_a_second": rate,
        "minutes_for_10M": (to_start + 1e7 / rate) / 60,
        "bytes_a_spectrum": sum(file.stat().st_size for file in files) / (len(files) * recipe.shard_rows),
        "peak_worker_mib": watched.peak_mib,
    }


def stream_rate(source: ReaderSource, noise: NoiseModel | None, n_batch: int) -> float:
    """Spectra a second of a stream read as fast as it comes, after its first batch."""
    with closing(source.stream("train", BATCH, noise=noise)) as stream:  # type: ignore[type-var]
        next(stream)
        start = time.perf_counter()
        for _ in islice(stream, n_batch):
            pass
        return BATCH * n_batch / (time.perf_counter() - start)


def forget_files(folder: Path) -> None:
    """Asks the operating system to drop what it has cached of a folder's files."""
    os.sync()
    for path in folder.rglob("*.h5"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def streams(
    recipes: dict[str, DataRecipe], root: Path, n: int, noise: NoiseModel, rounds: int
) -> dict[str, list[float]]:
    """Rates of every way to stream, one figure a round; rounds alternate between them."""
    n_batch, rates = n // BATCH - 1, {}
    for _ in range(rounds):
        for storage, recipe in recipes.items():
            store = ShardStore(root, recipe)
            cached, on_disk = (ShardedSource(store, n, 0, cache_bytes=size) for size in (1 << 40, 0))
            cases: dict[str, Callable[[], float]] = {
                "from memory": lambda source=cached: stream_rate(source, noise, n_batch),  # type: ignore[misc]
                "from shards": lambda source=on_disk: stream_rate(source, noise, n_batch),  # type: ignore[misc]
                "from shards, no noise": lambda source=on_disk: stream_rate(source, None, n_batch),  # type: ignore[misc]
            }
            for name, measure in cases.items():
                rates.setdefault(f"{storage} {name}", []).append(measure())
            forget_files(recipe.folder(root))
            rates.setdefault(f"{storage} from shards, cold disk", []).append(stream_rate(on_disk, noise, n_batch))
    rates["online"] = [stream_rate(uncached_sources(recipes, root, n)["online"], noise, 10)]
    return rates


def uncached_sources(recipes: dict[str, DataRecipe], root: Path, n: int) -> dict[str, ReaderSource]:
    """Sources that keep nothing in memory but what they mix."""
    stores = {storage: ShardStore(root, recipe) for storage, recipe in recipes.items()}
    no_validation = stores["float32"].reader("validation", 0)
    return {
        **{storage: ShardedSource(store, n, 0, cache_bytes=0) for storage, store in stores.items()},
        "online": OnlineSource(recipes["float32"], n, no_validation, cache_bytes=0),
    }


def plain_h5py(recipe: DataRecipe, root: Path, n: int) -> dict[str, float]:
    """What h5py alone reads, without noise: whole shards in order, and batches of random rows."""
    paths = [recipe.folder(root) / shard_file("train", index) for index in range(n // recipe.shard_rows)]
    start = time.perf_counter()
    for path in paths:
        with h5py.File(path, "r") as file:
            file["theta"][:], file["depth"][:]
    sequential = n / (time.perf_counter() - start)
    rng, n_batch = np.random.default_rng(0), 2
    start = time.perf_counter()
    for _ in range(n_batch):
        shard, row = np.divmod(np.sort(rng.choice(n, BATCH, replace=False)), recipe.shard_rows)
        for index in np.unique(shard):
            with h5py.File(paths[index], "r") as file:
                rows = row[shard == index]
                file["theta"][rows], file["depth"][rows]
    return {"sequential": sequential, "random": n_batch * BATCH / (time.perf_counter() - start)}


def compression(recipe: DataRecipe, root: Path) -> dict[str, dict[str, float]]:
    """Size and reading time of one shard under HDF5's filters, relative to none."""
    with h5py.File(recipe.folder(root) / shard_file("train", 0), "r") as file:
        depth, chunks = file["depth"][:], file["depth"].chunks
    filters = {
        "none": {},
        "lzf": {"compression": "lzf"},
        "shuffle + lzf": {"compression": "lzf", "shuffle": True},
        "shuffle + gzip 1": {"compression": "gzip", "compression_opts": 1, "shuffle": True},
    }
    found = {}
    for name, options in filters.items():
        with h5py.File("scratch", "w", driver="core", backing_store=False) as file:
            data = file.create_dataset("depth", data=depth, chunks=chunks, fletcher32=True, **options)
            file.flush()
            times = []
            for _ in range(5):
                start = time.perf_counter()
                data[:]
                times.append(time.perf_counter() - start)
            size = data.id.get_storage_size() / depth.nbytes
            found[name] = {"size": size, "spectra_a_second": len(depth) / statistics.median(times)}
    return found


def linked_set(recipe: DataRecipe, root: Path, n: int, into: Path) -> None:
    """A set of n rows whose shards are links to those that were made."""
    manifest, folder = manifest_of(recipe, recipe.folder(root)), recipe.folder(into)
    made = sorted(manifest.shards["train"].items())
    (folder / "train").mkdir(parents=True)
    for index in range(recipe.n_shards(n)):
        entry = made[index % len(made)][1]
        os.link(recipe.folder(root) / entry.file, folder / shard_file("train", index))
        manifest.shards["train"][index] = replace(entry, file=shard_file("train", index))
    manifest.write(folder)


def memory_of_stream(storage: str, root: Path, n: int, n_batch: int) -> float:
    """Peak memory in MiB of a process that streams from a set of n rows."""
    command = [sys.executable, __file__, "--child", storage, str(root), str(n), str(n_batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_child(storage: str, root: str, n: str, n_batch: str) -> None:
    """Streams with the default settings and prints the peak memory of this process in MiB."""
    torch.set_num_threads(1)
    task = build_task({"name": "hotjupiter"}, TaskRequest())
    source = ShardedSource(ShardStore(Path(root), recipe_of(task, storage=storage)), int(n), 0)
    for _ in islice(source.stream("train", BATCH, noise=task.noise), int(n_batch)):
        pass
    print(peak_mib())


def memory(recipe: DataRecipe, root: Path, n_batch: int) -> dict[str, float]:
    """Peak memory while streaming from sets of very different sizes."""
    found = {}
    for n in MEMORY_SIZES:
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            linked_set(recipe, root, n, Path(scratch))
            found[str(n)] = memory_of_stream(recipe.storage, Path(scratch), n, n_batch)
    return found


def training(source: ReaderSource, noise: NoiseModel, n_param: int, n_step: int) -> dict[str, float]:
    """How long a Gaussian density network on one thread waits for its batches."""
    n_bin = next(iter(source.stream("train", 8, noise=None, prefetch=0))).x.shape[1]
    layers = [torch.nn.Linear(n_bin, HIDDEN), torch.nn.SiLU(), torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.SiLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN, 2 * n_param))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)

    def step(batch: Batch) -> None:
        mean, log_width = network((batch.x - 0.01) * 1e3).chunk(2, dim=1)
        loss = (log_width + 0.5 * ((batch.theta - mean) * (-log_width).exp()) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    stream: Iterator[Batch] = source.stream("train", TRAIN_BATCH, noise=noise)
    step(next(stream))
    waited, start = 0.0, time.perf_counter()
    for _ in range(n_step):
        asked = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - asked
        step(batch)
    seconds = time.perf_counter() - start
    return {"spectra_a_second": n_step * TRAIN_BATCH / seconds, "waiting_percent": 100 * waited / seconds}


def print_tables(record: dict) -> None:
    """The figures for a person."""
    print(f"\n{'made by ' + str(record['workers']) + ' processes':34}{'spectra/s':>12}{'min for 10M':>13}{'B each':>9}")
    for storage, made in record["generator"].items():
        rate, minutes, size = (made[name] for name in ("spectra_a_second", "minutes_for_10M", "bytes_a_spectrum"))
        print(
            f"{storage:34}{rate:12,.0f}{minutes:13.1f}{size:9,.0f}   peak {made['peak_worker_mib']:,.0f} MiB a worker"
        )
    print(f"\n{'streamed, with noise, batch ' + str(BATCH):40}{'spectra/s':>12}   (median of rounds, least)")
    for name, rates in record["stream"].items():
        print(f"{name:40}{statistics.median(rates):12,.0f}{min(rates):12,.0f}")
    for storage, rates in record["plain_h5py"].items():
        for order, rate in rates.items():
            print(f"{f'h5py alone, {storage}, {order}, no noise':52}{rate:12,.0f}")
    print(f"\n{'compression of a shard':40}{'size':>8}{'spectra/s read':>17}")
    for storage, filters in record["compression"].items():
        for name, found in filters.items():
            print(f"{f'{storage}, {name}':40}{found['size']:8.2f}{found['spectra_a_second']:17,.0f}")
    print(f"\n{'peak memory while streaming, MiB':40}" + "".join(f"{int(n):>14,}" for n in map(int, MEMORY_SIZES)))
    for storage, peaks in record["memory_mib"].items():
        print(f"{storage:40}" + "".join(f"{peak:14,.0f}" for peak in peaks.values()))
    print(f"\n{'training on one thread, batch ' + str(TRAIN_BATCH):40}{'spectra/s':>12}{'waiting':>10}")
    for storage, found in record["training"].items():
        print(f"{storage:40}{found['spectra_a_second']:12,.0f}{found['waiting_percent']:9.2f}%")


def main() -> None:
    """Prints the tables and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--n", type=int, default=200_000, help="spectra that are made, in shards of 10,000")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="training steps timed")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure (default: the temporary folder)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        memory_child(*arguments.child)
        return
    torch.set_num_threads(1)
    task = build_task({"name": "hotjupiter"}, TaskRequest())
    recipes = {storage: recipe_of(task, storage=storage) for storage in STORAGES}
    root, n = Path(tempfile.mkdtemp(prefix="exobench_bench_", dir=arguments.scratch)), arguments.n
    try:
        record = {
            "workers": arguments.workers,
            "n": n,
            "batch": BATCH,
            "generator": {name: generator(each, root, n, arguments.workers) for name, each in recipes.items()},
            "stream": streams(recipes, root, n, task.noise, arguments.rounds),
            "plain_h5py": {name: plain_h5py(each, root, n) for name, each in recipes.items()},
            "compression": {name: compression(each, root) for name, each in recipes.items()},
            "memory_mib": {name: memory(each, root, 100) for name, each in recipes.items()},
            "training": {
                name: training(source, task.noise, len(task.parameters), arguments.steps)
                for name, source in uncached_sources(recipes, root, n).items()
            },
            "torch": torch.__version__,
            "h5py": h5py.__version__,
            "python": platform.python_version(),
            "processor": platform.processor() or platform.machine(),
        }
    finally:
        shutil.rmtree(root)
    print_tables(record)
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
