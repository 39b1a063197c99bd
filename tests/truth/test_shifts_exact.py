"""The closed form under shifts: calibrated where the told sigma is true, and not where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from exobench.data.source import TestSpectra
from exobench.shifts.catalogue import find_shift
from exobench.shifts.physics import simulated
from exobench.shifts.scoring import score_exact
from exobench.shifts.shift import Unshifted
from exobench.shifts.spectra import shifted
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.task import build


@pytest.fixture(scope="module")
def base():
    task = build(TaskRequest())
    theta = task.prior.sample(150, np.random.default_rng(11))
    depth = simulated(task.simulator.build(), theta)
    x, sigma = task.noise.sample(depth, seed=task.test_noise_seed())
    return Unshifted(task, depth, TestSpectra(theta, x, sigma))


@pytest.mark.parametrize(
    ("name", "calibrated"),
    [
        ("none", True),
        ("noise_10ppm", True),
        ("noise_50ppm", True),
        ("missing_random", True),
        ("missing_middle", True),
        ("noise_truly_half", False),
    ],
)
def test_the_exact_posterior_at_the_told_sigma(name, calibrated, base, tmp_path):
    named = find_shift(name)
    assert named.shift.exact_is_right == calibrated
    scored = score_exact(base.task, shifted(named, base), 100, tmp_path / name)
    status = scored["calibration"]["status"]
    assert (status in ("pass", "warn")) if calibrated else status == "fail", scored["calibration"]
