"""Calibration: exact posteriors pass, wrong ones are found, whatever the number of draws."""

import numpy as np
import pytest
from scipy import stats

from exobench.metrics import (
    ScoringInputs,
    aggregate,
    calibration_verdict,
    coverage_band,
    coverage_curve,
    per_spectrum,
)
from exobench.metrics.calibration import chi2_uniform, holm, ks_uniform

NAMES = ("a", "b")
LOW, HIGH = np.full(2, -20.0), np.full(2, 20.0)


def gaussian_inputs(n_obs, n_draws, *, width=1.0, shift=0.0, seed=0, log_weight=None):
    """Truth and draws from the same Gaussian about an unknown centre; width and shift spoil the draws."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-5, 5, size=(n_obs, 2))
    truth = centre + rng.normal(size=(n_obs, 2))
    draws = centre[:, None] + shift + width * rng.normal(size=(n_obs, n_draws, 2))
    return ScoringInputs(NAMES, ("", ""), LOW, HIGH, truth, draws, log_weight)


def ranks_of(inputs, seed=1):
    return per_spectrum(inputs, np.random.default_rng(seed))["rank"]


@pytest.mark.parametrize("n_draws", [1, 3, 64, 500])
def test_exact_draws_cover_nominally_whatever_their_number(n_draws):
    ranks = ranks_of(gaussian_inputs(3000, n_draws))
    levels = np.array([0.1, 0.5, 0.68, 0.95])
    lower, upper = coverage_band(levels, 3000, probability=0.9999)
    curve = coverage_curve(ranks, levels)
    assert ((curve >= lower[:, None]) & (curve <= upper[:, None])).all()
    # A warning comes up once in a hundred sets by design; the rate is tested below.
    assert calibration_verdict(ranks, NAMES).status != "fail"


def test_raw_quantiles_of_64_draws_would_cover_too_little():
    """Why ranks: interpolated quantiles of S exact draws hold level (S - 1)/(S + 1) of the truths."""
    inputs = gaussian_inputs(30_000, 64)
    for level, expected in ((0.68, 0.659), (0.95, 0.921)):
        assert expected == pytest.approx(level * 63 / 65, abs=5e-4)
        ends = np.quantile(inputs.theta, [0.5 - level / 2, 0.5 + level / 2], axis=1)
        raw = np.mean((inputs.theta_true >= ends[0]) & (inputs.theta_true <= ends[1]))
        assert raw == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("width", "shift"), [(0.7, 0.0), (1.5, 0.0), (1.0, 0.4)], ids=["overconfident", "underconfident", "biased"]
)
def test_wrong_posteriors_fail(width, shift):
    ranks = ranks_of(gaussian_inputs(1000, 200, width=width, shift=shift))
    assert calibration_verdict(ranks, NAMES).status == "fail"
    assert (chi2_uniform(ranks) < 1e-3).all()
    coverage = coverage_curve(ranks, np.array([0.68]))[0]
    expected = np.diff(stats.norm.cdf(np.array([-1, 1]) * width * stats.norm.ppf(0.84) + shift))[0]
    np.testing.assert_allclose(coverage, expected, atol=4 * np.sqrt(expected * (1 - expected) / 1000) + 0.01)


def test_false_alarms_are_as_rare_as_stated():
    """Uniform ranks warn in at most 1 % of data sets; 400 sets, so 12 or more would be a one in a thousand event."""
    rng = np.random.default_rng(3)
    verdicts = [calibration_verdict(rng.random((200, 7)), tuple("abcdefg")).status for _ in range(400)]
    assert sum(status != "pass" for status in verdicts) < 12


def test_ranks_are_uniform_given_the_draws_distribution():
    ranks = ranks_of(gaussian_inputs(5000, 10))
    distance, p_value = ks_uniform(ranks)
    assert (p_value > 1e-3).all()
    assert (distance < 0.03).all()


@pytest.mark.parametrize("n_obs", [1, 7, 100, 3000])
def test_distance_from_uniform_is_scipys(n_obs):
    ranks = np.random.default_rng(n_obs).random((n_obs, 5)) ** np.array([0.8, 0.9, 1.0, 1.1, 1.3])
    ranks[0] = [0.0, 1.0, 0.5, 0.25, 0.75]
    found = [stats.kstest(column, "uniform") for column in ranks.T]
    distance, p_value = ks_uniform(ranks)
    np.testing.assert_allclose(distance, [each.statistic for each in found], rtol=1e-12)
    np.testing.assert_allclose(p_value, [each.pvalue for each in found], rtol=1e-9)


def test_rank_is_the_count_below_plus_a_random_part():
    inputs = gaussian_inputs(50, 20)
    below = np.sum(inputs.theta < inputs.theta_true[:, None], axis=1)
    uniform = np.random.default_rng(1).random((50, 2))
    np.testing.assert_allclose(ranks_of(inputs), (below + uniform) / 21)


def test_rank_of_weighted_draws_counts_the_truth_as_one_effective_draw():
    """(weight below + U/ESS)/(1 + 1/ESS): what equal draws give when S is the effective sample size."""
    rng = np.random.default_rng(6)
    log_weight = rng.normal(size=(20, 3000))
    inputs = gaussian_inputs(20, 3000, log_weight=log_weight)
    weight = np.exp(log_weight) / np.exp(log_weight).sum(axis=1, keepdims=True)
    own = np.sum(weight**2, axis=1)[:, None]
    below = np.sum(weight[..., None] * (inputs.theta < inputs.theta_true[:, None]), axis=1)
    uniform = np.random.default_rng(1).random((20, 2))
    np.testing.assert_allclose(ranks_of(inputs), (below + uniform * own) / (1 + own))


def test_ties_are_broken_at_random():
    """Draws that all equal the truth give uniform ranks, not all of them one half."""
    truth = np.zeros((4000, 2))
    inputs = ScoringInputs(NAMES, ("", ""), LOW, HIGH, truth, np.zeros((4000, 30, 2)))
    assert (ks_uniform(ranks_of(inputs))[1] > 1e-3).all()


def test_weighted_exact_draws_are_calibrated():
    """Draws twice too wide, with importance weights back to the truth's distribution."""
    rng = np.random.default_rng(5)
    centre = rng.uniform(-5, 5, size=(500, 2))
    offset = 2.0 * rng.normal(size=(500, 1200, 2))
    log_weight = np.sum(stats.norm.logpdf(offset) - stats.norm.logpdf(offset, scale=2.0), axis=-1)
    truth = centre + rng.normal(size=(500, 2))
    inputs = ScoringInputs(NAMES, ("", ""), LOW, HIGH, truth, centre[:, None] + offset, log_weight)
    arrays = per_spectrum(inputs, np.random.default_rng(1))
    assert arrays["ess"].min() > 200
    assert calibration_verdict(arrays["rank"], NAMES).status == "pass"
    unweighted = ScoringInputs(NAMES, ("", ""), LOW, HIGH, truth, centre[:, None] + offset)
    assert calibration_verdict(ranks_of(unweighted), NAMES).status == "fail"


