"""Flow matching: the fixed-step flow against sbi's own, closed forms of its density, its loss and its settings."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench.neural.ode import divergence_of, solve, solve_with_log_det
from exobench_baselines.fmpe.method import FMPE

N_PARAM, N_CONTEXT = 3, 5
SMALL = {"hidden_features": 24, "layers": 2, "time_frequency": 10.0}


def estimator(seed=0, output=0.3, **settings):
    """An estimator whose last layers, zero at first in sbi and in the whitening, are random."""
    torch.manual_seed(seed)
    made = FMPE(**{**SMALL, **settings}).build_estimator(N_PARAM, N_CONTEXT).eval()
    torch.nn.init.normal_(made.field.net.output_layer.weight, std=output)
    torch.nn.init.zeros_(made.field.net.output_layer.bias)
    if made.whitening is not None:
        torch.nn.init.normal_(made.whitening.head[-1].weight, std=0.1)
    return made.requires_grad_(False)


def sbi_flow(field):
    from sbi.samplers.ode_solvers import build_neural_ode

    base = field.mean_base, field.std_base
    return build_neural_ode(field.ode_fn, field.net, *base, field.condition_shape, atol=1e-4, rtol=1e-4)


def contexts(n=4, seed=1):
    return torch.randn(n, N_CONTEXT, generator=torch.Generator().manual_seed(seed))


class TestFlow:
    @pytest.mark.parametrize(("n_steps", "tolerance"), [(FMPE().n_steps, 0.05), (40, 0.005)])
    def test_equals_sbi_adaptive_solver_from_the_same_noise(self, n_steps, tolerance):
        made, context = estimator(whiten=False, n_steps=n_steps), contexts()
        base = torch.randn(len(context), 10, N_PARAM, generator=torch.Generator().manual_seed(2))
        drawn = made.transported(base, context)
        field = made.field
        ode = sbi_flow(field)
        flow = ode(context.repeat_interleave(10, 0))
        exact = flow.transform.inv(base.flatten(0, 1)).reshape(base.shape)
        spread = float(exact.std(1).mean())
        assert spread > 0.3
        assert float((drawn - exact).abs().max()) < tolerance * spread

    def test_has_the_distribution_that_sbi_posterior_samples(self):
        from sbi.inference import VectorFieldPosterior

        made, context = estimator(whiten=False), contexts(1)
        ours = made.sample(context, 800, torch.Generator().manual_seed(3))[0]
        prior = torch.distributions.MultivariateNormal(torch.zeros(N_PARAM), 25.0 * torch.eye(N_PARAM))
        torch.manual_seed(4)
        theirs = VectorFieldPosterior(
            made.field, prior, sample_with="ode", neural_ode_kwargs={"atol": 1e-4, "rtol": 1e-4}
        ).sample((800,), x=context, show_progress_bars=False)
        p_values = [stats.ks_2samp(ours[:, i].numpy(), theirs[:, i].numpy()).pvalue for i in range(N_PARAM)]
        assert min(p_values) > 1e-3

    def test_density_equals_sbi_density(self):
        made, context = estimator(whiten=False, n_steps=20), contexts(2)
        u = torch.randn(len(context), 5, N_PARAM, generator=torch.Generator().manual_seed(5))
        field = made.field
        ode = sbi_flow(field)
        theirs = ode(context.repeat_interleave(5, 0)).log_prob(u.flatten(0, 1)).reshape(2, 5)
        np.testing.assert_allclose(made.log_prob(u, context), theirs, atol=0.02)

    @pytest.mark.parametrize("whiten", [True, False])
    def test_density_integrates_to_one_and_is_that_of_the_draws(self, whiten):
        made, context = estimator(whiten=whiten), contexts(1)
        generator = torch.Generator().manual_seed(6)
        draws = made.sample(context, 2000, generator)[0]
        proposal = torch.distributions.MultivariateNormal(draws.mean(0), covariance_matrix=1.5 * torch.cov(draws.T))
        u = proposal.sample((1000,))
        weight = (made.log_prob(u[None], context)[0] - proposal.log_prob(u)).exp()
        assert abs(float(weight.mean()) - 1.0) < 4 * float(weight.std()) / math.sqrt(len(u)) + 0.01
        weighted = weight[:, None] * u
        error = (weighted.var(0) / len(u) + draws.var(0) / len(draws)).sqrt()
        assert float(((weighted.mean(0) - draws.mean(0)) / error).abs().max()) < 4.5

    def test_without_a_trained_field_it_is_the_whitening_gaussian(self):
        made, context = estimator(output=1e-12, n_steps=32), contexts()
        mean, factor, _ = made.whitening(context)
        gaussian = torch.distributions.MultivariateNormal(mean[:, None], precision_matrix=(factor.mT @ factor)[:, None])
        u = torch.randn(len(context), 30, N_PARAM, generator=torch.Generator().manual_seed(7))
        np.testing.assert_allclose(made.log_prob(u, context), gaussian.log_prob(u), atol=5e-3)
        draws = made.sample(context, 5000, torch.Generator().manual_seed(8))
        np.testing.assert_allclose(draws.mean(1), mean, atol=0.1)
        for row, covariance in zip(draws, gaussian.covariance_matrix[:, 0], strict=True):
            np.testing.assert_allclose(torch.cov(row.T), covariance, atol=0.12 * float(covariance.max()))

    def test_draws_are_finite_whatever_the_weights(self):
        made = estimator()
        for weight in made.parameters():
            weight.mul_(30.0)
        draws = made.sample(1e3 * contexts(), 100, torch.Generator().manual_seed(9))
        assert torch.isfinite(draws).all()

    def test_draws_reach_posteriors_far_from_the_first_guess(self):
        """Behind a first guess u counts in the guess's width, and a truth may lie tens of these away."""
        made, context = estimator(), contexts()
        bias = made.whitening.head[-1].bias
        with torch.no_grad():
            made.whitening.head[-1].weight.zero_()
            bias[:N_PARAM] = 40.0
        draws = made.sample(context, 200, torch.Generator().manual_seed(11))
        assert float(draws.median()) > 30.0

    def test_draws_are_a_pure_function_of_the_generator(self):
        made, context = estimator(), contexts()
        state = torch.random.get_rng_state()
        first, second = (made.sample(context, 5, torch.Generator().manual_seed(10)) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(torch.random.get_rng_state(), state)


class TestSolvers:
    @pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4)])
    def test_have_their_order(self, solver, order):
        def error(n_steps):
            times = torch.linspace(0.0, 1.0, n_steps + 1, dtype=torch.float64)
            end = solve(lambda x, t: x * (1.0 + t), torch.ones(1, 1, dtype=torch.float64), times, solver)
            return abs(float(end) - math.exp(1.5))

        assert math.log2(error(16) / error(32)) == pytest.approx(order, abs=0.25)

    def test_log_det_of_a_linear_field_is_the_integral_of_its_trace(self):
        matrix = torch.tensor([[0.3, -1.0], [0.5, 0.4]], dtype=torch.float64)
        times = torch.linspace(1.0, 0.0, 9, dtype=torch.float64)
        start = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        end, log_det = solve_with_log_det(divergence_of(lambda x, t: x @ matrix.T), start, times, "rk4")
        np.testing.assert_allclose(end, start @ torch.linalg.matrix_exp(-matrix).T, rtol=1e-4)
        np.testing.assert_allclose(log_det, np.full(6, -0.7), rtol=1e-9)

    def test_the_limit_holds_a_field_that_explodes(self):
        end = solve(lambda x, t: 1e30 * x, torch.ones(2, 1), torch.linspace(0, 1, 5), "midpoint", limit=20.0)
        assert float(end.abs().max()) == 20.0


