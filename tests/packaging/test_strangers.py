"""Packages of strangers, as wheels in an environment of their own: found, checked, run, reported, and harmless.

The environment holds exobench and the strangers as pip installs them; what exobench depends on is read from the
environment that runs the tests, behind them on the path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STRANGERS = Path(__file__).parent / "strangers"
OWN = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "EXOBENCH"))}
"""The environment's variables without those that would let the checkout in."""


def pip(*arguments, cwd):
    """Runs the pip of this interpreter, away from the checkout, whose metadata would count as installed."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    finished = subprocess.run(command, cwd=cwd, env=OWN, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    """The interpreter of a fresh environment into which exobench and four packages of strangers were installed."""
    folder = tmp_path_factory.mktemp("strangers")
    sources = shutil.copytree(STRANGERS, folder / "sources")
    wheels = folder / "wheels"
    packages = [ROOT, *(path for path in sources.iterdir() if (path / "pyproject.toml").exists())]
    pip("wheel", "--no-deps", "--no-build-isolation", "-w", wheels, *packages, cwd=folder)
    assert len(list(wheels.iterdir())) == 5
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", *wheels.iterdir(), cwd=folder)
    # A line of a .pth file only lengthens the path: what stands there cannot shadow what was installed here, and
    # editable installs of the other environment stay unknown.
    site = sysconfig.get_path("purelib", vars={"base": folder / "env", "platbase": folder / "env"})
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    Path(site, "dependencies.pth").write_text("\n".join(others) + "\n", encoding="utf-8")
    return python


@pytest.fixture
def run(interpreter, tmp_path, data_root):
    """Runs that interpreter in an empty folder, knowing nothing of the checkout."""
    environment = OWN | {"OMP_NUM_THREADS": "1", "EXOBENCH_DATA": str(data_root)}

    def call(*arguments):
        return subprocess.run([interpreter, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)

    return call


def record_of(folder, method):
    (path,) = (folder / "runs").glob(f"*/{method}/*/*/run.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_everything_comes_from_the_fresh_environment(run, interpreter):
    code = "from importlib.util import find_spec as find\nprint(find('exobench').origin, find('stranger_ridge').origin)"
    finished = run("-c", code)
    assert finished.returncode == 0, finished.stderr
    for path in finished.stdout.split():
        assert Path(path).is_relative_to(interpreter.parents[1])


def test_help_names_them_all_and_imports_none(run):
    finished = run("-m", "exobench", "--help")
    assert finished.returncode == 0, finished.stderr
    methods, tasks = (next(row for row in finished.stdout.splitlines() if row.startswith(k)) for k in ("meth", "task"))
    for name in ("prior", "ridge", "moments", "needs_more", "raises", "undecorated"):
        assert f" {name}" in methods
    for name in ("hotjupiter", "sine", "needs_more_task"):
        assert f" {name}" in tasks


def test_the_list_gives_package_capabilities_and_the_reason_of_each_failure(run):
    finished = run("-m", "exobench.list", "--json")
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    methods = {entry["name"]: entry for entry in found["methods"]}
    tasks = {entry["name"]: entry for entry in found["tasks"]}
    assert methods["ridge"]["package"] == "stranger-ridge 1.2.0"
    assert methods["ridge"]["settings"] == {"penalty": 1.0}
    assert methods["ridge"]["capabilities"] == ["AMORTISED"]
    assert methods["ridge"]["summary"].startswith("Linear regression")
    assert methods["moments"]["capabilities"] == ["LOG_PROB", "AMORTISED", "MISSING_BINS"]
    assert tasks["sine"]["package"] == "stranger-sine 2.0"
    assert tasks["sine"]["settings"]["share"] == 0.005
    for entry in (methods["needs_more"], tasks["needs_more_task"]):
        assert "a_package_that_nobody_has" in entry["reason"]
        assert entry["package"] == "stranger-broken 0.0.1"
    assert "no licence file was found" in methods["raises"]["reason"]
    assert '@register_method("undecorated")' in methods["undecorated"]["reason"]
    for usable in ("prior", "exogan", "ridge", "moments"):
        assert methods[usable]["reason"] is None
    for usable in ("hotjupiter", "linear_gaussian", "sine"):
        assert tasks[usable]["reason"] is None


def test_they_pass_the_conformance_suite(run):
    finished = run(
        "-c",
        "from exobench.testing import check_method, check_task\n"
        "reports = [check_task('sine'), check_method('ridge', task='sine'), check_method('moments', task='sine'),\n"
        "           check_method('moments', task='linear_gaussian')]\n"
        "print(*(len(report.passed) for report in reports))",
    )
    assert finished.returncode == 0, finished.stderr
    assert all(int(n) >= 8 for n in finished.stdout.split())


def test_a_method_runs_on_a_built_in_task_and_gets_a_row_in_the_report(run, tmp_path):
    finished = run(
        "-m", "exobench", "method=ridge", "method.penalty=0.1", "task=linear_gaussian", "budget=1e3", "n_test=25",
        "workers=1",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    record = record_of(tmp_path, "ridge")
    assert record["status"] == "ok"
    assert record["config"]["method"] == {"name": "ridge", "penalty": 0.1}
    assert record["scores"][0]["value"] < 0.7 * record_of(tmp_path, "prior")["scores"][0]["value"]
    assert "ridge" in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")


def test_two_methods_sweep_over_a_task_of_a_third_stranger(run, tmp_path):
    finished = run(
        "-m", "exobench", "-m", "method=ridge,moments", "task=sine", "task.share=0.01", "budget=1e3", "n_test=25",
        "workers=1", "report=false",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    ridge, moments, prior = (record_of(tmp_path, name) for name in ("ridge", "moments", "prior"))
    assert ridge["config"]["method"] == {"name": "ridge", "penalty": 1.0}, "a node from the constructor's defaults"
    assert moments["config"]["method"] == {"name": "moments", "spread": 0.25}, "the package's own config"
    assert ridge["task_id"] == moments["task_id"] == prior["task_id"]
    assert ridge["config"]["task"]["share"] == 0.01
    assert ridge["task_description"]["noise"] == {"kind": "share of depth", "share": 0.01}
    assert [parameter["name"] for parameter in ridge["parameters"]] == ["level_ppm", "height_ppm"]
    assert ridge["scores"][0]["value"] < 0.7 * prior["scores"][0]["value"]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("method=needs_more", "a_package_that_nobody_has"),
        ("task=needs_more_task", "a_package_that_nobody_has"),
        ("method=undecorated", "@register_method"),
        ("method=raises", "no licence file was found"),
    ],
)
def test_a_broken_one_ends_with_its_reason_in_one_line(run, setting, reason):
    finished = run("-m", "exobench", setting, "workers=1")
    assert finished.returncode == 2
    (line,) = finished.stderr.strip().splitlines()
    assert reason in line
