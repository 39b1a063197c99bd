"""The page as a reader gets it: whole, escaped, linked, and built again from nothing but the records."""

import json
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from report_html import MARKUP, PICTURE, Page
from report_records import description, make_record, make_skipped

from exobench.metrics import METRICS
from exobench.report.page import build_page
from exobench.report.site.plain_words import FOR_ASTRONOMERS
from exobench.results import RECORD, SCORES


def pages_of(index):
    """The first page and all others of its site."""
    return [Page(path) for path in (index, *sorted(index.parent.glob("*/*.html")))]


def run_page(index, method, task="hotjupiter"):
    """The page of the only run of a method on a task."""
    (found,) = (page for page in pages_of(index) if f"<title>{method} on {task}:" in page.text)
    return found


def task_pages(index):
    """Pages of tasks, in the order of the first page."""
    return [Page(path) for path in sorted(index.parent.glob("tasks/*.html"))]


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


def test_every_record_is_on_the_site(built):
    text = "".join(page.text for page in pages_of(built[1]))
    for path in sorted(built[0].glob(f"*/*/*/*/{RECORD}")):
        folder = path.parent.relative_to(built[0]).as_posix()
        assert folder.replace("<", "&lt;").replace(">", "&gt;") in text, folder


def test_names_from_plugins_are_escaped_on_every_page(built):
    pages = pages_of(built[1])
    assert all("<script>alert" not in page.text and "<b>a likelihood" not in page.text for page in pages)
    for page in pages:
        scripts = [attributes for tag, attributes in page.elements if tag == "script"]
        assert all("src" in attributes or attributes["type"] == "application/json" for attributes in scripts)
    assert sum("&lt;script&gt;alert(1)&lt;/script&gt;" in page.text for page in pages) >= 3


def test_figures_are_embedded_as_json_that_parses(built):
    for page in pages_of(built[1]):
        for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page.text, re.S):
            json.loads(text)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_record_is_named_with_its_fault_and_left_out(built, name):
    page = Page(built[1])
    left_out = page.text[page.text.index('id="left-out"') :]
    row = next(row for row in left_out.split("<tr>") if f"hotjupiter/{name}/" in row)
    reason = re.search(r"<td>(.+)</td>", row).group(1)
    assert len(reason) > 15
    assert f"hotjupiter/{name}/" not in page.text[: page.text.index('id="left-out"')]


def test_missing_fields_read_not_available_and_the_rest_stands(built):
    page = run_page(built[1], "terse")
    assert "The record holds no scores" in page.text
    assert page.text.count("not available") >= 7
    assert re.search(r"Fields that the record lacks:.*<code>config</code>.*<code>cost</code>", page.text)
    assert any(re.search(r">terse</a>.*?</th>\s*<td class=\"num\"", task.text, re.S) for task in task_pages(built[1]))


def test_fields_of_a_later_version_are_named(built):
    page = run_page(built[1], "later")
    assert "does not know" in page.text
    assert "<code>new_field</code>" in page.text
    assert "does not know" not in run_page(built[1], "terse").text


def test_skipped_failed_and_unfinished_runs_are_listed_with_their_reasons(built):
    text = "".join(page.text for page in task_pages(built[1]))
    assert "needs &lt;b&gt;a likelihood&lt;/b&gt;" in text
    assert "passed its budget" in text
    assert "passed its budget" in run_page(built[1], "greedy").text
    assert "hotjupiter/busy/abc/0" in built[1].read_text()


def test_every_link_exists_in_the_folder_of_the_site(built):
    root = built[1].parent.resolve()
    pages = {page.path.resolve(): page for page in pages_of(built[1])}
    for path, page in pages.items():
        ids = page.values("id")
        assert len(ids) == len(set(ids)), path
        for target in page.values("href") + page.values("src"):
            name, _, anchor = target.partition("#")
            goal = (path.parent / unquote(name)).resolve() if name else path
            assert goal.is_relative_to(root)
            assert goal.is_file(), (path, target)
            assert not anchor or anchor in pages[goal].values("id"), (path, target)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page.text)


def test_the_methods_own_figures_are_copied_and_no_other_file(built):
    (page,) = (page for page in pages_of(built[1]) if "alt=\"The method's own picture" in page.text)
    assert [source for source in page.values("src") if source.endswith("own-1.svg")]
    copies = sorted(path.name for path in built[1].parent.rglob("own-*"))
    assert copies == ["own-1.svg"]
    assert "../../secret.png is missing, outside its run or no picture" in page.text


def test_pages_can_be_used_by_keyboard_and_screen_reader(built):
    for page in pages_of(built[1]):
        tags = [tag for tag, _ in page.elements]
        assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
        assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
        assert tags.count("table") == tags.count("caption")
        assert {"main", "header", "footer", "nav", "h1"} <= set(tags)
        assert next(attributes["href"] for tag, attributes in page.elements if tag == "a") == "#main"
        canvases = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
        assert all(len(attributes["aria-label"]) > 40 for attributes in canvases)
        buttons = [attributes.get("class") for tag, attributes in page.elements if tag == "button"]
        plots = tags.count("figure") - page.text.count('class="own"')
        assert buttons.count("save-svg") == buttons.count("save-png") == plots


def test_every_table_can_be_downloaded_as_csv_and_parquet(built):
    for page in pages_of(built[1]):
        for table in page.text.split("<table")[1:]:
            below = table.split("</table>")[1][:700]
            assert re.search(
                r'<a download href="[^"]+\.csv">CSV</a> <a download href="[^"]+\.parquet">Parquet</a>', below
            )


