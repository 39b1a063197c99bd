"""HMC against posteriors that are known: a Gaussian in a box, and two modes of known shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exobench.data.source import open_data
from exobench.noise import ConstantNoise, gaussian_log_likelihood
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.problem import InferenceProblem
from exobench.registry import build_task
from exobench.simulators.base import Simulator
from exobench.task import TaskRequest
from exobench_baselines.hmc.method import HMC
from exobench_baselines.hmc.posterior import HMCPosterior
from exobench_baselines.hmc.target import Target
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior


def linear_problem(data_root):
    task = build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    data = open_data(task, data_root, n_train=100, n_validation=100, n_test=2, workers=1)
    exact = LinearGaussianPosterior(*task.simulator.matrix_and_offset(), task.parameters)
    return task.problem(data.source, HMC.capabilities), exact


@pytest.fixture(scope="module")
def linear(data_root):
    """Spectra of linear_gaussian, HMC's answer to them and exact draws."""
    problem, exact = linear_problem(data_root)
    spectra = problem.arrays("validation", 6)
    posterior = HMCPosterior(problem, HMC(n_search=4096, n_particles=256, components=2)._settings())
    samples = posterior.sample(spectra.x, spectra.sigma, 2000, rng=np.random.default_rng(0))
    return samples, exact.sample(spectra.x, spectra.sigma, 20_000, rng=np.random.default_rng(1))


def test_moments_of_a_gaussian_in_a_box(linear):
    samples, truth = linear
    error = truth.std(axis=1) / np.sqrt(samples.diagnostics["effective_sample_size"])[:, None]
    z = (samples.theta.mean(axis=1) - truth.mean(axis=1)) / error
    assert np.mean(z**2) < 2.0
    assert abs(z.mean()) < 0.8
    np.testing.assert_allclose(samples.theta.std(axis=1) / truth.std(axis=1), 1.0, atol=0.1)
    for row in range(len(truth)):
        np.testing.assert_allclose(np.corrcoef(samples.theta[row].T), np.corrcoef(truth[row].T), atol=0.12)


def test_chains_agree_and_mix(linear):
    notes = linear[0].diagnostics
    assert (notes["converged"] == 1.0).all()
    assert (notes["r_hat"] < 1.05).all()
    assert (notes["effective_sample_size"] > 1600).all()


class SquaredSimulator(Simulator):
    """Depths theta_1^2, theta_2 and theta_1: the second mode is as large as the third bin's noise allows."""

    parameter_names = ("a", "b")
    n_bin = 3

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        return torch.stack([theta[:, 0] ** 2, theta[:, 1], theta[:, 0]], dim=1)

    def describe(self):
        return {}


def two_modes():
    space = ParameterSpace(tuple(Parameter(name, "1", name, -1.0, 1.0) for name in SquaredSimulator.parameter_names))
    edges = np.linspace(1.0, 2.0, 4)
    return InferenceProblem(
        name="two_modes",
        parameters=space,
        prior=UniformPrior(space),
        wavelength_um=0.5 * (edges[1:] + edges[:-1]),
        bin_edges_um=edges,
        noise=ConstantNoise(1e4),
        spectra=None,  # HMC learns nothing
        simulator=SquaredSimulator(),
        gradient_simulator=SquaredSimulator(),
        allow_likelihood=True,
    )


def small(**settings):
    return HMC(**{"n_search": 4096, "n_particles": 512, "components": 6, "max_states": 2.0, **settings})._settings()


def share_above_zero(x, sigma):
    """Posterior probability of a > 0 by quadrature; b is independent of a."""
    a = np.linspace(-1.0, 1.0, 200_001)
    depth = np.stack([a**2, np.full_like(a, x[1]), a], axis=1)
    density = np.exp(gaussian_log_likelihood(depth, x, sigma))
    return density[a > 0].sum() / density.sum()


@pytest.mark.parametrize("n_jumps", [0, 20])
def test_two_modes_have_their_shares(n_jumps):
    x, sigma = np.array([[0.25, 0.3, 0.1]]), np.array([[0.01, 0.05, 0.5]])
    share, shares = share_above_zero(x[0], sigma[0]), []
    for seed in range(3):
        posterior = HMCPosterior(two_modes(), small(n_jumps=n_jumps))
        samples = posterior.sample(x, sigma, 1000, rng=np.random.default_rng(seed))
        shares.append(np.mean(samples.theta[0, :, 0] > 0))
    # Without jumps the 64 chains keep the sides on which they start, shared as the particles are.
    error = np.sqrt(share * (1.0 - share) / (3 * (500 if n_jumps else 64)))
    assert abs(np.mean(shares) - share) < 4.0 * error


def test_chains_that_cannot_meet_are_marked_and_jumps_let_them_meet():
    x, sigma = np.array([[0.25, 0.3, 0.1]]), np.array([[0.001, 0.05, 5.0]])
    notes = {}
    for n_jumps in (0, 20):
        posterior = HMCPosterior(two_modes(), small(n_jumps=n_jumps))
        samples = posterior.sample(x, sigma, 1000, rng=np.random.default_rng(0))
        assert np.isfinite(samples.theta).all()
        notes[n_jumps] = samples.diagnostics
    assert (notes[0]["converged"][0], notes[20]["converged"][0]) == (0.0, 1.0)
    assert notes[0]["r_hat"][0] > 1.05


def test_gradient_of_the_target(data_root):
    problem, _ = linear_problem(data_root)
    spectra = problem.arrays("validation", 1)
    target = Target(problem, spectra.x[0], spectra.sigma[0])
    u = np.random.default_rng(0).standard_normal((5, target.n_param))
    _, gradient = target.log_posterior(u)
    for column in range(target.n_param):
        step = np.zeros(target.n_param)
        step[column] = 1e-3
        slope = (target.log_posterior(u + step)[0] - target.log_posterior(u - step)[0]) / 2e-3
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-3, atol=0.05)
