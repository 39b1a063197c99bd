"""The page as a reader gets it: whole, escaped, linked, and built again from nothing but the records."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from report_records import description, make_record, make_skipped

from exobench.errors import ExobenchError
from exobench.metrics import METRICS
from exobench.report.__main__ import main
from exobench.report.page import build_page
from exobench.results import RECORD, SCORES

MARKUP = "<script>alert(1)</script>"
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


class Page(HTMLParser):
    """Elements of a page, checked for balance."""

    VOID = ("meta", "img", "br", "link", "hr")

    def __init__(self, path):
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.elements, self.open = [], []
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def values(self, name):
        return [attributes[name] for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Runs of several kinds, some of them damaged, and their page."""
    root = tmp_path_factory.mktemp("report")
    runs = root / "runs"
    make_record(runs, "prior", n_test=100)
    make_record(
        runs,
        MARKUP,
        n_test=100,
        density=False,
        settings={"variant": MARKUP},
        figures=[("figures/own.svg", PICTURE)],
        change=lambda content: content["figures"].append("../../secret.png"),
    )
    make_record(runs, "gauss", n_test=30)
    make_record(runs, "gauss", task_id="bbbb", n_test=30, task_description=description(noise_ppm=50.0))
    make_record(runs, "terse", n_test=30, change=lambda content: [content.pop(k) for k in ("cost", "scores", "config")])
    make_record(runs, "later", n_test=30, change=lambda content: content.update(new_field={"x": [1]}))
    make_skipped(runs, "picky", reason="needs <b>a likelihood</b>")
    make_skipped(runs, "greedy", status="failed", reason="passed its budget")
    (runs / "hotjupiter/busy/abc/0/work").mkdir(parents=True)
    damage(runs)
    return runs, build_page(runs, root / "reports")


def damage(runs):
    """Records that no page can show, one of each kind."""
    cut = make_record(runs, "cut", n_test=30).folder / RECORD
    cut.write_text(cut.read_text()[:200])
    (make_record(runs, "scoreless", n_test=30).folder / SCORES).unlink()
    (make_record(runs, "garbled", n_test=30).folder / SCORES).write_bytes(b"no HDF5")
    for name, version in (("future", 99), ("typed", "one")):
        path = make_record(runs, name, n_test=30).folder / RECORD
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": version}))
    make_record(runs, "worded", n_test=30, change=lambda content: content.update(budget="much"))
    make_record(runs, "short", n_test=30, change=lambda content: content.update(n_test=31))
    make_record(runs, "boxless", n_test=30, change=lambda content: content["parameters"][0].pop("low"))
    binary = make_record(runs, "binary", n_test=30).folder / RECORD
    binary.write_bytes(b"\xff\xfe\x00")


DAMAGED = ("cut", "scoreless", "garbled", "future", "typed", "worded", "short", "boxless", "binary")


def test_every_record_is_on_the_page(built):
    page = Page(built[1])
    for path in sorted(built[0].glob(f"*/*/*/*/{RECORD}")):
        folder = path.parent.relative_to(built[0]).as_posix()
        assert folder.replace("<", "&lt;").replace(">", "&gt;") in page.text, folder


def test_names_from_plugins_are_escaped(built):
    page = Page(built[1])
    assert "<script" not in page.text
    assert "<b>a likelihood" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_named_with_its_fault_and_left_out(built, name):
    page = Page(built[1])
    left_out = page.text[page.text.index('id="left-out"') :]
    row = next(row for row in left_out.split("<tr>") if f"hotjupiter/{name}/" in row)
    reason = re.search(r"<td>(.+)</td>", row).group(1)
    assert len(reason) > 15
    assert f"hotjupiter/{name}/" not in page.text[: page.text.index('id="left-out"')]


def test_missing_fields_read_not_available_and_the_rest_stands(built):
    page = Page(built[1])
    start = page.text.index("<strong>terse</strong>")
    run = page.text[start : page.text.index("The whole record", start)]
    assert "The record holds no scores" in run
    assert run.count("not available") >= 7
    assert re.search(r">terse</a>.*?</td>\s*<td class=\"num\">", page.text, re.S)


def test_skipped_failed_and_unfinished_runs_are_listed_with_their_reasons(built):
    text = built[1].read_text()
    assert "needs &lt;b&gt;a likelihood&lt;/b&gt;" in text
    assert "passed its budget" in text
    assert "hotjupiter/busy/abc/0" in text


def test_every_link_and_picture_exists_in_the_folder_of_the_page(built):
    page = Page(built[1])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = page.values("href") + page.values("src")
    assert sum(target.endswith(".png") for target in page.values("src")) >= 5 * 4
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in ids, target
        else:
            path = (built[1].parent / unquote(target)).resolve()
            assert path.is_relative_to(built[1].parent.resolve())
            assert path.is_file(), target
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)


