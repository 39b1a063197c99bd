"""Importance sampling against the closed form of linear_gaussian."""

from __future__ import annotations

import numpy as np
import pytest

from exobench.data.source import open_data
from exobench.method import Limits, Progress
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench_baselines.importance.method import Importance
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior

N_OBS = 6


@pytest.fixture(scope="module")
def case(data_root):
    """Problem, exact posterior and some validation spectra."""
    task = build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    data = open_data(task, data_root, n_train=100, n_validation=100, n_test=2, workers=1)
    problem = task.problem(data.source, Importance.capabilities)
    exact = LinearGaussianPosterior(*task.simulator.matrix_and_offset(), task.parameters)
    return problem, exact, problem.arrays("validation", N_OBS)


def fitted(problem, workdir, **settings):
    method = Importance(proposal="prior", **settings)
    return method.fit(
        problem,
        limits=Limits(100),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=workdir,
        stop=lambda: False,
        progress=Progress.silent(),
    )


@pytest.fixture(scope="module")
def answers(case, tmp_path_factory):
    """From the prior alone, and from the prior mended once."""
    problem, _, spectra = case
    result = {}
    for refinements in (0, 1):
        posterior = fitted(
            problem, tmp_path_factory.mktemp("fit"), n_proposal=10_000, refinements=refinements, components=4
        )
        result[refinements] = posterior.sample(spectra.x, spectra.sigma, 2000, rng=np.random.default_rng(1))
    return result


@pytest.mark.parametrize("refinements", [0, 1])
def test_evidence(case, answers, refinements):
    _, exact, spectra = case
    notes = answers[refinements].diagnostics
    z = (notes["log_evidence"] - exact.log_evidence(spectra.x, spectra.sigma).value) / notes["log_evidence_error"]
    assert abs(z.mean()) < 1.2
    assert z.std() < 1.8


@pytest.mark.parametrize("refinements", [0, 1])
def test_moments(case, answers, refinements):
    _, exact, spectra = case
    samples = answers[refinements]
    truth = exact.sample(spectra.x, spectra.sigma, 4000, rng=np.random.default_rng(2))
    weight = np.exp(samples.log_weight)
    weight /= weight.sum(axis=1, keepdims=True)
    mean = np.einsum("od,odp->op", weight, samples.theta)
    spread = np.sqrt(np.einsum("od,odp->op", weight, (samples.theta - mean[:, None]) ** 2))
    # Of draws that weights have thinned, as few count as the smaller effective sample size says.
    n_effective = np.minimum(samples.diagnostics["effective_sample_size"], 1.0 / np.sum(weight**2, axis=1))
    error = truth.std(axis=1) * np.sqrt(1.0 / n_effective + 1.0 / 4000)[:, None]
    assert np.mean(((mean - truth.mean(axis=1)) / error) ** 2) < 2.0
    np.testing.assert_allclose(spread / truth.std(axis=1), 1.0, atol=0.1 if refinements else 0.5)


def test_a_mended_proposal_is_efficient(answers):
    assert np.median(answers[0].diagnostics["efficiency"]) < 0.05
    # A third of the draws still comes from the prior.
    assert np.median(answers[1].diagnostics["efficiency"]) > 0.25
    assert (answers[1].diagnostics["psis_k"] < 0.7).all()


def test_calls_are_counted(case, answers):
    assert (answers[0].diagnostics["likelihood_calls"] == 10_000).all()
    # 5,000 pilot draws, 1,000 of them with 30 moves, and the start of those.
    assert (answers[1].diagnostics["likelihood_calls"] == 10_000 + 5000 + 31_000).all()


def test_missing_bins_and_a_saved_posterior(case, tmp_path):
    problem, exact, spectra = case
    x, sigma = spectra.x[:1].copy(), spectra.sigma[:1].copy()
    x[:, ::2], sigma[:, ::2] = np.nan, np.inf
    posterior = fitted(problem, tmp_path / "work", n_proposal=10_000, refinements=1)
    first = posterior.sample(x, sigma, 100, rng=np.random.default_rng(0))
    notes = first.diagnostics
    assert abs(notes["log_evidence"] - exact.log_evidence(x, sigma).value) < 4.0 * notes["log_evidence_error"]
    posterior.save(tmp_path / "saved")
    loaded = Importance.load_posterior(tmp_path / "saved", problem, "cpu")
    again = loaded.sample(x, sigma, 100, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(again.theta, first.theta)
