"""What a run adds to its scores is on the page: joint calibration of every method, and regions by noise and gas."""

import json

import numpy as np
from report_records import make_record

from exobench.metrics import aggregate
from exobench.report.page import build_page
from exobench.report.scores import TOGETHER
from exobench.results import RECORD, SCORES, read_arrays, write_arrays


def add_part(record, n_part):
    """Writes ranks by likelihood and density for the first spectra, noise levels and Bayes factors, as a run does."""
    arrays = read_arrays(record.folder / SCORES)
    n_obs, rng = len(arrays["theta_true"]), np.random.default_rng(0)
    known = np.arange(n_obs) < n_part
    for key in ("log_likelihood_rank", "log_prob_rank", "predictive_p"):
        arrays[key] = np.where(known, rng.random(n_obs), np.nan)
    arrays |= {"in_part": known.astype(float), "noise_ppm": rng.choice([20.0, 50.0], size=n_obs)}
    arrays["log_bayes_factor.log10_h2o"] = rng.normal(3.0, 2.0, size=n_obs)
    write_arrays(record.folder / SCORES, arrays)
    content = dict(record.content)
    low, high = (np.array([p[end] for p in content["parameters"]]) for end in ("low", "high"))
    names = [p["name"] for p in content["parameters"]]
    content["scores"] = [score.to_dict() for score in aggregate(arrays, names, low, high)]
    (record.folder / RECORD).write_text(json.dumps(content))


def test_joint_calibration_and_regions_are_on_the_page(tmp_path):
    record = make_record(tmp_path / "runs", "gauss", n_test=1000)
    add_part(record, 400)
    make_record(tmp_path / "runs", "older", n_test=1000)
    (path,) = build_page(tmp_path / "runs", tmp_path / "reports").parent.glob("tasks/*.html")
    page = path.read_text(encoding="utf-8")
    table = page.split("<summary>Calibration of all parameters together, as a table</summary>")[1].split("</table>")[0]
    assert all(f">{name}</th>" in table for name in TOGETHER)
    rows = [row for row in table.split("<tr ") if "<td" in row]
    assert len(rows) == 2
    assert rows[0].count("not available") + rows[1].count("not available") == 1 + 6
    assert "computed for 400 of 1000 spectra" in page
    runs = [found.read_text(encoding="utf-8") for found in (tmp_path / "reports/runs").glob("*.html")]
    (own,) = (text for text in runs if "<title>gauss on" in text)
    assert "computed for 400 of 1000 spectra" in own
    assert "noise_ppm" in own
    assert "detectable log10_h2o" in own
