"""The challenge's network, the statistics of its stochastic passes, and whole fits."""

import numpy as np
import pytest
import torch

from exobench.data.first_rows import FirstRows
from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits, Progress
from exobench.networks.spectrum import FeatureShape, SpectrumFeatures
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.problem import InferenceProblem
from exobench_baselines.mc_dropout.convolutional import ChallengeEncoder, length_left
from exobench_baselines.mc_dropout.head import DropoutHead
from exobench_baselines.mc_dropout.method import MCDropout

SPACE = ParameterSpace(tuple(Parameter(name, "1", name, -1.0, 3.0) for name in ("a", "b")))
N_BIN = 24
SMALL = {"filters": (4, 8), "dense": (32, 16), "training": {"batch_size": 64, "min_steps": 1}}


class ToySource:
    """A line whose level and slope are the parameters; streams come from FirstRows."""

    def __init__(self, n_train):
        self._n = {"train": n_train, "validation": 64}

    def n(self, split):
        return self._n[split]

    def read(self, split, n):
        theta = SPACE.from_unit_cube(np.random.default_rng(len(split)).random((self._n[split], 2)))[:n]
        return theta, 0.01 + 1e-4 * (theta[:, :1] + theta[:, 1:] * np.linspace(-1, 1, N_BIN))


def problem_of(n_train=256, n_bin=N_BIN):
    edges = np.linspace(1.0, 2.0, n_bin + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    source = FirstRows(ToySource(n_train), n_train)
    return InferenceProblem("toy", SPACE, UniformPrior(SPACE), centres, edges, ConstantNoise(20.0), source)


def fit(folder, *, problem=None, steps=6, stop=lambda: False, **settings):
    return MCDropout(**{**SMALL, **settings}).fit(
        problem or problem_of(),
        limits=Limits(steps=steps),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=folder,
        stop=stop,
        progress=Progress.silent(),
    )


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks of this size lose more than they gain from a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def head_of(**settings):
    torch.manual_seed(0)
    return DropoutHead(2, 6, **{"dense": (40, 20), "dropout": 0.3, "output": "point", **settings})


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_network_has_the_sizes_of_the_challenge():
    """Convolutions of the 2022 baseline: 3 bins each, unpadded; weights counted by hand."""
    encoder = ChallengeEncoder((32, 64, 128), SpectrumFeatures(FeatureShape(515, 0, False, False)))
    assert length_left(515, 3) == 60
    assert encoder.n_context == 60 * 128 + 2
    expected = sum(3 * a * b + b for a, b in ((1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128)))
    assert sum(p.numel() for p in encoder.parameters()) == expected
    head = DropoutHead(7, encoder.n_context, dense=(500, 100), dropout=0.1, output="point")
    sizes = ((encoder.n_context, 500), (500, 100), (100, 7))
    assert sum(p.numel() for p in head.parameters()) == sum(a * b + b for a, b in sizes)


def test_every_draw_is_a_pass_of_its_own_through_dropped_numbers():
    """One hidden layer: mean and variance over passes follow from independent Bernoulli masks."""
    head, context = head_of(dense=(40,)), torch.randn(3, 6, generator=generator())
    with torch.no_grad():
        draws = head.sample(context, 40_000, generator(1)).double()
        hidden = torch.relu(head.hidden[0](context)).double()
        weight, bias = head.last.weight.double(), head.last.bias.double()
    mean = hidden @ weight.T + bias
    variance = hidden.square() @ weight.square().T * 0.3 / 0.7
    torch.testing.assert_close(draws.mean(dim=1), mean, rtol=0, atol=5 * float((variance / 40_000).sqrt().max()))
    torch.testing.assert_close(draws.var(dim=1), variance, rtol=0.05, atol=1e-9)


def test_the_gaussian_output_adds_its_own_spread():
    head, context = head_of(dense=(40,), output="gaussian", dropout=1e-9), torch.randn(2, 6, generator=generator())
    with torch.no_grad():
        draws = head.sample(context, 40_000, generator(1))
        mean, log_scale = head.last(torch.relu(head.hidden[0](context))).chunk(2, dim=-1)
    torch.testing.assert_close(draws.mean(dim=1), mean, rtol=0, atol=0.05)
    torch.testing.assert_close(draws.std(dim=1), log_scale.exp(), rtol=0.03, atol=0.01)


def test_the_losses_are_squared_error_and_normal_likelihood():
    context, u = torch.randn(5, 6, generator=generator()), torch.randn(5, 2, generator=generator(2))
    point, gaussian = head_of(dropout=1e-9), head_of(dropout=1e-9, output="gaussian")
    with torch.no_grad():
        hidden = torch.relu(point.hidden[1](torch.relu(point.hidden[0](context))))
        expected = (point.last(hidden) - u).square().mean(dim=1)
        torch.testing.assert_close(point.loss(u, context, generator()), expected)
        hidden = torch.relu(gaussian.hidden[1](torch.relu(gaussian.hidden[0](context))))
        mean, log_scale = gaussian.last(hidden).chunk(2, dim=-1)
        normal = torch.distributions.Normal(mean, log_scale.exp())
        expected = -(normal.log_prob(u) + 0.5 * np.log(2 * np.pi)).mean(dim=1)
        torch.testing.assert_close(gaussian.loss(u, context, generator()), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("output", ["point", "gaussian"])
def test_it_learns_and_its_draws_differ_inside_the_box(tmp_path, output):
    problem = problem_of(1024)
    training = {"batch_size": 64, "learning_rate": 5e-3}
    posterior = fit(tmp_path, problem=problem, steps=150, output=output, training=training)
    theta_true, x, sigma = problem.arrays("validation")
    theta = posterior.sample(x, sigma, 100, rng=np.random.default_rng(1)).theta
    assert theta.shape == (64, 100, 2)
    assert SPACE.inside(theta).all()
    assert (theta.std(axis=1) > 0).all()
    error = np.abs(np.median(theta, axis=1) - theta_true)
    assert (np.median(error, axis=0) < 0.1 * 4.0).all()


def test_draws_are_inside_the_box_far_outside_the_training_spectra(tmp_path):
    posterior = fit(tmp_path)
    x = np.stack([np.full(N_BIN, 1e3), np.full(N_BIN, -1e3), np.linspace(-50, 50, N_BIN)])
    theta = posterior.sample(x, np.full_like(x, 2e-5), 50, rng=np.random.default_rng(0)).theta
    assert SPACE.inside(theta).all()


def test_saved_and_loaded_it_draws_the_same(tmp_path):
    problem = problem_of()
    posterior = fit(tmp_path / "work", problem=problem, output="gaussian", n_component=4)
    posterior.save(tmp_path / "saved")
    loaded = MCDropout.load_posterior(tmp_path / "saved", problem, "cpu")
    _, x, sigma = problem.arrays("validation")
    first, second = (p.sample(x, sigma, 9, rng=np.random.default_rng(3)).theta for p in (posterior, loaded))
    np.testing.assert_array_equal(first, second)


def test_a_stopped_fit_goes_on_to_the_same_weights(tmp_path):
    asked = iter(range(1000))
    with pytest.raises(FitInterrupted):
        fit(tmp_path / "stopped", stop=lambda: next(asked) >= 3)
    resumed, whole = fit(tmp_path / "stopped"), fit(tmp_path / "whole")
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], weight, rtol=0, atol=0)


