"""sbi's flows as conditional densities: quadrature, draws against densities, far contexts, sampling that fails."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from exobench.errors import ExobenchError
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench_baselines.npe.method import FLOWS, NPE

pytest.importorskip("sbi", reason="the package sbi is not installed")

N_CONTEXT = 6


def estimator(flow="nsf", n_param=2, seed=0, noise=0.3, **settings):
    """An estimator far from its initial weights, some of which are zero."""
    torch.manual_seed(seed)
    made = NPE(flow=flow, transforms=2, hidden=16, **settings).build_estimator(n_param, N_CONTEXT).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(noise * torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return made.requires_grad_(False)


def contexts(n=3, seed=1):
    return torch.randn(n, N_CONTEXT, generator=torch.Generator().manual_seed(seed))


def grid(n_param, half_width=9.0, n=181):
    axis = torch.linspace(-half_width, half_width, n)
    points = torch.cartesian_prod(*[axis] * n_param).reshape(-1, n_param)
    return points, float(axis[1] - axis[0]) ** n_param


@pytest.mark.parametrize(("flow", "whiten"), [(flow, True) for flow in FLOWS] + [("nsf", False)])
class TestDensity:
    def test_integrates_to_one_over_two_parameters(self, flow, whiten):
        made, context = estimator(flow, whiten=whiten), contexts(1)
        points, cell = grid(2)
        log_prob = made.log_prob(points[None], context)
        assert log_prob.shape == (1, len(points))
        assert float(log_prob.exp().sum() * cell) == pytest.approx(1.0, abs=5e-3)

    def test_draws_have_the_density(self, flow, whiten):
        """E_q[g / q] = 1 for any density g that lies where q does: here Gaussians around the draws' centre."""
        made, context = estimator(flow, n_param=3, whiten=whiten), contexts(2)
        draws = made.sample(context, 4000, torch.Generator().manual_seed(3))
        log_prob = made.log_prob(draws, context).double().numpy()
        for row, shift in itertools.product(range(2), (-0.7, 0.0, 0.7)):
            u = draws[row].double().numpy()
            g = stats.multivariate_normal(u.mean(0) + shift * u.std(0), 0.3 * np.cov(u.T))
            ratio = np.exp(g.logpdf(u) - log_prob[row])
            assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / np.sqrt(len(u))

    def test_loss_is_the_negative_log_density(self, flow, whiten):
        made, context = estimator(flow, whiten=whiten), contexts()
        u = torch.randn(3, 2)
        assert torch.allclose(made.loss(u, context, None), -made.log_prob(u[:, None], context)[:, 0], atol=1e-5)


@pytest.mark.parametrize("flow", ["nsf", "zuko_nsf", "maf"])
def test_one_parameter_is_enough(flow):
    made = estimator(flow, n_param=1)
    points, cell = grid(1, n=4001)
    total = made.log_prob(points.expand(3, -1, -1), contexts()).exp().sum(1) * cell
    assert torch.allclose(total, torch.ones(3), atol=5e-3)
    assert made.sample(contexts(), 7, torch.Generator().manual_seed(0)).shape == (3, 7, 1)


class TestRandomness:
    def test_draws_follow_the_generator_alone(self):
        made, context = estimator(), contexts()
        torch.manual_seed(1)
        first = made.sample(context, 10, torch.Generator().manual_seed(5))
        torch.manual_seed(2)
        state = torch.random.get_rng_state()
        second = made.sample(context, 10, torch.Generator().manual_seed(5))
        assert torch.equal(first, second)
        assert torch.equal(state, torch.random.get_rng_state())
        assert not torch.equal(first, made.sample(context, 10, torch.Generator().manual_seed(6)))

    def test_a_generator_in_use_gives_new_draws(self):
        made, context, generator = estimator(), contexts(), torch.Generator().manual_seed(5)
        assert not torch.equal(made.sample(context, 4, generator), made.sample(context, 4, generator))


