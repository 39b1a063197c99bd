"""Searches through the command line: what they leave, that they go on, and that nothing is lost with a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("optuna", reason="needs the extra 'tune'")

SPACE = """
objective: nltp
space:
  components: {kind: whole, low: 1, high: 8, default: 4}
  hidden: {kind: choice, values: [8, 16, 32], default: 16}
  training.learning_rate: {kind: real, low: 1.0e-4, high: 1.0e-2, log: true, default: 1.0e-3}
"""
TINY = ["method=mdn", "task=linear_gaussian", "budget=1000", "n_draws=20", "device=cpu"]
TINY += ["method.embedding={size:16,blocks:1}", "beat_seconds=0.3", "stale_seconds=3"]


def start(cwd: Path, data_root: Path, *settings: str, module: str = "exobench.tune") -> subprocess.Popen[str]:
    (cwd / "conf" / "tune").mkdir(parents=True, exist_ok=True)
    (cwd / "conf" / "tune" / "mdn.yaml").write_text(SPACE)
    command = [sys.executable, "-m", module, *settings, f"paths.data={data_root}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, **pipes)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, out + err


def study(cwd: Path) -> dict:
    (path,) = cwd.glob("runs/tune/*/*/*/study.json")
    return json.loads(path.read_text(encoding="utf-8"))


def counted(content: dict) -> list[dict]:
    return [trial for trial in content["trials"] if trial["counted"]]


def parameter_sets(trials: list[dict]) -> list[str]:
    return sorted(json.dumps(trial["params"], sort_keys=True) for trial in trials)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A search of six trials on data of its own."""
    cwd = tmp_path_factory.mktemp("search")
    status, said = ended(start(cwd, cwd / "data", *TINY, "limits.steps=30", "n_trials=6"))
    assert status == 0, said
    return cwd, said


def test_a_search_tries_each_set_once_and_never_opens_the_test_set(search):
    cwd, _ = search
    content = study(cwd)
    assert {trial["state"] for trial in content["trials"]} <= {"complete", "pruned"}
    assert len(set(parameter_sets(content["trials"]))) == len(content["trials"]) == 6
    assert content["trials"][0]["params"] == {"components": 4, "hidden": 16, "training.learning_rate": 1e-3}
    values = [trial["values"][0] for trial in content["trials"] if trial["values"]]
    assert content["trials"][content["best"][0]]["values"] == [min(values)]
    made = [path.relative_to(cwd / "data").as_posix() for path in (cwd / "data").rglob("*")]
    assert any("train" in name for name in made)
    assert not any("test" in name for name in made)


def test_the_best_settings_are_an_experiment_that_runs(search):
    cwd, _ = search
    best = study(cwd)["trials"][study(cwd)["best"][0]]["params"]
    written = yaml.safe_load((cwd / "conf" / "experiment" / "tuned_mdn_linear_gaussian.yaml").read_text())
    assert written["method"]["training"]["learning_rate"] == best["training.learning_rate"]
    settings = ["experiment=tuned_mdn_linear_gaussian", "n_test=25", "n_draws=20", "report=false", "workers=1"]
    status, said = ended(start(cwd, cwd / "data", *settings, module="exobench"))
    assert status == 0, said
    (path,) = cwd.glob("runs/linear_gaussian/mdn/*/0/run.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["status"] == "ok"
    assert record["config"]["method"]["hidden"] == best["hidden"]
    assert record["config"]["limits"]["steps"] == 30
    assert record["budget"] == 1000


def test_a_stopped_search_goes_on_with_the_trial_it_was_at(tmp_path, search):
    settings = [*TINY, "limits.steps=200", "n_trials=2", "prune=false"]
    settings.append("method.training={report_every:5,checkpoint_seconds:0.2,validate_every:50}")
    process = start(tmp_path, search[0] / "data", *settings)
    wait_for(process, lambda: list(tmp_path.glob("runs/tune/*/*/*/fits/*/work/training.safetensors")))
    process.send_signal(signal.SIGTERM)
    status, said = ended(process)
    assert status == 130, said
    (first,) = study(tmp_path)["trials"][:1]
    assert (first["state"], first["counted"]) == ("fail", False)
    (fit,) = tmp_path.glob("runs/tune/*/*/*/fits/*")
    assert (fit / "work" / "training.safetensors").exists()

    status, said = ended(start(tmp_path, search[0] / "data", *settings))
    assert status == 0, said
    content = study(tmp_path)
    assert content["trials"][1]["params"] == first["params"]
    assert [trial["state"] for trial in counted(content)] == ["complete", "complete"]
    assert not (fit / "work").exists()
    assert (fit / "result.json").exists()


def test_the_trial_of_a_killed_worker_is_tried_again_once(tmp_path, search):
    settings = [*TINY, "limits.steps=120", "n_trials=6", "workers=2", "prune=false"]
    process = start(tmp_path, search[0] / "data", *settings)
    wait_for(process, lambda: len(list(tmp_path.glob("runs/tune/*/*/*/fits/*/work"))) == 2)
    victim = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(victim, signal.SIGKILL)
    status, said = ended(process)
    assert status == 0, said
    assert "was killed by signal 9" in said
    content = study(tmp_path)
    (dead,) = [trial for trial in content["trials"] if trial["state"] == "fail"]
    assert dead["reason"] == "its worker died, try 1 of 2"
    done = counted(content)
    assert {trial["state"] for trial in done} == {"complete"}
    assert len(set(parameter_sets(done))) == len(done) == 6
    assert parameter_sets(done).count(parameter_sets([dead])[0]) == 1


def wait_for(process: subprocess.Popen[str], happened) -> None:
    end = time.monotonic() + 180
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
