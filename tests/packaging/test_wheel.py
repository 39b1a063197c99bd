"""A wheel built from the tree runs in an environment of its own, from any working directory."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("exobench-*.whl"))


def test_it_holds_code_configs_cards_and_coefficients(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "exobench/runner.py",
        "exobench/conf/config.yaml",
        "exobench/conf/method/exogan.yaml",
        "exobench_tasks/hotjupiter/README.md",
        "exobench_baselines/exogan/method.py",
    ):
        assert wanted in names
    assert any(name.startswith("exobench/opacities/") and name.endswith(".json") for name in names)
    top = {name.split("/")[0] for name in names}
    assert not top & {"tasks", "baselines", "conf", "tests"}, "these names belong to nobody in site-packages"


def test_it_runs_without_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    assert subprocess.run(install, capture_output=True).returncode == 0
    # -I -S would hide the dependencies; the wheel's folder goes first instead, and its files must be the ones used.
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); "
        "sys.meta_path = [f for f in sys.meta_path if 'Editable' not in str(f)]; "
        "import exobench; assert exobench.__file__.startswith(sys.path[0]), exobench.__file__; "
        "from exobench.__main__ import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "method=prior", "task=linear_gaussian", "n_test=25", "workers=1",
         "paths.data=data", "budget=1e3"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(next((tmp_path / "runs").rglob("run.json")).read_text(encoding="utf-8"))
    assert record["versions"]["commit"] is None
    assert record["versions"]["exobench"]
