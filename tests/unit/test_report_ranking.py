"""Ranks and regions on the page: the numbers of the metrics, in the right rows, computed once."""

import re

import numpy as np
import pytest
from report_records import PARAMETERS, make_record
from test_report_page import pages_of, task_pages

from exobench.metrics import find_metric
from exobench.metrics.paired import paired_difference
from exobench.metrics.ranking import rank_methods
from exobench.metrics.regions import scores_by_region
from exobench.report import ranks as ranks_module
from exobench.report import regions as regions_module
from exobench.report.cache import Cache
from exobench.report.entries import read_entries
from exobench.report.page import build_page
from exobench.report.regions import FEWEST_SPECTRA, region_sheet
from exobench.report.scores import behind, evidence
from exobench.report.sections import sections, selections
from exobench.report.tables import leaderboards
from exobench.results import SCORES, read_arrays, write_arrays


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def board_of(runs, reports):
    """The main leaderboard of the only section."""
    entries, problems = read_entries(runs)
    assert problems == []
    caches = {entry.anchor: Cache.open(entry, reports) for entry in entries}
    (section,) = sections(entries)
    board = leaderboards(section, caches)[0]
    for cache in caches.values():
        cache.save()
    return board


def ranks_in(board):
    return [(row.entry.method, row.entry.record["seed"], row.rank.text) for row in board.rows]


def test_methods_that_nothing_tells_apart_share_a_rank_and_the_floor_has_none(runs, tmp_path):
    records = [
        make_record(runs, name, n_test=100, width=width) for name, width in (("a", 0.05), ("b", 0.05), ("c", 0.1))
    ]
    make_record(runs, "prior", n_test=100)
    board = board_of(runs, tmp_path)
    found = {method: rank for method, _, rank in ranks_in(board)}
    assert found == {"a": "1", "b": "1", "c": "3", "prior": "floor"}
    ranking = rank_methods([record.per_spectrum()["energy_score"] for record in records])
    assert [found[name] for name in "abc"] == [str(rank) for rank in ranking.ranks]
    assert [row.place for row in board.rows] == ["1", "2", "3", "floor"]


def test_seeds_of_a_method_share_its_rank_and_the_claim_says_whether_they_are_enough(runs, tmp_path):
    for seed in range(4):
        make_record(runs, "good", n_test=50, seed=seed)
        make_record(runs, "poor", n_test=50, seed=seed, width=0.15)
    board = board_of(runs, tmp_path / "few")
    assert {(method, rank) for method, _, rank in ranks_in(board)} == {("good", "1"), ("poor", "2")}
    assert "about these trained models: no method was" in board.claim
    for method, width in (("good", 0.05), ("poor", 0.15)):
        make_record(runs, method, n_test=50, seed=4, width=width)
    board = board_of(runs, tmp_path / "many")
    assert {(method, rank) for method, _, rank in ranks_in(board)} == {("good", "1"), ("poor", "2")}
    assert "this is about methods" in board.claim


def test_budgets_and_settings_are_methods_of_their_own(runs, tmp_path):
    make_record(runs, "net", n_test=60, budget=1000, width=0.2)
    make_record(runs, "net", n_test=60, budget=10_000)
    make_record(runs, "net", n_test=60, budget=10_000, width=0.1, settings={"layers": 1})
    assert sorted(rank for *_, rank in ranks_in(board_of(runs, tmp_path))) == ["1", "2", "3"]


def test_runs_that_cannot_be_ranked_say_why(runs, tmp_path):
    make_record(runs, "one", n_test=30)
    make_record(runs, "two", n_test=30, task_id="bbbb", change=lambda c: c.update(task_id="aaaaaaaaaaaa"), width=0.1)
    path = make_record(runs, "gaps", n_test=30, width=0.2).folder / SCORES
    arrays = read_arrays(path)
    arrays["energy_score"][3] = np.nan
    write_arrays(path, arrays)
    board = board_of(runs, tmp_path)
    cells = {row.entry.method: row.rank for row in board.rows}
    assert (cells["one"].text, cells["two"].is_gap, cells["gaps"].is_gap) == ("1", True, True)
    assert board.notes[cells["two"].note - 1] == "not the same test spectra"
    assert "1 of 25 spectra have no energy score" in board.notes[cells["gaps"].note - 1]


def test_records_of_another_version_are_not_ranked(runs, tmp_path):
    make_record(runs, "old", n_test=30, change=lambda content: content.update(metrics_version=0))
    board = board_of(runs, tmp_path)
    assert (board.rows[0].rank.is_gap, board.claim) == (True, "")


def test_ranks_and_regions_are_computed_once_and_again_when_a_record_changes(runs, tmp_path, monkeypatch):
    make_record(runs, "a", n_test=100)
    make_record(runs, "b", n_test=100, width=0.1)
    first = board_of(runs, tmp_path)
    sheets = sheets_of(runs, tmp_path)
    calls = []
    for module, name in ((ranks_module, "rank_methods"), (regions_module, "find_regions")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name, **k: calls.append(name) or real(*a, **k))
    assert board_of(runs, tmp_path) == first
    assert sheets_of(runs, tmp_path) == sheets
    assert calls == []
    make_record(runs, "c", n_test=100, width=0.2)
    assert [rank for *_, rank in ranks_in(board_of(runs, tmp_path))] == ["1", "2", "3"]
    assert calls == ["rank_methods"]


def sheets_of(runs, reports):
    made = []
    for entry in read_entries(runs)[0]:
        cache = Cache.open(entry, reports)
        made.append(region_sheet(entry, cache))
        cache.save()
    return made


