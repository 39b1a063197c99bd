"""Task pages of a report as PDF: ``python scripts/print_pages.py SITE OUT``; needs the extra 'browser' and Chromium.

A site needs plotly's script, which is not ours to commit; its print does not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_STEP_PX, _PAUSE_MS = 1000, 250
_ELSEWHERE = "a[href]:not([href^='#']):not([href^='http'])"
_SCALE = 0.75
"""At which the widest tables fit between the margins."""


def print_page(page: Page, source: Path, target: Path) -> None:
    """Prints a page after its figures are drawn, which they are when they come into view."""
    page.goto(source.resolve().as_uri())
    page.wait_for_load_state("load")
    for top in range(0, page.evaluate("document.body.scrollHeight"), _STEP_PX):
        page.evaluate(f"window.scrollTo(0, {top})")
        page.wait_for_timeout(_PAUSE_MS)
    # Links to other pages of the site would lead into a folder of this machine.
    page.eval_on_selector_all(_ELSEWHERE, "links => links.forEach(link => link.removeAttribute('href'))")
    page.emulate_media(media="print")
    page.wait_for_timeout(4 * _PAUSE_MS)
    margins = dict.fromkeys(("top", "right", "bottom", "left"), "12mm")
    page.pdf(path=target, format="A4", scale=_SCALE, margin=margins, print_background=True)


def main() -> None:
    """Prints all task pages; names lose the hash of the task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    sources = sorted((given.site / "tasks").glob("*.html"))
    if not sources:
        raise SystemExit(f"{given.site} holds no tasks/*.html: make it with python -m exobench.report.")
    chromium = os.environ.get("EXOBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("no Chromium here: scripts/browser/install.sh installs it, EXOBENCH_CHROMIUM names another.")
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for source in sources:
            page = browser.new_page(viewport={"width": 1000, "height": 1400})
            target = given.out / f"{re.sub(r'-[0-9a-f]{12}$', '', source.stem)}.pdf"
            print_page(page, source, target)
            print(target)
        browser.close()


if __name__ == "__main__":
    main()
