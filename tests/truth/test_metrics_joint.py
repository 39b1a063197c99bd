"""Calibration of joint quantities: exact posteriors pass, each defect is seen where it should be, and sbi agrees."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.metrics import (
    ScoringInputs,
    aggregate,
    log_likelihood_peak,
    per_spectrum,
    reference_points,
    tarp_coverage,
)
from exobench.metrics.calibration import holm, ks_uniform
from exobench.noise import gaussian_log_likelihood

NAMES = ("a", "b", "c")
LOW, HIGH = np.full(3, -10.0), np.full(3, 10.0)
CORRELATION = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.3], [0.0, -0.3, 1.0]])


def gaussian(n_obs=1000, n_draws=200, *, correlation=CORRELATION, width=1.0, seed=0, log_weight=None):
    """Truth of the correlated Gaussian about a centre that the spectrum shows; draws of another one."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-5, 5, size=(n_obs, 3))
    truth = centre + rng.multivariate_normal(np.zeros(3), CORRELATION, size=n_obs)
    draws = centre[:, None] + width * rng.multivariate_normal(np.zeros(3), correlation, size=(n_obs, n_draws))
    inputs = ScoringInputs(NAMES, ("",) * 3, LOW, HIGH, truth, draws, log_weight)
    return replace(inputs, reference_point=reference_points(centre, truth, LOW, HIGH))


def p_values(inputs):
    scores = aggregate(per_spectrum(inputs, np.random.default_rng(1)), NAMES, LOW, HIGH, n_bootstrap=2)
    return {score.metric: score.value for score in scores if score.metric.endswith("_p") and score.parameter is None}


@pytest.mark.parametrize("n_draws", [2, 20, 200])
def test_exact_posteriors_pass_whatever_the_number_of_draws(n_draws):
    p = p_values(gaussian(3000, n_draws))
    assert p["sbc_pairs_p"] > 1e-3
    assert p["tarp_p"] > 1e-3


def test_centring_by_the_draws_alone_would_fail():
    """Why the truth enters the mean: without it the draws' products are too small, which ten draws show."""
    inputs = gaussian(3000, 10)
    centred = inputs.theta - inputs.theta.mean(axis=1, keepdims=True)
    truth = inputs.theta_true - inputs.theta.mean(axis=1)
    rank = (centred[..., 0] * centred[..., 1] < (truth[:, 0] * truth[:, 1])[:, None]).sum(axis=1)
    rank = (rank + np.random.default_rng(0).random(3000)) / 11
    assert ks_uniform(rank[:, None])[1][0] < 1e-3


@pytest.mark.parametrize("wrong", [np.eye(3), 2 * np.eye(3) - CORRELATION], ids=["dropped", "flipped"])
def test_wrong_correlations_are_seen_by_pairs_and_not_by_marginals(wrong):
    inputs = gaussian(correlation=wrong)
    assert p_values(inputs)["sbc_pairs_p"] < 1e-3
    ranks = per_spectrum(inputs, np.random.default_rng(1))["rank"]
    assert holm(ks_uniform(ranks)[1]).min() > 1e-3


def test_the_prior_is_seen_by_points_that_depend_on_the_spectrum_alone():
    rng = np.random.default_rng(3)
    spectrum = rng.uniform(-9, 9, size=(1000, 3))
    truth = np.clip(spectrum + rng.normal(size=(1000, 3)), LOW, HIGH)
    # The exact marginal of the truths stands in for the prior.
    draws = truth[rng.permuted(np.tile(np.arange(1000), (1000, 1)), axis=1)[:, :200]]
    inputs = ScoringInputs(NAMES, ("",) * 3, LOW, HIGH, truth, draws)
    seeing = replace(inputs, reference_point=reference_points(spectrum, truth, LOW, HIGH))
    blind = replace(inputs, reference_point=rng.uniform(LOW, HIGH, size=(1000, 3)))
    assert p_values(seeing)["tarp_p"] < 1e-6
    assert p_values(blind)["tarp_p"] > 1e-3
    assert p_values(seeing)["sbc_pairs_p"] > 1e-3


def test_weighted_exact_draws_pass():
    wide = gaussian(400, 1500, width=1.5, seed=7)
    deviation = wide.theta - wide.theta.mean(axis=1, keepdims=True)
    precision = np.linalg.inv(CORRELATION)
    square = np.einsum("odj,jk,odk->od", deviation, precision, deviation)
    weighted = replace(wide, log_weight=-0.5 * square * (1 - 1 / 1.5**2))
    assert min(p_values(weighted)[key] for key in ("sbc_pairs_p", "tarp_p")) > 1e-3
    assert min(p_values(wide)[key] for key in ("sbc_pairs_p", "tarp_p")) < 1e-3


def test_coverage_of_balls_equals_sbis_on_the_same_points():
    """sbi's own reference points and draws; its curve is read on a grid, ours at each level."""
    tarp = pytest.importorskip("sbi.diagnostics.tarp", reason="sbi is not installed")
    import torch

    inputs = gaussian(500, 100, width=0.8)
    points = np.random.default_rng(0).uniform(LOW, HIGH, size=(500, 3))
    ecp, alpha = tarp._run_tarp(
        torch.from_numpy(np.moveaxis(inputs.theta, 1, 0).copy()),
        torch.from_numpy(inputs.theta_true),
        torch.from_numpy(points),
        num_bins=50,
    )
    ranks = per_spectrum(replace(inputs, reference_point=points), np.random.default_rng(1))["tarp_rank"]
    ours = tarp_coverage(ranks, alpha.numpy())
    # Randomised ranks move by one draw of a hundred, the grid's ends by one bin of fifty.
    np.testing.assert_allclose(ours, ecp.numpy(), atol=0.035)


