"""Distances from reference draws against closed forms and against sbi."""

import numpy as np
import pytest
from scipy import integrate, stats

from exobench.errors import ExobenchError
from exobench.metrics import c2st, compare_evidence, ks_score, marginal_jsd

N = 2000


def normal(n, shift=0.0, seed=0, n_param=2):
    theta = np.random.default_rng(seed).normal(size=(n, n_param))
    theta[:, 0] += shift
    return theta


def jsd_of_shift(shift):
    """Jensen-Shannon divergence of N(0, 1) and N(shift, 1), integrated."""
    grid = np.linspace(-12.0, 12.0 + shift, 20_001)
    p, q = stats.norm.pdf(grid), stats.norm.pdf(grid - shift)
    m = 0.5 * (p + q)
    return 0.5 * integrate.trapezoid(p * np.log(p / m) + q * np.log(q / m), grid)


@pytest.mark.parametrize(("shift", "loss"), [(0.0, 0.0), (0.5, 0.02), (2.0, 0.02)])
def test_c2st_of_a_shift_is_that_of_the_best_classifier(shift, loss):
    """The best classifier of two unit Gaussians a shift apart is right with probability Phi(shift/2)."""
    result = c2st(normal(N), normal(N, shift, seed=1))
    best = stats.norm.cdf(0.5 * shift)
    assert best - loss - 3 * result.standard_error < result.accuracy < best + 3 * result.standard_error
    assert result.n_draws == result.n_unique == N


def test_c2st_of_disjoint_draws_is_one():
    assert c2st(normal(500), normal(500, 50.0, seed=1)).accuracy > 0.99


def test_c2st_sees_a_correlation_across_a_narrow_ridge():
    """Correlations 0.95 and 0.92: marginals are equal, and a tree that splits along the axes sees next to nothing."""
    a, b = (
        np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=N)
        for seed, rho in ((0, 0.95), (1, 0.92))
    )
    grid = np.linspace(0.0, 30.0, 100_001)
    # Along the minor axis the standard deviations are (1 - rho)^(1/2), which the best classifier lives on.
    narrow, wide = np.sqrt([0.05, 0.08])
    floor = 0.5 + 0.25 * 2 * integrate.trapezoid(
        np.abs(stats.norm.pdf(grid, 0, narrow) - stats.norm.pdf(grid, 0, wide)), grid
    )
    result = c2st(a, b)
    assert result.accuracy == pytest.approx(floor, abs=0.02 + 3 * result.standard_error)
    assert result.accuracy > 0.53


def test_c2st_of_resampled_weighted_draws_stays_at_a_half():
    """Draws 1.5 times too wide with weights back; repeats share a fold, or they would be told from the reference."""
    wide = 1.5 * normal(4000, seed=2)
    log_weight = (stats.norm.logpdf(wide) - stats.norm.logpdf(wide, scale=1.5)).sum(axis=1)
    result = c2st(normal(4000), wide, log_weight=log_weight)
    assert abs(result.accuracy - 0.5) < 4 * result.standard_error
    assert result.n_unique < result.n_draws
    assert c2st(normal(4000), wide).accuracy > 0.56


def test_c2st_of_repeated_draws_does_not_know_them_by_heart():
    """Every draw of one side four times over: held out together, they tell nothing."""
    repeated = np.repeat(normal(500, seed=3), 4, axis=0)
    result = c2st(normal(N), repeated, seed=1)
    assert result.n_unique == 500
    assert abs(result.accuracy - 0.5) < 0.04


def test_c2st_with_the_network_equals_sbis_with_the_same_settings():
    sbi_metrics = pytest.importorskip("sbi.utils.metrics", reason="sbi is not installed")
    import torch

    reference, theta = normal(600), normal(600, 1.0, seed=1)
    settings = {"activation": "relu", "hidden_layer_sizes": (20, 20), "solver": "adam", "max_iter": 10_000}
    theirs = float(
        sbi_metrics.c2st(
            torch.from_numpy(reference), torch.from_numpy(theta), classifier="mlp", classifier_kwargs=settings
        )
    )
    ours = c2st(reference, theta, classifier="mlp")
    assert ours.accuracy == pytest.approx(theirs, abs=4 * ours.standard_error)


