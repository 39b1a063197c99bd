"""Building the site: again from records that changed or went, from none, with errors, and by its command."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from report_html import MARKUP, PICTURE, Page
from report_records import make_record

from exobench.errors import ExobenchError
from exobench.report.__main__ import main
from exobench.report.cache import Cache
from exobench.report.entries import read_entries
from exobench.report.page import build_page
from exobench.report.plots import RUN_FIGURES
from exobench.report.site.drawn import drawing
from exobench.results import RECORD


def test_the_same_records_give_the_same_bytes(tmp_path):
    make_record(tmp_path / "runs", "prior", n_test=30)
    make_record(tmp_path / "runs", MARKUP, n_test=40, figures=[("figures/own.svg", PICTURE)])
    folders = [build_page(tmp_path / "runs", tmp_path / name).parent for name in ("here", "elsewhere")]
    mine, theirs = (contents(folder) for folder in folders)
    assert set(mine) == set(theirs)
    assert sum(name.startswith("tables/") for name in mine) >= 12
    assert [name for name in mine if mine[name] != theirs[name]] == []


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(reports, pattern):
    return {path: path.stat().st_mtime_ns for path in reports.rglob(pattern)}


def test_what_a_record_gave_is_made_again_only_when_it_changes(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    first = make_record(runs, "gauss", n_test=30)
    make_record(runs, "other", n_test=30)
    build_page(runs, reports)
    figures, pages = written(reports, "run-*/figures.json"), written(reports, "run-*.html")
    assert len(figures) == len(pages) == 2
    build_page(runs, reports)
    assert (written(reports, "run-*/figures.json"), written(reports, "run-*.html")) == (figures, pages)
    os.utime(first.folder / RECORD, (2e9, 2e9))
    build_page(runs, reports)
    changed = [path for path, time in written(reports, "run-*/figures.json").items() if time != figures[path]]
    assert len(changed) == 1
    changed[0].unlink()
    build_page(runs, reports)
    assert changed[0].is_file()


def test_shifts_that_a_run_could_not_be_scored_under_stand_with_their_reason(tmp_path):
    record = make_record(tmp_path / "runs", "gauss", n_test=30)
    energy = {"metric": "energy_score", "parameter": None, "value": 0.2, "standard_error": 0.01}
    scored = {"status": "ok", "scores": [energy], "calibration": {"status": "warn"}, "n_test": 25}
    reason = "it needs real opacities"
    for name, content in (("noise_100ppm", scored), ("real_tables", {"status": "not available", "reason": reason})):
        place = record.folder / "shifts" / name
        place.mkdir(parents=True)
        (place / "shift.json").write_text(json.dumps(content))
    index = build_page(tmp_path / "runs", tmp_path / "reports")
    (task,) = (index.parent / "tasks").glob("*.html")
    text = task.read_text(encoding="utf-8")
    assert "<td>warn</td>" in text.replace("\n", "")
    assert f"not available ({reason})" in text


def test_a_method_of_fewer_spectra_is_named_where_the_first_table_lacks_it(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    for method, n_test in (("prior", 1000), ("many", 1000), ("few", 100)):
        make_record(runs, method, n_test=n_test)
    overview = build_page(runs, reports).read_text(encoding="utf-8")
    assert "100 test spectra" in overview  # one method alone is no comparison
    assert overview.count(">few</a>") == 1
    make_record(runs, "more", n_test=1000)
    overview = build_page(runs, reports).read_text(encoding="utf-8")
    assert "1,000 test spectra" in overview
    assert ">few</a>" not in overview
    assert "Scored on fewer spectra" in overview
    assert overview.split("Scored on fewer spectra")[1].split("</p>")[0].rstrip().endswith(": few.")


def test_pages_and_tables_of_records_that_are_gone_go_too(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    for task in ("hotjupiter", "other"):
        make_record(runs, "gauss", task=task, n_test=30)
    page = build_page(runs, reports)
    assert len(list(reports.glob("tables/*"))) == len(list(reports.glob("tasks/*"))) == 2
    shutil.rmtree(runs / "hotjupiter")
    build_page(runs, reports)
    for pattern in ("tables/*", "tasks/*.html", "runs/*.html", "assets/run-*"):
        assert len(list(reports.glob(pattern))) == 1, pattern
    assert "hotjupiter" not in "".join(Page(page).values("href"))


def test_a_folder_of_the_users_own_is_not_touched(tmp_path):
    keep = tmp_path / "reports/assets/run-of-mine/notes.txt"
    keep.parent.mkdir(parents=True)
    keep.write_text("mine")
    build_page(tmp_path / "runs", tmp_path / "reports")
    assert keep.read_text() == "mine"


def test_no_records_give_a_page_that_says_what_to_run(tmp_path):
    page = Page(build_page(tmp_path / "runs", tmp_path / "reports"))
    assert "No results yet" in page.text
    assert "python -m exobench method=exogan task=hotjupiter" in page.text


def test_a_figure_that_cannot_be_drawn_costs_itself_only(tmp_path):
    def broken(shown, caches):
        raise ValueError("no such <axis>")

    spec, own = RUN_FIGURES[1], Cache(tmp_path, [])
    (entry,), _ = read_entries(make_record(tmp_path / "runs", n_test=30).folder.parents[3])
    found = drawing((replace(spec, draw=broken), spec), entry, {entry.anchor: own}, own)
    assert [figure.name for figure in found.figures] == [spec.name]
    assert found.notes == (f"{spec.title}: the figure could not be drawn (no such <axis>).",)


def test_a_page_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(ExobenchError, match="cannot be written"):
        build_page(tmp_path / "runs", tmp_path / "reports")


def test_the_command_builds_the_page(tmp_path, capsys):
    make_record(tmp_path / "runs", n_test=5)
    main([f"paths.runs={tmp_path / 'runs'}", f"paths.reports={tmp_path / 'out'}"])
    assert capsys.readouterr().out.strip() == f"Page: {tmp_path / 'out' / 'index.html'}"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("paths.run=x", "Did you mean 'paths.runs'"),
        ("paths.runs=nowhere", "paths.runs=nowhere: there is no such folder"),
        ("paths.runs=", "needs a folder"),
        ("paths.reports=file.txt", "is a file"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, argument, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(SystemExit) as ended:
        main([argument])
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message.startswith("error: ")
    assert words in message
    assert message.count("\n") == 1


def test_the_page_needs_neither_torch_nor_any_method(tmp_path):
    make_record(tmp_path / "runs", n_test=40)
    code = (
        "import sys; from exobench.report.page import build_page; from pathlib import Path;"
        f"build_page(Path({str(tmp_path / 'runs')!r}), Path({str(tmp_path / 'reports')!r}));"
        "heavy = ('torch', 'exobench_baselines', 'matplotlib.pyplot', 'exobench_tasks.hotjupiter.task');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
