"""What stands in one table: the same task, the same spectra, the right order, the right numbers."""

import numpy as np
import pytest
from report_records import PARAMETERS, description, make_record, make_skipped

from exobench.metrics import aggregate, calibration_verdict, paired_difference
from exobench.report.cache import Cache
from exobench.report.entries import FLOOR_METHOD, read_entries
from exobench.report.sections import NESTED_SIZES, sections, selections, settings_apart
from exobench.report.tables import leaderboards, score_sheet
from exobench.report.wording import differing, duration, leaves, plus_minus
from exobench.runner import FLOOR
from exobench.task import NESTED_TEST_SETS


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def tables_of(runs, reports):
    """Leaderboards of every section, by task_id."""
    entries, problems = read_entries(runs)
    assert problems == []
    caches = {entry.anchor: Cache.open(entry, reports) for entry in entries}
    return {section.task_id: leaderboards(section, caches) for section in sections(entries)}


def test_names_agree_with_the_runner():
    assert FLOOR_METHOD == FLOOR
    assert tuple(reversed(NESTED_SIZES)) == NESTED_TEST_SETS


def test_task_ids_and_metrics_versions_never_share_a_section(runs):
    for task_id in ("aaaa", "bbbb"):
        for method in ("one", "two"):
            make_record(runs, method, task_id=task_id, n_test=25)
    make_record(runs, "three", task_id="aaaa", n_test=25, change=lambda content: content.update(metrics_version=0))
    make_skipped(runs, task_id="bbbb")
    found = sections(read_entries(runs)[0])
    assert [(s.task_id, s.metrics_version, len(s.scored), len(s.without_scores)) for s in found] == [
        ("aaaa", 1, 2, 0),
        ("aaaa", 0, 1, 0),
        ("bbbb", 1, 2, 1),
    ]
    for section in found:
        assert {entry.record["task_id"] for entry in section.entries} == {section.task_id}


def test_what_differs_between_sections_of_a_task_is_named(runs):
    make_record(runs, task_id="aaaa", n_test=25)
    make_record(runs, task_id="bbbb", n_test=25, task_description=description(noise_ppm=50.0, flavour="taurex2"))
    make_record(runs, task="other", task_id="cccc", n_test=25)
    found = sections(read_entries(runs)[0])
    assert [set(section.differs) for section in found] == [
        {"noise.noise_ppm", "simulator.flavour"},
        {"noise.noise_ppm", "simulator.flavour"},
        set(),
    ]


def sizes(runs):
    (section,) = sections(read_entries(runs)[0])
    return [(s.n_obs, sorted(entry.method for entry in s.entries)) for s in selections(section)]


def test_an_empty_list_of_a_task_is_no_headline(runs):
    for task_id, levels in (("aaaa", []), ("bbbb", [20.0, 50.0])):
        varied = description() | {"noise": {"kind": "varied", "fixed_levels_ppm": levels, "largest_missing": 0.0}}
        make_record(runs, task_id=task_id, n_test=25, task_description=varied)
    empty, filled = (dict(section.headline) for section in sections(read_entries(runs)[0]))
    assert "noise.fixed_levels_ppm" not in empty
    assert filled["noise.fixed_levels_ppm"] == "20, 50"
    assert empty["noise.largest_missing"] == filled["noise.largest_missing"] == "0"


def test_rows_share_the_largest_nested_set_and_few_spectra_drag_nobody_down(runs):
    make_record(runs, "prior", n_test=1000)
    make_record(runs, "fast", n_test=1000)
    make_record(runs, "flow", n_test=1000)
    make_record(runs, "slow", n_test=140)
    make_record(runs, "quick", n_test=25)
    make_record(runs, "tiny", n_test=7)
    assert sizes(runs) == [
        (1000, ["fast", "flow", "prior"]),
        (100, ["fast", "flow", "prior", "slow"]),
        (25, ["fast", "flow", "prior", "quick", "slow"]),
        (7, ["fast", "flow", "prior", "quick", "slow", "tiny"]),
    ]


def test_the_largest_set_with_two_methods_comes_first_and_the_floor_is_none(runs):
    make_record(runs, "prior", n_test=1000)
    make_record(runs, "fast", n_test=1000)
    make_record(runs, "slow", n_test=100)
    assert [n_obs for n_obs, _ in sizes(runs)] == [100, 1000]


def test_a_table_of_the_floor_alone_is_shown_only_when_there_is_no_other(runs):
    make_record(runs, "prior", n_test=1000)
    assert sizes(runs) == [(1000, ["prior"])]
    make_record(runs, "slow", n_test=100)
    assert sizes(runs) == [(100, ["prior", "slow"])]


def test_one_prior_and_one_run_a_setting_stand_in_a_table(runs):
    make_record(runs, "prior", n_test=100, budget=1000)
    make_record(runs, "prior", n_test=1000, budget=2000)
    make_record(runs, "gauss", n_test=100, seed=0)
    make_record(runs, "gauss", n_test=1000, seed=0)
    make_record(runs, "gauss", n_test=1000, seed=1)
    (section,) = sections(read_entries(runs)[0])
    (selection,) = selections(section)
    assert sorted((e.method, e.n_test, e.record["seed"]) for e in selection.entries) == [
        ("gauss", 1000, 0),
        ("gauss", 1000, 1),
        ("prior", 1000, 0),
    ]


def test_settings_tell_runs_of_a_method_apart(runs):
    make_record(runs, "gan", n_test=25, settings={"variant": "published"})
    make_record(runs, "gan", n_test=25, settings={"variant": "corrected", "width": 3}, seed=1)
    make_record(runs, "lone", n_test=25)
    texts = settings_apart(read_entries(runs)[0])
    assert sorted(texts.values()) == ["", "variant=corrected, width=3", "variant=published, width=not available"]


