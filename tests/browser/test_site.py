"""The site as a visitor uses it: pages, tables, figures, downloads, themes, and a screen reader's needs."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest
from conftest import MARKUP

pytestmark = pytest.mark.browser


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def open_page(tab, path: Path, query: str = "") -> None:
    tab.goto(path.as_uri() + query)
    tab.wait_for_load_state("load")


def task_page(tab, site: Path, task: str) -> None:
    """Follows the overview's link to a task."""
    open_page(tab, site / "index.html")
    tab.locator("main a", has_text=task).first.click()
    tab.wait_for_load_state("load")


def test_every_page_opens_without_a_complaint(page, site):
    found = pages(site)
    assert len(found) > 8
    for path in found:
        open_page(page, path)
        assert page.locator("main").count() == 1, path
        assert page.locator("h1").count() == 1, path
        figures = page.locator("figure.plot")
        for k in range(figures.count()):
            figures.nth(k).scroll_into_view_if_needed()
        if figures.count():
            page.wait_for_selector("figure.plot .main-svg")
        assert page.complaints == [], path


def test_links_lead_somewhere(page, site):
    for path in pages(site):
        open_page(page, path)
        targets = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
        for target in targets:
            if target.startswith("file://"):
                place, _, anchor = target.removeprefix("file://").partition("#")
                assert Path(place).is_file(), f"{path} -> {target}"
                if anchor and Path(place) == path:
                    assert page.locator(f"[id='{anchor}']").count() == 1, target


def test_names_from_plugins_are_text(page, site):
    found = 0
    for path in pages(site):
        open_page(page, path)
        assert page.locator("b[onmouseover]").count() == 0
        assert page.locator("script", has_text="alert(").count() == 0
        found += MARKUP in page.locator("body").inner_text()
    assert found > 0


def test_odd_records_are_shown_or_named(page, site):
    open_page(page, site / "index.html")
    assert "truncated" in page.locator("body").inner_text()
    texts = " ".join(path.read_text(encoding="utf-8") for path in pages(site))
    assert "future" in texts
    assert "missing" in texts


def column(table, k: int) -> list[str]:
    return table.locator("tbody tr:visible").evaluate_all(f"rows => rows.map(row => row.cells[{k}].innerText)")


def test_a_leaderboard_sorts_by_click_and_by_key(page, site):
    task_page(page, site, "linear_gaussian")
    table = page.locator("table.leaderboard").first
    heads = table.locator("thead th")
    k = next(n for n in range(heads.count()) if "energy" in heads.nth(n).inner_text().lower())
    button = heads.nth(k).locator("button")
    orders = []
    for press in (button.click, lambda: (button.focus(), page.keyboard.press("Enter"))):
        press()
        orders.append((heads.nth(k).get_attribute("aria-sort"), column(table, k)))
    assert {order for order, _ in orders} == {"ascending", "descending"}
    for order, cells in orders:
        values = [float(cell.split()[0].replace("\u2212", "-")) for cell in cells if cell[:1].isdigit()]
        assert len(values) >= 3
        assert values == sorted(values, reverse=order == "descending")


def test_a_score_of_one_parameter_becomes_a_column_that_sorts(page, site):
    task_page(page, site, "linear_gaussian")
    table = page.locator("table.leaderboard").first
    page.locator("[data-filter=metric]").first.select_option("skill")
    parameters = page.locator("[data-filter=parameter] option").count() - 1
    extra = table.locator("thead th.extra")
    assert extra.count() == parameters > 1
    page.locator("[data-filter=parameter]").first.select_option(index=1)
    assert extra.count() == 1
    extra.locator("button").click()
    place = extra.evaluate("head => head.cellIndex")
    values = [float(cell.split()[0].replace("\u2212", "-")) for cell in column(table, place)]
    assert values == sorted(values)
    page.locator("[data-filter=metric]").first.select_option("")
    page.locator("[data-filter=parameter]").first.select_option("")
    assert extra.count() == 0


def test_budget_and_track_leave_floor_and_ceiling_in_place(page, site):
    task_page(page, site, "hotjupiter")
    rows = page.locator("table.leaderboard").first.locator("tbody tr:visible")
    page.locator("[data-filter=track]").first.select_option("likelihood-using")
    names = [name.split("\n")[0].strip() for name in rows.locator("th").all_inner_texts()]
    assert sorted(names) == ["exact", "prior", "sampler"]
    assert page.locator(".filters output").first.inner_text().startswith("3 of ")


