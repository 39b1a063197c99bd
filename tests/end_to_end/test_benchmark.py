"""Benchmarks through the command line: killed, failing, stopped and shared work, with real runs in real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

PLAN = """
runs:
  - {methods: [mdn, prior, random_forest], tasks: [linear_gaussian], budgets: [1e3], seeds: [0]}
settings:
  - {set: {n_test: 25, n_draws: 20, device: cpu, limits.seconds: 15}, training_seconds: 1}
  - {methods: [mdn], seconds_per_spectrum: 9}                         # the longest, so the first
  - {methods: [random_forest], set: {device: "cuda:99"}, seconds_per_spectrum: 5}
"""
ONLY_GOOD = ["method=mdn,prior"]


def start(cwd, data_root, *arguments):
    (cwd / "own.yaml").write_text(PLAN)
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "exobench.benchmark", "plan=own.yaml", f"paths.data={data_root}", *arguments]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "EXOBENCH_RUNS": str(cwd / "runs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # one run at a time, in the plan's order
    )


def ended(process):
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    return process.returncode, out, err


def records(cwd):
    return {path.parents[2].name: path for path in cwd.glob("runs/linear_gaussian/*/*/0/run.json")}


def training_process(cwd):
    """Number of the process that trains mdn, as soon as it has trained for a while."""
    for _ in range(600):
        notes = next(cwd.glob("runs/linear_gaussian/mdn/*/0/scalars.csv"), None)
        if notes is not None and len(notes.read_text().splitlines()) > 10:
            (claim,) = cwd.glob("runs/benchmark/linear_gaussian/mdn/*/0/claim")
            return int(re.match(r"process (\d+) on ", claim.read_text())[1])
        time.sleep(0.1)
    raise AssertionError("mdn never began to train")


@pytest.mark.slow
def test_a_killed_and_a_failing_run_are_named_and_the_next_start_goes_on(tmp_path, data_root):
    process = start(tmp_path, data_root)
    child = training_process(tmp_path)
    affinity = os.sched_getaffinity(child)
    os.kill(child, signal.SIGKILL)
    status, out, _ = ended(process)
    assert len(affinity) == 1
    assert status == 1
    assert "failed: mdn on linear_gaussian, budget 1,000, seed 0: was killed by signal 9 (SIGKILL" in out
    assert re.search(r"failed: random_forest on linear_gaussian.*cuda:99", out)
    assert "1 finished, 2 failed." in out
    left = {path for path in records(tmp_path).values() if "prior" in str(path)}
    assert set(records(tmp_path)) == {"prior"}
    before = {path: path.stat().st_mtime_ns for path in left}

    status, out, _ = ended(start(tmp_path, data_root, *ONLY_GOOD))
    assert status == 0
    assert "1 finished, 1 finished before." in out
    assert set(records(tmp_path)) == {"prior", "mdn"}
    assert {path: path.stat().st_mtime_ns for path in left} == before
    cost = json.loads(records(tmp_path)["mdn"].read_text())["cost"]
    assert cost["training_seconds"] > 0

    status, out, _ = ended(start(tmp_path, data_root, "list"))
    assert status == 0
    assert "3 runs: 2 finished, 1 failed." in out
    assert re.search(r"failed: random_forest on linear_gaussian.*cuda:99", out)


@pytest.mark.slow
def test_told_to_stop_it_leaves_no_child_and_the_next_start_goes_on(tmp_path, data_root):
    process = start(tmp_path, data_root, *ONLY_GOOD)
    child = training_process(tmp_path)
    process.send_signal(signal.SIGTERM)
    status, out, err = ended(process)
    assert status == 130
    assert "was stopped; the same command goes on from there" in out
    assert "1 begun, 1 not started." in out
    assert "The same command goes on from there." in err
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert any(tmp_path.glob("runs/linear_gaussian/mdn/*/0/work/*"))  # the checkpoint

    processes = [start(tmp_path, data_root, *ONLY_GOOD) for _ in range(2)]
    results = [ended(each) for each in processes]
    assert [status for status, _, _ in results] == [0, 0]
    assert set(records(tmp_path)) == {"prior", "mdn"}
    took = [line for _, out, _ in results for line in out.splitlines() if re.match(r"finished: .* in \d+ ", line)]
    assert len(took) == 2, results  # both were made, each by one of the two


def test_a_wrong_setting_ends_in_one_line(tmp_path, data_root):
    status, out, err = ended(start(tmp_path, data_root, "n_tests=3"))
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "Did you mean 'n_test'" in err