def test_numbers_are_those_of_the_common_spectra(runs, tmp_path):
    best = make_record(runs, "best", n_test=100, width=0.03)
    long = make_record(runs, "long", n_test=160, width=0.09, claimed=0.5)
    make_record(runs, "prior", n_test=100)
    (board,) = tables_of(runs, tmp_path)["aaaaaaaaaaaa"]
    assert board.n_obs == 100
    assert [(row.place, row.entry.method) for row in board.rows] == [("1", "best"), ("2", "long"), ("floor", "prior")]
    low, high = ([p[end] for p in PARAMETERS] for end in ("low", "high"))
    arrays = long.per_spectrum()
    energy = aggregate(arrays, [p["name"] for p in PARAMETERS], np.array(low), np.array(high), n_obs=100)[0]
    row = board.rows[1]
    assert row.energy.text == plus_minus(energy.value, energy.standard_error, 4)
    assert row.energy.text.startswith(f"{arrays['energy_score'][:100].mean():.3f}")
    pair = paired_difference(arrays["energy_score"][:100], best.per_spectrum()["energy_score"])
    assert row.behind.text == plus_minus(*pair, 4)
    assert row.badge == calibration_verdict(arrays["rank"][:100], tuple(p["name"] for p in PARAMETERS)).status == "fail"
    skill = next(heat for heat in board.heat if heat.metric == "skill").rows[1][2]
    error = arrays["squared_error"][:100].mean(axis=0) / arrays["theta_true"][:100].var(axis=0)
    for cell, value in zip(skill, 1 - error, strict=True):
        assert float(cell.text.split(" ±")[0].replace("\u2212", "-")) == pytest.approx(value, abs=6e-3)


def test_a_difference_within_three_standard_errors_is_a_tie(runs, tmp_path):
    make_record(runs, "one", n_test=100)
    make_record(runs, "two", n_test=100)
    (board,) = tables_of(runs, tmp_path)["aaaaaaaaaaaa"]
    assert board.rows[0].behind.text == "first"
    assert board.rows[1].behind.text.startswith("tie: ")


def test_records_that_saw_other_spectra_are_not_paired(runs, tmp_path):
    make_record(runs, "one", n_test=30)
    moved = make_record(runs, "two", n_test=30, task_id="bbbb", change=lambda c: c.update(task_id="aaaaaaaaaaaa"))
    assert moved["task_id"] == "aaaaaaaaaaaa"
    (board,) = tables_of(runs, tmp_path)["aaaaaaaaaaaa"]
    assert board.rows[1].behind.is_gap
    assert "not the same test spectra" in board.notes


def test_a_missing_density_is_said_with_its_reason(runs, tmp_path):
    make_record(runs, "drawn", n_test=30, density=False)
    (board,) = tables_of(runs, tmp_path)["aaaaaaaaaaaa"]
    cell = board.rows[0].nltp
    assert (cell.text, cell.is_gap) == ("not available", True)
    assert board.notes[cell.note - 1] == "the method gives no density"
    assert board.rows[0].badge == "undefined"


def test_the_score_sheet_is_what_the_run_wrote(runs):
    record = make_record(runs, n_test=30)
    (entry,), _ = read_entries(runs)
    sheet = score_sheet(entry)
    shown = {line.metric for line in (*sheet.joint, *sheet.marginal)}
    assert shown == {score["metric"] for score in record["scores"]}
    first = next(score for score in record["scores"] if score["metric"] == "energy_score")
    assert sheet.joint[0].cells[0].text == plus_minus(first["value"], first["standard_error"])


def test_the_cache_gives_the_same_tables(runs, tmp_path):
    make_record(runs, "one", n_test=60)
    make_record(runs, "two", n_test=60, width=0.1)
    entries, _ = read_entries(runs)
    caches = {entry.anchor: Cache.open(entry, tmp_path) for entry in entries}
    fresh = leaderboards(sections(entries)[0], caches)
    for cache in caches.values():
        cache.save()
    kept = {entry.anchor: Cache.open(entry, tmp_path) for entry in entries}
    assert leaderboards(sections(entries)[0], kept) == fresh
    assert not any(cache.changed for cache in kept.values())


@pytest.mark.parametrize(
    ("value", "error", "decimals", "text"),
    [
        (0.27675, 0.00095, 4, "0.2767 ± 0.0009"),
        (-0.0452, 0.0046, 3, "\u22120.045 ± 0.005"),
        (14.517, 1e-15, 4, "14.517 ± 0"),
        (0.9848, 0.0003, 3, "0.985 ± <0.001"),
        (1956.2, 279.4, 6, "1956 ± 279"),
        (1.97e-7, None, 6, "1.97e-07"),
        (0.0, None, 6, "0.000"),
    ],
)
def test_values_are_written_to_the_digits_that_their_errors_bear(value, error, decimals, text):
    assert plus_minus(value, error, decimals) == text


def test_durations_and_leaves_read_well():
    assert [duration(s) for s in (2.4e-5, 0.013, 312.5, 8000, None)] == [
        "24 µs",
        "13 ms",
        "5.21 min",
        "2.22 h",
        "not available",
    ]
    assert dict(leaves({"a": {"b": 1, "c": [1, 2]}, "d": [{"name": "x", "low": 0}]})) == {
        "a.b": 1,
        "a.c": [1, 2],
        "d.x.name": "x",
        "d.x.low": 0,
    }
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1}]) == ["b"]
