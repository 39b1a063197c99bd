"""Score estimation: the probability flow against closed forms and against sbi's own samplers, and the settings."""

import inspect
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from exobench.errors import ExobenchError, MissingDependencyError
from exobench_baselines.npse.method import NPSE

N_PARAM, N_CONTEXT = 2, 3
SMALL = {"hidden_features": 16, "layers": 2, "time_frequency": 3.0}
DIFFUSIONS = ["ve", "vp", "subvp"]


def estimator(output=0.2, **settings):
    """An estimator whose last layers, zero at first in sbi and in the whitening, are random."""
    torch.manual_seed(0)
    made = NPSE(**{**SMALL, **settings}).build_estimator(N_PARAM, N_CONTEXT).eval()
    torch.nn.init.normal_(made.field.net.output_layer.weight, std=output)
    torch.nn.init.zeros_(made.field.net.output_layer.bias)
    if made.whitening is not None:
        torch.nn.init.normal_(made.whitening.head[-1].weight, std=0.1)
    return made.requires_grad_(False)


def contexts(n=2):
    return torch.randn(n, N_CONTEXT, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("diffusion", DIFFUSIONS)
def test_without_a_trained_score_it_is_the_whitening_gaussian(diffusion):
    """sbi's preconditioning is exact for N(0, I), and so must the flow through it be, up to the noise at t_min."""
    made, context = estimator(output=0.0, diffusion=diffusion, n_steps=20, solver="rk4"), contexts()
    mean, factor, _ = made.whitening(context)
    gaussian = torch.distributions.MultivariateNormal(mean[:, None], precision_matrix=(factor.mT @ factor)[:, None])
    u = mean[:, None] + torch.linalg.solve_triangular(factor, torch.randn(2, N_PARAM, 10), upper=False).mT
    np.testing.assert_allclose(made.log_prob(u, context), gaussian.log_prob(u), atol=0.02)
    draws = made.sample(context, 2000, torch.Generator().manual_seed(2))
    whitened = made.whitening.whiten(draws, context)[0].flatten(0, 1)
    np.testing.assert_allclose(whitened.mean(0), 0.0, atol=0.08)
    np.testing.assert_allclose(torch.cov(whitened.T), np.eye(N_PARAM), atol=0.1)


@pytest.mark.parametrize(
    ("diffusion", "solver", "n_steps", "tolerance"),
    [("vp", "midpoint", NPSE().n_steps, 0.1), ("vp", "midpoint", 64, 0.01), ("ve", "rk4", 32, 0.05)],
)
def test_flow_equals_sbi_adaptive_solver_from_the_same_noise(diffusion, solver, n_steps, tolerance):
    from sbi.samplers.ode_solvers import build_neural_ode

    made, context = estimator(whiten=False, diffusion=diffusion, solver=solver, n_steps=n_steps), contexts()
    base = torch.randn(2, 5, N_PARAM, generator=torch.Generator().manual_seed(3))
    field = made.field
    ode = build_neural_ode(
        field.ode_fn,
        field.net,
        field.mean_base,
        field.std_base,
        field.condition_shape,
        t_min=field.t_min,
        t_max=field.t_max,
        atol=1e-4,
        rtol=1e-4,
    )
    start = field.mean_base + field.std_base * base.flatten(0, 1)
    exact = ode(context.repeat_interleave(5, 0)).transform.inv(start).reshape(base.shape)
    drawn = made.transported(base, context)
    assert float((drawn - exact).abs().max()) < tolerance * float(exact.std(1).mean())


@pytest.mark.parametrize(("diffusion", "whiten"), [("vp", True), ("ve", False)])
def test_density_is_the_change_of_volume_of_the_draws(diffusion, whiten):
    made, context = estimator(diffusion=diffusion, whiten=whiten, solver="rk4", n_steps=32), contexts(1)
    for base in torch.randn(3, 1, 1, N_PARAM, generator=torch.Generator().manual_seed(9)):
        u = made.transported(base, context)
        jacobian = torch.autograd.functional.jacobian(lambda b: made.transported(b, context), base)
        log_volume = jacobian.reshape(N_PARAM, N_PARAM).det().abs().log()
        log_base = torch.distributions.Normal(0.0, 1.0).log_prob(base).sum()
        assert float(made.log_prob(u, context)) == pytest.approx(float(log_base - log_volume), abs=0.02)


def test_learns_a_skewed_posterior_and_draws_as_sbi_stochastic_sampler():
    """u = context + 0.3 e with e from a standardised gamma: skewness 1, which no Gaussian has."""
    torch.manual_seed(0)
    made = NPSE(hidden_features=32, layers=2, time_frequency=3.0).build_estimator(1, 1)
    optimiser = torch.optim.Adam(made.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=250)
    gamma = torch.distributions.Gamma(4.0, 2.0)

    for _ in range(250):
        context = torch.randn(128, 1)
        optimiser.zero_grad()
        made.loss(context + 0.3 * (gamma.sample((128, 1)) - 2.0), context).mean().backward()
        optimiser.step()
        schedule.step()
    made.eval().requires_grad_(False)
    context = torch.tensor([[0.5]])
    draws = made.sample(context, 4000, torch.Generator().manual_seed(1))[0, :, 0].numpy()
    assert np.mean(draws) == pytest.approx(0.5, abs=0.05)
    assert np.std(draws) == pytest.approx(0.3, rel=0.12)
    assert 0.5 < stats.skew(draws) < 1.5
    grid = torch.linspace(-1.0, 3.0, 301)
    density = made.log_prob(grid[None, :, None], context)[0].exp()
    assert float(torch.trapezoid(density, grid)) == pytest.approx(1.0, abs=0.02)
    below = float(torch.trapezoid(density[grid <= 0.5], grid[grid <= 0.5]))
    assert below == pytest.approx(np.mean(draws <= 0.5), abs=0.04)

    from sbi.inference import VectorFieldPosterior

    prior = torch.distributions.MultivariateNormal(torch.zeros(1), 100.0 * torch.eye(1))
    torch.manual_seed(2)
    posterior = VectorFieldPosterior(made.field, prior, sample_with="sde")
    w = posterior.sample((500,), x=context, steps=100, show_progress_bars=False)
    theirs = made.whitening.colour(w[None], context)[0, :, 0].numpy()
    assert stats.ks_2samp(draws, theirs).statistic < 0.1


def test_draws_are_finite_whatever_the_weights():
    made = estimator()
    for weight in made.parameters():
        weight.mul_(30.0)
    draws = made.sample(1e3 * contexts(), 50, torch.Generator().manual_seed(4))
    assert torch.isfinite(draws).all()


@pytest.mark.parametrize("diffusion", DIFFUSIONS)
def test_loss_is_a_pure_function_of_the_generator(diffusion):
    made, context = estimator(diffusion=diffusion), contexts(20)
    u = torch.randn(20, N_PARAM)
    state = torch.random.get_rng_state()
    first, second = (made.loss(u, context, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (20,)
    assert torch.equal(first, second)
    assert torch.isfinite(first).all()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_half_of_the_loss_is_a_bound_in_nats():
    """A score that is wrong by a known shift: the bound's excess is the integral of g^2 shift^2 / 2."""
    made, context = estimator(output=0.0, whiten=False, diffusion="ve", validation_times=256), contexts(50)
    u, shift = torch.randn(50, N_PARAM), 0.3
    plain = made.field.forward
    first = float(made.loss(u, context, torch.Generator().manual_seed(6)).mean())
    made.field.forward = lambda *args, **kwargs: plain(*args, **kwargs) + shift / made.field.std_base.max()
    second = float(made.loss(u, context, torch.Generator().manual_seed(6)).mean())
    field = made.field
    times = torch.linspace(field.t_min, field.t_max, 2001)
    rate = field.diffusion_fn(torch.ones(1), times).square().flatten()
    excess = 0.5 * N_PARAM * float(torch.trapezoid(rate, times)) * (shift / float(field.std_base.max())) ** 2
    assert second - first == pytest.approx(excess, abs=0.1)


def test_log_uniform_times_leave_the_mean_loss_alone():
    made, context = estimator(validation_times=4000), contexts(40)
    u = torch.randn(40, N_PARAM)
    logarithmic = float(made.loss(u, context, torch.Generator().manual_seed(7)).mean())
    made.log_times = False
    uniform = float(made.loss(u, context, torch.Generator().manual_seed(8)).mean())
    assert logarithmic == pytest.approx(uniform, abs=0.1)


def test_yaml_defaults_are_the_constructor_defaults():
    written = yaml.safe_load((Path(__file__).parents[2] / "conf/method/npse.yaml").read_text())
    assert written.pop("name") == "npse"
    defaults = {name: parameter.default for name, parameter in inspect.signature(NPSE).parameters.items()}
    assert set(written) == set(defaults)
    method = NPSE(**written)
    assert method.embedding_settings() == NPSE().embedding_settings()
    assert method.training_settings() == NPSE().training_settings()
    plain = {name: value for name, value in written.items() if name not in ("embedding", "training")}
    assert plain == {name: defaults[name] for name in plain}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("diffusion", "edm"),
        ("sigma_min", 0.0),
        ("sigma_min", 20.0),
        ("beta_min", 11.0),
        ("solver", "rk2"),
        ("whiten", 1),
    ],
)
def test_wrong_values_are_named(key, value):
    with pytest.raises(ExobenchError, match=f"method.{key}={value}"):
        NPSE(**{key: value})


def test_missing_sbi_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sbi.neural_nets", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .sbi"):
        NPSE().build_estimator(2, 4)


def test_noise_reaches_from_below_the_posterior_to_far_above_it():
    field = estimator(diffusion="ve").field
    assert float(field.std_fn(torch.tensor([field.t_min]))) < 0.011
    assert float(field.std_fn(torch.tensor([field.t_max]))) == pytest.approx(10.0)
    assert math.isclose(float(field.std_base.max()), math.sqrt(101.0), rel_tol=1e-5)
