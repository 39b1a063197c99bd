"""The work on a plan: runs are started as room comes free, watched, and judged by what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from exobench.benchmark.claims import Claim
from exobench.benchmark.launcher import AbstractLauncher, Job
from exobench.benchmark.order import Timed
from exobench.benchmark.state import (
    DONE,
    Standing,
    State,
    by_record,
    claim,
    failure_since,
    forget_failure,
    note_failure,
)

STOPPED = "was stopped; the same command goes on from there"


@dataclass(frozen=True)
class Ended:
    """A run that is over, for this command.

    Attributes:
        timed: the run.
        standing: how it ended.
        seconds: that it took; None where it was not started here.
    """

    timed: Timed
    standing: Standing
    seconds: float | None = None


@dataclass(frozen=True)
class Active:
    """A run under way here."""

    timed: Timed
    job: Job
    claim: Claim
    since: float

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self.since


@dataclass
class Work:
    """Goes through the runs of a plan that have no record.

    Attributes:
        launcher: starts runs.
        pending: not started yet, in order.
        active: under way here.
        ended: over.
        tell: called with each run that is over.
    """

    launcher: AbstractLauncher
    pending: list[Timed]
    tell: Callable[[Ended], None] = lambda ended: None
    active: list[Active] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    _began: float = field(default_factory=time.time, init=False)
    _stops: int = field(default=0, init=False)

    def go(self, stop_asked: Callable[[], int], look: Callable[[Work], None] = lambda work: None) -> None:
        """Works until every run is over, or until it was asked to stop and every job has ended.

        Args:
            stop_asked: how often the user asked to stop; asked twice, jobs are ended at once.
            look: called between two looks at the jobs, to show how far it is.
        """
        while self.active or (self.pending and not stop_asked()):
            self._pass_on(stop_asked())
            self._collect()
            if not stop_asked():
                self._fill()
            look(self)
            if self.active or self.pending:
                time.sleep(self.launcher.poll_seconds)

    def _pass_on(self, stops: int) -> None:
        while self._stops < stops:
            self._stops += 1
            for active in self.active:
                active.job.stop()

    def _collect(self) -> None:
        for active in list(self.active):
            words = active.job.ended()
            if words is None:
                continue
            self.active.remove(active)
            found = by_record(active.timed.run)
            if found is None and self._stops:
                found = Standing(State.BEGUN, STOPPED)
            elif found is None:
                found = Standing(State.FAILED, words)
                note_failure(active.timed.run, words)
            active.claim.let_go()
            self._end(Ended(active.timed, found, active.seconds))

    def _fill(self) -> None:
        """Starts what can be started, the most urgent first; what uses the fit of a run that is not over waits."""
        not_over = {each.cell for each in self.pending} | {each.timed.cell for each in self.active}
        for timed in list(self.pending):
            if len(self.active) >= self.launcher.slots:
                return
            if timed.run.entry.awaited not in not_over and not self._take(timed):
                return

    def _take(self, timed: Timed) -> bool:
        """Starts a run unless it is over or with another command; says whether there is room for more."""
        own = claim(timed.run)
        if own is None:
            return True
        found = self._made_elsewhere(timed)
        if found is not None:
            own.let_go()
            self.pending.remove(timed)
            self._end(Ended(timed, found))
            return True
        job = self.launcher.start(timed.run, own)
        if job is None:
            own.let_go()
            return False
        forget_failure(timed.run)
        self.pending.remove(timed)
        self.active.append(Active(timed, job, own, time.monotonic()))
        return True

    def _made_elsewhere(self, timed: Timed) -> Standing | None:
        """How the run ended with another command since this one began."""
        reason = failure_since(timed.run, self._began)
        return by_record(timed.run) or (None if reason is None else Standing(State.FAILED, reason))

    def _end(self, ended: Ended) -> None:
        self.ended.append(ended)
        self.tell(ended)


def split_done(order: Sequence[Timed]) -> tuple[list[Ended], list[Timed]]:
    """Runs with a record, which are never started again, and the others."""
    ended, rest = [], []
    for timed in order:
        found = by_record(timed.run)
        if found is None:
            rest.append(timed)
        else:
            ended.append(Ended(timed, found))
    return ended, rest


def all_good(ended: Sequence[Ended]) -> bool:
    """Whether every run is finished, or was skipped for a reason."""
    return all(each.standing.state in DONE for each in ended)
