"""The closed-form posterior of linear_gaussian against quadrature, rejection, scipy and the simulator itself."""

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.metrics import ScoringInputs, per_spectrum
from exobench.metrics.calibration import ks_uniform
from exobench.noise import gaussian_log_likelihood
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.box_gaussian import BoxGaussian

COVARIANCE = 0.3 * np.array([[1.0, 0.6, -0.3], [0.6, 1.5, 0.2], [-0.3, 0.2, 0.8]])


def box(mean):
    return BoxGaussian(
        np.asarray(mean, float), COVARIANCE[: len(mean), : len(mean)], -np.ones(len(mean)), np.ones(len(mean))
    )


def build(**leaves):
    return build_task({"name": "linear_gaussian", **leaves}, TaskRequest())


def spectra(task, n, seed=0):
    """Truths from the prior, spectra from the task's own simulator and noise."""
    import torch

    theta = task.prior.sample(n, np.random.default_rng(seed))
    depth = task.simulator.build()(torch.from_numpy(theta)).double().numpy()
    return theta, *task.noise.sample(depth, seed=seed)


@pytest.mark.parametrize("mean", [[0.0, 0.2, 0.1], [0.9, -0.9, 0.5], [1.6, 1.2, -1.5], [0.4]])
def test_draws_in_a_box_are_those_of_plain_rejection(mean):
    gaussian = box(mean)
    rng = np.random.default_rng(0)
    plain = rng.multivariate_normal(gaussian.mean, gaussian.covariance, size=600_000)
    plain = plain[(np.abs(plain) <= 1).all(axis=1)][:5000]
    draws = gaussian.sample(5000, rng)
    for ours, theirs in zip(draws.T, plain.T, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    if len(mean) > 1:
        assert stats.ks_2samp(draws[:, 0] * draws[:, 1], plain[:, 0] * plain[:, 1]).pvalue > 1e-3


@pytest.mark.parametrize("mean", [[0.0, 0.2, 0.1], [0.9, -0.9, 0.5], [2.5, 1.2, -1.5], [0.4]])
def test_probability_of_a_box_is_scipys(mean):
    gaussian = box(mean)
    value, error = gaussian.log_probability()
    normal = stats.multivariate_normal(gaussian.mean, gaussian.covariance, maxpts=1_000_000, abseps=1e-9, releps=1e-6)
    cdf = normal.cdf(gaussian.high, lower_limit=gaussian.low)
    assert value == pytest.approx(np.log(cdf), abs=1e-4)
    assert error < 1e-4


def test_a_box_far_in_the_tail_keeps_its_digits():
    """Independent coordinates 15 standard deviations out: the product of tail probabilities, each known."""
    gaussian = BoxGaussian(np.array([16.0, -16.0]), np.eye(2), -np.ones(2), np.ones(2))
    value, _ = gaussian.log_probability()
    assert value == pytest.approx(
        2 * (stats.norm.logcdf(-15.0) + np.log1p(-np.exp(stats.norm.logcdf(-17) - stats.norm.logcdf(-15))))
    )
    draws = gaussian.sample(2000, np.random.default_rng(0))
    assert (np.abs(draws) <= 1).all()
    expected = stats.truncnorm(-17, -15).mean() + 16
    np.testing.assert_allclose(draws.mean(axis=0), [expected, -expected], atol=4 / 15 / np.sqrt(2000))


def test_log_evidence_is_the_integral_over_the_box():
    """Two parameters, a grid of midpoints over the prior."""
    task = build(n_param=2, n_bin=12)
    _, x, sigma = spectra(task, 3)
    middle = -1 + (np.arange(300) + 0.5) / 150
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    depth = grid @ task.exact.matrix.T + task.exact.offset
    evidence = task.exact.log_evidence(x, sigma)
    for row in range(3):
        log_likelihood = gaussian_log_likelihood(depth, x[row], sigma[row])
        top = log_likelihood.max()
        expected = top + np.log(np.exp(log_likelihood - top).mean())
        assert evidence.value[row] == pytest.approx(expected, abs=2e-4)
        density = np.exp(task.exact.log_prob(grid[None], x[row : row + 1], sigma[row : row + 1])[0])
        assert density.mean() * 4.0 == pytest.approx(1.0, abs=2e-4)
    assert evidence.error.max() < 1e-4


def test_missing_bins_do_not_count():
    task = build()
    _, x, sigma = spectra(task, 2)
    x[:, ::3], sigma[:, ::3] = np.nan, np.inf
    kept = np.isfinite(x[0])
    smaller = type(task.exact)(task.exact.matrix[kept], task.exact.offset[kept], task.parameters)
    np.testing.assert_allclose(
        task.exact.log_evidence(x, sigma).value, smaller.log_evidence(x[:, kept], sigma[:, kept]).value
    )
    with pytest.raises(ExobenchError, match="do not determine"):
        task.exact.sample(np.full((1, 40), np.nan), np.full((1, 40), np.inf), 5, rng=np.random.default_rng(0))


def test_the_exact_posterior_is_calibrated_on_the_simulators_spectra():
    """Ties the closed form to the simulator, its noise and its prior: a slip in any of them shows."""
    task = build()
    theta_true, x, sigma = spectra(task, 300)
    draws = task.exact.sample(x, sigma, 200, rng=np.random.default_rng(1))
    names = task.parameters.names
    inputs = ScoringInputs(names, ("1",) * 4, task.parameters.low, task.parameters.high, theta_true, draws)
    arrays = per_spectrum(inputs, np.random.default_rng(2))
    assert (ks_uniform(arrays["rank"])[1] > 1e-3).all()
    np.testing.assert_allclose(np.mean(arrays["z"] ** 2, axis=0), 1.0, atol=0.35)


def test_log_prob_is_minus_infinity_outside_the_box():
    task = build()
    _, x, sigma = spectra(task, 1)
    assert task.exact.log_prob(np.full((1, 1, 4), 1.01), x, sigma)[0, 0] == -np.inf


def test_the_closed_form_does_not_enter_the_tasks_identity():
    from dataclasses import replace

    task = build()
    assert replace(task, exact=None).describe() == task.describe()
    assert replace(task, exact=None).task_id == task.task_id
