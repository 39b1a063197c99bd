"""The Pareto shape of importance weights against weights whose tail is known."""

from __future__ import annotations

import numpy as np
import pytest

from exobench.sampling.psis import K_LIMIT, pareto_k


@pytest.mark.parametrize("k", [0.2, 0.5, 0.8, 1.2])
def test_pareto_weights_have_their_own_shape(k):
    # u^-k is Pareto with P(w > t) = t^(-1/k).
    estimates = [pareto_k(-k * np.log(np.random.default_rng(seed).random(20_000))) for seed in range(8)]
    assert np.mean(estimates) == pytest.approx(k, abs=0.08)


def test_a_proposal_that_is_too_narrow_is_seen():
    rng = np.random.default_rng(0)
    narrow = 0.25 * rng.standard_normal((20_000, 3))
    log_weight = np.sum(-0.5 * narrow**2 + 0.5 * (narrow / 0.25) ** 2, axis=1)
    assert pareto_k(log_weight) > K_LIMIT


def test_a_proposal_beside_the_posterior_is_seen():
    rng = np.random.default_rng(0)
    beside = 4.0 + rng.standard_normal(20_000)
    assert pareto_k(0.5 * (beside - 4.0) ** 2 - 0.5 * beside**2) > K_LIMIT


def test_a_good_proposal_is_trusted():
    wide = 1.3 * np.random.default_rng(0).standard_normal((20_000, 3))
    assert pareto_k(np.sum(0.5 * (wide / 1.3) ** 2 - 0.5 * wide**2, axis=1)) < 0.5


def test_shape_does_not_depend_on_the_weights_scale_or_order():
    rng = np.random.default_rng(1)
    log_weight = rng.standard_normal(5000)
    k = pareto_k(log_weight)
    assert pareto_k(log_weight[::-1] + 300.0) == pytest.approx(k, abs=1e-9)


def test_equal_weights_have_no_tail():
    assert pareto_k(np.full(1000, -123.0)) == 0.0


@pytest.mark.parametrize("log_weight", [np.full(100, -np.inf), np.r_[np.zeros(4), np.full(96, -np.inf)]])
def test_too_few_draws_with_weight_are_not_trusted(log_weight):
    assert pareto_k(log_weight) == np.inf


def test_a_weight_that_is_not_a_number_is_not_trusted():
    assert pareto_k(np.r_[np.zeros(99), np.nan]) == np.inf


def test_the_weights_are_left_alone():
    log_weight = np.random.default_rng(0).standard_normal(500)
    before = log_weight.copy()
    pareto_k(log_weight)
    np.testing.assert_array_equal(log_weight, before)
