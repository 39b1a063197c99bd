"""ExoGAN at the default budget is what the README says: ten minutes of work on two cores.

Scored on 1,000 test spectra: among the 100 of the default, those in which CO can be seen at all are too few to tell.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from exobench.metrics.energy import energy_score_of_constant
from exobench.metrics.paired import paired_difference, skill_against_constant
from exobench.results import all_records

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("default")
    done = subprocess.run(
        [sys.executable, "-m", "exobench", "method=exogan", "task=hotjupiter", "n_test=1000", "paths.data=data"],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return next(record for record in all_records(cwd / "runs") if record["method"] == "exogan")


def box(record):
    return (np.array([parameter[end] for parameter in record["parameters"]]) for end in ("low", "high"))


def test_it_ran_at_the_default_budget(record):
    assert record["status"] == "ok"
    assert record["n_test"] == 1000
    assert record["budget"] == 100_000


def test_every_parameter_beats_the_best_constant_by_three_standard_errors(record):
    against = skill_against_constant(record.per_spectrum())
    ratio = against.difference / against.standard_error
    print(dict(zip((p["name"] for p in record["parameters"]), ratio.round(1), strict=True)))
    assert against.better.all()


def test_the_energy_score_beats_the_best_constant_by_three_standard_errors(record):
    low, high = box(record)
    table = record.per_spectrum()
    constant = energy_score_of_constant(table["theta_true"], low, high, table["theta_true"].mean(axis=0))
    difference, error = paired_difference(constant, table["energy_score"])
    print(f"energy score: better by {difference:.4f} with a standard error of {error:.4f}")
    assert difference > 3 * error


def test_water_is_found(record):
    score = next(s for s in record["scores"] if s["metric"] == "hit_rate_10" and s["parameter"] == "log10_h2o")
    assert score["value"] >= 0.5
