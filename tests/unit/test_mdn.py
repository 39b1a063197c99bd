"""The mixture of normal distributions against torch's own."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import exobench.conf
from exobench.errors import ExobenchError
from exobench_baselines.mdn.method import MDN

D, N_CONTEXT, K = 3, 4, 5


def mixture() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        estimator = MDN(components=K, hidden=16).build_estimator(D, N_CONTEXT)
        with torch.no_grad():
            for p in estimator.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return estimator.double().eval()


def contexts(n: int) -> torch.Tensor:
    return torch.randn(n, N_CONTEXT, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def reference(estimator: torch.nn.Module, context: torch.Tensor) -> MixtureSameFamily:
    """The same mixture, its covariances made explicit."""
    log_weight, mean, log_scale, mixing = (part.double() for part in estimator._parts(context))
    to_z = (torch.eye(D).double() + mixing) @ torch.diag_embed((-log_scale).exp())
    covariance = torch.linalg.inv(to_z.mT @ to_z)
    return MixtureSameFamily(Categorical(logits=log_weight), MultivariateNormal(mean, covariance))


def test_density_against_torch():
    estimator, context = mixture(), contexts(6)
    u = torch.randn(6, 9, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = reference(estimator, context).log_prob(u.transpose(0, 1)).T
        assert torch.allclose(estimator.log_prob(u, context), expected, atol=1e-3, rtol=1e-4)
        assert torch.allclose(estimator.loss(u[:, 0], context, None), -expected[:, 0], atol=1e-3, rtol=1e-4)


def test_draws_have_the_mixtures_mean_and_covariance():
    estimator, context = mixture(), contexts(2)
    n = 60_000
    with torch.no_grad():
        draws = estimator.sample(context, n, torch.Generator().manual_seed(1)).double()
        law = reference(estimator, context)
    assert draws.shape == (2, n, D)
    for row in range(2):
        spread = law.variance[row].sqrt()
        assert ((draws[row].mean(dim=0) - law.mean[row]).abs() / spread).max() < 5.0 / n**0.5
        assert (draws[row].var(dim=0) / law.variance[row]).log().abs().max() < 0.1
        weights = law.mixture_distribution.probs[row]
        second = law.component_distribution
        means, covariances = second.mean[row], second.covariance_matrix[row]
        total = torch.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None])
        expected = total - torch.outer(law.mean[row], law.mean[row])
        scale = torch.outer(spread, spread)
        assert ((torch.cov(draws[row].T) - expected) / scale).abs().max() < 0.05


def test_it_starts_near_the_prior():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        estimator = MDN().build_estimator(7, 32)
    u = torch.randn(500, 7, generator=torch.Generator().manual_seed(1))
    context = torch.randn(500, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        excess = estimator.loss(u, context, None) + MultivariateNormal(torch.zeros(7), torch.eye(7)).log_prob(u)
    assert abs(float(excess.mean())) < 1.0


def test_draws_are_a_function_of_the_generator_alone():
    estimator, context = mixture(), contexts(3)
    with torch.no_grad():
        first = estimator.sample(context, 7, torch.Generator().manual_seed(1))
        torch.manual_seed(99)
        assert torch.equal(first, estimator.sample(context, 7, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("value", [1e4, -1e30, float("nan"), float("inf")])
def test_wild_contexts_stay_finite(value):
    estimator = mixture()
    with torch.no_grad():
        drawn = estimator.sample(torch.full((2, N_CONTEXT), value).double(), 100, torch.Generator().manual_seed(1))
    assert torch.isfinite(drawn).all()


def test_config_and_constructor_agree():
    content = yaml.safe_load((Path(exobench.conf.__path__[0]) / "method" / "mdn.yaml").read_text())
    defaults = {name: p.default for name, p in inspect.signature(MDN).parameters.items()}
    assert content == {"name": "mdn", **defaults}


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"components": 0}, "method.components=0"), ({"hidden": True}, "method.hidden=True")],
)
def test_wrong_values_are_named(settings, words):
    with pytest.raises(ExobenchError, match=words):
        MDN(**settings)
