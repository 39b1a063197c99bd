"""Jobs on a cluster, as far as no Slurm is needed: settings, command lines, signals, and words."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from exobench.cluster.command import Command
from exobench.cluster.jobs import last_words, submit
from exobench.cluster.queue import _exit_words
from exobench.cluster.settings import Resources, compose_resources, uses_slurm, without_launcher
from exobench.errors import ExobenchError
from exobench.small_commands import failing_in_one_line

CHOICE = "hydra/launcher=submitit_slurm"


def test_the_shipped_settings_are_those_of_the_class():
    assert compose_resources("config", [CHOICE]) == Resources(additional_parameters={})
    assert compose_resources("tune", ["method=npe"]) == Resources(additional_parameters={})


def test_settings_reach_sbatch_under_its_names():
    asked = ["partition=gpu", "timeout_min=30", "cpus_per_task=4", "mem_gb=1.5", "gpus_per_task=1", "setup=['a b','c']"]
    sent = compose_resources("config", [CHOICE, *(f"hydra.launcher.{each}" for each in asked)]).for_submitit("name")
    expected = {"partition": "gpu", "time": 30, "cpus_per_task": 4, "mem": "1536MB", "gpus_per_task": 1}
    assert expected.items() <= sent.items()
    assert sent["additional_parameters"] == {"requeue": True}
    assert sent["setup"][:2] == ["a b", "c"]
    assert {"export OMP_NUM_THREADS=4", "export SRUN_CPUS_PER_TASK=4", "unset MASTER_ADDR"} <= set(sent["setup"])
    assert not {"account", "qos", "gone_seconds", "folder", "max_requeues"} & set(sent)


def test_several_tasks_of_a_job_are_told_where_to_meet():
    assert any("MASTER_ADDR=$(scontrol" in line for line in Resources(tasks_per_node=2).for_submitit("name")["setup"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"timeout": 5}, "timeout'. Did you mean 'timeout_min'"),
        ({"timeout_min": 0}, "hydra.launcher.timeout_min=0 must be a whole number of at least 1"),
        ({"timeout_min": 1, "signal_delay_s": 60}, "signal_delay_s=60 must be less than the wall time, 60 s"),
        ({"mem_gb": "2G"}, "hydra.launcher.mem_gb=2G must be a positive number of gigabytes"),
        ({"gone_seconds": 0}, "hydra.launcher.gone_seconds=0 must be a positive number"),
        ({"setup": "module load python"}, "must be a list of shell lines"),
        ({"additional_parameters": ["x"]}, "must be options of sbatch"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(ExobenchError, match=None) as caught:
        Resources.of(settings)
    assert named in str(caught.value)


def test_a_job_takes_the_command_line_without_its_launcher():
    given = ["method=npe", CHOICE, "hydra.launcher.partition=main", "+hydra.launcher.x=1", "seed=1"]
    assert without_launcher(given) == ["method=npe", "seed=1"]
    assert uses_slurm(given)
    assert not uses_slurm(without_launcher(given))


def test_where_there_is_no_sbatch_it_is_said(tmp_path, monkeypatch, capsys):
    pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit), failing_in_one_line():
        submit([["true"]], Resources(), tmp_path, "name")
    assert capsys.readouterr().err == (
        f"error: {CHOICE}: there is no sbatch here; start on a machine that sends jobs to Slurm.\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        ("137:0", "killed by signal 9"),
        ("0:9", "killed by signal 9"),
        ("0:15", "killed by signal 15"),
        ("2:0", "status 2"),
    ],
)
def test_exit_codes_are_put_into_words(exit_code, words):
    assert words in _exit_words(exit_code)


def test_the_last_error_of_a_log_is_its_last_word(tmp_path):
    log = tmp_path / "log"
    assert last_words(log) == ""
    log.write_text("training\nerror: first\nerror: the disk is full\nslurmstepd: bye\n\n")
    assert last_words(log) == "the disk is full"
    log.write_text("one\ntwo\n\n")
    assert last_words(log) == "two"


CHILD = """
import signal, sys, time
def end(number, frame):
    print("checkpoint", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
time.sleep({seconds})
"""
JOB = """
import sys
from pathlib import Path
from exobench.cluster.command import Command
print(Command((sys.executable, "-c", sys.argv[1]), Path(sys.argv[2]), 20.0)())
"""


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGUSR2], [signal.SIGTERM, signal.SIGUSR2]])
def test_a_signal_of_slurm_becomes_a_checkpoint_and_no_result(signals, tmp_path):
    pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    log = tmp_path / "log"
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, CHILD.format(seconds=60), str(log)], stdout=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 30
    while not log.exists() or "begun" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    for number in signals:
        job.send_signal(number)
    out, _ = job.communicate(timeout=30)
    assert log.read_text() == "begun\ncheckpoint\n"
    assert out == ""
    assert job.returncode == 128 + signal.SIGTERM


def test_a_command_that_ends_by_itself_gives_its_status(tmp_path):
    pytest.importorskip("submitit", reason="needs the extra 'slurm'")
    assert Command(("true",), tmp_path / "log", 1.0)() == 0
    assert Command((sys.executable, "-c", "raise SystemExit(3)"), tmp_path / "log", 1.0)() == 3
    assert Command((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), tmp_path / "log", 1.0)() == -9
