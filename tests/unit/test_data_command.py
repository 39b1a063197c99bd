"""``python -m exobench.data``: what it says, what it writes, and one line for what is wrong."""

from __future__ import annotations

import json
import re

import pytest

from exobench.data.__main__ import main

SET = ["task=linear_gaussian", "task.shard_rows=100", "task.n_bin=7"]


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Runs a subcommand on a data root of its own: exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments, given=SET):
        try:
            main([name, *given, *arguments, f"paths.data={tmp_path / 'data'}"])
            status = 0
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err.strip()

    return run


def shards(folder):
    return sorted(folder.rglob("*.h5"))


def test_dry_run_writes_nothing_and_says_what_it_would_take(command, tmp_path):
    status, said, _ = command("generate", "n=1e7", "storage=uint16", "--dry-run")
    assert status == 0
    assert not list(tmp_path.iterdir())
    for words in ("10,000,000 spectra of 7 bins as uint16", "100,000 shards of 100", "GB to write", "free", "about"):
        assert words in said
    n_byte = 1e7 * (7 * 2 + 8 + 4 * 8)
    assert f"{n_byte / 1e9:.2f} GB to write" in said


def test_estimate_is_the_size_on_disk(command, tmp_path):
    settings = ["task=linear_gaussian", "task.n_bin=515", "task.n_param=7", "storage=uint16"]
    _, said, _ = command("generate", "n=20_000", "--dry-run", given=settings)
    estimated = float(re.search(r"([\d.]+) GB to write", said)[1])
    command("generate", "n=20_000", "workers=1", given=settings)
    written = sum(path.stat().st_size for path in shards(tmp_path)) / 1e9
    assert abs(estimated - written) < 0.005


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_is_made_once_and_grown(command, tmp_path, split):
    assert command("generate", "n=250", f"split={split}", "workers=1")[0] == 0
    assert [path.parent.name for path in shards(tmp_path)] == [split] * 3
    status, said, _ = command("generate", "n=250", f"split={split}", "workers=1")
    assert (status, "3 of 3 shards are there" in said) == (0, True)
    _, said, _ = command("generate", "n=4e2", f"split={split}", "workers=1")
    assert "3 of 4 shards are there" in said
    assert f"{split} has 400 spectra" in said


def test_damage_is_found_and_repaired(command, tmp_path):
    command("generate", "n=300", "storage=uint16", "workers=1")
    assert command("verify", "storage=uint16")[0] == 0
    flipped, deleted = shards(tmp_path)[0], shards(tmp_path)[2]
    sound = {path: path.read_bytes() for path in shards(tmp_path)}
    content = bytearray(sound[flipped])
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    deleted.unlink()
    status, said, _ = command("verify", "storage=uint16")
    assert status == 1
    assert f"damaged or missing: {flipped}" in said
    assert f"damaged or missing: {deleted}" in said
    status, said, _ = command("verify", "storage=uint16", "repair=true", "workers=1")
    assert (status, said.count("repaired:")) == (0, 2)
    assert {path: path.read_bytes() for path in shards(tmp_path)} == sound
    assert command("verify", "storage=uint16")[0] == 0


def test_info_counts_what_is_there(command, tmp_path):
    command("generate", "n=300", "workers=1")
    command("generate", "n=100", "storage=uint16", "workers=1")
    shards(tmp_path / "data")[0].unlink()
    status, said, _ = command("info")
    assert status == 0
    assert re.search(r"train: +300 spectra in 3 shards.*1 of them missing", said) or "missing or cut short" in said
    assert said.count("linear_gaussian/") >= 3  # the folder, and both sets in the list
    assert "train 100 spectra" in said


def test_what_runs_use_is_what_was_made(command, tmp_path):
    from exobench.data.choice import DataChoice
    from exobench.data.source import open_data
    from exobench.task import TaskRequest
    from exobench_tasks.linear_gaussian.task import build

    command("generate", "n=200", "storage=uint16", "workers=1")
    made = shards(tmp_path)
    task = build(TaskRequest(), n_bin=7, shard_rows=100)
    choice = DataChoice(storage="uint16")
    open_data(task, tmp_path / "data", n_train=200, n_validation=0, n_test=10, workers=1, choice=choice)
    manifest = json.loads((made[0].parents[1] / "manifest.json").read_text())
    assert manifest["storage"]["depth"].startswith("uint16")
    assert [path for path in shards(tmp_path) if path.parent.name == "train"] == made


WRONG = {
    "command": (["generat"], ["generat", "generate", "info", "verify"]),
    "setting": (["generate", "m=3"], ["'m'", "storage", "workers"]),
    "setting of another command": (["info", "n=3"], ["'n'", "storage"]),
    "task": (["generate", "task=hotjupyter"], ["hotjupyter", "hotjupiter"]),
    "leaf of the task": (["generate", "task.noise_pm=3"], ["noise_pm", "task.noise_ppm"]),
    "value of a leaf": (["generate", "task.shard_rows=many"], ["task.shard_rows=many"]),
    "no number": (["generate", "n=2k"], ["n=2k", "whole number"]),
    "no spectra": (["generate", "n=0"], ["n=0", "at least 1"]),
    "split": (["generate", "split=tset"], ["tset", "train", "validation", "test"]),
    "storage": (["generate", "storage=uint8"], ["uint8", "float32", "uint16"]),
    "test spectra rounded": (["generate", "split=test", "storage=uint16"], ["storage=uint16", "float32"]),
    "workers": (["generate", "workers=0"], ["workers=0", "auto"]),
    "device": (["generate", "device=gpu"], ["device=gpu", "cpu"]),
    "absent device": (["generate", "device=cuda:99"], ["cuda:99"]),
    "option": (["generate", "--dryrun"], ["--dryrun", "--dry-run"]),
    "no setting": (["verify", "hotjupiter"], ["hotjupiter", "KEY=VALUE"]),
    "flag": (["verify", "repair=perhaps"], ["repair=perhaps", "true or false"]),
    "nothing there": (["verify"], ["nothing to verify"]),
    "simulator": (["generate", "task=hotjupiter", "simulator=tauren"], ["tauren", "transmission"]),
    "opacities": (["info", "task=hotjupiter", "opacities.path=/nowhere/at/all"], ["/nowhere/at/all"]),
    "average": (["info", "opacities.average=median"], ["opacities.average", "median", "transmission"]),
    "place": (["generate", "paths.data=/dev/null/data"], ["paths.data", "/dev/null"]),
    "published set": (["fetch", "exogn"], ["exogn", "exogan"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_one_line(case, capsys, tmp_path, monkeypatch):
    given, words = WRONG[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXOBENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    assert error.startswith("error: ")
    for word in words:
        assert word in error, error
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("name", ["generate", "verify", "info"])
def test_help_lists_every_setting(name, capsys):
    main([name, "--help"])
    said = capsys.readouterr().out
    for word in ("task.KEY=VALUE", "storage: float32", "path: null", "data: null", "linear_gaussian", "example:"):
        assert word in said
    assert ("--dry-run" in said) == (name == "generate")
    assert "defaults" not in said.split("defaults:", 1)[1]
