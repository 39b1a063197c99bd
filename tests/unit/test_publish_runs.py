"""Records that are small enough to commit: what is rounded, by how much, and that the pages read them."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from report_records import make_record

from exobench.report.page import build_page
from exobench.results import SCORES, read_arrays

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from publish_runs import EXACT, publish, rounded


def test_rounding_keeps_what_is_no_number_and_a_part_in_eight_thousand():
    values = np.array([1.0, -np.pi, 1e-5, 4823.3, 0.0, np.inf, np.nan, 3.3e38])
    kept = rounded(values)
    np.testing.assert_array_equal(kept[4:7], [0.0, np.inf, np.nan])
    np.testing.assert_allclose(kept[[0, 1, 2, 3, 7]], values[[0, 1, 2, 3, 7]], rtol=1.0 / 8000.0)
    assert np.isfinite(kept[7])


def test_a_published_record_is_the_same_but_for_its_last_digits(tmp_path):
    record = make_record(tmp_path / "runs", "npe")
    target = publish(record, tmp_path / "runs", tmp_path / "out")
    before, after = read_arrays(record.folder / SCORES), read_arrays(target / SCORES)
    assert set(after) == set(before)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=0.0 if name in EXACT else 1.0 / 8000.0)
    assert (target / "run.json").read_bytes() == (record.folder / "run.json").read_bytes()
    assert "npe" in build_page(tmp_path / "out", tmp_path / "site").read_text(encoding="utf-8")


def test_an_unchanged_record_is_left_alone_and_a_changed_one_replaced(tmp_path):
    record = make_record(tmp_path / "runs", "npe")
    target = publish(record, tmp_path / "runs", tmp_path / "out")
    (target / SCORES).unlink()
    assert not (publish(record, tmp_path / "runs", tmp_path / "out") / SCORES).exists()
    path = record.folder / "run.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with h5py.File(publish(record, tmp_path / "runs", tmp_path / "out") / SCORES) as file:
        assert len(file) > 10
    with pytest.raises(ValueError, match="is not in the subpath"):
        publish(record, tmp_path / "elsewhere", tmp_path / "out")
