"""Ranks: equal methods are told apart no more often than the level says, clear differences always."""

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.metrics.calibration import holm
from exobench.metrics.ranking import FEWEST_SEEDS, LEVEL, rank_methods


def skewed_scores(rng, n_method, n_obs, own=0.3):
    """Scores of equal methods: mostly the spectrum's own difficulty, skewed, and a skewed part of each method."""
    return rng.gamma(2.0, size=n_obs) + own * (rng.gamma(2.0, size=(n_method, n_obs)) - 2.0)


def by_hand(p):
    """Holm's adjusted p-values from their definition: max over j <= i of (m - j) p_(j), at most one."""
    order, m = sorted(range(len(p)), key=lambda i: p[i]), len(p)
    adjusted = [0.0] * m
    for place, i in enumerate(order):
        adjusted[i] = min(1.0, max((m - j) * p[order[j]] for j in range(place + 1)))
    return adjusted


def largest_share(level, n):
    """What a share of n repetitions stays below but for three of its standard errors."""
    return level + 3.0 * np.sqrt(level * (1.0 - level) / n)


def test_equal_methods_are_ranked_apart_at_most_at_the_level():
    rng, n = np.random.default_rng(1), 400
    apart = sum((rank_methods(skewed_scores(rng, 4, 150), n_bootstrap=200).ranks > 1).any() for _ in range(n))
    assert apart / n <= largest_share(LEVEL, n)


def test_one_pair_of_equal_methods_is_told_apart_as_often_as_the_level_says():
    rng, n = np.random.default_rng(2), 800
    scores = (skewed_scores(rng, 2, 150) for _ in range(n))
    rate = np.mean([(rank_methods(pair, n_bootstrap=400).ranks > 1).any() for pair in scores])
    assert rate <= largest_share(LEVEL, n)
    # The bootstrap's agreement may cost a little of the level, but not most of it.
    assert rate >= 0.02


def test_clear_differences_are_found_and_ties_share_a_rank():
    rng = np.random.default_rng(3)
    scores = skewed_scores(rng, 5, 400)
    # sd of a pair's mean difference: 0.3 sqrt(2 x 2/400) = 0.03.
    scores += np.array([0.0, 0.0, 0.3, 0.3, 0.6])[:, None]
    assert rank_methods(scores).ranks.tolist() == [1, 1, 3, 3, 5]
    assert rank_methods(scores, higher_is_better=True).ranks.tolist() == [4, 4, 2, 2, 1]


def test_a_difference_of_five_errors_is_found_almost_always():
    rng, n = np.random.default_rng(4), 200
    shift = 5.0 * 0.3 * np.sqrt(2 * 2 / 150) * np.arange(2)[:, None]
    found = [
        rank_methods(skewed_scores(rng, 2, 150) + shift, n_bootstrap=400).ranks.tolist() == [1, 2] for _ in range(n)
    ]
    # P(t > 1.98 | noncentrality 5) = 0.9985.
    assert np.mean(found) >= 0.98


def test_p_values_are_scipys_paired_t_and_holms_by_hand():
    rng = np.random.default_rng(5)
    scores = skewed_scores(rng, 5, 80) + 0.04 * np.arange(5)[:, None]
    ranking = rank_methods(scores, n_bootstrap=100)
    first, second = np.triu_indices(5, k=1)
    raw = [stats.ttest_rel(scores[a], scores[b]).pvalue for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ranking.p_value[first, second], by_hand(raw), rtol=1e-9)
    np.testing.assert_allclose(holm(np.array(raw)), by_hand(raw), rtol=1e-12)
    np.testing.assert_allclose(ranking.difference, scores.mean(1)[:, None] - scores.mean(1)[None], atol=1e-15)
    np.testing.assert_array_equal(ranking.p_value, ranking.p_value.T)
    np.testing.assert_array_equal(np.diag(ranking.p_value), 1.0)


def test_the_bootstrap_agrees_with_t():
    rng, n_bootstrap = np.random.default_rng(6), 20_000
    scores = skewed_scores(rng, 3, 500) + 0.02 * np.arange(3)[:, None]
    ranking = rank_methods(scores, n_bootstrap=n_bootstrap)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        p = stats.ttest_rel(scores[a], scores[b]).pvalue
        # Skewness moves the two apart by a little beside the resamples' own error.
        assert ranking.bootstrap_p[a, b] == pytest.approx(p, abs=4 * np.sqrt(p / n_bootstrap) + 0.1 * p)


def test_a_difference_that_the_bootstrap_does_not_confirm_is_not_counted():
    noise = np.random.default_rng(14).normal(size=400)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    # Just below the level by t, so that few resamples fall on either side of it by chance.
    wanted = stats.t.isf(0.5 * 0.98 * LEVEL, 399) / np.sqrt(400)
    found = [rank_methods([noise + wanted, np.zeros(400)], n_bootstrap=400, seed=seed) for seed in range(20)]
    assert all(ranking.p_value[0, 1] < LEVEL for ranking in found)
    confirmed = [bool(ranking.bootstrap_p[0, 1] < LEVEL) for ranking in found]
    assert [bool(ranking.better[1, 0]) for ranking in found] == confirmed
    assert len(set(confirmed)) == 2


def test_what_all_methods_share_and_the_order_of_methods_change_nothing():
    rng = np.random.default_rng(7)
    scores = skewed_scores(rng, 4, 200) + 0.1 * np.arange(4)[:, None]
    plain, order = rank_methods(scores), np.array([2, 0, 3, 1])
    shared = rank_methods(scores + rng.gamma(0.3, 10.0, size=200))
    np.testing.assert_allclose(shared.p_value, plain.p_value, rtol=1e-6)
    np.testing.assert_array_equal(rank_methods(scores[order]).ranks, plain.ranks[order])


