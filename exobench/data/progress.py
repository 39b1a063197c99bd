"""Progress of a long job: a bar on a terminal, a line now and then in a log, nothing for short jobs."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Counts rows done, with the rate and the time left, on stderr.

    Args:
        what: the job's name.
        total: rows in all.
        done: rows done before.
        show: say nothing at all where False.
    """

    def __init__(self, what: str, total: int, *, done: int = 0, show: bool = True) -> None:
        self._what, self._total, self._done, self._first = what, total, done, done
        self._start = self._last_line = time.monotonic()
        on_terminal = show and sys.stderr.isatty()
        self._bar = (
            tqdm(desc=what, total=total, initial=done, unit=" spectra", unit_scale=True, smoothing=0.05)
            if on_terminal
            else None
        )
        self._lines = show and not on_terminal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, rows: int) -> None:
        """Counts rows done."""
        self._done += rows
        if self._bar is not None:
            self._bar.update(rows)
        elif self._lines and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """The state in words."""
        rate = (self._done - self._first) / max(time.monotonic() - self._start, 1e-9)
        left = (self._total - self._done) / max(rate, 1e-9)
        return f"{self._what}: {self._done:,} of {self._total:,} spectra, {rate:,.0f}/s, {left:,.0f} s left"
