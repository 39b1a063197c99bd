"""A run made by several processes, through the command line: as torchrun starts them, and as Slurm's tasks."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from exobench.command_line import compose_settings
from exobench.errors import ExobenchError
from exobench.runner import run
from exobench.settings import RunSettings
from exobench.training.distributed import Ranks

TINY = [
    "task=linear_gaussian",
    "budget=1000",
    "n_test=25",
    "n_draws=50",
    "device=cpu",
    "workers=1",
    "method.embedding={size:16,blocks:1}",
]
MDN = ["method=mdn", "limits.steps=60", "method.training={validate_every:20,report_every:5,checkpoint_seconds:0.2}"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def command(data_root, runs: Path, *settings: str) -> list[str]:
    return ["-m", "exobench", *TINY, *settings, f"paths.data={data_root}", f"paths.runs={runs}"]


def environment(**extra: str) -> dict[str, str]:
    foreign = ("SLURM_", "MASTER_", "RANK", "LOCAL_RANK", "WORLD_SIZE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **extra}


def start(cwd: Path, arguments: list[str], **extra: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *arguments], cwd=cwd, env=environment(**extra), **pipes)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def start_tasks(cwd: Path, *arguments: list[str]) -> list[subprocess.Popen[str]]:
    """One process a task, told of each other as srun tells them; the first holds the store."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "SLURM_NTASKS": str(len(arguments))}
    return [
        start(cwd, each, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), **shared)
        for rank, each in enumerate(arguments)
    ]


def ended(processes: list[subprocess.Popen[str]], within: float = 240) -> tuple[list[int], str, str]:
    """Exit statuses, and what all of them wrote."""
    end = time.monotonic() + within
    try:
        pairs = [process.communicate(timeout=max(end - time.monotonic(), 1)) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [p.returncode for p in processes], "".join(out for out, _ in pairs), "".join(err for _, err in pairs)


def folder_of(runs: Path, method: str = "mdn") -> Path:
    (record,) = runs.glob(f"*/{method}/*/*/run.json")
    return record.parent


def curve(path: Path) -> dict[tuple[str, int], float]:
    with open(path, encoding="utf-8") as file:
        return {(name, int(step)): float(value) for name, step, value in csv.reader(file) if "loss" in name}


def weights(folder: Path) -> dict[str, np.ndarray]:
    (path,) = (folder / "posterior").glob("*.safetensors")
    return load_file(path)


@pytest.fixture(scope="module")
def two(tmp_path_factory, data_root):
    """A run of two processes under torchrun."""
    cwd = tmp_path_factory.mktemp("two")
    status, out, err = ended([start(cwd, [*TORCHRUN, *command(data_root, cwd / "runs", *MDN)])])
    assert status == [0], err
    return cwd, out


def test_two_processes_make_one_run(two):
    cwd, out = two
    folder = folder_of(cwd / "runs")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "ok"
    assert record["hardware"]["processes"] == 2
    assert len(list(cwd.glob("runs/*/prior/*/*/run.json"))) == 1
    for line in ("mdn on linear_gaussian: 900 training spectra", "Record: ", "scoring", "Page:"):
        assert out.count(line) == (2 if line == "scoring" else 1), out  # once for the method, once for the floor
    with open(folder / "scalars.csv", encoding="utf-8") as file:
        rows = [tuple(row[:2]) for row in csv.reader(file)]
    assert len(rows) == len(set(rows))


def test_two_processes_learn_what_one_learns_from_the_joint_batch(two, tmp_path, data_root):
    status, _, err = ended([start(tmp_path, command(data_root, tmp_path / "runs", *MDN, "report=false"))])
    assert status == [0], err
    alone, together = folder_of(tmp_path / "runs"), folder_of(two[0] / "runs")
    assert alone.relative_to(tmp_path) == together.relative_to(two[0])
    one, both = curve(alone / "scalars.csv"), curve(together / "scalars.csv")
    assert one.keys() == both.keys()
    assert {name for name, _ in one} == {"loss/train", "loss/validation", "settling/loss/train"} | {
        "settling/loss/validation"
    }
    np.testing.assert_allclose([both[key] for key in one], list(one.values()), rtol=1e-5)
    others = weights(together)
    for name, value in weights(alone).items():  # single weights whose gradient is all rounding move by more
        assert np.linalg.norm(others[name] - value) <= 1e-4 * np.linalg.norm(value) + 1e-6, name


def kill_in_training(cwd: Path, arguments: list[str], victim: int) -> tuple[list[int], str]:
    """Statuses of two tasks, one of which is killed, and what they wrote to stderr."""
    tasks = start_tasks(cwd, arguments, arguments)
    end = time.monotonic() + 120
    while not any("loss/train,20," in path.read_text() for path in cwd.glob("runs/*/mdn/*/*/scalars.csv")):
        assert time.monotonic() < end
        assert tasks[0].poll() is None, tasks[0].communicate()
        time.sleep(0.02)
    tasks[victim].kill()
    status, _, err = ended(tasks, within=60)
    return status, err


def test_the_others_end_when_the_first_process_is_killed(tmp_path, data_root):
    status, err = kill_in_training(tmp_path, command(data_root, tmp_path / "runs", *MDN, "limits.steps=1000"), 0)
    assert status == [-9, 2], err
    assert err.count("error: another process of this run was lost. The same command goes on") == 1
    assert "Traceback" not in err
    assert "frame #" not in err


def test_a_killed_process_ends_the_run_and_the_same_command_goes_on(two, tmp_path, data_root):
    arguments = command(data_root, tmp_path / "runs", *MDN)
    status, err = kill_in_training(tmp_path, arguments, 1)
    assert status == [2, -9], err
    assert err.count("error: another process of this run was lost. The same command goes on") == 1
    assert "Traceback" not in err
    assert not list(tmp_path.glob("runs/*/mdn/*/*/run.json"))

    status, out, err = ended(start_tasks(tmp_path, arguments, arguments))
    assert status == [0, 0], err
    assert out.count("Record: ") == 1
    resumed = weights(folder_of(tmp_path / "runs"))
    for name, value in weights(folder_of(two[0] / "runs")).items():
        np.testing.assert_array_equal(resumed[name], value)


def test_a_finished_run_is_not_run_again(two, data_root):
    cwd, _ = two
    before = (folder_of(cwd / "runs") / "run.json").stat().st_mtime_ns
    arguments = command(data_root, cwd / "runs", *MDN, "report=false")
    status, out, err = ended(start_tasks(cwd, arguments, arguments))
    assert status == [0, 0], err
    assert out.count("finished already") == 1
    assert (folder_of(cwd / "runs") / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("fails", [0, 1])
def test_an_error_in_one_process_ends_both_with_one_line(fails, tmp_path, data_root):
    (tmp_path / "file").touch()
    right = command(data_root, tmp_path / "runs", *MDN)
    wrong = command(tmp_path / "file", tmp_path / "runs", *MDN)
    tasks = start_tasks(tmp_path, *((wrong, right) if fails == 0 else (right, wrong)))
    status, _, err = ended(tasks, within=90)
    assert status == [2, 2], err
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1, err
    assert str(tmp_path / "file") in err
    assert "Traceback" not in err


def test_a_method_that_one_process_fits_is_refused(tmp_path):
    overrides = ["method=random_forest", "task=linear_gaussian", "device=cpu", f"paths.runs={tmp_path}"]
    settings = RunSettings.from_config(compose_settings("config", overrides))
    with pytest.raises(ExobenchError, match="method=random_forest is fitted by one process, and this run has 2"):
        run(settings, ranks=Ranks(0, 2))
    assert not list(tmp_path.iterdir())