def test_identical_methods_and_constant_differences_need_no_spread():
    scores = np.random.default_rng(8).gamma(2.0, size=50)
    ranking = rank_methods([scores, scores, scores + 0.1])
    assert ranking.ranks.tolist() == [1, 1, 3]
    assert ranking.p_value[0, 1] == 1.0
    assert ranking.p_value[0, 2] == 0.0


def test_differences_far_below_the_scores_are_not_lost_to_rounding():
    rng = np.random.default_rng(9)
    first = rng.gamma(2.0, size=300)
    second = first + 1e-9 * (1.0 + rng.normal(size=300))
    expected = stats.ttest_rel(first, second).pvalue
    assert rank_methods([first, second]).p_value[0, 1] == pytest.approx(expected, rel=1e-4)


def seeded(rng, n_seed, n_obs, between=0.2):
    """A method's fits: one spread over seeds, one over spectra, one over both."""
    return rng.normal(size=n_obs) + between * rng.normal(size=(n_seed, 1)) + 0.2 * rng.normal(size=(n_seed, n_obs))


def test_with_seeds_equal_methods_are_told_apart_at_most_at_the_level_though_their_fits_differ():
    n = 200
    rates = {}
    for n_seed in (FEWEST_SEEDS, FEWEST_SEEDS - 1):
        rng = np.random.default_rng(10)
        told = 0
        for _ in range(n):
            difficulty = rng.gamma(2.0, size=300)
            fits = [difficulty + seeded(rng, n_seed, 300) - rng.normal(size=300) for _ in range(2)]
            told += (rank_methods(fits, n_bootstrap=200).ranks > 1).any()
        rates[n_seed] = told / n
    assert rates[FEWEST_SEEDS] <= largest_share(LEVEL, n)
    # Fewer seeds: the fits at hand do differ, and the claim is about them alone.
    assert rates[FEWEST_SEEDS - 1] > 2 * LEVEL


def test_where_only_seeds_spread_the_test_is_welchs():
    rng = np.random.default_rng(11)
    fits = [np.tile((shift + spread * rng.normal(size=(n, 1))), (1, 40)) for shift, spread, n in ((0, 1, 6), (2, 3, 9))]
    expected = stats.ttest_ind(fits[0][:, 0], fits[1][:, 0], equal_var=False)
    ranking = rank_methods(fits, n_bootstrap=20_000)
    assert ranking.p_value[0, 1] == pytest.approx(expected.pvalue, rel=1e-9)
    error = np.sqrt(sum(np.var(fit[:, 0], ddof=1) / len(fit) for fit in fits))
    assert ranking.standard_error[0, 1] == pytest.approx(error, rel=1e-9)


def test_the_bootstrap_over_five_seeds_draws_four_whose_mean_has_the_unbiased_variance():
    own = np.arange(-2.0, 3.0)
    fits = [np.tile(own[:, None] + shift, (1, 30)) for shift in (0.0, 8.5 / 4)]
    # The difference of two means of four is a quarter of a sum of eight uniform whole numbers from -2 to 2.
    chance = np.ones(1)
    for _ in range(8):
        chance = np.convolve(chance, np.full(5, 0.2))
    total = np.arange(len(chance)) - 16
    assert chance @ total**2 / 16 == pytest.approx(2 * np.var(own, ddof=1) / 5)
    expected = chance[np.abs(total) >= 8.5].sum()
    found = rank_methods(fits, n_bootstrap=20_000).bootstrap_p[0, 1]
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / 20_000))


def test_fewer_than_five_seeds_are_the_fits_at_hand_averaged():
    rng = np.random.default_rng(12)
    fits = [seeded(rng, FEWEST_SEEDS - 1, 100), seeded(rng, 1, 100)]
    expected = stats.ttest_rel(fits[0].mean(axis=0), fits[1][0]).pvalue
    assert rank_methods(fits).p_value[0, 1] == pytest.approx(expected, rel=1e-9)


def test_the_claim_says_of_what_it_is():
    rng = np.random.default_rng(13)
    few, many = rng.gamma(2.0, size=(2, 50)), rng.gamma(2.0, size=(FEWEST_SEEDS, 50))
    assert "about these trained models: no method was fitted from 5 seeds" in rank_methods([few, few[0]]).claim
    assert "about these trained models: 1 of 3 methods were" in rank_methods([few, many, few[0]]).claim
    both = rank_methods([many, many + 1.0]).claim
    assert "this is about methods" in both
    assert "these trained models" not in both
    assert "50 spectra" in both
    assert "over all 1 pair." in both


def test_one_method_is_first():
    ranking = rank_methods([np.arange(5.0)])
    assert ranking.ranks.tolist() == [1]
    assert "no other method" in ranking.claim


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ([], {}, "at least one method"),
        ([np.zeros(3), np.zeros(4)], {}, r"method 1 have shape \(1, 4\)"),
        ([np.zeros(1)], {}, "two or more spectra"),
        ([np.zeros(3), np.array([0.0, np.nan, 1.0])], {}, "method 1 are not finite for 1 of 3"),
        ([np.zeros((0, 3))], {}, "method 0 have shape"),
        ([np.zeros(3)], {"level": 0.0}, "must lie in"),
        ([np.zeros(3)], {"n_bootstrap": 10}, "at least 1/level"),
    ],
)
def test_wrong_input_is_an_error(scores, options, words):
    with pytest.raises(ExobenchError, match=words):
        rank_methods(scores, **options)
