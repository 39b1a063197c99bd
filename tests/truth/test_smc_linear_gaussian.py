"""Sequential Monte Carlo against the closed form of linear_gaussian."""

from __future__ import annotations

import numpy as np
import pytest

from exobench.data.source import open_data
from exobench.method import Limits, Progress
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench_baselines.smc.method import SMC
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior

N_OBS = 5
SMALL = {"n_populations": 8, "n_particles": 250, "components": 4, "refinements": 1}


@pytest.fixture(scope="module")
def case(data_root):
    """Problem, exact posterior and some validation spectra, one of them with missing bins."""
    task = build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    data = open_data(task, data_root, n_train=100, n_validation=100, n_test=2, workers=1)
    problem = task.problem(data.source, SMC.capabilities)
    spectra = problem.arrays("validation", N_OBS)
    x, sigma = spectra.x.copy(), spectra.sigma.copy()
    x[-1, ::2], sigma[-1, ::2] = np.nan, np.inf
    return problem, LinearGaussianPosterior(*task.simulator.matrix_and_offset(), task.parameters), x, sigma


@pytest.fixture(scope="module")
def posterior(case, tmp_path_factory):
    """From the prior, mended once."""
    return SMC(proposal="prior", **SMALL).fit(
        case[0],
        limits=Limits(100),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=tmp_path_factory.mktemp("fit"),
        stop=lambda: False,
        progress=Progress.silent(),
    )


@pytest.fixture(scope="module")
def samples(case, posterior):
    return posterior.sample(case[2], case[3], 2000, rng=np.random.default_rng(1))


def test_evidence(case, samples):
    _, exact, x, sigma = case
    notes = samples.diagnostics
    z = (notes["log_evidence"] - exact.log_evidence(x, sigma).value) / notes["log_evidence_error"]
    assert abs(z.mean()) < 1.5
    assert z.std() < 2.2
    assert (notes["log_evidence_error"] < 0.1).all()


def test_moments(case, samples):
    _, exact, x, sigma = case
    truth = exact.sample(x, sigma, 4000, rng=np.random.default_rng(2))
    worth = samples.diagnostics["effective_sample_size"]
    error = truth.std(axis=1) * np.sqrt(1.0 / worth + 1.0 / 4000)[:, None]
    z = (samples.theta.mean(axis=1) - truth.mean(axis=1)) / error
    assert np.mean(z**2) < 2.0
    np.testing.assert_allclose(samples.theta.std(axis=1) / truth.std(axis=1), 1.0, atol=0.12)


def test_diagnostics_say_that_it_arrived(samples):
    notes = samples.diagnostics
    assert (notes["converged"] == 1.0).all()
    assert (notes["r_hat"] < 1.05).all()
    assert (notes["effective_sample_size"] > 200).all()
    assert (notes["duplicate_share"] < 0.1).all()


def test_a_saved_posterior_draws_the_same(case, posterior, samples, tmp_path):
    problem, _, x, sigma = case
    posterior.save(tmp_path / "saved")
    loaded = SMC.load_posterior(tmp_path / "saved", problem, "cpu")
    again = loaded.sample(x[:1], sigma[:1], 2000, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again.theta[0], samples.theta[0])


def test_populations_that_disagree_are_not_converged(case, tmp_path):
    """A handful of particles and a single step cannot follow the posterior, and must say so."""
    problem, _, x, sigma = case
    hasty = SMC(proposal="prior", n_populations=4, n_particles=50, n_steps=1, refinements=0).fit(
        problem,
        limits=Limits(100),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=tmp_path,
        stop=lambda: False,
        progress=Progress.silent(),
    )
    notes = hasty.sample(x, sigma, 100, rng=np.random.default_rng(1)).diagnostics
    assert (notes["converged"] == 0.0).sum() >= N_OBS - 1