class TestWhitening:
    def test_starts_as_the_prior(self):
        whitening, context = GaussianWhitening(N_PARAM, N_CONTEXT), contexts()
        u = torch.randn(4, 6, N_PARAM)
        w, log_det = whitening.whiten(u, context)
        np.testing.assert_allclose(w.detach(), u, atol=1e-6)
        np.testing.assert_allclose(log_det.detach(), 0.0, atol=1e-6)

    def test_colour_undoes_whiten(self):
        whitening, context = estimator().whitening, contexts()
        u = torch.randn(4, 6, N_PARAM)
        np.testing.assert_allclose(whitening.colour(whitening.whiten(u, context)[0], context), u, atol=1e-4)


class TestLoss:
    def test_is_a_pure_function_of_the_generator_and_leaves_the_global_one_alone(self):
        made, context = estimator(), contexts(64)
        u = torch.randn(64, N_PARAM)
        state = torch.random.get_rng_state()
        first, second = (made.loss(u, context, torch.Generator().manual_seed(11)) for _ in range(2))
        assert first.shape == (64,)
        assert torch.equal(first, second)
        assert torch.equal(torch.random.get_rng_state(), state)

    def test_of_the_field_equals_sbi_loss_at_the_same_times(self):
        made, context = estimator(whiten=False, validation_times=128), contexts(100)
        u = torch.randn(100, N_PARAM)
        ours = float(made.loss(u, context, torch.Generator().manual_seed(12)).mean())
        torch.manual_seed(13)
        rows = torch.arange(100).repeat_interleave(128)
        theirs = float(made.field.loss(u[rows], context[rows]).mean()) * N_PARAM
        assert ours == pytest.approx(theirs, rel=0.04)

    def test_is_less_noisy_in_validation(self):
        made, context = estimator(), contexts(100)
        u = torch.randn(100, N_PARAM)

        def scatter(training):
            made.train(training)
            return np.std([float(made.loss(u, context, torch.Generator().manual_seed(i)).mean()) for i in range(12)])

        assert scatter(False) < 0.8 * scatter(True)

    def test_of_the_field_does_not_move_the_whitening(self):
        made, context = estimator().requires_grad_(True), contexts(8).requires_grad_(True)
        u = torch.randn(8, N_PARAM)
        made._field_loss(made.whitening.whiten(u[:, None], context)[0][:, 0].detach(), context, 2).sum().backward()
        assert all(weight.grad is None for weight in made.whitening.parameters())
        assert float(context.grad.abs().sum()) > 0


