"""Many records: several processes, values of many records at once, and tables as files."""

import pandas as pd
from report_html import Page
from report_records import make_record

from exobench.report import processes
from exobench.report.cache import Cache
from exobench.report.entries import read_entries
from exobench.report.page import build_page
from exobench.report.site.downloads import write_table
from exobench.results import SCORES


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_two_processes(monkeypatch):
    monkeypatch.setattr(processes, "FEWEST_FOR_SEVERAL", 1)
    monkeypatch.setattr(processes, "_cores", lambda: 2)


def test_two_processes_write_what_one_writes(tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    for seed in range(6):
        make_record(runs, "gauss", n_test=30, seed=seed)
    make_record(runs, "prior", n_test=120)
    alone = contents(build_page(runs, tmp_path / "alone").parent)
    in_two_processes(monkeypatch)
    together = contents(build_page(runs, tmp_path / "together").parent)
    assert sum(name.startswith("runs/") for name in alone) == 7
    assert alone.keys() == together.keys()
    assert [around_difference(alone[name], together[name]) for name in alone if alone[name] != together[name]] == []


def around_difference(one, other):
    """Where two texts part."""
    place = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[max(0, place - 60) : place + 30], other[max(0, place - 60) : place + 30]


def test_settings_that_only_a_broken_record_made_worth_telling_are_not_told(tmp_path):
    runs = tmp_path / "runs"
    _, broken = (
        make_record(runs, n_test=30, settings={"width": n}, folder=f"hotjupiter/gauss/width{n}/0") for n in (16, 32)
    )
    told = ["width=16;" in Page(path).text for path in pages(build_page(runs, tmp_path / "both"))]
    assert sorted(told) == [False, True]
    (broken.folder / SCORES).write_bytes(b"no HDF5")
    told = ["width=16;" in Page(path).text for path in pages(build_page(runs, tmp_path / "left"))]
    assert told == [False]


def pages(index):
    return sorted(index.parent.glob("runs/*.html"))


def test_of_a_value_of_many_records_only_the_present_state_is_kept(tmp_path):
    own = Cache(tmp_path, [])
    assert [own.latest("ranks 10", state, lambda state=state: state * 2) for state in (1, 1, 2)] == [2, 2, 4]
    own.latest("ranks 100", 1, lambda: "another name")
    assert sorted(own.values.values(), key=str) == [4, "another name"]


def test_a_table_reads_back_as_it_was(tmp_path):
    frame = pd.DataFrame(
        {
            "name": ['a "b", c', "two\nlines", None],
            "value": [0.1 + 0.2, -1e-300, None],
            "n_obs": [1, 10_000_000, 3],
            "mixed": ["text", 2, None],
        }
    )
    write_table(frame, tmp_path, "table")
    text, columns = pd.read_csv(tmp_path / "table.csv"), pd.read_parquet(tmp_path / "table.parquet")
    for found in (text, columns):
        assert found["name"].fillna("gap").tolist() == ['a "b", c', "two\nlines", "gap"]
        assert found["value"].tolist()[:2] == [0.1 + 0.2, -1e-300]
        assert found["n_obs"].tolist() == [1, 10_000_000, 3]
        assert found["mixed"].fillna("gap").tolist() == ["text", "2", "gap"]
        assert found["value"].isna().tolist() == [False, False, True]


def test_arrays_read_together_are_those_read_alone(tmp_path):
    make_record(tmp_path, n_test=30)
    (entry,), _ = read_entries(tmp_path)
    arrays = entry.arrays()
    arrays.read(("rank", "energy_score", "no such array"))
    assert (arrays["rank"] == arrays.head(30)["rank"]).all()
    assert "no such array" not in arrays
    assert not arrays["energy_score"].flags.writeable