def test_it_has_no_density(tmp_path):
    posterior = fit(tmp_path, steps=2)
    x = np.full((1, N_BIN), 0.01)
    with pytest.raises(TypeError, match="no density"):
        posterior.log_prob(np.ones((1, 1, 2)), x, np.full_like(x, 2e-5))


def test_too_few_bins_for_the_stages_are_a_reason_to_skip():
    method = MCDropout(filters=(4, 4, 4, 4))
    assert "too many for spectra of 24 bins" in method.skip(problem_of())
    assert MCDropout(filters=(4, 4)).skip(problem_of()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filters", ()),
        ("filters", (0,)),
        ("dense", 500),
        ("dropout", 0.0),
        ("dropout", 1.0),
        ("output", "mixture"),
        ("n_component", -1),
        ("training", {"epoch": 3}),
    ],
)
def test_wrong_values_are_named(name, value):
    with pytest.raises(ExobenchError, match=name):
        MCDropout(**{name: value})


def test_passes_that_part_and_spectra_off_the_scale_are_a_surprise(tmp_path):
    problem = problem_of()
    posterior = fit(tmp_path, problem=problem, steps=60)
    usual = problem.arrays("validation", 40)
    rest = posterior.surprise(usual.x, usual.sigma)
    assert rest.shape == (40,)
    far = usual.x + 1e4 * usual.sigma * (-1.0) ** np.arange(usual.x.shape[1])
    assert (posterior.surprise(far, usual.sigma) > rest.max()).all()
    posterior.save(tmp_path / "saved")
    loaded = MCDropout.load_posterior(tmp_path / "saved", problem, "cpu")
    np.testing.assert_allclose(loaded.surprise(usual.x, usual.sigma), rest, rtol=1e-5)
