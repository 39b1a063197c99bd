"""The work on a plan: nothing twice, nothing lost, and every failure named; with real runs, made in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from exobench.benchmark import state
from exobench.benchmark.__main__ import parse
from exobench.benchmark.claims import Claim, owner_of
from exobench.benchmark.launcher import AbstractLauncher, Job, open_launcher
from exobench.benchmark.local import LocalLauncher, last_words
from exobench.benchmark.order import in_order
from exobench.benchmark.plan import parse_plan
from exobench.benchmark.runs import Expansion
from exobench.benchmark.show import plan_lines, summary_lines, total_line
from exobench.benchmark.state import State, standing
from exobench.benchmark.work import STOPPED, Work, all_good, split_done
from exobench.errors import ExobenchError
from exobench.runner import run

FIVE = """
runs:
  - {methods: [prior], tasks: [linear_gaussian], budgets: [1e3], seeds: [0, 1, 2, 3, 4]}
settings:
  - {set: {n_test: 25, n_draws: 20}}
  - {seeds: [3], seconds_per_spectrum: 1}
"""
CHAIN = """
runs:
  - {methods: [prior, random_forest, mdn], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {n_test: 25, n_draws: 20, limits.steps: 5}, training_seconds: 1}
  - {methods: [mdn], after: prior}
  - {methods: [random_forest], set: {method.trees: 10}, seconds_per_spectrum: 9}