def test_both_kinds_of_download_hold_the_leaderboard_in_full_precision(built):
    for path in sorted(built[1].parent.glob("tables/*/leaderboard-*.csv")):
        text, columns = pd.read_csv(path), pd.read_parquet(path.with_suffix(".parquet"))
        assert list(text.columns) == list(columns.columns)
        assert np.allclose(text["energy_score"], columns["energy_score"])
        for _, row in columns.iterrows():
            record = json.loads((built[0] / row["run"] / RECORD).read_text())
            assert row["method"] == record["method"]
            stored = [s["value"] for s in record.get("scores", []) if s["metric"] == "energy_score"]
            if stored and record["n_test"] == row["n_obs"]:
                assert row["energy_score"] == pytest.approx(stored[0], rel=1e-12)


def test_every_score_is_explained(built):
    for page in task_pages(built[1]):
        for metric in METRICS:
            assert f"score-{metric.name}" in page.values("id")
        assert "<em>floor</em> is the prior" in page.text
        figures = page.text.split('<figure class="plot"')[1:]
        assert figures
        for part in figures:
            assert "<b>Astronomer:</b>" in part
            assert "<b>Machine learning:</b>" in part


def test_the_heading_says_in_what_two_tasks_of_a_name_differ(built):
    differing = re.findall(r'<li class="differs">(.*?)</li>', built[1].read_text())
    assert sorted(re.sub("<.*?>", "", item) for item in differing) == ["noise ppm 20", "noise ppm 50"]


def test_a_run_of_another_version_of_the_scores_has_a_page_of_its_own(tmp_path):
    make_record(tmp_path / "runs", "gauss", n_test=30)
    old = make_record(tmp_path / "runs", "older", n_test=30, change=lambda content: content.update(metrics_version=0))
    index = build_page(tmp_path / "runs", tmp_path / "reports")
    boards = [page.text.split('class="leaderboard"')[1].split("</table>")[0] for page in task_pages(index)]
    assert sorted(("gauss" in board, "older" in board) for board in boards) == [(False, True), (True, False)]
    stored = json.loads((old.folder / RECORD).read_text())["scores"][0]["value"]
    assert sum(f"{stored:.2f}" in board for board in boards) >= 1


def test_floor_and_ceiling_frame_the_leaderboard(tmp_path):
    runs = tmp_path / "runs"
    make_record(runs, "gauss", n_test=100)
    make_record(runs, "prior", n_test=100)
    limit = {"metric": "energy_score", "of": "posterior", "parameter": None, "value": 0.0123, "standard_error": 0.001}
    make_record(runs, "exact", n_test=25, width=0.03, change=lambda c: c.update(limit={"scores": [limit]}))
    (page,) = task_pages(build_page(runs, tmp_path / "reports"))
    board = page.text.split('class="leaderboard"')[1].split("</table>")[0]
    rows = re.findall(r'<tr data-run="[^"]+"[^>]*?(?: class="([^"]+)")?>\s*<td[^>]*>(\w+)</td>', board)
    assert rows == [("reference ceiling", "ceiling"), ("", "1"), ("reference floor", "floor")]
    assert "expectation is 0.0123 ± 0.0010" in page.text
    assert "of which there are 25" in board


def test_the_ceiling_is_held_against_the_first_on_the_spectra_that_it_has(tmp_path):
    runs = tmp_path / "runs"
    gauss = make_record(runs, "gauss", n_test=100)
    exact = make_record(runs, "exact", n_test=25, width=0.01)
    index = build_page(runs, tmp_path / "reports")
    (path,) = index.parent.glob("tables/*/leaderboard-100.csv")
    row = pd.read_csv(path).set_index("method").loc["exact"]
    difference = exact.per_spectrum()["energy_score"] - gauss.per_spectrum()["energy_score"][:25]
    assert row["n_obs"] == 25
    assert row["behind_the_first"] == pytest.approx(difference.mean(), rel=1e-9)
    assert difference.mean() < -3 * difference.std() / 5
    assert not row["behind_as_shown"].startswith("tie")
    assert "both on the 25 spectra of the exact posterior" in task_pages(index)[0].text
    table = index.read_text(encoding="utf-8").split('class="leaders"')[1].split("</table>")[0]
    assert f'{row["behind_as_shown"]}<span class="apart">against gauss, on 25 spectra</span>' in table
    assert f"{row['energy_score']:.4f}" not in table, "a mean over other spectra than those of the other rows"


def test_the_first_page_shows_the_best_run_of_each_method(tmp_path):
    runs = tmp_path / "runs"
    for seed, width in ((0, 0.05), (1, 0.02)):
        make_record(runs, "gauss", n_test=100, seed=seed, width=width)
    make_record(runs, "other", n_test=100, width=0.1)
    text = build_page(runs, tmp_path / "reports").read_text(encoding="utf-8")
    table = text.split('class="leaders"')[1].split("</table>")[0]
    assert re.findall(r">(\w+)</a><span", table) == ["gauss", "other"]
    best = json.loads((next(runs.glob("hotjupiter/gauss/*/1")) / RECORD).read_text())
    assert f"{best['scores'][0]['value']:.4f}" in table


def test_every_score_has_a_sentence_for_astronomers():
    assert set(FOR_ASTRONOMERS) == {metric.name for metric in METRICS}
    assert all(sentence.endswith(".") and len(sentence) > 20 for sentence in FOR_ASTRONOMERS.values())


def test_long_tables_are_folded(tmp_path):
    for n_runs, folded in ((12, False), (13, True)):
        runs = tmp_path / f"runs{n_runs}"
        for seed in range(n_runs):
            make_record(runs, n_test=5, seed=seed)
        (page,) = task_pages(build_page(runs, tmp_path / f"reports{n_runs}"))
        assert (f"<summary>All {n_runs} runs</summary>" in page.text) == folded
