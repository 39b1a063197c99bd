"""Imports run one way, every folder is packaged, and every task and baseline has a card."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOURCES = {"exobench": "exobench", "exobench_tasks": "tasks", "exobench_baselines": "baselines"}


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path):
    """Dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_library_knows_no_task_and_no_method():
    for path in modules("exobench"):
        wrong = [n for n in imported(path) if n.split(".")[0] in ("exobench_tasks", "exobench_baselines")]
        assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize(("package", "folder"), [("exobench_baselines", "baselines"), ("exobench_tasks", "tasks")])
def test_plugins_do_not_import_each_other(package, folder):
    other = {"exobench_baselines": "exobench_tasks", "exobench_tasks": "exobench_baselines"}[package]
    for path in modules(folder):
        own = path.relative_to(ROOT / folder).parts[0]
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] != other, f"{path} imports {name}"
            assert parts[0] != package or parts[1:2] in ([], [own]), f"{path} imports {name}"


def test_metrics_and_report_see_arrays_and_records_only():
    for path in modules("exobench/metrics"):
        wrong = [n for n in imported(path) if n.startswith("exobench.") and not n.startswith("exobench.metrics")]
        # python -m exobench.metrics starts a command that reads files; the scores themselves read none.
        allowed = {"exobench.score_files"} if path.name == "__main__.py" else {"exobench.errors"}
        assert set(wrong) <= allowed, f"{path} imports {wrong}"
    for path in modules("exobench/report"):
        forbidden = {"exobench.method", "exobench.registry", "exobench.runner", "exobench.task", "torch"}
        assert not forbidden & set(imported(path)), f"{path} imports {forbidden & set(imported(path))}"


def test_every_folder_of_code_is_packaged():
    found = {
        "exobench.conf",
        *(f"exobench.conf.{p.name}" for p in (ROOT / "conf").iterdir() if (p / "__init__.py").exists()),
    }
    for package, folder in SOURCES.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((package, *parts)))
    assert found == set(SETTINGS["tool"]["setuptools"]["packages"])


def test_every_folder_with_a_module_is_a_package():
    for folder in ("exobench", "tasks", "baselines"):
        for path in modules(folder):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


@pytest.mark.parametrize("folder", ["tasks", "baselines"])
def test_every_plugin_has_a_card_a_config_and_an_entry_point(folder):
    group = {"tasks": ("task", "exobench.tasks"), "baselines": ("method", "exobench.methods")}[folder]
    names = {path.name for path in (ROOT / folder).iterdir() if (path / "__init__.py").exists()}
    assert names == set(SETTINGS["project"]["entry-points"][group[1]])
    for name in names:
        card = (ROOT / folder / name / "README.md").read_text(encoding="utf-8")
        for word in ("Source", "Licence", "Deviations"):
            assert word.lower() in card.lower(), f"the card of {name} does not speak of {word}"
        assert (ROOT / "conf" / group[0] / f"{name}.yaml").is_file()


def test_there_is_no_room_for_leftovers():
    wrong = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    for folder in ("exobench", "tasks", "baselines"):
        assert not [path for path in modules(folder) if path.stem in wrong or path.parent.name in wrong]
