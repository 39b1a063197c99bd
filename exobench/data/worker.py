"""Makes shards: in this process, or in single-threaded processes beside it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from exobench.data.recipe import DataRecipe
from exobench.data.shard import ShardEntry, Theta, encode_shard, entry_of
from exobench.data.storage import Depth
from exobench.errors import ExobenchError
from exobench.files import write_atomically

if TYPE_CHECKING:
    from exobench.simulators.base import Simulator

ROWS_A_CALL = 2500
"""Rows simulated together: fixed, because the numbers of a matrix product may depend on how many there are."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

Made = tuple[int, ShardEntry]


def make_shard(recipe: DataRecipe, simulator: Simulator, folder: Path, split: str, index: int) -> ShardEntry:
    """Simulates a shard and puts it in its place.

    Raises:
        ExobenchError: the simulator gave a wrong shape or values that are not finite, or the disk is full.
    """
    theta = recipe.theta(split, index)
    depth = simulate_rows(recipe, simulator, theta)
    content = encode_shard(recipe, split, index, theta, depth)
    entry = entry_of(recipe, split, index, content)
    path = folder / entry.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
    return entry


def simulate_rows(recipe: DataRecipe, simulator: Simulator, theta: Theta) -> Depth:
    """Noise-free depths (row, bin) float32 for theta (row, param), in calls of ``ROWS_A_CALL``.

    Raises:
        ExobenchError: the simulator gave a wrong shape or values that are not finite.
    """
    depth = np.empty((len(theta), recipe.n_bin), dtype=np.float32)
    with torch.no_grad():
        for start in range(0, len(theta), ROWS_A_CALL):
            rows = slice(start, start + ROWS_A_CALL)
            part = simulator(torch.from_numpy(theta[rows])).cpu().numpy()
            if part.shape != depth[rows].shape:
                raise ExobenchError(
                    f"the simulator of {recipe.task_name} gave shape {part.shape}, expected {depth[rows].shape}."
                )
            depth[rows] = part
    finite = np.isfinite(depth).all(axis=1)
    if not finite.all():
        bad = theta[np.flatnonzero(~finite)[0]]
        where = ", ".join(f"{name}={value:.6g}" for name, value in zip(recipe.prior.space.names, bad, strict=True))
        raise ExobenchError(f"the simulator of {recipe.task_name} gave a depth that is not finite at {where}.")
    return depth


def make_here(recipe: DataRecipe, folder: Path, split: str, indices: Sequence[int]) -> Generator[Made, None, None]:
    """Makes shards one after the other in this process, on one thread so that the numbers are those of a worker."""
    if not indices:
        return
    with one_torch_thread():
        simulator = recipe.build_simulator()
        for index in indices:
            yield index, make_shard(recipe, simulator, folder, split, index)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keeps torch on one thread, as it is in a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def refuse_unguarded_scripts() -> None:
    """A worker imports the script that started it, which must not start workers in turn.

    Raises:
        ExobenchError: this process is such a worker.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ExobenchError(
            "data were asked for while a worker imported the main script: put what the script runs under "
            "'if __name__ == \"__main__\":', or ask for workers=1."
        )


def make_in_processes(
    recipe: DataRecipe, folder: Path, split: str, indices: Sequence[int], n_process: int
) -> Generator[Made, None, None]:
    """Makes shards in processes of their own; yields each as it is finished, in any order.

    Raises:
        ExobenchError: a process was killed, or met an error that is the user's to mend.
        RuntimeError: any other error in a process, with its traceback.
    """
    context = multiprocessing.get_context("spawn")
    processes: dict[Connection, SpawnProcess] = {}
    pending = list(reversed(indices))
    try:
        with _thread_variables_set_to_one():
            for _ in range(min(n_process, len(pending))):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, recipe, folder, split), daemon=True)
                process.start()
                theirs.close()
                processes[ours] = process
                ours.send(pending.pop())
        for _ in indices:
            connection = _next_ready(processes)
            yield _received(connection, processes[connection])
            if pending:
                connection.send(pending.pop())
    finally:
        for connection, process in processes.items():
            connection.close()
            process.terminate()
        for process in processes.values():
            process.join()


def _next_ready(processes: dict[Connection, SpawnProcess]) -> Connection:
    ready = wait(list(processes))[0]
    assert isinstance(ready, Connection)
    return ready


def _received(connection: Connection, process: SpawnProcess) -> Made:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError) as error:
        process.join()
        raise ExobenchError(
            f"a data worker died (exit code {process.exitcode}; -9 means killed, most often for want of memory). "
            "Finished shards are kept: start again, with fewer workers if memory is short."
        ) from error
    if isinstance(answer, ExobenchError):
        raise answer
    if isinstance(answer, str):
        raise RuntimeError(f"a data worker failed:\n{answer}")
    return answer


def _serve(connection: Connection, recipe: DataRecipe, folder: Path, split: str) -> None:
    """A worker's whole life: one shard for each number received, until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        simulator = recipe.build_simulator()
        while True:
            index = connection.recv()
            connection.send((index, make_shard(recipe, simulator, folder, split, index)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except ExobenchError as error:
        connection.send(ExobenchError(str(error)))
    except Exception:
        connection.send(traceback.format_exc())


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _thread_variables_set_to_one() -> Iterator[None]:
    """Libraries read these when they are loaded, which in a new process is before any of our code runs."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
