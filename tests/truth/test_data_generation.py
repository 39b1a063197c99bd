"""A data set has the same bytes whoever makes it, however many they are, and however often they are killed."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_opacities import synthetic_opacities

from exobench.data import DataRecipe, ShardStore, ensure_split, verify
from exobench.files import folder_lock
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.simulators.linear_gaussian import LinearGaussianSimulator
from exobench.simulators.transmission import TransmissionSimulator

ATMOSPHERE = (
    *(Parameter(f"log10_{gas}", "dex", gas, -8.0, -1.0, "log10") for gas in ("h2o", "co2", "co", "ch4")),
    Parameter("mass_mjup", "M_Jup", "M", 0.8, 2.0),
    Parameter("radius_rjup", "R_Jup", "R", 0.8, 1.5),
    Parameter("temperature_k", "K", "T", 1000.0, 2000.0),
)
N_PARAM, N_BIN, SHARD_ROWS, N = 4, 33, 500, 6_000

SCRIPT = """
import sys, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_data_generation import N, make_recipe
from exobench.data import ensure_split
from exobench.simulators.linear_gaussian import LinearGaussianSimulator

class Slow(LinearGaussianSimulator):
    def __call__(self, theta):
        time.sleep({sleep})
        return super().__call__(theta)

if __name__ == "__main__":
    print("ready", flush=True)
    ensure_split(make_recipe(Slow), Path({root!r}), "train", N, workers={workers})
"""


def make_recipe(simulator=LinearGaussianSimulator, storage="float32"):
    space = ParameterSpace(tuple(Parameter(f"theta_{j + 1}", "1", f"{j}", -1.0, 1.0) for j in range(N_PARAM)))
    edges = np.linspace(1.0, 2.0, N_BIN + 1)
    return DataRecipe(
        "linear",
        UniformPrior(space),
        partial(simulator, N_PARAM, N_BIN),
        {"kind": "linear"},
        0.5 * (edges[1:] + edges[:-1]),
        edges,
        shard_rows=SHARD_ROWS,
        storage=storage,
    )


def build_transmission():
    return TransmissionSimulator(synthetic_opacities(), [parameter.name for parameter in ATMOSPHERE])


def make_transmission_recipe():
    opacities = synthetic_opacities()
    return DataRecipe(
        "atmosphere",
        UniformPrior(ParameterSpace(ATMOSPHERE)),
        build_transmission,
        {"opacity_hash": opacities.content_hash()},
        opacities.wavelength_um,
        opacities.bin_edges_um,
        shard_rows=600,
    )


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(tmp_path, root, *, sleep, workers, name="generate.py"):
    script = tmp_path / name
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), root=str(root), sleep=sleep, workers=workers))
    return subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("one_worker")
    ensure_split(make_recipe(), root, "train", N, workers=1, progress=False)
    return contents(root)


@pytest.mark.parametrize("storage", ["float32", "uint16"])
def test_four_workers_make_the_bytes_of_one(tmp_path, storage):
    recipe = make_recipe(storage=storage)
    for workers in (1, 4):
        ensure_split(recipe, tmp_path / str(workers), "train", N, workers=workers, progress=False)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_storage_changes_the_form_of_the_same_spectra(sound, tmp_path):
    recipe = make_recipe(storage="uint16")
    ensure_split(recipe, tmp_path, "train", N, workers=1, progress=False)
    ensure_split(make_recipe(), tmp_path, "train", N, workers=1, progress=False)
    (theta, rounded), (same_theta, exact) = (
        ShardStore(tmp_path, each).reader("train", N).read(0, N) for each in (recipe, make_recipe())
    )
    np.testing.assert_array_equal(theta, same_theta)
    span = np.ptp(exact.decoded(), axis=1, keepdims=True)
    assert (np.abs(rounded.decoded() - exact.decoded()) <= 0.51 * span / 65535 + 1e-7).all()


def test_a_script_without_a_guard_is_told_so(tmp_path):
    text = SCRIPT.replace('if __name__ == "__main__":', "if True:")
    script = tmp_path / "unguarded.py"
    script.write_text(text.format(tests=str(Path(__file__).parent), root=str(tmp_path / "data"), sleep=0, workers=2))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode != 0
    assert "if __name__ ==" in done.stderr


def test_transmission_spectra_do_not_depend_on_who_makes_them(tmp_path):
    recipe = make_transmission_recipe()
    for workers in (1, 2):
        ensure_split(recipe, tmp_path / str(workers), "train", 1200, workers=workers, progress=False)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    theta, depth = ShardStore(tmp_path / "2", recipe).reader("train", 1200).read(0, 1200)
    depth = depth.decoded()
    alone = torch.cat([build_transmission()(torch.from_numpy(row[None])) for row in theta[::100]]).numpy()
    np.testing.assert_allclose(depth[::100], alone, rtol=0, atol=0.01e-6)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_and_resumed(sound, tmp_path, workers):
    root = tmp_path / "data"
    process = start(tmp_path, root, sleep=0.2, workers=workers)
    folder = make_recipe().folder(root) / "train"
    wait_for(lambda: len(list(folder.glob("shard_*.h5"))) >= 3)
    children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("shard_*.h5")}
    assert 3 <= len(finished) < N // SHARD_ROWS
    wait_for(lambda: not any(is_running(child) for child in children), seconds=10.0)

    (folder / ".shard_00007.h5.1.tmp").write_bytes(b"half a shard")
    ensure_split(make_recipe(), root, "train", N, workers=1, progress=False)
    assert contents(root) == sound
    assert all(path.stat().st_mtime_ns == made for path, made in finished.items()), "a finished shard was made twice"
    assert verify(make_recipe(), root, progress=False) == []
    theta, _ = ShardStore(root, make_recipe()).reader("train", N).read(0, N)
    assert len(np.unique(theta[:, 0])) == N


def test_a_killed_worker_is_reported_and_the_rest_kept(sound, tmp_path):
    root = tmp_path / "data"
    process = start(tmp_path, root, sleep=0.2, workers=2)
    folder = make_recipe().folder(root) / "train"
    wait_for(lambda: len(list(folder.glob("shard_*.h5"))) >= 2)
    workers = [
        child for child in children_of(process.pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "a data worker died (exit code -9" in errors
    ensure_split(make_recipe(), root, "train", N, workers=1, progress=False)
    assert contents(root) == sound


def test_two_processes_at_once_share_the_work_in_peace(sound, tmp_path):
    root = tmp_path / "data"
    processes = [start(tmp_path, root, sleep=0.05, workers=1, name=f"{name}.py") for name in ("first", "second")]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("waiting for it to finish" in text for text in errors) <= 1
    assert contents(root) == sound


def test_waiting_for_another_process_is_said(sound, tmp_path):
    root = tmp_path / "data"
    with folder_lock(make_recipe().folder(root)):
        process = start(tmp_path, root, sleep=0.0, workers=1)
        message = process.stderr.readline()
        assert not list(root.rglob("*.h5"))
    _, errors = process.communicate(timeout=60)
    assert f"process {os.getpid()} on " in message
    assert "waiting for it to finish" in message
    assert (process.returncode, errors) == (0, "")
    assert contents(root) == sound
