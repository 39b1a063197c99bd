"""Bayes factors from draws against evidences in closed form."""

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.metrics import log_bayes_factor_savage_dickey, log_bayes_factors
from exobench.parameters import ParameterSpace
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior
from exobench_tasks.linear_gaussian.task import build

N_OBS = 20


def log_evidence_without(task, column, x, sigma):
    """Evidence of the linear model with one parameter held at its low end: the same closed form, one column fewer."""
    space, exact = task.parameters, task.exact
    rest = [k for k in range(len(space.names)) if k != column]
    offset = exact.offset + exact.matrix[:, column] * space.low[column]
    smaller = ParameterSpace(tuple(space.parameters[k] for k in rest))
    return LinearGaussianPosterior(exact.matrix[:, rest], offset, smaller).log_evidence(x, sigma).value


def spectra(task, level, n_obs):
    """Spectra whose first parameter lies near its low end, so that all sizes of Bayes factors occur."""
    rng = np.random.default_rng(0)
    theta = task.prior.sample(n_obs, rng)
    theta[:, 0] = task.parameters.low[0] + rng.uniform(0.0, 0.8, size=n_obs)
    depth = theta @ task.exact.matrix.T + task.exact.offset
    sigma = np.full_like(depth, level)
    return depth + sigma * rng.standard_normal(depth.shape), sigma


@pytest.fixture(scope="module")
def linear():
    """The task, spectra, and the ratio of two evidences of each."""
    task = build(TaskRequest())
    x, sigma = spectra(task, 2e-4, N_OBS)
    return task, x, sigma, task.exact.log_evidence(x, sigma).value - log_evidence_without(task, 0, x, sigma)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_ratio_of_evidences_of_the_linear_model(linear, weighted):
    """Draws of the exact posterior, or of a wider one with importance weights, against two evidences; z-scores."""
    task, x, sigma, truth = linear
    rng = np.random.default_rng(1)
    log_weight = np.zeros((N_OBS, 4000))
    if weighted:
        theta = task.exact.sample(x, 1.3 * sigma, 4000, rng=rng)
        log_weight = task.exact.log_prob(theta, x, sigma) - task.exact.log_prob(theta, x, 1.3 * sigma)
    else:
        theta = task.exact.sample(x, sigma, 4000, rng=rng)
    low, high = task.parameters.low[0], task.parameters.high[0]
    found = [
        log_bayes_factor_savage_dickey(draws[:, 0], low, high, logs)
        for draws, logs in zip(theta, log_weight, strict=True)
    ]
    exact = np.array([not each.is_bound for each in found])
    value, error = np.array([each.value for each in found]), np.array([each.standard_error for each in found])
    assert exact.sum() >= 12
    z = (value - truth)[exact] / error[exact]
    # Beside the draws' own scatter there is the bias of a density that is log-linear over a tenth of the range.
    assert np.abs(z.mean()) < 4 / np.sqrt(exact.sum())
    assert np.sqrt(np.mean(z**2)) < 1.8
    assert np.abs(z).max() < 5
    assert (value[~exact] <= truth[~exact]).all()


@pytest.mark.parametrize("slope", [-30.0, -4.0, 0.0, 4.0, 30.0])
def test_a_density_that_is_exponential_at_the_edge(slope):
    """No bias: density at the edge of a truncated exponential, known; the stated error is that of repetitions."""
    rng = np.random.default_rng(2)
    uniform = rng.random((200, 20000))
    theta = uniform if slope == 0.0 else np.log1p(uniform * np.expm1(slope)) / slope
    density = 1.0 if slope == 0.0 else slope / np.expm1(slope)
    found = [log_bayes_factor_savage_dickey(3.0 + 2.0 * draws, 3.0, 5.0) for draws in theta]
    if slope > 20.0:
        assert all(each.is_bound and each.value <= -np.log(density) for each in found)
        return
    value, error = np.array([each.value for each in found]), np.mean([each.standard_error for each in found])
    assert value.mean() == pytest.approx(-np.log(density), abs=4 * error / np.sqrt(200))
    assert value.std() == pytest.approx(error, rel=0.2)


def test_an_absent_gas_and_a_clear_one():
    rng = np.random.default_rng(3)
    absent = -8 + 3 * rng.random(4000)
    clear = stats.norm.rvs(-3, 0.2, size=4000, random_state=rng)
    assert log_bayes_factor_savage_dickey(absent, -8, -1).decided == pytest.approx(-np.log(7 / 3), abs=0.3)
    bound = log_bayes_factor_savage_dickey(clear, -8, -1)
    assert bound.is_bound
    assert np.isnan(bound.standard_error)
    assert 3.0 < bound.decided == pytest.approx(np.log(0.4 * 4000 / 3))  # no draw in four tenths of the range
    few = log_bayes_factor_savage_dickey(clear[:60], -8, -1)
    assert few.is_bound
    assert np.isnan(few.decided)


def test_columns_name_the_gases_and_say_what_is_not_decided():
    rng = np.random.default_rng(4)
    theta = np.stack([rng.uniform(-8, -1, size=(2, 2000)), rng.normal(-3, 0.2, size=(2, 2000))], axis=-1)
    columns = log_bayes_factors(theta, None, ("log10_a", "log10_b"), [-8, -8], [-1, -1], ("log10_a", "log10_b"))
    assert set(columns) == {"log_bayes_factor.log10_a", "log_bayes_factor.log10_b"}
    assert np.abs(columns["log_bayes_factor.log10_a"]).max() < 1.0
    assert (columns["log_bayes_factor.log10_b"] > 3).all()
    few = log_bayes_factors(theta[:, :60], None, ("log10_a", "log10_b"), [-8, -8], [-1, -1], ("log10_b",))
    assert np.isnan(few["log_bayes_factor.log10_b"]).all()
    with pytest.raises(ExobenchError, match="no parameter 'log10_c'"):
        log_bayes_factors(theta, None, ("log10_a", "log10_b"), [-8, -8], [-1, -1], ("log10_c",))


@pytest.mark.parametrize(
    ("theta", "low", "high", "log_weight", "words"),
    [
        (np.array([0.1, np.nan]), 0.0, 1.0, None, "not finite"),
        (np.array([0.1, 1.2]), 0.0, 1.0, None, "outside the prior"),
        (np.array([0.1, 0.2]), 0.0, 1.0, np.full(2, -np.inf), "sum to zero"),
        (np.array([0.1, 0.2]), 0.0, 1.0, np.zeros(3), "shape"),
        (np.zeros((2, 2)), 0.0, 1.0, None, "one parameter"),
        (np.array([0.1, 0.2]), 1.0, 1.0, None, "low < high"),
    ],
)
def test_bad_draws_are_refused(theta, low, high, log_weight, words):
    with pytest.raises(ExobenchError, match=words):
        log_bayes_factor_savage_dickey(theta, low, high, log_weight)
