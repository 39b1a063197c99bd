"""The first guess where the noise varies: sharp where noise is small, told with the error it has, else the prior."""

import itertools

import numpy as np
import pytest
import torch

from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.inferred_features import InferredFeatures
from exobench.networks.polynomial import n_terms
from exobench.networks.settings import EmbeddingSettings
from exobench.networks.varied_guess import VariedGuess

N, N_BIN, N_COMPONENT = 3000, 40, 8
PPM = 1e-6


def spectra(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Depths whose logarithm is linear in one parameter and quadratic in a weak one; t in the unit cube."""
    t = np.random.default_rng(seed).uniform(size=(n, 2))
    wave = np.linspace(0.0, 3.0, N_BIN)
    log_depth = 0.3 * t[:, :1] + 0.02 * (t[:, 1:] + 0.5 * t[:, 1:] ** 2) * np.sin(wave)
    return torch.as_tensor(0.01 * np.exp(log_depth)), torch.as_tensor(t)


def observed(depth: torch.Tensor, seed: int, level: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of 5-200 ppm, or of one level, a tenth of the bins missing."""
    rng = np.random.default_rng(seed)
    levels = np.exp(rng.uniform(np.log(5.0), np.log(200.0), (len(depth), 1))) if level is None else level
    sigma = PPM * levels * np.ones(depth.shape)
    x = depth.numpy() + sigma * rng.normal(size=depth.shape)
    lost = rng.random(depth.shape) < 0.1
    return torch.as_tensor(np.where(lost, np.nan, x)), torch.as_tensor(np.where(lost, np.inf, sigma))


def fitted(copies: int = 2) -> InferredFeatures:
    depth, t = spectra(N, 0)
    made = InferredFeatures(N_BIN, 2, InferredFeatures.sizes(N, N_BIN, N_COMPONENT))
    made.fit(depth, (observed(depth, 1 + copy) for copy in range(copies)), torch.special.ndtri(t))
    return made


@pytest.fixture(scope="module")
def inferred() -> InferredFeatures:
    return fitted()


def guess_at(inferred: InferredFeatures, level: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Truth, guess and told error in the unit cube, of spectra away from its edges."""
    depth, t = spectra(2000, 20)
    inner = ((t > 0.15) & (t < 0.85)).all(dim=1)
    x, sigma = observed(depth[inner], 21, level)
    u, _ = inferred(x, sigma).guess.double().chunk(2, dim=1)
    return t[inner], torch.special.ndtr(u), inferred.guess.error(inferred.components(x, sigma))


@pytest.mark.parametrize("level", [5.0, 20.0, 100.0])
def test_the_told_error_is_the_error(inferred, level):
    t, guess, told = guess_at(inferred, level)
    ratio = (guess - t).abs().median(dim=0).values / told.median(dim=0).values
    # The median of |z| is 0.67 for a normal distribution.
    assert float(ratio.min()) > 0.4
    assert float(ratio.max()) < 1.0


def test_less_noise_gives_a_sharper_guess(inferred):
    errors = [(guess - t).abs().median(dim=0).values for t, guess, _ in (guess_at(inferred, v) for v in (5.0, 200.0))]
    assert float((errors[0] / errors[1]).max()) < 0.3
    # 200 ppm of 1 percent over 36 bins fix a logarithm that spans 0.3 to 1.1e-2 of its range.
    assert float(errors[1][0]) < 0.02


def test_endless_noise_gives_the_prior(inferred):
    depth, _ = spectra(50, 22)
    guess = inferred(*observed(depth, 23, 1e12)).guess
    assert torch.allclose(guess, torch.zeros_like(guess), atol=1e-5)


def test_the_guess_widens_steadily_beyond_the_noisiest_example(inferred):
    depth, _ = spectra(50, 22)
    told = [
        inferred.guess.error(inferred.components(*observed(depth, 23, level))).mean(dim=0)
        for level in (200.0, 2e3, 2e4, 2e5)
    ]
    assert all(bool((wide >= narrow).all()) for narrow, wide in itertools.pairwise(told))


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e3, 1e30])
@pytest.mark.parametrize("noise", [0.0, 1e-5, 1e20])
def test_wild_spectra_give_bounded_guesses(inferred, factor, noise):
    depth, _ = spectra(5, 24)
    told = inferred(factor * depth, torch.full_like(depth, noise))
    assert all(bool(torch.isfinite(part).all()) for part in told)
    assert float(told.guess[:, :2].abs().max()) < 6.0
    assert float(told.guess[:, 2:].max()) <= 0.0


def test_before_it_is_fitted_it_is_the_prior():
    depth, _ = spectra(5, 25)
    fresh = InferredFeatures(N_BIN, 2, InferredFeatures.sizes(N, N_BIN, N_COMPONENT))
    guess = fresh(*observed(depth, 26)).guess
    assert torch.allclose(guess, torch.zeros_like(guess), atol=1e-6)


@pytest.mark.parametrize("n", [40, 120])
def test_few_examples_do_not_make_it_overconfident(n):
    """The Gaussian of the guess and its error is at most a little worse than the prior, in nats a parameter."""
    depth, t = spectra(n, 30)
    few = InferredFeatures(N_BIN, 2, InferredFeatures.sizes(n, N_BIN, N_COMPONENT))
    few.fit(depth, (observed(depth, 31 + copy) for copy in range(4)), torch.special.ndtri(t))
    fresh, t = spectra(1000, 35)
    u, log_width = few(*observed(fresh, 36)).guess.double().chunk(2, dim=1)
    truth = torch.special.ndtri(t)
    loss = log_width + 0.5 * ((truth - u) / log_width.exp()).square() - 0.5 * truth.square()
    assert float(loss.mean()) < 2.0


@pytest.mark.parametrize("n", [3, 20, 200, 2000, 40_000])
def test_no_more_coefficients_than_the_examples_can_tell(n):
    sizes = VariedGuess.sizes(n, 64)
    assert sizes[0] >= sizes[1] >= sizes[2] >= 0
    assert sizes[0] == 0 or 10 * n_terms(*sizes) <= n


def test_copies_of_a_spectrum_are_held_out_together():
    """The error is learnt on spectra that the polynomial has not seen with any noise: it does not shrink by copies."""
    few, many = (guess_at(fitted(copies), 20.0)[2].median(dim=0).values for copies in (1, 4))
    assert torch.allclose(few.log(), many.log(), atol=0.35)


@pytest.mark.parametrize("kind", ["residual_mlp", "residual_cnn", "transformer"])
def test_an_encoder_tells_the_guess_at_the_end_of_its_context(kind):
    depth, t = spectra(N, 0)
    x, sigma = observed(depth, 1)
    u = torch.special.ndtri(t)
    settings = EmbeddingSettings(kind=kind, size=16, blocks=1, n_context=4)
    encoder = SpectrumEncoder.build(settings, x, sigma, u).eval()
    assert encoder.features.inferred is not None
    encoder.features.inferred.fit(depth, [(x, sigma)], u)
    context = encoder(x[:50].float(), sigma[:50].float()).detach()
    assert context.shape == (50, 4 + encoder.n_guess)
    assert float((torch.special.ndtr(context[:, 4]) - t[:50, 0]).abs().median()) < 0.01
    again = SpectrumEncoder.empty(encoder.describe()).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(x[:50].float(), sigma[:50].float()), context)


def test_a_value_in_a_missing_bin_does_not_change_the_context():
    depth, t = spectra(N, 0)
    x, sigma = observed(depth, 1)
    u = torch.special.ndtri(t)
    encoder = SpectrumEncoder.build(EmbeddingSettings(size=16, blocks=1, n_context=4), x, sigma, u).eval()
    encoder.features.inferred.fit(depth, [(x, sigma)], u)
    lost = torch.isinf(sigma[:20])
    assert torch.equal(encoder(x[:20], sigma[:20]), encoder(x[:20].masked_fill(lost, 0.5), sigma[:20]))