def test_weighted_draws_of_low_effective_size_have_no_calibration():
    """150 draws of unequal weight are too few; 150 of equal weight are not."""
    rng = np.random.default_rng(5)
    unequal = gaussian_inputs(300, 150, log_weight=0.5 * rng.normal(size=(300, 150)))
    assert np.isnan(ranks_of(unequal)).all()
    scores = aggregate(per_spectrum(unequal, rng), NAMES, LOW, HIGH, n_bootstrap=10)
    for score in scores:
        if score.metric.startswith(("coverage", "sbc_ks", "sbc_chi2", "sbc_pairs")):
            assert score.status == "undefined"
            assert "effective sample size below 200" in score.reason
    assert calibration_verdict(ranks_of(unequal), NAMES).status == "undefined"
    assert np.isfinite(ranks_of(gaussian_inputs(300, 150, log_weight=np.full((300, 150), -3.0)))).all()


def test_one_percent_of_spectra_may_lack_a_rank_and_is_named():
    inputs = gaussian_inputs(1000, 300)
    arrays = per_spectrum(inputs, np.random.default_rng(0))
    arrays["rank"][:10] = np.nan
    scores = [s for s in aggregate(arrays, NAMES, LOW, HIGH, n_bootstrap=10) if s.metric == "coverage_68"]
    assert [(s.status, s.n_obs) for s in scores] == [("ok", 990)] * 2
    assert "10 of 1000" in scores[0].reason
    arrays["rank"][:11] = np.nan
    scores = [s for s in aggregate(arrays, NAMES, LOW, HIGH, n_bootstrap=10) if s.metric == "coverage_68"]
    assert [s.status for s in scores] == ["undefined"] * 2
    verdict = calibration_verdict(arrays["rank"], NAMES)
    assert (verdict.status, verdict.n_obs) == ("undefined", 989)
    assert verdict.reason == "11 of 1000 spectra have no rank: " + scores[0].reason.split(": ")[1] + "."