def test_the_region_sheet_holds_the_metrics_own_numbers(runs, tmp_path):
    record = make_record(runs, "a", n_test=200)
    (sheet,) = sheets_of(runs, tmp_path)
    names = [parameter["name"] for parameter in PARAMETERS]
    box = (np.array([parameter[end] for parameter in PARAMETERS]) for end in ("low", "high"))
    rows = scores_by_region(record.per_spectrum(), names, *box, metrics=[find_metric("energy_score")])
    shown = [(line.group, line.label, line.n_obs) for line in sheet.accuracy]
    assert shown == [(row.group, row.label, row.score.n_obs) for row in rows]
    for line, row in zip(sheet.accuracy, rows, strict=True):
        value, error = (float(part) for part in line.cells[0].text.split(" ± "))
        assert value == pytest.approx(row.score.value, abs=6e-5)
        # The bootstrap's own error, from 200 resamples, is 5 % of it.
        assert error == pytest.approx(row.score.standard_error, rel=0.25)
    assert [len(line.cells) for line in sheet.accuracy] == [3] * 11
    assert [len(line.cells) for line in sheet.coverage] == [2] * 11
    worst = max(rows, key=lambda row: row.score.value)
    assert sheet.worst.startswith(f"{worst.group} {worst.label}: energy score {worst.score.value:.3f}")


def test_few_spectra_and_other_versions_have_no_regions(runs, tmp_path):
    make_record(runs, "few", n_test=FEWEST_SPECTRA - 1)
    make_record(runs, "old", n_test=FEWEST_SPECTRA, change=lambda content: content.update(metrics_version=0))
    assert sheets_of(runs, tmp_path) == [None, None]


def test_noise_and_detectability_give_regions_where_a_record_has_them(runs, tmp_path):
    path = make_record(runs, "a", n_test=200).folder / SCORES
    factor = np.stack([np.linspace(-1.0, 9.0, 200), np.full(200, np.nan)], axis=1)
    write_arrays(path, {**read_arrays(path), "noise_ppm": np.linspace(5.0, 100.0, 200), "log_bayes_factor": factor})
    (sheet,) = sheets_of(runs, tmp_path)
    assert (sheet.by_noise, sheet.by_detection) == (True, True)
    groups = [line.group for line in sheet.accuracy]
    assert (groups.count("noise_ppm"), groups.count("detectable log10_h2o")) == (5, 2)
    pages = pages_of(build_page(runs, tmp_path / "page"))
    assert sum("exact log Bayes factor above 3" in page.text for page in pages) == 1


def test_the_page_shows_ranks_claim_and_regions(runs, tmp_path):
    make_record(runs, "a", n_test=120)
    make_record(runs, "b", n_test=120, width=0.1)
    make_record(runs, "prior", n_test=120)
    index = build_page(runs, tmp_path / "reports")
    (page,) = task_pages(index)
    board = page.text.split('class="leaderboard"')[1].split("</table>")[0]
    assert ">Rank</th>" in board
    assert "over all 1 pair" in board
    assert "about these trained models" in board
    assert re.search(r">1</td>\s*<th scope=\"row\"><a[^>]*>a</a>", board)
    pages = [found.text for found in pages_of(index) if "on hotjupiter:" in found.text]
    assert len(pages) == 3
    for text in pages:
        assert ">Where it fails</h2>" in text
        assert "Accuracy by region" in text
        assert "even an exact posterior does not cover at its level" in text


def test_the_product_over_regions_is_the_score_of_each(runs):
    record = make_record(runs, "a", n_test=150)
    (entry,), _ = read_entries(runs)
    box = (np.array([parameter[end] for parameter in PARAMETERS]) for end in ("low", "high"))
    metrics = [find_metric(name) for name in regions_module.SHOWN]
    wanted = scores_by_region(record.per_spectrum(), entry.names, *box, metrics=metrics)
    found = regions_module._means(entry, entry.arrays(), {})
    assert [(group, label, *fields[:2], fields[4]) for group, label, fields in found] == [
        (row.group, row.label, row.score.metric, row.score.parameter, row.score.n_obs) for row in wanted
    ]
    assert np.allclose([fields[2] for *_, fields in found], [row.score.value for row in wanted], rtol=1e-12)


def test_many_rows_differ_from_the_first_by_what_the_paired_difference_says(runs, tmp_path):
    records = [make_record(runs, name, n_test=50, width=width) for name, width in (("a", 0.05), ("b", 0.2))]
    entries, _ = read_entries(runs)
    rows = [evidence(entry, Cache.open(entry, tmp_path), 25) for entry in entries]
    found = behind(rows, rows[0])
    a, b = (record.per_spectrum()["energy_score"][:25] for record in records)
    assert found[rows[1].entry.anchor] == pytest.approx(tuple(paired_difference(b, a)), rel=1e-12)


def test_a_crowd_of_larger_runs_leaves_its_best_in_a_smaller_table(runs, monkeypatch):
    monkeypatch.setattr("exobench.report.sections.MOST_SCORED_ANEW", 3)
    for seed in range(4):
        make_record(runs, "net", n_test=100, seed=seed, width=0.05 * (1 + seed))
    make_record(runs, "slow", n_test=25)
    (section,) = sections(read_entries(runs)[0])
    by_size = {selection.n_obs: selection for selection in selections(section)}
    large, small = by_size[100], by_size[25]
    assert (large.crowded, len(large.entries)) == (False, 4)
    assert small.crowded
    assert sorted((entry.method, entry.record["seed"]) for entry in small.entries) == [("net", 0), ("slow", 0)]
