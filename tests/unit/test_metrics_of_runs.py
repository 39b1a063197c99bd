"""What a run adds to its scores: likelihoods and densities of draws, from the closed form, and counted as nobody's."""

from dataclasses import replace

import numpy as np
import pytest

from exobench import draw_densities
from exobench.data.imported import ImportedSpectra, imported_task
from exobench.data.source import PromisedSpectra, open_data
from exobench.draw_densities import part_quantities
from exobench.drawing import Drawn
from exobench.method import Capability
from exobench.registry import METHODS, names
from exobench.results import read_arrays
from exobench.scoring import score_draws
from exobench.task import TaskRequest
from exobench_baselines.importance.method import Importance
from exobench_tasks.linear_gaussian.task import build

N_OBS, N_DRAWS = 400, 60


class Exact:
    """The closed form as a method and as its posterior."""

    capabilities = Capability.LOG_PROB
    spectra_per_call = 7

    def __init__(self, task):
        self.task, self.asked = task, 0

    def log_prob(self, theta, x, sigma):
        assert len(theta) <= self.spectra_per_call
        self.asked += theta.shape[0] * theta.shape[1]
        # Up to the evidence, which is slow and moves no rank.
        depth = theta @ self.task.exact.matrix.T + self.task.exact.offset
        return self.task.noise.log_likelihood(depth, x[:, None], sigma[:, None])


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    task = build(TaskRequest())
    test = open_data(task, tmp_path_factory.mktemp("data"), n_train=0, n_validation=0, n_test=N_OBS, workers=1).test
    return task, test, task.exact.sample(test.x, test.sigma, N_DRAWS, rng=np.random.default_rng(0))


def drawn(theta, log_prob_true=None):
    truth = np.zeros(len(theta)) if log_prob_true is None else log_prob_true
    return Drawn(theta.astype(np.float32), None, truth, 1.0, theta.shape[1], 0, 0, {})


def scores(problem, theta, folder, **options):
    task, test, _ = problem
    method = Exact(task)
    truth = np.concatenate(
        [
            method.log_prob(test.theta_true[row, None, None], test.x[row, None], test.sigma[row, None])[:, 0]
            for row in range(N_OBS)
        ]
    )
    scored = score_draws(task, test, drawn(theta, truth), method, method, ("seed",), folder, **options)
    return {s["metric"]: s for s in scored["scores"] if s["parameter"] is None}, scored


def test_likelihoods_are_those_of_the_linear_model_and_none_is_the_methods(problem):
    task, test, theta = problem
    method = Exact(task)
    counted = task.problem(PromisedSpectra(1, 1), Capability.NEEDS_LIKELIHOOD)
    fields, note = part_quantities(task, test, drawn(theta), method, method)
    depth = theta.astype(np.float32).astype(float) @ task.exact.matrix.T + task.exact.offset
    expected = task.noise.log_likelihood(depth, test.x[:, None], test.sigma[:, None])
    # The simulator's depths are single precision: 1e-3 ppm of 20 in each of 40 bins.
    np.testing.assert_allclose(fields["log_likelihood"], expected, atol=0.02)
    np.testing.assert_allclose(fields["log_prob"], expected, rtol=1e-12)
    assert (fields["n_bin"] == 40).all()
    assert (fields["log_likelihood_peak"][:, None] >= fields["log_likelihood"]).all()
    assert note["simulations"] == N_OBS * (N_DRAWS + 1)
    assert method.asked == N_OBS * N_DRAWS
    assert counted.likelihood_calls.n == counted.simulator_calls.n == 0


def test_the_exact_posterior_passes_and_others_are_seen(problem, tmp_path):
    theta = problem[2]
    exact, scored = scores(problem, theta, tmp_path)
    assert min(exact[name]["value"] for name in ("sbc_log_likelihood_p", "sbc_log_prob_p")) > 1e-3
    assert exact["hpd_coverage_68"]["value"] == pytest.approx(0.68, abs=4 * np.sqrt(0.68 * 0.32 / N_OBS))
    assert exact["predictive_p"]["value"] == pytest.approx(0.5, abs=0.1)
    assert exact["predictive_misfit_share"]["value"] < 0.05
    assert scored["draw_densities"]["n_obs"] == N_OBS
    mean = theta.mean(axis=1, keepdims=True)
    narrow, _ = scores(problem, mean + 0.6 * (theta - mean), tmp_path)
    assert max(narrow[name]["value"] for name in ("sbc_log_likelihood_p", "sbc_log_prob_p")) < 1e-3
    prior = np.random.default_rng(1).uniform(-1, 1, size=theta.shape)
    lost, _ = scores(problem, prior, tmp_path)
    assert lost["sbc_log_likelihood_p"]["value"] < 1e-3
    assert lost["predictive_misfit_share"]["value"] > 0.5


