"""Nested samplers against the closed form of the linear task: evidence, posterior, calls, for right and wrong seeds."""

import numpy as np
import pytest
from scipy import stats

from exobench import registry
from exobench.data.source import open_data
from exobench.method import Capability, Limits, Progress
from exobench.sampling.nested_draws import cube_likelihood
from exobench.sampling.nested_settings import NestedSettings
from exobench.sampling.seeded_cube import SeededCube, run_seeded
from exobench.task import TaskRequest
from exobench_baselines.nested.method import Nested

SMALL = {"n_live": 100, "batch_size": 100, "n_networks": 0, "n_effective": 600, "effective_per_draw": 1.0}


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """A task of three parameters, its problem and two noisy spectra."""
    task = registry.build_task(
        {"name": "linear_gaussian", "shard_rows": 100, "n_param": 3, "n_bin": 30, "noise_ppm": 60.0}, TaskRequest()
    )
    folder = tmp_path_factory.mktemp("linear")
    data = open_data(task, folder, n_train=100, n_validation=50, n_test=1, workers=1)
    problem = task.problem(data.source, Capability.NEEDS_LIKELIHOOD)
    return task, problem, problem.arrays("validation", 2)


def fitted(problem, tmp_path, **settings):
    return Nested(**{**SMALL, **settings}).fit(
        problem,
        limits=Limits(),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=tmp_path,
        stop=lambda: False,
        progress=Progress.silent(),
    )


@pytest.mark.parametrize("sampler", ["nautilus", "dynesty", "ultranest"])
def test_evidence_and_posterior_are_those_of_the_closed_form(linear, tmp_path, sampler):
    if sampler != "nautilus":
        pytest.importorskip(sampler, reason=f"{sampler} is an optional extra")
    task, problem, spectra = linear
    x, sigma = spectra.x[:1], spectra.sigma[:1]
    before = problem.likelihood_calls.n
    samples = fitted(problem, tmp_path, sampler=sampler).sample(x, sigma, 300, rng=np.random.default_rng(1))
    notes = samples.diagnostics
    assert notes["converged"][0] == 1.0
    assert notes["likelihood_calls"][0] == problem.likelihood_calls.n - before > 300
    off = notes["log_evidence"][0] - task.exact.log_evidence(x, sigma).value[0]
    assert abs(off) < 4.0 * notes["log_evidence_error"][0]
    assert notes["log_evidence_error"][0] < 0.5
    exact = task.exact.sample(x, sigma, 4000, rng=np.random.default_rng(2))[0]
    for drawn, true in zip(samples.theta[0].T, exact.T, strict=True):
        assert stats.ks_2samp(drawn, true).pvalue > 1e-4


def test_draws_repeat_for_equal_seeds_and_follow_no_order_of_spectra(linear, tmp_path):
    _, problem, spectra = linear
    # Cut short: what is compared need not be converged.
    posterior = fitted(problem, tmp_path, max_calls=500)
    both = posterior.sample(spectra.x, spectra.sigma, 50, rng=np.random.default_rng(3))
    again = posterior.sample(spectra.x, spectra.sigma, 50, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(both.theta, again.theta)
    first = posterior.sample(spectra.x[:1], spectra.sigma[:1], 50, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(both.theta[:1], first.theta)


def test_missing_bins_are_left_out_of_the_evidence(linear, tmp_path):
    task, problem, spectra = linear
    x, sigma = spectra.x[:1].copy(), spectra.sigma[:1].copy()
    x[:, ::3], sigma[:, ::3] = np.nan, np.inf
    notes = fitted(problem, tmp_path).sample(x, sigma, 50, rng=np.random.default_rng(4)).diagnostics
    off = notes["log_evidence"][0] - task.exact.log_evidence(x, sigma).value[0]
    assert abs(off) < 4.0 * notes["log_evidence_error"][0]


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_a_seed_right_or_wrong_leaves_the_evidence_alone(linear, shift):
    task, problem, spectra = linear
    x, sigma = spectra.x[0], spectra.sigma[0]
    exact = task.exact.log_evidence(x[None], sigma[None]).value[0]
    draws = task.exact.sample(x[None], sigma[None], 1000, rng=np.random.default_rng(5))[0]
    seeded = SeededCube.around(
        problem.parameters.to_unit_cube(draws), share=0.1, most_components=4, broaden=1.2, shift=shift
    )
    settings = NestedSettings.of(Nested(**SMALL))
    run = run_seeded(cube_likelihood(problem, x, sigma), seeded, settings, 300, rng=np.random.default_rng(6))
    assert run.converged
    assert abs(run.log_evidence - exact) < 4.0 * run.log_evidence_error
    weight = np.exp(run.log_weight)
    mean = weight @ problem.prior.from_unit_cube(run.cube)
    error = draws.std(axis=0) * np.sqrt(1 / 1000 + 1 / run.effective_sample_size)
    np.testing.assert_array_less(np.abs(mean - draws.mean(axis=0)), 4.5 * error)
