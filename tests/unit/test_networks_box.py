"""The box transform against scipy, closed forms and a numerical integral."""

import numpy as np
import pytest
import torch
from scipy import stats

from exobench.networks.box import BoxTransform, standard_normal_log_prob

LOW, HIGH = np.array([-8.0, 0.8, 1000.0]), np.array([-1.0, 2.0, 2000.0])


@pytest.fixture
def box() -> BoxTransform:
    return BoxTransform(LOW, HIGH)


def test_the_uniform_prior_becomes_standard_normal(box):
    theta = torch.as_tensor(np.random.default_rng(0).uniform(LOW, HIGH, (20_000, 3)))
    u = box.to_unbounded(theta).numpy()
    for column in u.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3


def test_there_and_back(box):
    theta = torch.as_tensor(np.random.default_rng(1).uniform(LOW, HIGH, (1000, 3)))
    assert torch.allclose(box.to_theta(box.to_unbounded(theta)), theta, rtol=1e-12)


def test_against_scipy(box):
    theta = np.array([[-7.9, 0.9, 1999.0], [-1.0 - 1e-5, 1.4, 1500.0]])
    expected = stats.norm.ppf((theta - LOW) / (HIGH - LOW))
    assert np.allclose(box.to_unbounded(torch.as_tensor(theta)).numpy(), expected, rtol=1e-9)


def test_edges_stay_finite_and_draws_stay_inside(box):
    edges = torch.as_tensor(np.stack([LOW, HIGH, LOW - 1.0, HIGH + 1.0]))
    assert torch.isfinite(box.to_unbounded(edges)).all()
    theta = box.to_theta(torch.tensor([[-50.0, 0.0, 50.0], [-torch.inf, 8.5, torch.inf]]))
    assert box.inside(theta).all()
    assert not box.inside(torch.as_tensor(HIGH + 1e-6)).item()


def test_density_of_the_prior_is_one_over_the_volume(box):
    u = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    log_prob = box.log_prob_theta(standard_normal_log_prob(u), u)
    assert torch.allclose(log_prob, torch.full((50,), -float(np.log(np.prod(HIGH - LOW)))).double())


def test_density_over_theta_integrates_to_one():
    box = BoxTransform(np.array([2.0]), np.array([5.0]))
    theta = torch.linspace(2.0 + 1e-6, 5.0 - 1e-6, 200_001, dtype=torch.float64)[:, None]
    u = box.to_unbounded(theta)
    log_prob_u = torch.distributions.Normal(0.7, 0.4).log_prob(u).sum(dim=-1)
    density = box.log_prob_theta(log_prob_u, u).exp()
    assert float(torch.trapezoid(density, theta[:, 0])) == pytest.approx(1.0, abs=1e-5)


def test_standard_normal_against_scipy():
    u = np.random.default_rng(2).normal(size=(5, 4, 3))
    expected = stats.multivariate_normal(np.zeros(3)).logpdf(u)
    assert np.allclose(standard_normal_log_prob(torch.as_tensor(u)).numpy(), expected)