def test_ranks_of_the_log_density_equal_sbis():
    sbc = pytest.importorskip("sbi.diagnostics.sbc", reason="sbi is not installed")
    import torch

    inputs = gaussian(200, 50)
    precision = torch.linalg.inv(torch.from_numpy(CORRELATION))

    def log_prob(theta, x):
        return -0.5 * ((theta - x) @ precision * (theta - x)).sum(dim=-1)

    centre = inputs.theta.mean(axis=1)
    theirs = sbc._run_sbc(
        torch.from_numpy(inputs.theta_true),
        torch.from_numpy(centre),
        torch.from_numpy(np.moveaxis(inputs.theta, 1, 0).copy()),
        log_prob,
        False,
    )[:, 0]
    draws = log_prob(torch.from_numpy(inputs.theta), torch.from_numpy(centre)[:, None]).numpy()
    truth = log_prob(torch.from_numpy(inputs.theta_true), torch.from_numpy(centre)).numpy()
    arrays = per_spectrum(replace(inputs, log_prob=draws, log_prob_true=truth), np.random.default_rng(0))
    difference = arrays["log_prob_rank"] * 51 - theirs.numpy()
    assert ((difference > 0) & (difference < 1)).all()


def test_density_and_likelihood_ranks_see_what_they_should():
    """Width 0.8: the truth is where the density is low; HPD coverage is that of the chi distribution."""
    rng = np.random.default_rng(2)
    centre = rng.uniform(-5, 5, size=(2000, 3))
    truth = centre + rng.normal(size=(2000, 3))
    draws = centre[:, None] + 0.8 * rng.normal(size=(2000, 200, 3))

    def square(theta, about):
        return np.sum((theta - about) ** 2, axis=-1)

    inputs = ScoringInputs(
        NAMES,
        ("",) * 3,
        LOW,
        HIGH,
        truth,
        draws,
        log_prob_true=-0.5 * square(truth, centre) / 0.64,
        log_prob=-0.5 * square(draws, centre[:, None]) / 0.64,
        log_likelihood_true=-0.5 * square(truth, centre),
        log_likelihood=-0.5 * square(draws, centre[:, None]),
        log_likelihood_peak=np.zeros(2000),
        n_bin=np.full(2000, 3.0),
    )
    arrays = per_spectrum(inputs, np.random.default_rng(1))
    scores = {s.metric: s.value for s in aggregate(arrays, NAMES, LOW, HIGH, n_bootstrap=2) if s.parameter is None}
    assert max(scores["sbc_log_prob_p"], scores["sbc_log_likelihood_p"]) < 1e-6
    expected = stats.chi2.cdf(0.64 * stats.chi2.ppf(0.68, 3), 3)
    assert scores["hpd_coverage_68"] == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 2000))


def test_predictive_p_value_is_that_of_replicated_data():
    """Chi-square of data replicated from each draw against that of the observed data, by simulation."""
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.5, 2.0, size=(6, 15))
    sigma[2, :5] = np.inf
    depth = rng.normal(size=(6, 40, 15))
    x = (
        depth[:, 0]
        + np.where(np.isfinite(sigma), sigma, 0.0) * rng.normal(size=(6, 15)) * np.linspace(0.7, 1.5, 6)[:, None]
    )
    x[~np.isfinite(sigma)] = np.nan
    log_likelihood = gaussian_log_likelihood(depth, x[:, None], sigma[:, None])
    n_bin = np.isfinite(sigma).sum(axis=1).astype(float)
    replicated = rng.chisquare(n_bin[:, None, None], size=(6, 40, 4000))
    scale = np.where(np.isfinite(sigma), sigma, np.inf)[:, None]
    observed = np.nansum(((x[:, None] - depth) / scale) ** 2, axis=-1)
    expected = (replicated >= observed[..., None]).mean(axis=(1, 2))
    inputs = ScoringInputs(
        ("a",),
        ("",),
        np.zeros(1),
        np.ones(1),
        np.full((6, 1), 0.5),
        rng.random((6, 40, 1)),
        log_likelihood=log_likelihood,
        log_likelihood_peak=log_likelihood_peak(sigma),
        n_bin=n_bin,
    )
    arrays = per_spectrum(inputs, np.random.default_rng(0))
    np.testing.assert_allclose(arrays["predictive_p"], expected, atol=0.01)
    assert not [name for name in arrays if name.startswith("pair_rank")]


def test_reference_points_do_not_know_their_own_truth():
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(50, 8)), rng.uniform(LOW, HIGH, size=(50, 3))
    before = reference_points(x, truth, LOW, HIGH)
    truth[7] = HIGH
    after = reference_points(x, truth, LOW, HIGH)
    np.testing.assert_array_equal(before[7], after[7])
    assert not np.array_equal(before[8], after[8])
    with pytest.raises(ExobenchError, match="10 spectra"):
        reference_points(x[:5], truth[:5], LOW, HIGH)
    x[3] = np.nan
    with pytest.raises(ExobenchError, match="without any bin"):
        reference_points(x, truth, LOW, HIGH)
