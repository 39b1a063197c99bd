"""Single commands as jobs: how each way to end is told."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from dataclasses import replace

import pytest
from conftest import processes_of, slurm, wait_until

from exobench.cluster.jobs import submit, wait_for
from exobench.cluster.queue import _from_accounting
from exobench.cluster.settings import Resources

QUICK = Resources(timeout_min=5, signal_delay_s=20, mem_gb=0.5, gone_seconds=5)
WAIT = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(300)"]


def begun(job) -> bool:
    return job.log.exists() and "begun" in job.log.read_text()


def test_success_failure_and_death_are_told_apart(tmp_path):
    commands = [
        ["true"],
        [sys.executable, "-c", "print('error: the disk is full'); raise SystemExit(2)"],
        [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
    ]
    words = wait_for(submit(commands, QUICK, tmp_path, "ways"))
    assert words == ["", "the disk is full", "was killed by signal 9, as the system does when memory runs out"]


def test_a_job_that_dies_as_a_whole_is_missed(tmp_path):
    (job,) = submit([WAIT], QUICK, tmp_path, "killed")
    wait_until(lambda: begun(job))
    assert job.ended() is None
    for pid, _ in processes_of(job.job_id):
        os.kill(pid, signal.SIGKILL)
    (words,) = wait_for([job])
    assert re.fullmatch(rf"Slurm job {job.job_id} ended as FAILED: killed by signal 9.*; it left no result", words)


def test_a_cancelled_job_is_missed_and_not_queued_again(tmp_path):
    (job,) = submit([WAIT], QUICK, tmp_path, "cancelled")
    wait_until(lambda: begun(job))
    slurm("scancel", job.job_id)
    (words,) = wait_for([job])
    assert words == f"Slurm job {job.job_id} was cancelled; it left no result"


def test_accounting_knows_what_the_controller_forgets(tmp_path):
    if "slurmdbd" not in slurm("scontrol", "show", "config"):
        assert os.environ.get("SLURM_ACCOUNTING") != "1", "accounts were asked for, and this Slurm keeps none"
        pytest.skip("this Slurm keeps no accounts: SLURM_ACCOUNTING=1 starts one that does")
    (job,) = submit([["false"]], QUICK, tmp_path, "accounts")
    wait_for([job])
    wait_until(lambda: _from_accounting(job.job_id) == ("COMPLETED", "0:0"), within=30)
    assert _from_accounting("999999") is None


def test_a_command_that_does_not_stop_is_killed_and_queued_again(tmp_path):
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); time.sleep(300)"
    (job,) = submit([[sys.executable, "-c", stubborn]], replace(QUICK, signal_delay_s=5), tmp_path, "stubborn")
    wait_until(lambda: begun(job))
    slurm("scancel", "--signal=USR2", job.job_id)
    wait_until(lambda: job.log.read_text().count("begun") == 2, within=60)
    job.cancel(at_once=True)


@pytest.mark.parametrize("when", ["running", "waiting"])
def test_a_job_can_be_cancelled(when, tmp_path):
    late = Resources(timeout_min=5, signal_delay_s=20, additional_parameters={"begin": "now+1hour"})
    (job,) = submit([WAIT], QUICK if when == "running" else late, tmp_path, "cancel")
    if when == "running":
        wait_until(lambda: begun(job))
    job.cancel()
    start = time.monotonic()
    (words,) = wait_for([job])
    assert "was cancelled" in words
    assert time.monotonic() - start < 45
