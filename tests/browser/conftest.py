"""A site made of real runs and of odd records, opened in a headless Chromium from the file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MARKUP = "<b onmouseover=alert(1)>bold</b>"
"""A plugin's name that must never become part of the page."""
RUNS = (
    *("task=linear_gaussian", "task.shard_rows=500", "method=prior,mdn", "budget=300,1000", "limits.seconds=2"),
    *("n_test=100", "n_draws=200", "workers=1", "report=false"),
)
ODD = Path(__file__).parents[1] / "unit"


def _chromium() -> str | None:
    return os.environ.get("EXOBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """A headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright (extra 'browser')")
    path = _chromium()
    if path is None:
        pytest.skip("no Chromium here: scripts/browser/install.sh installs it, EXOBENCH_CHROMIUM names another")
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def runs(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real runs of two methods at two budgets, and records as strangers leave them; none where no browser is."""
    work = tmp_path_factory.mktemp("browser")
    command = [sys.executable, "-m", "exobench", "-m", *RUNS, f"paths.data={work / 'data'}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    sys.path.insert(0, str(ODD))
    try:
        from report_records import make_record, make_skipped
    finally:
        sys.path.remove(str(ODD))
    make_record(work / "runs", MARKUP, folder="hotjupiter/markup/aaaa/0")
    make_record(work / "runs", "future", change=lambda content: content.update(something_new={"deep": [1, "<i>"]}))
    make_record(work / "runs", "missing", change=lambda content: content.pop("hardware"))
    make_record(work / "runs", "exact", n_test=25, width=0.03)
    make_record(work / "runs", "prior")
    make_record(work / "runs", "sampler", change=lambda content: content.update(track="likelihood-using"))
    make_skipped(work / "runs", reason="needs <script>alert(2)</script> a likelihood")
    truncated = make_record(work / "runs", "truncated", seed=3)
    path = truncated.folder / "run.json"
    path.write_text(path.read_text(encoding="utf-8")[:300], encoding="utf-8")
    return work / "runs"


@pytest.fixture(scope="session")
def site(runs: Path) -> Path:
    """The folder of the built site."""
    reports = runs.parent / "reports"
    command = [sys.executable, "-m", "exobench.report", f"paths.runs={runs}", f"paths.reports={reports}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "truncated" in done.stderr
    return reports


@pytest.fixture
def page(browser):
    """A fresh tab that refuses the network and keeps what the console says."""
    context = browser.new_context(accept_downloads=True, viewport={"width": 1440, "height": 1000}, offline=True)
    tab = context.new_page()
    tab.complaints = []
    tab.on("console", lambda message: tab.complaints.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (tab.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield tab
    context.close()