def test_more_spectra_and_draws_than_the_part_are_left_out_and_counted(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(draw_densities, "PART_OBS", 300)
    monkeypatch.setattr(draw_densities, "PART_DRAWS", 20)
    found, scored = scores(problem, problem[2], tmp_path)
    for name in ("sbc_log_likelihood_p", "hpd_coverage_68", "predictive_p"):
        assert found[name]["status"] == "ok"
        assert (found[name]["n_obs"], found[name]["reason"]) == (300, "computed for 300 of 400 spectra")
    assert found["sbc_log_likelihood_p"]["value"] > 1e-3
    assert scored["draw_densities"]["simulations"] == 300 * 21
    table = read_arrays(tmp_path / "scores.h5")
    assert table["in_part"].sum() == 300
    assert np.isnan(table["predictive_p"][300:]).all()


def test_draws_outside_the_prior_have_likelihood_zero(problem):
    task, test, theta = problem
    outside = theta.copy()
    outside[:, :6, 0] = 1.5
    outside[:, 6, 1] = np.nan
    method = Exact(task)
    fields, _ = part_quantities(task, test, drawn(outside), method, method)
    named = np.take_along_axis(outside[..., 0], fields["part_draw"], axis=1)
    assert (fields["log_likelihood"][(named == 1.5) & (fields["part_draw"] >= 0)] == -np.inf).all()
    assert ((fields["part_draw"] >= 0).sum(axis=1) == N_DRAWS - 1).all()
    assert not np.isnan(fields["log_likelihood"]).any()


def test_uneven_weights_are_told_of_with_what_the_method_knows_to_help(problem, tmp_path, caplog):
    task, test, theta = problem
    uneven = np.zeros(theta.shape[:2])
    uneven[:8, 0] = 1.0
    few = replace(drawn(theta), log_weight=uneven)
    scored = score_draws(task, test, few, Importance(), Exact(task), ("seed",), tmp_path)
    why = "8 of 400 spectra have no rank: weighted draws with an effective sample size below 200, or no finite draw"
    assert scored["calibration"]["reason"] == f"{why}."
    (line,) = [each.getMessage() for each in caplog.records if "no rank" in each.getMessage()]
    assert line.startswith(f"importance: {why}. What helps: method=smc")
    assert "smc" in names(METHODS)
    assert "n_proposal" in line
    caplog.clear()
    score_draws(task, test, drawn(theta), Importance(), Exact(task), ("seed",), tmp_path)
    assert "no rank" not in caplog.text


def test_imported_spectra_have_no_likelihood(problem, tmp_path):
    task, test, theta = problem
    task = imported_task(task, ImportedSpectra("somewhere", "0" * 64, "taurex2", 100))
    found, _ = scores((task, test, theta), theta, tmp_path)
    assert found["sbc_log_likelihood_p"]["status"] == "not available"
    assert found["hpd_coverage_68"]["status"] == "ok"


def test_a_method_without_a_density_is_not_asked_for_one(problem, tmp_path):
    task, test, theta = problem
    method = Exact(task)
    method.capabilities = Capability.NONE
    fields, _ = part_quantities(task, test, replace(drawn(theta), log_prob_true=None), method, method)
    assert "log_prob" not in fields
    assert method.asked == 0


def test_noise_level_and_bayes_factors_are_stored_beside_the_scores(problem, tmp_path):
    factor = np.where(np.arange(N_OBS) < 100, 5.0, np.nan)
    scores(problem, problem[2], tmp_path, log_bayes_factor={"log_bayes_factor.theta_1": factor})
    table = read_arrays(tmp_path / "scores.h5")
    np.testing.assert_allclose(table["noise_ppm"], 1e6 * problem[1].sigma[:, 0])
    np.testing.assert_array_equal(table["log_bayes_factor.theta_1"], factor)
