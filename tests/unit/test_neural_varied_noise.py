"""Hot Jupiters with varied noise and missing bins: what a model knows before any training, and what surprises it."""

import numpy as np
import pytest
import torch

from exobench import registry
from exobench.data.source import open_data
from exobench.method import Limits
from exobench.neural.posterior import NeuralPosterior
from exobench.noise_varied import VariedNoise
from exobench.shifts.detection import detection
from exobench.task import TaskRequest

RADIUS = 5
N_SPECTRA = 120


@pytest.fixture(scope="module")
def method():
    embedding = {"size": 16, "blocks": 1, "n_context": 4}
    return registry.build_method({"name": "mdn", "embedding": embedding})


@pytest.fixture(scope="module")
def problem(method, data_root):
    task = registry.build_task({"name": "hotjupiter_varied", "shard_rows": 1000}, TaskRequest())
    data = open_data(task, data_root, n_train=2000, n_validation=N_SPECTRA, n_test=2, workers=1)
    return task.problem(data.source, method.capabilities)


@pytest.fixture(scope="module")
def posterior(method, problem):
    model = method.untrained(problem, Limits(), 1)
    return NeuralPosterior(model, method.describe(model, problem), "cpu")


def at_level(problem, level_ppm):
    """Some validation spectra with noise of one level."""
    theta, depth, _ = problem.arrays("validation", noise_copies=0)
    return theta, *VariedNoise(fixed_levels_ppm=(level_ppm,)).sample(depth, seed=4)


def guessed_radius(posterior, x, sigma):
    context = posterior.context(x, sigma)
    u, _ = context[:, -posterior.model.encoder.n_guess :].chunk(2, dim=1)
    return posterior.model.box.to_theta(u)[:, RADIUS].numpy()


@pytest.mark.parametrize(("level_ppm", "most"), [(20.0, 2e-3), (100.0, 3e-3)])
def test_the_radius_is_guessed_to_a_few_thousandths(problem, posterior, level_ppm, most):
    theta, x, sigma = at_level(problem, level_ppm)
    assert np.median(np.abs(guessed_radius(posterior, x, sigma) - theta[:, RADIUS])) < most


def test_a_value_in_a_missing_bin_does_not_matter(problem, posterior):
    _, x, sigma = at_level(problem, 20.0)
    assert torch.equal(posterior.context(x, sigma), posterior.context(np.where(np.isinf(sigma), 0.03, x), sigma))


def test_untrained_is_a_function_of_its_seed(method, problem, posterior):
    again = method.untrained(problem, Limits(), 1).state_dict()
    first = posterior.model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_saved_and_loaded_is_the_same(method, problem, posterior, tmp_path):
    posterior.save(tmp_path)
    loaded = type(method).load_posterior(tmp_path, problem, "cpu")
    _, x, sigma = at_level(problem, 50.0)
    assert torch.equal(loaded.context(x, sigma), posterior.context(x, sigma))


def test_an_unknown_feature_surprises_at_any_noise(problem, posterior):
    """A bump of ten times the noise over a tenth of the bins, between levels that differ by a factor of five."""
    _, quiet, sigma_quiet = at_level(problem, 20.0)
    _, loud, sigma_loud = at_level(problem, 100.0)
    bump = np.zeros(quiet.shape[1])
    bump[200:250] = 1.0
    for x, sigma in ((quiet, sigma_quiet), (loud, sigma_loud)):
        known = posterior.surprise(x, sigma)
        odd = posterior.surprise(x + np.where(np.isfinite(sigma), 10.0 * sigma, 0.0) * bump, sigma)
        assert detection(known, odd).auroc > 0.95
    both = posterior.surprise(quiet, sigma_quiet), posterior.surprise(loud, sigma_loud)
    assert 0.25 < detection(*both).auroc < 0.75


@pytest.mark.parametrize(("level_ppm", "least"), [(1e-3, 0.85), (1e6, 0.95)])
def test_noise_beyond_that_of_training_surprises(problem, posterior, level_ppm, least):
    _, x, sigma = at_level(problem, 20.0)
    _, other, sigma_other = at_level(problem, level_ppm)
    both = posterior.surprise(x, sigma), posterior.surprise(other, sigma_other)
    assert detection(*both).auroc > least


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e3])
def test_wild_spectra_are_finite(problem, posterior, factor):
    _, x, sigma = at_level(problem, 20.0)
    assert torch.isfinite(posterior.context(factor * x, sigma)).all()
    assert np.isfinite(posterior.surprise(factor * x, sigma)).all()
    theta = posterior.sample(factor * x[:5], sigma[:5], 20, rng=np.random.default_rng(0)).theta
    assert problem.parameters.inside(theta).all()