"""


class InThisProcess(AbstractLauncher):
    """Makes runs when they are looked at, but those of ``broken`` methods, which end without a record."""

    poll_seconds = 0.01

    def __init__(self, slots=1, broken=()):
        self._slots, self.broken, self.started = slots, broken, []

    @property
    def slots(self):
        return self._slots

    def start(self, planned, claim):
        self.started.append(planned.cell)
        return _Here(planned, planned.cell.method in self.broken)


class _Here(Job):
    def __init__(self, planned, is_broken):
        self.planned, self.is_broken, self.stops = planned, is_broken, 0

    def ended(self):
        if self.is_broken:
            return "ended for a reason"
        if not self.stops:
            run(self.planned.settings)
        return "ended with status 0"

    def stop(self):
        self.stops += 1


@pytest.fixture
def timed(tmp_path, data_root):
    def of(text):
        added = [f"paths.runs={tmp_path / 'runs'}", f"paths.data={data_root}", "device=cpu"]
        return in_order(Expansion(added).runs(parse_plan("own", text)))

    return of


def states(order):
    return [standing(each.run).state for each in order]


def test_every_run_is_made_once_and_never_again(timed):
    order = timed(FIVE)
    assert states(order) == [State.WAITING] * 5
    launcher = InThisProcess()
    work = Work(launcher, split_done(order)[1])
    work.go(lambda: 0)
    assert [cell.seed for cell in launcher.started] == [3, 0, 1, 2, 4]
    assert all_good(work.ended)
    assert states(order) == [State.FINISHED] * 5
    done, rest = split_done(order)
    assert (len(done), rest) == (5, [])


def test_two_commands_share_the_work(timed):
    launchers = [InThisProcess(), InThisProcess()]
    works = [Work(launcher, timed(FIVE)) for launcher in launchers]
    threads = [threading.Thread(target=work.go, args=(lambda: 0,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = [cell for launcher in launchers for cell in launcher.started]
    assert sorted(started) == sorted(each.cell for each in timed(FIVE))
    for work in works:  # each knows in the end how all runs ended, its own and the other's
        assert len(work.ended) == 5
        assert all_good(work.ended)
    assert sum(ended.seconds is not None for work in works for ended in work.ended) == 5


def test_a_failing_run_is_named_and_the_others_go_on(timed):
    order = timed(CHAIN)
    work = Work(InThisProcess(broken=("prior",)), list(order))
    work.go(lambda: 0)
    found = {ended.timed.cell.method: ended.standing for ended in work.ended}
    assert found["prior"] == state.Standing(State.FAILED, "ended for a reason")
    assert found["random_forest"].state is State.FINISHED
    assert found["mdn"].state is State.FINISHED  # waited for prior, and went on without it
    assert not all_good(work.ended)
    said = "\n".join(summary_lines(work.ended, 0, 0))
    assert "failed: prior on linear_gaussian, budget 1,000, seed 0: ended for a reason" in said
    assert "2 finished, 1 failed." in said


def test_what_waits_for_a_fit_starts_after_it(timed):
    order = timed(CHAIN)
    launcher = InThisProcess(slots=3, broken=("prior", "mdn", "random_forest"))
    Work(launcher, order).go(lambda: 0)
    started = [cell.method for cell in launcher.started]
    assert started.index("prior") < started.index("mdn")
    assert started[0] == "random_forest"


def test_a_failure_is_remembered_until_the_run_is_started_again(timed):
    order = timed(FIVE)
    first = order[0].run
    state.note_failure(first, "was killed by signal 9 (SIGKILL)")
    assert standing(first) == state.Standing(State.FAILED, "was killed by signal 9 (SIGKILL)")
    Work(InThisProcess(), order[:1]).go(lambda: 0)
    assert standing(first) == state.Standing(State.FINISHED)


def test_a_failure_elsewhere_since_the_start_is_not_tried_again(timed):
    order = timed(FIVE)[:1]
    launcher = InThisProcess()
    work = Work(launcher, order)
    state.note_failure(order[0].run, "another command saw it fail")
    work.go(lambda: 0)
    assert launcher.started == []
    assert work.ended[0].standing.words == "another command saw it fail"


def test_asked_to_stop_it_starts_nothing_more_and_leaves_what_is_begun(timed):
    order = timed(FIVE)
    asked = []
    launcher = InThisProcess()
    work = Work(launcher, list(order), tell=lambda ended: asked.append(1))
    work.go(lambda: len(asked))
    assert len(launcher.started) == 1  # the stop came when the first had ended
    assert len(work.pending) == 4
    stopping = Work(launcher, list(order[1:2]))
    stopping.go(lambda: len(launcher.started) - 1)  # asked as soon as the second is started
    assert stopping.ended[0].standing == state.Standing(State.BEGUN, STOPPED)
    assert states(order)[1] is State.WAITING


def test_a_claim_holds_until_every_process_that_has_it_is_dead(tmp_path):
    path = tmp_path / "claim"
    claim = Claim.take(path, "a run")
    assert Claim.take(path) is None
    assert owner_of(path).startswith(f"process {os.getpid()} on ")
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(claim.descriptor,)
    )
    claim.let_go()
    assert Claim.take(path) is None  # the child goes on holding it
    child.kill()
    child.communicate()
    assert owner_of(path) is None
    again = Claim.take(path)
    assert again is not None
    again.let_go()


def test_a_truncated_record_and_a_damaged_note_count_as_nothing(timed):
    order = timed(FIVE)
    Work(InThisProcess(), order[:2]).go(lambda: 0)
    record = order[0].run.folder / "run.json"
    record.write_text(record.read_text()[:100])
    (order[2].run.notes).mkdir(parents=True)
    (order[2].run.notes / "failure.json").write_text("{")
    assert states(order) == [State.BEGUN, State.FINISHED, *[State.WAITING] * 3]


def test_the_list_says_what_is_left(timed):
    order = timed(FIVE)
    Work(InThisProcess(), order[:2]).go(lambda: 0)
    standings = [standing(each.run) for each in order]
    lines = plan_lines(order, standings)
    assert lines[0].split() == ["state", "method", "task", "budget", "seed", "n_test", "config", "expected"]
    assert lines[1].split() == ["finished", "prior", "linear_gaussian", "1,000", "3", "25", order[0].run.config_hash]
    assert total_line(order, standings, 2).startswith(
        "5 runs: 2 finished, 3 waiting. To do: 0.02 core-hours, about 30 s"
    )
    assert json.loads((order[0].run.folder / "run.json").read_text())["seed"] == 3


def test_the_last_words_of_a_log(tmp_path):
    log = tmp_path / "log.txt"
    assert last_words(log) == ""
    log.write_text("training\n\n  step 3\n\n")
    assert last_words(log) == "step 3"
    log.write_text("error: device=cuda is not there.\nWARNING: leaked\n")
    assert last_words(log) == "device=cuda is not there."


def test_the_local_launcher_has_no_more_runs_at_a_time_than_cores():
    n_cores = len(os.sched_getaffinity(0))
    assert LocalLauncher().slots == n_cores
    with pytest.raises(ExobenchError, match=f"may use {n_cores} cores"):
        open_launcher("local", n_cores + 1)
    with pytest.raises(ExobenchError, match="Did you mean 'local'"):
        open_launcher("locale", None)


def test_the_command_line_is_told_apart():
    request = parse(["list", "plan=full", "task=ariel,hotjupiter", "device=cpu", "paths.runs=/r", "workers=3"])
    assert request.only_list
    assert (request.values["plan"], request.workers) == ("full", 3)
    assert request.wanted == {"tasks": ["ariel", "hotjupiter"]}
    assert request.added == ("device=cpu", "paths.runs=/r")
    for wrong, message in [
        (["workers=0"], "workers=0 must be a whole number"),
        (["committed"], "'committed' is no setting; write KEY=VALUE"),
        (["rerun=true"], "rerun=true is no setting of a benchmark"),
        (["report=true"], "python -m exobench.report"),
    ]:
        with pytest.raises(ExobenchError, match=message):
            parse(wrong)