def test_learns_a_curved_posterior():
    """u2 given u1 lies on a parabola: no Gaussian; E log q is the entropy's closed form up to what training leaves."""
    torch.manual_seed(0)
    made = FMPE(hidden_features=48, layers=3, time_frequency=10.0, times_per_row=4).build_estimator(2, 1)
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=400)
    spread = 0.2

    def truth(n):
        context = torch.randn(n, 1)
        first = 0.7 * torch.randn(n)
        return torch.stack([first, first**2 + context[:, 0] + spread * torch.randn(n)], dim=1), context

    for _ in range(400):
        optimiser.zero_grad()
        made.loss(*truth(128)).mean().backward()
        optimiser.step()
        schedule.step()
    made.eval()
    u, context = truth(300)
    entropy = math.log(0.7) + math.log(spread) + math.log(2.0 * math.pi * math.e)
    with torch.no_grad():
        loss = -float(made.log_prob(u[:, None], context).mean())
        w, log_det = made.whitening.whiten(u[:, None], context)
        gaussian = float((0.5 * w.square().sum(-1) + math.log(2 * math.pi) - log_det).mean())
        draws = made.sample(context[:1], 4000, torch.Generator().manual_seed(1))[0]
    assert gaussian > entropy + 0.5
    assert entropy - 0.1 < loss < entropy + 0.25
    residual = draws[:, 1] - draws[:, 0] ** 2 - context[0, 0]
    assert abs(float(residual.mean())) < 0.1
    assert 0.7 * spread < float(residual.std()) < 1.8 * spread


class TestSettings:
    def test_yaml_defaults_are_the_constructor_defaults(self):
        import inspect

        written = yaml.safe_load((Path(__file__).parents[2] / "conf/method/fmpe.yaml").read_text())
        assert written.pop("name") == "fmpe"
        defaults = {name: p.default for name, p in inspect.signature(FMPE).parameters.items()}
        assert set(written) == set(defaults)
        method = FMPE(**written)
        assert method.embedding_settings() == FMPE().embedding_settings()
        assert method.training_settings() == FMPE().training_settings()
        plain = {name: value for name, value in written.items() if name not in ("embedding", "training")}
        assert plain == {name: defaults[name] for name in plain}

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("network", "cnn"),
            ("time_embedding", "cosine"),
            ("solver", "dopri5"),
            ("n_steps", 0),
            ("layers", 2.5),
            ("time_features", 7),
            ("time_frequency", -1.0),
            ("times_per_row", 0),
        ],
    )
    def test_wrong_values_are_named(self, key, value):
        with pytest.raises(ExobenchError, match=f"method.{key}={value}"):
            FMPE(**{key: value})

    def test_heads_must_divide_a_transformer(self):
        with pytest.raises(ExobenchError, match=r"method.hidden_features=30"):
            FMPE(network="transformer", hidden_features=30)

    @pytest.mark.parametrize("network", ["mlp", "ada_mlp", "transformer"])
    @pytest.mark.parametrize("time_embedding", ["sinusoidal", "fourier"])
    def test_every_network_is_built_and_drawn_from(self, network, time_embedding):
        made = FMPE(network=network, time_embedding=time_embedding, hidden_features=16, layers=1, n_steps=2)
        draws = made.build_estimator(2, 4).eval().sample(torch.randn(3, 4), 5, torch.Generator().manual_seed(0))
        assert draws.shape == (3, 5, 2)

    def test_missing_sbi_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sbi.neural_nets", None)
        with pytest.raises(MissingDependencyError, match=r"pip install .sbi"):
            FMPE().build_estimator(2, 4)
