"""Makes items ahead of time in a thread that ends with its reader."""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """An iterator over another one that runs a few items ahead.

    The thread stops when the prefetcher is closed, forgotten, or the interpreter exits. An error in the thread is
    raised where the item would have come.

    Args:
        items: what to iterate over; used by the thread alone.
        n_ahead: most items that wait to be taken.
    """

    def __init__(self, items: Iterator[Item], n_ahead: int = 2) -> None:
        ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(n_ahead)
        stop = threading.Event()
        # The thread must not hold this object, or it would never be forgotten.
        thread = threading.Thread(target=_fill, args=(items, ready, stop), daemon=True, name="exobench-prefetch")
        self._ready = ready
        self._ended: BaseException | None = None
        self._finalizer = weakref.finalize(self, _stop, ready, stop, thread)
        thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if self._ended is not None or not self._finalizer.alive:
            raise self._ended or StopIteration
        item, error = self._ready.get()
        if error is not None or item is None:
            self._ended = error or StopIteration()
            raise self._ended
        return item

    def close(self) -> None:
        """Stops the thread and waits for it."""
        self._finalizer()


def _fill(items: Iterator[Item], ready: queue.Queue, stop: threading.Event) -> None:
    try:
        for item in items:
            ready.put((item, None))
            if stop.is_set():
                return
        ready.put((None, None))
    except BaseException as error:
        ready.put((None, error))


def _stop(ready: queue.Queue, stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    # One free place lets a waiting thread go on and see that it is to stop.
    with contextlib.suppress(queue.Empty):
        while True:
            ready.get_nowait()
    if thread is not threading.current_thread():
        thread.join(timeout=10.0)
    with contextlib.suppress(queue.Full):
        ready.put_nowait((None, None))  # for a reader that waits in another thread