def test_the_prior_is_calibrated():
    """The reason why calibration is a badge and not a rank."""
    rng = np.random.default_rng(2)
    truth, draws = rng.uniform(-20, 20, size=(1000, 2)), rng.uniform(-20, 20, size=(1000, 100, 2))
    ranks = ranks_of(ScoringInputs(NAMES, ("", ""), LOW, HIGH, truth, draws))
    assert calibration_verdict(ranks, NAMES).status == "pass"


def test_too_few_spectra_get_no_badge():
    verdict = calibration_verdict(np.random.default_rng(0).random((25, 2)), NAMES)
    assert verdict.status == "undefined"
    assert "100" in verdict.reason


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.09, 0.09, 0.5])


def test_coverage_is_tested_by_the_exact_binomial():
    """All 100 ranks in the central 68 %: twice 0.68^100, times the family of three; the rest is close to nominal."""
    ranks = 0.16 + 0.68 * (np.arange(100)[:, None] + 0.5) / 100
    verdict = calibration_verdict(ranks, ("a",))
    assert verdict.smallest_p == pytest.approx(3 * 2 * 0.68**100, rel=1e-6)
    assert "68 % coverage" in verdict.reason
    assert verdict.coverage_z[0][0] == pytest.approx(32 / np.sqrt(100 * 0.68 * 0.32))


def test_verdict_names_what_decided():
    ranks = np.random.default_rng(0).random((1000, 2))
    ranks[:, 1] **= 1.5
    verdict = calibration_verdict(ranks, NAMES)
    assert verdict.status == "fail"
    assert "uniform ranks of b" in verdict.reason
    assert verdict.ks_p[0] > 0.01 > verdict.ks_p[1]


def test_of_tests_that_holm_ties_the_one_with_the_smallest_raw_p_is_named():
    """Each column is a little off, b a little more: after Holm's correction the p-values of both are the same."""
    even = (np.arange(1000) + 0.5) / 1000
    ranks = np.stack([even**1.14, even**1.1401], axis=1)
    raw = ks_uniform(ranks)[1]
    verdict = calibration_verdict(ranks, NAMES)
    assert raw[1] < raw[0]
    assert verdict.ks_p[0] == verdict.ks_p[1] == verdict.smallest_p < 0.2
    assert "uniform ranks of b" in verdict.reason


def test_a_verdict_that_nothing_stood_against_names_no_parameter():
    verdict = calibration_verdict(np.repeat((np.arange(1000)[:, None] + 0.5) / 1000, 2, axis=1), NAMES)
    assert (verdict.status, verdict.smallest_p) == ("pass", 1.0)
    assert verdict.reason == "every family-wise p is 1, 1000 spectra."
