"""Parts of HMC: leapfrog, population, thinning, settings."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml

import exobench.conf
from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.registry import build_task
from exobench.sampling.student_mixture import fit_student_mixture
from exobench.task import TaskRequest
from exobench_baselines.hmc.chains import Chains
from exobench_baselines.hmc.convergence import convergence
from exobench_baselines.hmc.method import HMC
from exobench_baselines.hmc.population import annealed_population, systematic_choice
from exobench_baselines.hmc.posterior import HMCPosterior
from exobench_baselines.hmc.sampler import evenly_thinned
from exobench_baselines.hmc.target import Target

SMALL = {
    "n_chains": 8,
    "n_search": 512,
    "n_particles": 64,
    "n_moves": 2,
    "warm_up": 5,
    "max_states": 1.0,
    "components": 2,
}


@pytest.fixture(scope="module")
def problem(data_root):
    task = build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    data = open_data(task, data_root, n_train=100, n_validation=100, n_test=2, workers=1)
    return task.problem(data.source, HMC.capabilities)


@pytest.fixture
def target(problem):
    spectra = problem.arrays("validation", 1)
    return Target(problem, spectra.x[0], spectra.sigma[0])


def chains(target, step_size=0.02):
    u = 0.3 * np.random.default_rng(0).standard_normal((6, target.n_param))
    return Chains(target, 0.2 * np.eye(target.n_param), u, step_size, 100)


def test_a_trajectory_comes_back_when_momentum_is_turned(target):
    start = chains(target)
    momentum = np.random.default_rng(1).standard_normal(start.u.shape)
    u, _, _, end = start._trajectory(momentum, 0.02, 20)
    back = Chains(target, start.factor, u, 0.02, 100)
    np.testing.assert_allclose(back._trajectory(-end, 0.02, 20)[0], start.u, atol=1e-4)


def test_energy_error_falls_with_the_square_of_the_step(target):
    start = chains(target)
    momentum = np.random.default_rng(1).standard_normal(start.u.shape)
    errors = []
    for step, n in ((0.2, 5), (0.1, 10)):
        _, log_posterior, _, end = start._trajectory(momentum, step, n)
        energy = log_posterior - start._log_posterior - 0.5 * np.sum(end**2 - momentum**2, axis=1)
        errors.append(np.abs(energy).mean())
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.5)


def test_the_population_arrives(target):
    population = annealed_population(target, n_search=2048, n_particles=256, n_moves=5, rng=np.random.default_rng(0))
    assert population.arrived
    assert population.u.shape == (256, target.n_param)
    assert target.likelihood_calls == 2048 + 256 * (5 * population.n_stages + 4 * 3)
    # Mean squared residual in units of noise is close to one a bin.
    per_bin = target.log_likelihood(population.u) / len(target.x)
    expected = -0.5 - np.mean(np.log(target.sigma)) - 0.5 * np.log(2 * np.pi)
    assert per_bin.mean() == pytest.approx(expected, abs=0.4)


def test_jumps_leave_the_posterior_as_it_is(target):
    rng = np.random.default_rng(0)
    population = annealed_population(target, n_search=4096, n_particles=1024, n_moves=10, rng=rng)
    mixture = fit_student_mixture(population.visited, 2, rng)
    side_by_side = Chains(target, np.eye(target.n_param), population.u, 0.1, 10)
    assert side_by_side.jump(mixture, 20, rng) > 0.3
    spread = population.visited.std(axis=0)
    shift = (side_by_side.u.mean(axis=0) - population.visited.mean(axis=0)) / spread
    assert np.abs(shift).max() < 0.15
    np.testing.assert_allclose(side_by_side.u.std(axis=0) / spread, 1.0, atol=0.12)
    # The chains know value and gradient where they are now.
    value, gradient = target.log_posterior(side_by_side.u)
    np.testing.assert_allclose(side_by_side._log_posterior, value, atol=1e-6)
    np.testing.assert_allclose(side_by_side._gradient, gradient, rtol=1e-6, atol=1e-6)


def test_systematic_choice_follows_the_weights():
    weight = np.array([0.1, 0.2, 0.7])
    counts = np.bincount(systematic_choice(np.log(weight), 100, np.random.default_rng(0)), minlength=3)
    np.testing.assert_allclose(counts, 100 * weight, atol=1.0)


@pytest.mark.parametrize(("n_iteration", "n_draws"), [(20, 64), (23, 100), (174, 5000), (2000, 1), (157, 10_048)])
def test_thinning_takes_states_evenly(n_iteration, n_draws):
    states = np.arange(64 * n_iteration, dtype=float).reshape(64, n_iteration, 1)
    if n_draws <= states.size:
        kept = evenly_thinned(states, n_draws, np.random.default_rng(0))
        assert kept.shape == (n_draws, 1)
        assert len(np.unique(kept)) == n_draws
        per_chain = np.bincount((kept[:, 0] // n_iteration).astype(int), minlength=64)
        assert per_chain.max() <= -(-n_draws // 64)


def test_convergence_tells_good_chains_from_bad():
    rng = np.random.default_rng(0)
    good = rng.standard_normal((32, 50, 2))
    assert convergence(good).r_hat < 1.03
    assert convergence(good).effective_sample_size > 1000
    apart = good + 3.0 * rng.standard_normal((32, 1, 1))
    assert convergence(apart).r_hat > 1.5
    assert convergence(apart).effective_sample_size < 100
    assert convergence(np.zeros((4, 20, 1))).r_hat == np.inf


def test_equal_seeds_give_equal_draws_after_saving(problem, tmp_path):
    spectra = problem.arrays("validation", 2)
    posterior = HMCPosterior(problem, HMC(**SMALL)._settings())
    first = posterior.sample(spectra.x, spectra.sigma, 30, rng=np.random.default_rng(0))
    posterior.save(tmp_path)
    loaded = HMC.load_posterior(tmp_path, problem, "cpu")
    again = loaded.sample(spectra.x, spectra.sigma, 30, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert first.theta.shape == (2, 30, 4)
    calls = problem.likelihood_calls.n
    notes = posterior.sample(spectra.x, spectra.sigma, 30, rng=np.random.default_rng(1)).diagnostics
    assert notes["likelihood_calls"].sum() == problem.likelihood_calls.n - calls


def test_a_damaged_posterior_is_named(problem, tmp_path):
    (tmp_path / "hmc.json").write_text("{}")
    with pytest.raises(ExobenchError, match=r"hmc\.json"):
        HMC.load_posterior(tmp_path, problem, "cpu")


def test_config_holds_the_constructors_defaults():
    config = yaml.safe_load((Path(exobench.conf.__file__).parent / "method" / "hmc.yaml").read_text())
    assert config.pop("name") == "hmc"
    parameters = inspect.signature(HMC).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_chains", 2),
        ("n_search", 10),
        ("n_particles", 32),
        ("warm_up", 0.5),
        ("target_acceptance", 1.0),
        ("max_states", 0.5),
        ("r_hat_limit", "low"),
    ],
)
def test_wrong_settings_are_named(key, value):
    with pytest.raises(ExobenchError, match=rf"method\.{key}="):
        HMC(**{key: value})
