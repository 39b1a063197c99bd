"""``python -m exobench.benchmark plan=committed``: makes the runs of a plan that are not finished."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exobench.errors import ExobenchError
from exobench.launch import is_one_of_several
from exobench.small_commands import (
    GOES_ON,
    command_arguments,
    failing_in_one_line,
    split_arguments,
    with_output_help,
)

if TYPE_CHECKING:
    from exobench.benchmark.launcher import AbstractLauncher
    from exobench.benchmark.order import Timed

HELP = """usage: python -m exobench.benchmark [list] [plan=NAME] [KEY=VALUE ...] [--dry-run]

Makes every run of a plan that is not finished yet, the longest first, each in a process of its own on a core of its
own. The same command goes on where it was stopped; a run that fails is named with its reason and stops no other.
Started twice, on one machine or on several with one folder, the commands share the work. Ctrl-C ends the runs at
their next checkpoint.

  list, --dry-run    show the plan, what is finished, and how long the rest takes; start nothing

settings, with their defaults:
  plan=committed     {plans}, or the path of a YAML file of your own
  workers=           runs at a time; default: as many as there are cores (local)
  launcher=local     where runs are started: {launchers}
  method=, task=, budget=, seed=
                     only the runs of the plan with these values, joined by commas
  KEY=VALUE          any other setting of a run (python -m exobench --help), for every run: paths.runs, device ...

example: python -m exobench.benchmark plan=full task=hotjupiter budget=1e4 workers=4
"""

log = logging.getLogger("exobench.benchmark")

_AXES = {"method": "methods", "task": "tasks", "budget": "budgets", "seed": "seeds"}
_DEFAULTS = {"plan": "committed", "workers": "", "launcher": "local", **dict.fromkeys(_AXES, "")}
_WORDS = ("list", "--dry-run")
_NOT_FOR_ALL = {
    "report": "build the page when the plan is done: python -m exobench.report",
    "rerun": "remove a run's folder, or run it alone with rerun=true",
}


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    Attributes:
        values: the command's own settings.
        added: settings of every run.
        only_list: start nothing.
    """

    values: dict[str, str]
    added: tuple[str, ...]
    only_list: bool

    @property
    def workers(self) -> int | None:
        """Runs at a time, or None for the launcher's own number."""
        return int(self.values["workers"]) if self.values["workers"] else None

    @property
    def wanted(self) -> dict[str, list[str]]:
        """Values of the axes that the plan is narrowed to."""
        return {axis: self.values[key].split(",") for key, axis in _AXES.items() if self.values[key]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a plan.

    Ends with status 1 where a run failed, 2 on wrong input (with one line on stderr), 130 where it was stopped.
    """
    given = command_arguments(arguments, stream="stdout")
    if any(argument in ("-h", "--help") for argument in given):
        print(with_output_help(_help()), end="")
        return
    with failing_in_one_line(stopped=GOES_ON):
        request = parse(given)
        if is_one_of_several():
            raise ExobenchError("a benchmark starts its runs itself: start it without torchrun and MASTER_ADDR.")
        order, launcher = _prepare(request)
        if request.only_list:
            _list(order, launcher.slots)
        else:
            sys.exit(_work(order, launcher))


def parse(arguments: Sequence[str]) -> Request:
    """Reads the command line.

    Raises:
        ExobenchError: an argument is none of this command or of a run.
    """
    rest = [argument for argument in arguments if argument not in _WORDS]
    added = tuple(each for each in rest if "=" in each and each.partition("=")[0] not in _DEFAULTS)
    for each in added:
        key = each.partition("=")[0]
        if key in _NOT_FOR_ALL:
            raise ExobenchError(f"{each} is no setting of a benchmark: {_NOT_FOR_ALL[key]}.")
    own = [argument for argument in rest if argument not in added]
    values, places = split_arguments(own, _DEFAULTS, is_place=lambda path: False)
    if places:
        raise ExobenchError(f"'{places[0]}' is no setting; write KEY=VALUE, such as plan=full (--help lists them).")
    workers = values["workers"]
    if workers and not (workers.isdecimal() and int(workers) >= 1):
        raise ExobenchError(f"workers={workers} must be a whole number of at least 1.")
    return Request(values, added, any(word in arguments for word in _WORDS))


def _prepare(request: Request) -> tuple[list[Timed], AbstractLauncher]:
    """The runs in order, and what starts them."""
    from exobench.benchmark.launcher import open_launcher
    from exobench.benchmark.order import in_order
    from exobench.benchmark.plan import read_plan
    from exobench.benchmark.runs import Expansion

    plan = read_plan(request.values["plan"])
    launcher = open_launcher(request.values["launcher"], request.workers)
    if request.wanted:
        plan = plan.only(request.wanted)
    return in_order(Expansion(request.added).runs(plan)), launcher


def _list(order: Sequence[Timed], slots: int) -> None:
    from exobench.benchmark.show import plan_lines, total_line
    from exobench.benchmark.state import standing

    standings = [standing(timed.run) for timed in order]
    print("\n".join([*plan_lines(order, standings), "", total_line(order, standings, slots)]))


def _work(order: Sequence[Timed], launcher: AbstractLauncher) -> int:
    """Makes the runs; returns the command's exit status."""
    from exobench.benchmark.show import Meter, ended_line, summary_lines, total_line
    from exobench.benchmark.state import standing
    from exobench.benchmark.work import Work, all_good, split_done

    before, rest = split_done(order)
    log.info("%s", total_line(order, [standing(timed.run) for timed in order], launcher.slots))
    work = Work(launcher, rest, lambda ended: log.info("%s", ended_line(ended)))
    with _stop_signals() as stop_asked, Meter(rest) as meter:
        work.go(stop_asked, meter.look)
        stopped = stop_asked() > 0
    failed_before = [ended for ended in before if not all_good([ended])]
    over = [*failed_before, *work.ended]
    print("\n".join(summary_lines(over, len(before) - len(failed_before), len(work.pending))), flush=True)
    if stopped:
        raise KeyboardInterrupt
    return 0 if all_good(over) else 1


@contextmanager
def _stop_signals() -> Iterator[Callable[[], int]]:
    """Counts SIGINT and SIGTERM: the first lets the runs write a checkpoint, a second ends them at once."""
    asked = 0

    def handle(number: int, frame: object) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            print("\nStopping: the runs write a checkpoint. Once more ends them at once.", file=sys.stderr, flush=True)

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _help() -> str:
    from exobench.benchmark.launcher import LAUNCHERS
    from exobench.benchmark.plan import shipped_plans

    return HELP.format(plans=", ".join(shipped_plans()), launchers=", ".join(LAUNCHERS))


if __name__ == "__main__":
    main()
