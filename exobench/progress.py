"""What a person hears of long work: a bar with rate and time left on a terminal, log lines of stages everywhere.

One state decides how much is said: the level of the logger ``exobench``. Above warnings (``-q``) there are no bars.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TextIO, TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
Item = TypeVar("Item")

NO_BARS = "EXOBENCH_NO_BARS"
"""Set in the environment of processes that share the terminal of the one that started them."""
SECONDS_BEFORE = 1.0
"""Work that takes less shows nothing."""
_SECONDS_BETWEEN_BEATS = 0.5
_SECONDS_BETWEEN_LINES = 30.0
_PERCENT = "%"
_FORMAT = "{desc}  {percentage:3.0f} % |{bar:20}| {state}"
_FORMAT_WITHOUT_TOTAL = "{desc}  {state}"


def is_quiet() -> bool:
    """Whether nothing but the result and errors is wanted."""
    return not logging.getLogger("exobench").isEnabledFor(logging.WARNING)


def shows_bars() -> bool:
    """Whether bars are drawn: stderr is this process's terminal and nobody asked for quiet."""
    return sys.stderr.isatty() and NO_BARS not in os.environ and not is_quiet()


class Progress:
    """Counts work done, with the rate and the time left, on stderr where that is a terminal.

    Elsewhere nothing is written, but for a line each half minute where details are wanted (``-v``).

    Args:
        what: the job's name.
        total: of the work in all; None where it is not known.
        unit: plural, such as "spectra"; "%" for work that is known by its share alone.
        done: done before.
        show: say nothing at all where False.
    """

    def __init__(
        self, what: str, total: float | None, unit: str = "spectra", *, done: float = 0, show: bool = True
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done = self._first = done
        self._start = self._last_line = time.monotonic()
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._show = show
        self._bar = _Bar(self) if show and shows_bars() else None
        if self._bar is not None:
            threading.Thread(target=self._beat, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def add(self, amount: float = 1) -> None:
        """Counts work done."""
        self.reach(self._done + amount)

    def reach(self, done: float, text: str = "") -> None:
        """Sets the work done so far, and words that follow it."""
        self._done = done
        if self._bar is not None:
            with self._lock:
                self._bar.text = text
                self._bar.update(done - self._bar.n)
        elif self._show and time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            log.debug("%s", self.line())

    def close(self) -> None:
        """Takes the bar away."""
        self._closed.set()
        if self._bar is not None:
            with self._lock:
                self._bar.close()
                self._bar = None

    def line(self) -> str:
        """The state in words."""
        return f"{self._what}: {self.state()}"

    def state(self) -> str:
        """Work done, rate and time left in words."""
        seconds = time.monotonic() - self._start
        rate = (self._done - self._first) / max(seconds, 1e-9)
        parts = [] if self._unit == _PERCENT or not (self._total or self._done) else [self._amount()]
        if rate > 0.0:
            parts.append(pace(rate, self._unit))
        if self._total is not None and rate > 0.0:
            parts.append(f"{clock(max(self._total - self._done, 0.0) / rate)} left")
        else:
            parts.append(f"{clock(seconds)} so far")
        return ", ".join(parts)

    def _amount(self) -> str:
        of = "" if self._total is None else f" of {self._total:,.0f}"
        return f"{self._done:,.0f}{of} {self._unit}"

    def _beat(self) -> None:
        """Keeps the clock of a bar going while one piece of work takes long."""
        while not self._closed.wait(_SECONDS_BETWEEN_BEATS):
            with self._lock:
                if self._bar is not None:
                    self._bar.update(0)


class _Bar(tqdm):
    """tqdm's bar with the words of a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.text = progress, ""
        total = progress._total
        super().__init__(
            desc=progress._what,
            total=total,
            initial=progress._done,
            bar_format=_FORMAT_WITHOUT_TOTAL if total is None else _FORMAT,
            delay=SECONDS_BEFORE,
            miniters=0,
            leave=False,
            # One less than there are: some terminals break a full line. Those that tell no width get 80.
            ncols=shutil.get_terminal_size().columns - 1,
            file=sys.stderr,
        )

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draws the bar, unless the work is younger than `SECONDS_BEFORE`."""
        first = self.start_t + self.delay
        if msg is None and self._time() < first:
            return False
        # By this tqdm knows that there is something to take away.
        self.last_print_t: float = max(self.last_print_t, first)
        return bool(super().display(msg, pos))

    @property
    def format_dict(self) -> Mapping[str, Any]:
        """With ``state``."""
        text = f", {self.text}" if self.text else ""
        return {**super().format_dict, "state": self.progress.state() + text}


def track(items: Iterable[Item], what: str, unit: str = "spectra", *, total: int | None = None) -> Iterator[Item]:
    """Passes items on, counting each one when its work is done.

    Args:
        items: any.
        what: the job's name.
        unit: plural.
        total: of items; default: their length where they have one.
    """
    size = len(items) if total is None and hasattr(items, "__len__") else total  # type: ignore[arg-type]
    with Progress(what, size, unit) as progress:
        for item in items:
            yield item
            progress.add()


def pace(rate: float, unit: str) -> str:
    """A rate (1/s) as people say it: ``40 spectra/s``, ``3 spectra/min``."""
    seconds, name = next(((s, n) for s, n in ((1.0, "s"), (60.0, "min")) if rate * s >= 1.0), (3600.0, "h"))
    value = rate * seconds
    return f"{value:,.0f} {unit}/{name}" if value >= 9.95 else f"{value:.1f} {unit}/{name}"


def clock(seconds: float) -> str:
    """A time as people say it: ``9 s``, ``2 min 05 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


class LogLines(logging.StreamHandler):
    """Log lines that go around the bars of a terminal.

    Args:
        stream: name of the stream, looked up at each line.
    """

    def __init__(self, stream: Literal["stdout", "stderr"] = "stderr") -> None:
        logging.Handler.__init__(self)
        self._which = stream

    @property
    def stream(self) -> TextIO:
        """Where lines go at this moment."""
        found: TextIO = getattr(sys, self._which)
        return found

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line, with the bars out of the way."""
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)
