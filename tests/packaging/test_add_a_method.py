"""The method of CONTRIBUTING.md is what it says: 40 lines that another package brings, found by its entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which pip has installed the package, made of nothing but what CONTRIBUTING.md prints."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code, call = re.findall(r"```python\n(.*?)```", text, re.S)
    entry = re.search(r"```toml\n(.*?)```", text, re.S)
    folder, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("neighbours")
    (source / "neighbours").mkdir()
    (source / "neighbours" / "method.py").write_text(code, encoding="utf-8")
    (source / "pyproject.toml").write_text(entry.group(1), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", folder, source]
    done = subprocess.run([*pip, *offline], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "check.py").write_text(call, encoding="utf-8")
    return folder


def python(site, cwd, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def test_it_has_at_most_40_lines(site):
    lines = (site / "neighbours" / "method.py").read_text(encoding="utf-8").splitlines()
    assert sum(1 for line in lines if line.strip()) <= 40


def test_help_lists_it(site, tmp_path):
    assert "neighbours" in python(site, tmp_path, "-m", "exobench", "--help").stdout


def test_it_keeps_the_promises(site, tmp_path):
    done = python(site, tmp_path, str(site / "check.py"))
    assert done.returncode == 0, done.stderr


def test_it_runs_and_is_better_than_the_prior(site, tmp_path, data_root):
    done = python(
        site, tmp_path, "-m", "exobench", "method=neighbours", "method.k=20", "task=linear_gaussian", "budget=2e3",
        "n_test=25", f"paths.data={data_root}", "paths.runs=runs", "paths.reports=reports", "workers=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = {path.parts[-4]: json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("run.json")}
    assert records["neighbours"]["config"]["method"] == {"name": "neighbours", "k": 20}
    scores = {name: record["scores"][0]["value"] for name, record in records.items()}
    assert scores["neighbours"] < 0.7 * scores["prior"]
    assert "neighbours" in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")


def test_it_is_skipped_with_a_reason_where_bins_are_missing(site, tmp_path, data_root):
    done = python(
        site, tmp_path, "-m", "exobench", "method=neighbours", "task=hotjupiter_varied", "task.shard_rows=500",
        "budget=500", "n_test=25", f"paths.data={data_root}", "workers=1", "report=false",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").glob("*/neighbours/*/*/run.json")
    record = json.loads(path.read_text())
    assert record["status"] == "skipped"
    assert "MISSING_BINS" in record["reason"]
    assert record["reason"] in done.stdout


def test_a_broken_package_is_named_and_breaks_nothing(site, tmp_path):
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (broken / "entry_points.txt").write_text("[exobench.methods]\nbroken = no_such_module:Broken\n", encoding="utf-8")
    both = f"{site}{os.pathsep}{tmp_path}"
    assert "broken" in python(both, tmp_path, "-m", "exobench", "--help").stdout
    done = python(both, tmp_path, "-m", "exobench", "method=broken", "task=linear_gaussian")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no_such_module" in done.stderr
    assert "package broken" in done.stderr
