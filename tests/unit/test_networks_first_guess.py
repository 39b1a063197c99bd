"""The first guess: right where a polynomial is right, bounded everywhere, and a change of variables for densities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exobench.networks.box import BoxTransform, standard_normal_log_prob
from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.first_guess import FirstGuess, n_terms
from exobench.networks.settings import EmbeddingSettings
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.model import NeuralModel

N_BIN, NOISE = 30, 1e-5


def spectra(n, seed=0):
    """Depths whose logarithm is a square of one parameter and linear in the other; t in the unit cube."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(size=(n, 2))
    wave = np.linspace(0, 3, N_BIN)
    depth = 0.01 * np.exp(
        0.3 * np.outer(t[:, 0], np.ones(N_BIN)) + 0.05 * np.outer(t[:, 1] ** 2 + t[:, 1], np.sin(wave))
    )
    x = depth + NOISE * rng.normal(size=depth.shape)
    return torch.as_tensor(x), torch.full((n, N_BIN), NOISE, dtype=torch.float64), torch.as_tensor(t)


@pytest.fixture(scope="module")
def guess():
    x, sigma, t = spectra(4000)
    made = FirstGuess(N_BIN, 2, *FirstGuess.sizes(4000, N_BIN, 20))
    made.fit(x, sigma[0], t)
    return made


def test_it_finds_a_sharp_parameter_far_better_than_a_percent(guess):
    x, _, t = spectra(1000, seed=1)
    u, log_width = guess(x).double().chunk(2, dim=1)
    error = torch.special.ndtr(u) - t
    assert error[:, 0].abs().median() < 3e-3
    assert guess.error[0] < 3e-3
    inner = (t > 0.1).all(dim=1) & (t < 0.9).all(dim=1)
    z = (u - torch.special.ndtri(t))[inner] / log_width.exp()[inner]
    assert torch.all((z.abs() < 1.0).double().mean(dim=0) > 0.5)


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e3, float("inf")])
def test_wild_spectra_give_bounded_guesses(guess, factor):
    x, _, _ = spectra(5)
    out = guess(x * factor)
    assert torch.isfinite(out).all()
    assert out[:, :2].abs().max() < 6.0
    assert out[:, 2:].max() <= 0.0


@pytest.mark.parametrize("n", [3, 20, 200, 2000, 40_000])
def test_no_more_coefficients_than_the_examples_can_tell(n):
    sizes = FirstGuess.sizes(n, 515, 64)
    assert sizes[0] >= sizes[1] >= sizes[2] >= 0
    assert sizes[0] == 0 or 10 * n_terms(*sizes) <= n


def test_terms_are_counted_as_they_are_made():
    guess = FirstGuess(N_BIN, 2, 7, 4, 3)
    assert guess._terms(spectra(2)[0]).shape[1] == n_terms(7, 4, 3) == len(guess.coefficients)


class Broad(ConditionalEstimator):
    """A normal distribution twice as wide as the guess says."""

    def loss(self, u, context, generator):
        return -self.log_prob(u[:, None], context)[:, 0]

    def log_prob(self, u, context):
        return standard_normal_log_prob(u / 2.0) - u.shape[-1] * np.log(2.0)

    def sample(self, context, n_draws, generator):
        return 2.0 * torch.randn(len(context), n_draws, 2, generator=generator)


@pytest.fixture(scope="module")
def model():
    x, sigma, t = spectra(4000)
    box = BoxTransform(np.array([0.0, -3.0]), np.array([1.0, 2.0]))
    encoder = SpectrumEncoder.build(EmbeddingSettings(size=16, blocks=1, n_context=4), x, sigma, torch.special.ndtri(t))
    return NeuralModel(box, encoder, Broad()).eval()


def test_the_density_of_the_whole_integrates_to_one(model):
    x, sigma, _ = spectra(1, seed=2)
    context = model.encoder(x, sigma)
    centre = model.box.to_unbounded(model.sample(context, 4000, torch.Generator().manual_seed(0)))[0]
    # A grid in u around the draws; the box's own Jacobian takes it to theta.
    mean, spread = centre.mean(dim=0), centre.std(dim=0)
    axes = [torch.linspace(-7, 7, 401, dtype=torch.float64) * s + m for m, s in zip(mean, spread, strict=True)]
    u = torch.cartesian_prod(*axes)
    theta = model.box.to_theta(u)
    log_cell = torch.log(axes[0][1] - axes[0][0]) + torch.log(axes[1][1] - axes[1][0])
    log_jacobian = standard_normal_log_prob(u) + model.box.log_volume
    total = torch.logsumexp(model.log_prob(theta[None], context)[0] + log_jacobian + log_cell, dim=0).exp()
    assert abs(float(total) - 1.0) < 0.01


def test_draws_and_density_agree(model):
    x, sigma, _ = spectra(3, seed=3)
    context = model.encoder(x, sigma)
    theta = model.sample(context, 5000, torch.Generator().manual_seed(1))
    rest, _ = model.residual(model.box.to_unbounded(theta), context)
    assert torch.allclose(rest.std(dim=1), torch.full((3, 2), 2.0, dtype=torch.float64), rtol=0.05)
    assert torch.allclose(model.box.to_theta(model.add_guess(rest, context)), theta, rtol=1e-4)


def test_without_components_there_is_no_guess():
    x, sigma, t = spectra(300)
    settings = EmbeddingSettings(size=16, blocks=1, n_context=4, n_component=0)
    encoder = SpectrumEncoder.build(settings, x, sigma, torch.special.ndtri(t))
    assert encoder.n_guess == 0
    assert encoder(x, sigma).shape == (300, 4)
