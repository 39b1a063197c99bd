"""Expected scores under an exact posterior, against closed forms; the sampler's ranks on a task with a closed form."""

import numpy as np
import pytest
from scipy import special, stats

from exobench.reference.expected import (
    best_window,
    expected_of_answer,
    limit_of,
    mean_difference,
    mean_distance,
    sorted_column,
)
from exobench.reference.reweighting import evidence_ratio
from exobench.registry import build_method, build_task
from exobench.task import TaskRequest

N = 4000


def equal(n):
    return np.full(n, 1.0 / n)


def normal_quantiles(mean, sd, n=N):
    """Draws without noise: the middles of n slices of equal probability."""
    return mean + sd * special.ndtri((np.arange(n) + 0.5) / n)


def test_a_gaussian_against_itself():
    sd = np.array([0.02, 0.1])
    rng = np.random.default_rng(0)
    u = np.stack([rng.permutation(normal_quantiles(0.5, s)) for s in sd], axis=1)
    found = limit_of(u, equal(N), rng)
    assert found["crps"] == pytest.approx(sd / np.sqrt(np.pi), rel=2e-3)
    assert found["squared_error_best"] == pytest.approx(sd**2, rel=5e-3)
    assert found["squared_error_median"] == pytest.approx(sd**2, rel=5e-3)
    for percent in (10, 5, 2, 1):
        exact = special.erf(percent / 100 / sd / np.sqrt(2))
        # Draws without noise: the best window is the median's.
        for of in ("median", "best"):
            assert found[f"hit_rate_{percent}_{of}"] == pytest.approx(exact, abs=2e-3), (percent, of)


def test_the_energy_score_of_a_round_gaussian():
    rng = np.random.default_rng(1)
    u = 0.5 + 0.05 * rng.standard_normal((N, 7))
    # |X - X'| is sqrt(2) sd times a chi variable of seven degrees.
    exact = 0.5 * np.sqrt(2) * 0.05 * stats.chi(7).mean()
    assert float(limit_of(u, equal(N), rng)["energy_score"]) == pytest.approx(exact, rel=0.01)


def test_the_best_window_of_a_slope_is_at_its_edge_and_the_bracket_holds_it():
    exact = 1.0 - np.exp(-0.04 / 0.05)
    tops, held_out = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = limit_of(rng.exponential(0.05, (1000, 1)), equal(1000), rng)
        tops.append(float(found["hit_rate_2_best"][0]))
        held_out.append(float(found["hit_rate_2_best_held_out"][0]))
        assert found["hit_rate_2_median"][0] < exact - 0.05
    assert np.mean(held_out) <= exact + 0.004
    assert exact - 0.004 <= np.mean(tops) < exact + 0.03
    centre, held = best_window(*sorted_column(np.array([0.0, 0.5, 0.51, 0.53]), equal(4)), 0.02)
    assert (centre, held) == pytest.approx((0.515, 0.75))


def test_weights_count_like_repetition_and_pairs_like_brute_force():
    rng = np.random.default_rng(2)
    u, times = rng.random((40, 3)), rng.integers(1, 4, 40)
    weight = times / times.sum()
    repeated = np.repeat(u, times, axis=0)
    a, wa = rng.random((30, 3)), equal(30)
    gap = u[:, None, :] - a[None]
    assert mean_distance(u, weight, a, wa) == pytest.approx(weight @ np.linalg.norm(gap, axis=2) @ wa, rel=1e-12)
    assert mean_difference(u, weight, a, wa) == pytest.approx(
        np.einsum("i,ijp,j->p", weight, np.abs(gap), wa), rel=1e-12
    )
    ours, theirs = (
        expected_of_answer(v, w, a, wa, np.full(3, 0.4)) for v, w in ((u, weight), (repeated, equal(len(repeated))))
    )
    for name in ("energy_score", "crps", "hit_rate_10"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-12)


def test_a_wrong_answer_costs_what_the_closed_form_says():
    u = normal_quantiles(0.5, 0.05)[:, None]
    answer = normal_quantiles(0.56, 0.1)[:, None]
    found = expected_of_answer(u, equal(N), answer, equal(N), np.array([0.56]))
    spread = np.hypot(0.05, 0.1)
    between = spread * np.sqrt(2 / np.pi) * np.exp(-0.5 * (0.06 / spread) ** 2) + 0.06 * special.erf(
        0.06 / spread / np.sqrt(2)
    )
    crps = between - 0.1 / np.sqrt(np.pi)
    assert found["crps"][0] == pytest.approx(crps, rel=1e-3)
    assert float(found["energy_score"]) == pytest.approx(crps, rel=1e-3)
    assert found["squared_error"][0] == pytest.approx(0.05**2 + 0.06**2, rel=5e-3)
    exact = stats.norm(0.5, 0.05).cdf(0.66) - stats.norm(0.5, 0.05).cdf(0.46)
    assert found["hit_rate_10"][0] == pytest.approx(exact, abs=1e-3)


def test_the_evidence_ratio_of_two_gaussians():
    rng = np.random.default_rng(3)
    # Posterior N(0, 1) of a flat prior; the other likelihood is a tenth of a sigma off: the evidence is the same.
    theta = rng.standard_normal(20_000)
    value, error, effective = evidence_ratio(0.5 * theta**2 - 0.5 * (theta - 0.1) ** 2)
    assert abs(value) < 4 * error
    assert error < 0.001
    assert effective == pytest.approx(20_000 * np.exp(-0.01), rel=0.01)


@pytest.mark.slow
def test_ranks_of_the_nested_sampler_are_uniform():
    n_obs, n_draws = 200, 200
    task = build_task({"name": "linear_gaussian"}, TaskRequest())
    settings = {"name": "nested", "n_live": 40, "n_networks": 0, "n_effective": 300, "batch_size": 400}
    method = build_method(settings | {"effective_per_draw": 1.0})
    rng = np.random.default_rng(4)
    theta = task.prior.sample(n_obs, rng)
    import torch

    depth = task.simulator.build("cpu")(torch.as_tensor(theta)).double().numpy()
    x, sigma = task.noise.sample(depth, seed=5)
    from exobench.data.source import PromisedSpectra
    from exobench.method import Limits, Progress

    problem = task.problem(PromisedSpectra(0, 0), method.capabilities)
    posterior = method.fit(
        problem, limits=Limits(), rng=rng, device="cpu", workdir=None, stop=lambda: False, progress=Progress.silent()
    )
    draws = posterior.sample(x, sigma, n_draws, rng=rng).theta
    rank = ((draws < theta[:, None]).sum(axis=1) + rng.random(theta.shape)) / (n_draws + 1)
    p_values = [stats.kstest(column, "uniform").pvalue for column in rank.T]
    assert min(p_values) > 0.01 / len(p_values), p_values