def test_c2st_is_above_or_equal_to_sbis_forest():
    """sbi's default is a forest grown to the last draw, which overfits: ours has at least its power."""
    sbi_metrics = pytest.importorskip("sbi.utils.metrics", reason="sbi is not installed")
    import torch

    reference, theta = normal(1000), normal(1000, 0.8, seed=1)
    theirs = float(sbi_metrics.c2st(torch.from_numpy(reference), torch.from_numpy(theta)))
    ours = c2st(reference, theta)
    assert ours.accuracy > theirs - 2 * ours.standard_error
    assert ours.accuracy < stats.norm.cdf(0.4) + 3 * ours.standard_error


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_jsd_of_a_shift_is_the_integral(shift):
    floor = (50 - 1) / 8 * 2 / 20_000
    result = marginal_jsd(normal(20_000), normal(20_000, shift, seed=1))
    assert result[0] == pytest.approx(jsd_of_shift(shift) + floor, rel=0.05, abs=0.001)
    assert result[1] == pytest.approx(floor, rel=0.6)


def test_jsd_of_disjoint_draws_is_log_two():
    np.testing.assert_allclose(marginal_jsd(normal(500), normal(500, 99.0, seed=1))[0], np.log(2.0), rtol=1e-3)
    np.testing.assert_allclose(marginal_jsd(normal(500), normal(500)), 0.0, atol=1e-12)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_ks_score_of_a_shift_is_the_closed_form(shift):
    """D = 2 Phi(shift/2) - 1."""
    expected = 1000 * (2 - 2 * stats.norm.cdf(0.5 * shift))
    result = ks_score(normal(20_000), normal(20_000, shift, seed=1))
    assert result[0] == pytest.approx(expected, abs=1000 * 3 / np.sqrt(20_000))
    assert result[1] > 980


def test_ks_score_equals_scipys():
    a, b = normal(300), normal(170, 0.3, seed=1)
    expected = [1000 * (1 - stats.ks_2samp(x, y).statistic) for x, y in zip(a.T, b.T, strict=True)]
    np.testing.assert_allclose(ks_score(a, b), expected)


@pytest.mark.parametrize("distance", [marginal_jsd, ks_score])
def test_a_draw_of_weight_two_counts_as_two_draws(distance):
    reference, theta = normal(400), normal(300, 0.4, seed=1)
    log_weight = np.where(np.arange(300) < 100, np.log(2.0), 0.0)
    doubled = np.concatenate([theta, theta[:100]])
    weighted = distance(reference, theta, log_weight=log_weight)
    np.testing.assert_allclose(weighted, distance(reference, doubled), rtol=0.02)


def test_evidence_z_scores_are_those_of_their_errors():
    rng = np.random.default_rng(0)
    n = 4000
    reference, error = rng.normal(size=n), rng.uniform(0.05, 0.2, size=n)
    value = reference + error * rng.normal(size=n)
    result = compare_evidence(value, error, reference, np.zeros(n))
    assert abs(result.mean_z) < 4 * result.mean_z_error
    assert abs(result.spread_z - 1) < 4 * result.spread_z_error
    assert result.spread_z_error == pytest.approx(1 / np.sqrt(2 * n), rel=0.05)
    assert compare_evidence(value + 0.1, error, reference, np.zeros(n)).p_value < 1e-6
    doubled = compare_evidence(value, 0.5 * error, reference, np.zeros(n))
    assert doubled.spread_z == pytest.approx(2 * result.spread_z)


@pytest.mark.parametrize("distance", [c2st, marginal_jsd, ks_score])
def test_bad_draws_are_refused_in_one_line(distance):
    good = normal(100)
    bad = good.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ExobenchError, match="1 of 100 draws are not finite"):
        distance(good, bad)
    with pytest.raises(ExobenchError, match="sum to zero"):
        distance(good, good, log_weight=np.full(100, -np.inf))
    with pytest.raises(ExobenchError, match="must be finite"):
        distance(good, good, log_weight=np.full(100, np.nan))
    with pytest.raises(ExobenchError, match=r"equal parameters"):
        distance(good, good[:, :1])
    with pytest.raises(ExobenchError, match="shape"):
        distance(good, good, log_weight=np.zeros(99))
    with pytest.raises(ExobenchError, match="at least one draw"):
        distance(good, good[:0])


def test_other_bad_input():
    with pytest.raises(ExobenchError, match="no classifier 'knn'"):
        c2st(normal(50), normal(50), classifier="knn")
    with pytest.raises(ExobenchError, match="error positive"):
        compare_evidence(np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2))
    with pytest.raises(ExobenchError, match="two spectra"):
        compare_evidence(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1))


def test_constant_draws_are_refused_where_they_would_look_right():
    """Held out together they leave nothing to learn from: an accuracy of one half without this check."""
    with pytest.raises(ExobenchError, match="200 draws hold 1 distinct"):
        c2st(normal(200), np.zeros((200, 2)))
    np.testing.assert_allclose(ks_score(normal(200), np.zeros((200, 2))), 500, atol=120)
