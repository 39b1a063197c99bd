"""Wrong input ends with one line that names it and what is valid, and a non-zero exit status."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from exobench.__main__ import main
from exobench.command_line import options_first

QUICK = ["method=prior", "task=linear_gaussian", "n_test=25", "workers=1"]

WRONG = {
    "method name": (["method=exogn"], ["exogn", "exogan", "prior"]),
    "task name": (["task=hotjupyter"], ["hotjupyter", "hotjupiter", "linear_gaussian"]),
    "experiment name": (["experiment=defalt"], ["defalt", "default", "quick"]),
    "config key": (["budgt=1e4"], ["budgt", "budget"]),
    "key of a method": (["method=exogan", "method.varient=published"], ["varient", "method.variant"]),
    "key of an empty group": (
        ["method=npe", "method.training.epochs=20"],
        ["method.training", "+method.training.epochs="],
    ),
    "key of a task": (["task.noise_pm=3"], ["noise_pm", "task.noise_ppm"]),
    "added key": (["+method.k=3"], ["k", "method prior"]),
    "several without -m": (["task=hotjupiter,linear_gaussian"], ["-m"]),
    "added at the top": (["+foo=1"], ["+foo=1"]),
    "wrong key in a sweep": (["-m", "bdget=300,400"], ["bdget", "budget"]),
    "no bins": (["task.n_bin=-3"], ["task.n_bin=-3"]),
    "shard rows": (["task.shard_rows=0"], ["task.shard_rows=0"]),
    "list for a name": (["task=hotjupiter", "task.flavour=[a]"], ["task.flavour", "name"]),
    "no key": (["exogan"], ["exogan", "KEY=VALUE"]),
    "option": (["--budget"], ["--budget", "--help"]),
    "word for a number": (["budget=many"], ["budget=many", "whole number"]),
    "fraction": (["budget=1500.5"], ["budget=1500.5", "whole number"]),
    "too small": (["budget=3"], ["budget=3", "100"]),
    "negative seed": (["seed=-1"], ["seed=-1"]),
    "too many test spectra": (["n_test=20000"], ["n_test=20000", "10,000"]),
    "word for a leaf": (["task.noise_ppm=low"], ["task.noise_ppm=low", "number"]),
    "negative noise": (["task.noise_ppm=-20"], ["noise_ppm", "positive"]),
    "device": (["device=gpu"], ["device=gpu", "cpu"]),
    "absent device": (["device=cuda:99"], ["cuda:99", "cpu"]),
    "workers": (["workers=none"], ["workers"]),
    "flag": (["rerun=maybe"], ["rerun=maybe", "true or false"]),
    "path": (["paths.runs=/dev/null/runs"], ["paths.runs", "/dev/null"]),
    "simulator": (["simulator=tauren"], ["simulator"]),
    "simulator of hotjupiter": (["task=hotjupiter", "simulator=tauren"], ["tauren", "taurex3", "transmission"]),
    "flavour": (["task=hotjupiter", "task.flavour=taurex1"], ["taurex1", "taurex2", "taurex3"]),
    "opacities": (["task=hotjupiter", "opacities.path=/nowhere/at/all"], ["/nowhere/at/all"]),
    "average": (["task=hotjupiter", "opacities.average=median"], ["opacities.average", "median", "transmission"]),
    "seconds": (["limits.seconds=-1"], ["limits.seconds=-1"]),
    "data": (["data=shrads"], ["shrads", "shards", "online"]),
    "leaf of the data": (["data=online", "data.storage=uint16"], ["data.storage", "data.cache_gib"]),
    "storage": (["data.storage=half"], ["half", "float32", "uint16"]),
    "unreadable": (["seed=[1"], ["seed=[1"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_one_line(case, capsys, tmp_path, monkeypatch):
    given, words = WRONG[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["exobench"])
    given = [*(entry for entry in QUICK if entry.split("=")[0] not in {g.split("=")[0] for g in given}), *given]
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    assert error.startswith("error: ")
    for word in words:
        assert word in error, error
    assert not list(tmp_path.rglob("run.json"))


def test_help_lists_what_there_is():
    done = subprocess.run([sys.executable, "-m", "exobench", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for word in ("exogan", "prior", "hotjupiter", "linear_gaussian", "budget", "opacities"):
        assert word in done.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from exobench.__main__ import main; main(['--help']); "
        "heavy = {'torch', 'scipy', 'matplotlib', 'pandas', 'h5py', 'hydra'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_several_runs_in_one_call_go_on_after_a_wrong_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "exobench", "-m", *QUICK, "report=false", "budget=3,1e3", "paths.data=data"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "budget=3" in done.stderr
    assert len(list(tmp_path.rglob("run.json"))) >= 1
    assert re.search(r"#1 : .*\bbudget=1000( |$)", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("budget=1e4", "budget=10000"),
        ("budget=300,1e3,2.5e3", "budget=300,1000,2500"),
        ("budget=1E+05", "budget=100000"),
        ("budget=1500.5", "budget=1500.5"),
        ("budget=1.55e1", "budget=1.55e1"),
        ("budget=choice(1e3,1e4)", "budget=choice(1e3,1e4)"),
        ("budget=many", "budget=many"),
        ("limits.seconds=1e2", "limits.seconds=1e2"),
        ("method.rate=1e4", "method.rate=1e4"),
    ],
)
def test_whole_numbers_alone_are_written_in_full(given, shown):
    assert options_first([given]) == [shown]
