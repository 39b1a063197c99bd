"""sbi's diagnostics on the same draws: ranks and tests of simulation-based calibration, and TARP."""

from dataclasses import replace

import numpy as np
import pytest

from exobench.metrics import ScoringInputs, aggregate, per_spectrum, tarp_coverage

pytest.importorskip("sbi", reason="sbi is not installed")
import torch
from sbi.diagnostics import sbc
from sbi.diagnostics import tarp as sbi_tarp

NAMES = ("a", "b", "c")
LOW, HIGH = np.full(3, -10.0), np.full(3, 10.0)
N_OBS, N_DRAWS = 600, 200


def gaussian(width=1.0, shift=0.0):
    rng = np.random.default_rng(5)
    centre = rng.uniform(-5, 5, size=(N_OBS, 3))
    truth = centre + rng.normal(size=(N_OBS, 3))
    draws = centre[:, None] + shift + width * rng.normal(size=(N_OBS, N_DRAWS, 3))
    return ScoringInputs(NAMES, ("",) * 3, LOW, HIGH, truth, draws)


def as_sbi(inputs):
    """Truths (obs, param) and draws (draw, obs, param)."""
    return torch.from_numpy(inputs.theta_true), torch.from_numpy(np.moveaxis(inputs.theta, 1, 0).copy())


def test_marginal_ranks_are_sbis_with_a_random_part():
    """sbi counts the draws below the truth, 0 to n; ours adds a uniform number and divides by n + 1."""
    inputs = gaussian()
    truth, draws = as_sbi(inputs)
    theirs = sbc._run_sbc(truth, truth, draws, "marginals", False).numpy()
    ours = per_spectrum(inputs, np.random.default_rng(0))["rank"] * (N_DRAWS + 1) - theirs
    assert ((ours > 0) & (ours < 1)).all()


@pytest.mark.parametrize(("width", "shift", "passes"), [(1.0, 0.0, True), (0.6, 0.0, False), (1.0, 0.5, False)])
def test_p_values_are_sbis(width, shift, passes):
    """Both are Kolmogorov-Smirnov tests of the ranks; sbi's ranks are whole numbers, which moves p a little."""
    inputs = gaussian(width, shift)
    truth, draws = as_sbi(inputs)
    ranks = sbc._run_sbc(truth, truth, draws, "marginals", False)
    theirs = sbc.check_uniformity_frequentist(ranks, N_DRAWS).numpy()
    scores = aggregate(per_spectrum(inputs, np.random.default_rng(0)), NAMES, LOW, HIGH, n_bootstrap=2)
    ours = np.array([score.value for score in scores if score.metric == "sbc_ks_p"])
    if passes:
        np.testing.assert_allclose(ours, theirs, atol=0.1)
    assert (ours > 1e-3).all() == passes == bool((theirs > 1e-3).all())


@pytest.mark.parametrize(("width", "passes"), [(1.0, True), (0.6, False)])
def test_tarps_curve_is_sbis_on_the_same_points_and_its_test_sees_more(width, passes):
    """sbi's p-value treats the 51 points of its curve as 51 draws, which hides a posterior 40 % too narrow."""
    inputs = gaussian(width)
    truth, draws = as_sbi(inputs)
    points = np.random.default_rng(0).uniform(LOW, HIGH, size=(N_OBS, 3))
    ecp, alpha = sbi_tarp._run_tarp(draws, truth, torch.from_numpy(points), num_bins=50)
    area, their_p = sbi_tarp.check_tarp(ecp, alpha)
    arrays = per_spectrum(replace(inputs, reference_point=points), np.random.default_rng(1))
    ours = {s.metric: s.value for s in aggregate(arrays, NAMES, LOW, HIGH, n_bootstrap=2) if s.parameter is None}
    upper = alpha.numpy()[25:]
    own_area = np.sum(tarp_coverage(arrays["tarp_rank"], upper) - upper) * float(alpha[1] - alpha[0])
    assert own_area == pytest.approx(area, abs=0.01)
    assert ours["tarp_distance"] == pytest.approx(float((ecp - alpha).abs().max()), abs=0.03)
    assert (ours["tarp_p"] > 1e-3) == passes
    assert their_p > 0.05
