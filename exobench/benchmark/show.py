"""What a person reads of a plan: its runs, how far it is, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from exobench.benchmark.order import Timed
from exobench.benchmark.state import DONE, Standing, State
from exobench.benchmark.work import Ended, Work
from exobench.progress import Progress, clock
from exobench.text_table import aligned

_HEAD = ("state", "method", "task", "budget", "seed", "n_test", "config", "expected")
_NUMBERS = ("budget", "seed", "n_test", "expected", "took")


def plan_lines(order: Sequence[Timed], standings: Sequence[Standing]) -> list[str]:
    """The plan as a table, in the order in which runs are started."""
    rows = [
        [
            str(standing.state),
            *_names(timed),
            str(timed.run.config["n_test"]),
            timed.run.config_hash,
            "" if standing.state in DONE else clock(timed.seconds),
        ]
        for timed, standing in zip(order, standings, strict=True)
    ]
    reasons = [
        f"{standing.state}: {timed.cell}: {standing.words}"
        for timed, standing in zip(order, standings, strict=True)
        if standing.words
    ]
    return [*aligned([list(_HEAD), *rows], _NUMBERS), *([""] if reasons else []), *reasons]


def total_line(order: Sequence[Timed], standings: Sequence[Standing], slots: int) -> str:
    """How many runs are finished, and how long the others take."""
    counts = Counter(standing.state for standing in standings)
    rest = [timed for timed, standing in zip(order, standings, strict=True) if standing.state not in DONE]
    said = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    text = f"{len(order)} runs: {said}."
    if not rest:
        return f"{text} Nothing is left to do."
    seconds = sum(timed.seconds for timed in rest)
    return (
        f"{text} To do: {seconds / 3600:.2f} core-hours, about {clock(wall_seconds(rest, slots))} on {slots} at a time."
    )


def wall_seconds(rest: Sequence[Timed], slots: int) -> float:
    """The least time for runs on so many cores: all of them busy, and no shorter than the longest chain."""
    return max(sum(timed.seconds for timed in rest) / slots, max((timed.path_seconds for timed in rest), default=0.0))


def ended_line(ended: Ended) -> str:
    """One run that is over."""
    standing = ended.standing
    took = " (elsewhere)" if ended.seconds is None else f" in {clock(ended.seconds)}"
    return f"{standing.state}: {ended.timed.cell}{took}{standing.words and f': {standing.words}'}"


def summary_lines(ended: Sequence[Ended], n_before: int, n_left: int) -> list[str]:
    """The table at the end, and the reason of each run that is not finished.

    Args:
        ended: runs that ended while this command ran, and those that have a failure on record.
        n_before: runs that were finished before.
        n_left: runs that were not started.
    """
    rows = [
        [str(e.standing.state), *_names(e.timed), clock(e.timed.seconds), "" if e.seconds is None else clock(e.seconds)]
        for e in sorted(ended, key=lambda e: (e.timed.cell.task, e.timed.cell))
    ]
    table = aligned([[*_HEAD[:5], "expected", "took"], *rows], _NUMBERS) if rows else []
    reasons = [
        line
        for e in ended
        if e.standing.state not in DONE
        for line in (f"{e.standing.state}: {e.timed.cell}: {e.standing.words}", f"  log: {e.timed.run.log}")
    ]
    counts = Counter(e.standing.state for e in ended)
    said = [f"{counts[state]} {state}" for state in State if counts[state]]
    said += [f"{n_before} finished before"] if n_before else []
    said += [f"{n_left} not started"] if n_left else []
    return [*table, *([""] if table else []), *reasons, f"{', '.join(said) or 'nothing to do'}."]


class Meter:
    """The bar on a terminal: expected core-minutes done, so that its rate and time left hold for runs of any length."""

    def __init__(self, rest: Sequence[Timed]) -> None:
        self._n_runs = len(rest)
        self._bar = Progress("benchmark", sum(timed.seconds for timed in rest) / 60, "core-minutes", show=bool(rest))

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.close()

    def look(self, work: Work) -> None:
        """Shows how far the work is."""
        over = sum(ended.timed.seconds for ended in work.ended)
        begun = sum(min(active.seconds, active.timed.seconds) for active in work.active)
        names = ", ".join(sorted(active.timed.cell.method for active in work.active))
        if not names and work.pending:
            names = "waits for another command"
        self._bar.reach((over + begun) / 60, f"{len(work.ended)} of {self._n_runs} runs; {names}")


def _names(timed: Timed) -> list[str]:
    cell = timed.cell
    return [cell.method, cell.task, f"{cell.budget:,}", str(cell.seed)]
