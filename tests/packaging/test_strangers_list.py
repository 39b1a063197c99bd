"""``python -m exobench.list``: its table, its JSON and its words for a wrong argument."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint

import pytest

from exobench import listing, registry
from exobench.list import main

PLAIN = """{top}
from exobench.method import AbstractMethod, Capability
from exobench.registry import register_method

@register_method("plain")
{above}
class Plain(AbstractMethod):
    {within}
    capabilities = Capability.NONE

    def fit(self, problem, *, limits, rng, device, workdir, stop, progress):
        raise NotImplementedError

    @classmethod
    def load_posterior(cls, path, problem, device):
        raise NotImplementedError
"""


def test_the_table_names_every_task_with_its_package(capsys):
    main(["tasks"])
    title, *rows = capsys.readouterr().out.splitlines()
    assert title == "tasks:"
    assert [row.split()[0] for row in rows] == list(registry.names(registry.TASKS))
    assert all(" exobench " in row for row in rows)


def test_the_json_gives_settings_with_defaults(capsys):
    main(["tasks", "--json"])
    tasks = {task["name"]: task for task in json.loads(capsys.readouterr().out)["tasks"]}
    assert tasks["linear_gaussian"]["settings"]["noise_ppm"] == 100.0
    assert "request" not in tasks["linear_gaussian"]["settings"]


def test_a_module_that_raises_anything_is_a_reason(monkeypatch, tmp_path):
    (tmp_path / "rotten_module.py").write_text("1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("rotten", "rotten_module:Rotten", registry.METHODS)
    monkeypatch.setattr(listing, "entry_points", lambda group: [point])
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    (listed,) = listing.list_methods()
    assert "division by zero" in (listed.reason or "")
    assert "rotten_module" in (listed.reason or "")


@pytest.mark.parametrize(
    ("top", "above", "within", "summary"),
    [
        ("", "", "", ""),
        ("", "", '"""Takes the mean.\n\n    And no more."""', "Takes the mean."),
        ('"""Means of spectra."""', "", "", "Means of spectra."),
        ("import dataclasses", "@dataclasses.dataclass", "n: int = 3", ""),
    ],
)
def test_a_method_is_described_in_its_authors_words_only(monkeypatch, tmp_path, top, above, within, summary):
    (tmp_path / "plain_module.py").write_text(PLAIN.format(top=top, above=above, within=within), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plain_module", raising=False)
    point = EntryPoint("plain", "plain_module:Plain", registry.METHODS)
    monkeypatch.setattr(listing, "entry_points", lambda group: [point])
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    (listed,) = listing.list_methods()
    assert listed.reason is None
    assert listed.summary == summary


def test_a_wrong_argument_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["method"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Did you mean 'methods'?" in line