def test_the_methods_own_figures_are_copied_and_no_other_file(built):
    page = Page(built[1])
    assert [unquote(source) for source in page.values("src") if source.endswith("own-1.svg")]
    copies = sorted(path.name for path in built[1].parent.rglob("own-*"))
    assert copies == ["own-1.svg"]
    assert "../../secret.png is missing, outside its run or no picture" in page.text


def test_pictures_have_texts_and_tables_have_captions_and_scopes(built):
    page = Page(built[1])
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") > 0


def test_every_score_is_explained(built):
    page = Page(built[1])
    for metric in METRICS:
        assert any(anchor.startswith("score-") and anchor.endswith(metric.name) for anchor in page.values("id"))
    assert "<em>floor</em> is the prior" in page.text


def test_the_heading_says_in_what_two_tasks_of_a_name_differ(built):
    text = built[1].read_text()
    differing = re.findall(r'<li class="differs">(.*?)</li>', text)
    assert sorted(re.sub("<.*?>", "", item) for item in differing) == ["noise ppm 20", "noise ppm 50"]


def test_the_same_records_give_the_same_bytes(tmp_path):
    make_record(tmp_path / "runs", "prior", n_test=30)
    make_record(tmp_path / "runs", MARKUP, n_test=40, figures=[("figures/own.svg", PICTURE)])
    folders = [build_page(tmp_path / "runs", tmp_path / name).parent for name in ("here", "elsewhere")]
    mine, theirs = (contents(folder) for folder in folders)
    assert len(mine) == len(theirs) == 22
    assert [name for name in mine if mine[name] != theirs[name]] == []


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_figures_are_drawn_again_only_when_their_record_changes(tmp_path):
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    first = make_record(runs, "gauss", n_test=30)
    make_record(runs, "other", n_test=30)
    page = build_page(runs, reports)
    before = {path: path.stat().st_mtime_ns for path in reports.rglob("*.png")}
    build_page(runs, reports)
    assert {path: path.stat().st_mtime_ns for path in reports.rglob("*.png")} == before
    os.utime(first.folder / RECORD, (2e9, 2e9))
    build_page(runs, reports)
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert len({path.parent for path in changed}) == 1
    assert len(changed) == 4
    changed[0].unlink()
    build_page(runs, reports)
    assert changed[0].is_file()
    for path in first.folder.iterdir():
        path.unlink()
    build_page(runs, reports)
    assert len(list((reports / "assets").iterdir())) == 1
    assert "gauss" not in "".join(Page(page).values("href"))


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


def test_a_label_that_cannot_be_set_costs_its_figures_only(tmp_path):
    def spoil(content):
        content["parameters"][0]["label"] = r"$\frac{$"

    make_record(tmp_path / "runs", n_test=30, change=spoil)
    page = Page(build_page(tmp_path / "runs", tmp_path / "reports"))
    assert re.search(r"log10_h2o[^<]*: the figure could not be drawn", page.text)
    assert sum(source.endswith("truth-2.png") for source in page.values("src")) == 1


def test_ranks_that_are_missing_leave_a_note_in_place_of_curves(tmp_path):
    make_record(tmp_path / "runs", n_test=5)
    page = Page(build_page(tmp_path / "runs", tmp_path / "reports"))
    assert "No calibration curves: 5 spectra are too few" in page.text


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
    make_record(tmp_path / "runs", n_test=5)
    code = (
        "import sys; from exobench.report.page import build_page; from pathlib import Path;"
        f"build_page(Path({str(tmp_path / 'runs')!r}), Path({str(tmp_path / 'reports')!r}));"
        "loaded = [m for m in sys.modules if m.split('.')[0] in ('torch', 'exobench_baselines', 'exobench_tasks')"
        " or m == 'matplotlib.pyplot']; print(loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_of_another_version_of_the_scores_has_a_section_of_its_own(tmp_path):
    make_record(tmp_path / "runs", "gauss", n_test=30)
    old = make_record(tmp_path / "runs", "older", n_test=30, change=lambda content: content.update(metrics_version=0))
    page = Page(build_page(tmp_path / "runs", tmp_path / "reports"))
    boards = page.text.split('class="board"')[1:]
    assert [("gauss" in board.split("</table>")[0], "older" in board.split("</table>")[0]) for board in boards] == [
        (True, False),
        (False, True),
    ]
    stored = json.loads((old.folder / RECORD).read_text())["scores"][0]["value"]
    assert f"{stored:.2f}" in boards[1]
