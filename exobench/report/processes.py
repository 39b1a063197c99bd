"""Work on many records: in several processes where there are enough of them to pay for their start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from exobench.progress import track

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

FEWEST_FOR_SEVERAL = 60
"""Items below which one process is done before others have started."""
_MOST_PROCESSES = 8
_AT_A_TIME = 4
_job: tuple[Callable[[Any, Any], Any], Any] | None = None


def spread(
    work: Callable[[Shared, Item], Result], shared: Shared, items: Sequence[Item], what: str, unit: str
) -> Iterator[Result]:
    """``work(shared, item)`` of every item, in order.

    Args:
        work: a function at the top of a module.
        shared: sent once to each process.
        items: what differs from call to call.
        what: the job's name for the user.
        unit: plural of an item.
    """
    n_processes = min(_cores(), _MOST_PROCESSES)
    if len(items) < FEWEST_FOR_SEVERAL or n_processes < 2:
        for item in track(items, what, unit):
            yield work(shared, item)
        return
    with ProcessPoolExecutor(n_processes, get_context("spawn"), _start, (work, shared)) as pool:
        yield from track(pool.map(_do, items, chunksize=_AT_A_TIME), what, unit, total=len(items))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _start(work: Callable[[Any, Any], Any], shared: Any) -> None:
    global _job
    _job = work, shared


def _do(item: Any) -> Any:
    if _job is None:
        raise RuntimeError("a process of the pool was not started by spread().")
    work, shared = _job
    return work(shared, item)
