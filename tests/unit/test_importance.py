"""Weighted draws, their thinning, and what proposals are made of."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.special import logsumexp
from scipy.stats import kstest

import exobench.conf
from exobench.errors import ExobenchError
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.sampling.importance import WeightedDraws, thinned_rows
from exobench.sampling.proposal import FromPrior, Mixture
from exobench.sampling.refinement import InBox, tempered, unbounded
from exobench.sampling.student_mixture import fit_student_mixture
from exobench_baselines.importance.method import Importance

SPACE = ParameterSpace((Parameter("a", "1", "a", -3.0, 5.0), Parameter("b", "1", "b", 0.0, 1.0)))


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_thinning_is_unbiased(spread):
    rng = np.random.default_rng(0)
    value, log_weight = rng.standard_normal(3000), spread * rng.standard_normal(3000)
    exact = np.average(value, weights=np.exp(log_weight))
    means = []
    for _ in range(400):
        rows, new = thinned_rows(log_weight, 300, rng)
        means.append(np.average(value[rows], weights=np.exp(new)))
    assert abs(np.mean(means) - exact) < 4.0 * np.std(means) / np.sqrt(len(means))


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0, 200.0])
def test_thinning_repeats_no_draw(spread):
    rng = np.random.default_rng(1)
    rows, log_weight = thinned_rows(spread * rng.standard_normal(2000), 500, rng)
    assert len(rows) == len(log_weight) == len(set(rows.tolist())) <= 500
    assert log_weight.max() == 0.0


def test_thinned_weights_are_equal_where_no_draw_is_heavy():
    rng = np.random.default_rng(2)
    rows, log_weight = thinned_rows(rng.uniform(-1.0, 0.0, 5000), 1000, rng)
    assert len(rows) == 1000
    np.testing.assert_allclose(log_weight, 0.0, atol=1e-12)


def test_thinning_keeps_the_heavy_draws():
    log_weight = np.r_[np.zeros(1000), 20.0, 800.0]
    rows, _ = thinned_rows(log_weight, 50, np.random.default_rng(0))
    assert 1001 in rows
    rows, new = thinned_rows(np.r_[np.zeros(1000), 20.0], 50, np.random.default_rng(0))
    assert 1000 in rows
    # The others stand for all thousand together.
    light = logsumexp(np.sort(new)[:-1])
    assert light == pytest.approx(np.log(1000.0) - 20.0, abs=1e-9)


def test_draws_without_weight_are_never_chosen():
    log_weight = np.r_[np.zeros(10), np.full(90, -np.inf)]
    rows, _ = thinned_rows(log_weight, 50, np.random.default_rng(0))
    assert sorted(rows.tolist()) == list(range(10))
    assert len(thinned_rows(np.full(5, -np.inf), 3, np.random.default_rng(0))[0]) == 0


def test_evidence_and_its_error_against_a_closed_form():
    # Standard normal times exp(0.3 x): the mean is exp(0.045).
    z = []
    for seed in range(200):
        x = np.random.default_rng(seed).standard_normal((500, 1))
        draws = WeightedDraws(x, 0.3 * x[:, 0])
        z.append((draws.log_evidence - 0.045) / draws.log_evidence_error)
    assert abs(np.mean(z)) < 0.25
    assert 0.85 < np.std(z) < 1.15


def test_effective_size_of_equal_and_single_weights():
    theta = np.zeros((10, 1))
    assert WeightedDraws(theta, np.full(10, -7.0)).efficiency == pytest.approx(1.0)
    one = WeightedDraws(theta, np.r_[0.0, np.full(9, -np.inf)])
    assert one.effective_sample_size == pytest.approx(1.0)
    none = WeightedDraws(theta, np.full(10, -np.inf))
    assert (none.effective_sample_size, none.log_evidence_error) == (0.0, np.inf)


def test_a_mixture_draws_and_weighs_its_shares():
    lower = UniformPrior(ParameterSpace((Parameter("a", "1", "a", 0.0, 1.0),)))
    whole = UniformPrior(ParameterSpace((Parameter("a", "1", "a", 0.0, 4.0),)))
    mixture = Mixture((FromPrior(lower), FromPrior(whole)), (0.75, 0.25))
    theta = mixture.sample(1000, np.random.default_rng(0))
    assert len(theta) == 1000
    assert 750 + 30 < np.sum(theta < 1.0) < 750 + 100
    density = np.exp(mixture.log_prob(np.array([[0.5], [2.5]])))
    np.testing.assert_allclose(density, [0.75 + 0.25 / 4, 0.25 / 4])


def curved_points(n=3000):
    rng = np.random.default_rng(3)
    a = 1.0 + 0.8 * rng.standard_normal(n)
    b = np.clip(0.1 + 0.1 * a**2 + 0.05 * rng.standard_normal(n), 0.001, 0.999)
    return np.stack([np.clip(a, -2.99, 4.99), b], axis=1)


def test_a_fitted_mixture_has_the_density_of_its_draws():
    mixture = fit_student_mixture(unbounded(SPACE, curved_points()), 4, np.random.default_rng(0))
    proposal, rng = InBox(SPACE, mixture), np.random.default_rng(1)
    everywhere = UniformPrior(SPACE).sample(100_000, rng)
    density = np.exp(proposal.log_prob(everywhere) - UniformPrior(SPACE).log_prob(everywhere))
    assert density.mean() == pytest.approx(1.0, abs=4.0 * density.std() / np.sqrt(len(density)))
    drawn = proposal.sample(4000, rng)
    assert SPACE.inside(drawn).all()
    order = np.argsort(everywhere[:, 0])
    cumulative = np.cumsum(density[order]) / density.sum()
    assert kstest(np.interp(drawn[:, 0], everywhere[order, 0], cumulative), "uniform").pvalue > 1e-3


def test_a_fitted_mixture_follows_its_points():
    u = unbounded(SPACE, curved_points())
    several, one = (fit_student_mixture(u, n, np.random.default_rng(0)) for n in (6, 1))
    assert several.log_prob(u).mean() > one.log_prob(u).mean() + 0.1
    assert kstest(several.sample(3000, np.random.default_rng(1))[:, 0], u[:, 0]).pvalue > 1e-4


def test_few_points_get_one_component():
    u = np.random.default_rng(0).standard_normal((15, 2))
    assert len(fit_student_mixture(u, 8, np.random.default_rng(0)).parts) == 1


def test_tempering_raises_the_effective_size_to_what_is_wanted():
    log_weight = np.r_[50.0 * np.random.default_rng(0).standard_normal(1000), -np.inf]
    draws = WeightedDraws(np.zeros((1001, 1)), tempered(log_weight, 100.0))
    assert draws.effective_sample_size == pytest.approx(100.0, rel=0.01)
    assert draws.log_weight[-1] == -np.inf
    mild = np.zeros(1000)
    np.testing.assert_array_equal(tempered(mild, 100.0), mild)


def test_config_holds_the_constructors_defaults():
    config = yaml.safe_load((Path(exobench.conf.__file__).parent / "method" / "importance.yaml").read_text())
    assert config.pop("name") == "importance"
    parameters = inspect.signature(Importance).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_proposal", 0),
        ("n_proposal", 1.5),
        ("refinements", -1),
        ("defensive_share", 1.0),
        ("refined_share", "half"),
        ("components", 0),
        ("proposal", {"flow": "nsf"}),
    ],
)
def test_wrong_settings_are_named(key, value):
    with pytest.raises(ExobenchError, match=rf"method\.{key}="):
        Importance(**{key: value})