class TestFarOutside:
    @pytest.mark.parametrize("flow", FLOWS)
    @pytest.mark.parametrize("size", [30.0, 1e6, 1e30])
    def test_extreme_contexts_give_finite_draws_and_densities(self, flow, size):
        made = estimator(flow, n_param=4, noise=0.1)
        context = size * contexts(8).sign()
        draws = made.sample(context, 50, torch.Generator().manual_seed(0))
        assert bool(torch.isfinite(draws).all())
        assert bool(torch.isfinite(made.log_prob(draws, context)).all())

    @pytest.mark.parametrize("flow", FLOWS)
    def test_parameters_at_the_edge_of_the_box_have_a_density(self, flow):
        """u reaches 5.2 there, beyond the splines of zuko and of the others."""
        made = estimator(flow, n_param=4)
        u = torch.tensor([-5.2, 5.2, 5.2, -5.2]).expand(3, 1, 4)
        assert bool(torch.isfinite(made.log_prob(u, contexts())).all())


class TestFailingSplines:
    """What nflows does where rounding makes a discriminant negative: it raises for the whole batch."""

    def draw(self, failures):
        """Standard normal draws; raises while ``failures`` lasts for row 2."""
        from exobench_baselines.npe import density

        calls = []

        def one(shape, condition):
            calls.append(len(condition))
            if bool((condition == 2.0).any()) and failures:
                raise failures.pop()
            return torch.randn(*shape, len(condition), 3)

        return density.sample_rows, one, calls

    @pytest.mark.parametrize("kind", [AssertionError, "domain"])
    def test_only_the_failing_row_is_drawn_again(self, kind):
        from nflows.transforms.base import InputOutsideDomain

        error = InputOutsideDomain if kind == "domain" else kind
        sample_rows, one, calls = self.draw([error() for _ in range(6)])
        drawn = sample_rows(one, 100, torch.arange(8.0)[:, None])
        assert drawn.shape == (100, 8, 3)
        assert bool(torch.isfinite(drawn).all())
        assert calls.count(1) < 12

    def test_not_a_number_counts_as_a_failure(self):
        from exobench_baselines.npe.density import sample_rows

        turns = iter(range(100))

        def one(shape, condition):
            return torch.full((*shape, len(condition), 3), torch.nan if next(turns) < 3 else 1.0)

        assert bool(torch.isfinite(sample_rows(one, 10, torch.zeros(4, 1))).all())

    def test_a_row_that_always_fails_ends_in_an_error(self):
        sample_rows, one, calls = self.draw([AssertionError() for _ in range(10_000)])
        with pytest.raises(ExobenchError, match="no finite draws"):
            sample_rows(one, 1000, torch.arange(8.0)[:, None])
        assert len(calls) < 60

    def test_other_errors_are_not_hidden(self):
        sample_rows, one, _ = self.draw([KeyError("x")])
        with pytest.raises(KeyError):
            sample_rows(one, 10, torch.arange(8.0)[:, None])


def test_whitening_alone_is_a_gaussian_of_the_context():
    """Taking the core's density away leaves log N(u; m, (P^T P)^-1) - log N(P (u - m); 0, I)."""
    made, context, u = estimator(), contexts(), torch.randn(3, 5, 2)
    whitening = made.density.whitening
    assert isinstance(whitening, GaussianWhitening)
    mean, factor, _ = whitening(context)
    w = torch.einsum("nij,nkj->nki", factor, u - mean[:, None])
    core = made.density.net.log_prob(w.transpose(0, 1), context).T
    for row in range(3):
        covariance = torch.linalg.inv(factor[row].double().T @ factor[row].double())
        normal = stats.multivariate_normal(mean[row].double(), covariance.numpy())
        standard = stats.multivariate_normal(np.zeros(2))
        expected = normal.logpdf(u[row]) - standard.logpdf(w[row]) + core[row].numpy()
        assert np.allclose(made.log_prob(u, context)[row], expected, atol=1e-4)
