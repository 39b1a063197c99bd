"""Searches for settings are part of the site: linked, told of on a page, and no harm where one is damaged."""

import json

from report_records import make_record

from exobench.report.page import build_page
from exobench.report.searches import SEARCHES
from exobench.tune.best import SUMMARY

MARKUP = "<img src=x onerror=alert(1)>"


def trial(number, value):
    """An entry of a search's summary as a finished trial leaves it."""
    return {
        "trial": number,
        "state": "complete",
        "counted": True,
        "values": [value],
        "standard_error": 0.1,
        "params": {"depth": number + 1},
        "curve": {},
        "started": f"2026-01-02T03:04:0{number}",
        "seconds": 7.0,
        "training_seconds": 5.0,
        "seconds_per_posterior": 0.01,
        "n_parameters": 1_000,
        "reason": None,
    }


def make_search(runs, method="npe", name="0123456789ab"):
    """Writes what a search of three trials leaves; returns its folder."""
    folder = runs / SEARCHES / "hotjupiter" / "method" / name
    folder.mkdir(parents=True)
    content = {
        "task": "hotjupiter",
        "task_id": "aaaaaaaaaaaa",
        "method": method,
        "budget": 1_000,
        "limits": {"steps": 100, "seconds": None},
        "objectives": ["nltp"],
        "directions": ["minimize"],
        "n_scored": 50,
        "n_trials": 3,
        "space": {"depth": ["whole", 1, 8, False, []]},
        "trials": [trial(number, value) for number, value in enumerate((3.0, 1.0, 2.0))],
    }
    (folder / SUMMARY).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_the_first_page_leads_to_the_page_of_all_searches(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    make_record(runs, "npe", n_test=30)
    make_search(runs)
    text = build_page(runs, reports).read_text(encoding="utf-8")
    assert '<a href="search/search.html#hotjupiter-npe-0123456789ab">npe on hotjupiter</a>' in text
    page = (reports / "search/search.html").read_text(encoding="utf-8")
    assert 'id="hotjupiter-npe-0123456789ab"' in page
    assert 'src="../assets/site.js"' in page
    assert '<a href="../index.html">Overview</a>' in page
    assert (reports / "assets/plotly.min.js").is_file()


def test_a_damaged_search_is_named_and_the_rest_is_built(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    make_record(runs, "npe", n_test=30)
    make_search(runs, MARKUP)
    cut = make_search(runs, name="ba9876543210") / SUMMARY
    cut.write_text(cut.read_text(encoding="utf-8")[:100], encoding="utf-8")
    text = build_page(runs, reports).read_text(encoding="utf-8")
    left_out = text[text.index('id="left-out"') :]
    assert "tune/hotjupiter/method/ba9876543210" in left_out
    assert "cannot be read" in left_out
    assert "&lt;img src=x onerror=alert(1)&gt; on hotjupiter</a>" in text
    assert MARKUP not in text
    assert MARKUP not in (reports / "search/search.html").read_text(encoding="utf-8")


def test_searches_alone_make_a_site(tmp_path):
    make_search(tmp_path / "runs")
    index = build_page(tmp_path / "runs", tmp_path / "reports")
    assert "search/search.html" in index.read_text(encoding="utf-8")
    assert (tmp_path / "reports/assets/plotly.min.js").is_file()


def test_folders_of_searches_are_no_unfinished_runs(tmp_path):
    runs = tmp_path / "runs"
    make_search(runs)
    (runs / "hotjupiter/npe/abc/0").mkdir(parents=True)
    text = build_page(runs, tmp_path / "reports").read_text(encoding="utf-8")
    unfinished = text[text.index("without a record yet") :]
    assert "hotjupiter/npe/abc/0" in unfinished
    assert "tune/" not in unfinished