def test_filters_leave_the_rows_that_match(page, site):
    task_page(page, site, "linear_gaussian")
    table = page.locator("table.leaderboard").first
    before = table.locator("tbody tr:visible").count()
    page.locator("[data-filter=text]").first.fill("mdn")
    rows = table.locator("tbody tr:visible")
    assert 0 < rows.count() < before
    assert all("mdn" in text for text in rows.all_inner_texts())
    page.locator("[data-filter=text]").first.fill("")
    assert table.locator("tbody tr:visible").count() == before


def test_tables_download_as_csv_and_parquet(page, site):
    task_page(page, site, "linear_gaussian")
    frames = {}
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        link = page.locator(f"a[download][href$='.{kind}']").first
        with page.expect_download() as waiting:
            link.click()
        frames[kind] = read(waiting.value.path())
    assert len(frames["csv"]) == len(frames["parquet"]) > 0
    assert list(frames["csv"].columns) == list(frames["parquet"].columns)


def test_figures_download_as_svg_and_png(page, site):
    task_page(page, site, "linear_gaussian")
    figure = page.locator("figure.plot").first
    figure.scroll_into_view_if_needed()
    page.wait_for_selector("figure.plot .main-svg")
    for kind, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with page.expect_download() as waiting:
            figure.locator(f".save-{kind}").click()
        assert waiting.value.suggested_filename.endswith(f".{kind}")
        assert Path(waiting.value.path()).read_bytes().startswith(start)


def test_the_theme_follows_the_system_and_the_switch_is_remembered(page, site):
    open_page(page, site / "index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
        found[scheme] = page.evaluate(background)
    assert found["light"] != found["dark"]
    page.locator("#theme-switch").click()
    chosen = page.locator("html").get_attribute("data-theme")
    switched = page.evaluate(background)
    assert switched == found["light"]
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == chosen
    assert page.evaluate(background) == switched


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_window(page, site, width):
    page.set_viewport_size({"width": width, "height": 900})
    for path in pages(site):
        open_page(page, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width + 1, path


def test_paper_shows_every_figure_in_black_on_white(page, site):
    page.emulate_media(color_scheme="dark")
    task_page(page, site, "linear_gaussian")
    page.wait_for_function("window.Plotly !== undefined")
    ink = "getComputedStyle(document.querySelector('figure.plot .main-svg .xtick text')).fill"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("figure.plot .canvas .main-svg").count() >= page.locator("figure.plot").count() > 3
    assert page.evaluate(ink) == "rgb(0, 0, 0)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"{ink} !== 'rgb(0, 0, 0)'")


def kinds(site: Path) -> list[Path]:
    """One page of each kind: overview, tasks, and of runs those that scored, did not, or are odd."""
    titles = {path: path.read_text(encoding="utf-8").split("<title>")[1] for path in (site / "runs").glob("*.html")}
    wanted = ("mdn on", "exact on", "prior on hotjupiter", "missing on", "picky on", "&lt;b")
    runs = [next(path for path, title in sorted(titles.items()) if title.startswith(name)) for name in wanted]
    return [site / "index.html", *sorted((site / "tasks").glob("*.html")), *runs]


def test_no_serious_finding_of_axe(page, site):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = []
    for path in kinds(site):
        open_page(page, path)
        page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        if page.locator("figure.plot").count():
            page.locator("figure.plot").first.scroll_into_view_if_needed()
            page.wait_for_selector("figure.plot .main-svg")
        for scheme, width in itertools.product(("light", "dark"), (1440, 390)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
            for violation in axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    where = [node["target"] for node in violation["nodes"][:3]]
                    found.append((path.relative_to(site).as_posix(), scheme, width, violation["id"], where))
    assert found == []


def test_the_keyboard_reaches_the_content(page, site):
    open_page(page, site / "index.html")
    page.keyboard.press("Tab")
    skip = page.evaluate("document.activeElement.getAttribute('href')")
    assert skip is not None
    assert skip.startswith("#")
    assert page.locator(f"[id='{skip[1:]}']").count() == 1
