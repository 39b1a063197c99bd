"""Components inferred from noisy spectra with missing bins: the closed form, its spread, and its limits."""

import itertools

import numpy as np
import pytest
import torch

from exobench.networks.conditional_mean import ConditionalMean

N, N_BIN, N_COMPONENT = 3000, 60, 4
DEPTH = 0.015
PPM = 1e-6


def directions() -> np.ndarray:
    """Four smooth directions of the logarithmic spectrum, of very different size, (component, bin)."""
    wave = np.linspace(0.0, np.pi, N_BIN)
    return np.array([0.1, 0.02, 0.005, 0.001])[:, None] * np.cos(np.arange(4)[:, None] * wave)


def toy(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """z (n, component) of N(0, I), and depths whose logarithm is linear in z."""
    z = np.random.default_rng(seed).normal(size=(n, N_COMPONENT))
    return torch.as_tensor(z), torch.as_tensor(DEPTH * np.exp(z @ directions()))


def observed(depth: torch.Tensor, seed: int, level: float | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of 5-200 ppm that grows along the spectrum, a fifth of the bins missing."""
    rng = np.random.default_rng(seed)
    levels = np.exp(rng.uniform(np.log(5.0), np.log(200.0), (len(depth), 1))) if level is None else level
    sigma = PPM * levels * np.linspace(0.7, 1.4, N_BIN) * np.ones(depth.shape)
    x = depth.numpy() + sigma * rng.normal(size=depth.shape)
    lost = rng.random(depth.shape) < 0.2
    return torch.as_tensor(np.where(lost, np.nan, x)), torch.as_tensor(np.where(lost, np.inf, sigma))


@pytest.fixture(scope="module")
def components() -> ConditionalMean:
    _, depth = toy(N, 0)
    made = ConditionalMean(N_BIN, N_COMPONENT)
    made.fit(depth, observed(depth, 1)[1])
    return made


def test_it_is_the_conditional_mean_of_a_joint_gaussian(components):
    """Against the textbook form over bins, cov(z, y) cov(y, y)^-1 y, which inverts a matrix of bins, not components."""
    _, depth = toy(50, 2)
    x, sigma = observed(depth, 3)
    inferred = components(x, sigma)
    weight, deviation = components._weighed(x, sigma)
    for row in range(50):
        seen = torch.isfinite(sigma[row])
        p, y = components.directions[seen], deviation[row, seen]
        of_bins = p @ p.T + torch.diag(1.0 / weight[row, seen])
        gain = torch.linalg.solve(of_bins, p).T
        assert torch.allclose(inferred.z[row], gain @ y, rtol=1e-6, atol=1e-8)
        variance = 1.0 - (gain @ p).diagonal()
        assert torch.allclose(inferred.log_spread[row].exp().square(), variance, rtol=1e-3, atol=1e-10)


def test_the_weights_are_the_noise_of_the_logarithm(components):
    """sigma over the depth itself, not over the mean depth, to the few percent that noise leaves unknown."""
    _, depth = toy(50, 2)
    x, sigma = observed(depth, 3)
    weight, _ = components._weighed(x, sigma)
    seen = torch.isfinite(sigma)
    flat = depth.mean(dim=1, keepdim=True).expand_as(depth)
    expected = (flat / sigma).square()
    ratio = (weight / expected)[seen]
    assert 0.9 < float(ratio.median()) < 1.1


@pytest.mark.parametrize("level", [5.0, 50.0, 200.0])
def test_truths_scatter_by_the_spread_that_is_told(components, level):
    _, depth = toy(2000, 4)
    truth = (depth.log() - components.mean.log() - components.log_mean) @ torch.linalg.pinv(components.directions.T)
    inferred = components(*observed(depth, 5, level))
    z = (inferred.z - truth) / inferred.log_spread.exp()
    assert torch.allclose(z.mean(dim=0), torch.zeros(N_COMPONENT, dtype=torch.float64), atol=0.15)
    assert torch.allclose(z.std(dim=0), torch.ones(N_COMPONENT, dtype=torch.float64), atol=0.1)


def test_what_stands_in_a_missing_bin_does_not_matter(components):
    _, depth = toy(20, 6)
    x, sigma = observed(depth, 7)
    lost = torch.isinf(sigma)
    plain = components(x, sigma)
    for other in (components(x.masked_fill(lost, 7.0), sigma), components(x, sigma.masked_fill(lost, 1e-5))):
        assert all(torch.equal(one, two) for one, two in zip(plain, other, strict=True))


def test_a_missing_bin_is_one_of_endless_noise(components):
    _, depth = toy(20, 6)
    x, sigma = observed(depth, 7)
    lost = torch.isinf(sigma)
    noisy = components(torch.where(lost, 0.02, x), torch.where(lost, 1e6, sigma))
    assert torch.allclose(noisy.z, components(x, sigma).z, atol=1e-6)


def test_more_noise_tells_less_down_to_the_prior(components):
    _, depth = toy(20, 8)
    spreads = []
    for level in (5.0, 100.0, 1e4, 1e14):
        inferred = components(*observed(depth, 9, level))
        spreads.append(inferred.log_spread)
    assert all(bool((wide > narrow).all()) for narrow, wide in itertools.pairwise(spreads))
    assert torch.allclose(inferred.z, torch.zeros_like(inferred.z), atol=1e-3)
    assert torch.allclose(inferred.log_spread, torch.zeros_like(inferred.log_spread), atol=1e-3)


def test_no_bins_at_all_is_the_prior(components):
    inferred = components(torch.full((2, N_BIN), torch.nan), torch.full((2, N_BIN), torch.inf))
    assert torch.equal(inferred.z, torch.zeros_like(inferred.z))
    assert torch.allclose(inferred.log_spread, torch.zeros_like(inferred.log_spread))
    assert bool(torch.isfinite(inferred.log_noise).all())


@pytest.mark.parametrize("factor", [0.0, -1.0, 1e3, 1e30])
@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-5, 1e20])
def test_spectra_far_from_training_are_finite(components, factor, noise):
    _, depth = toy(5, 10)
    x = factor * depth
    inferred = components(x, torch.full_like(depth, noise))
    assert all(bool(torch.isfinite(part).all()) for part in inferred)
    assert bool(torch.isfinite(components.filled(x, torch.ones_like(x) > 0, inferred)).all())


def test_missing_bins_are_filled_with_what_the_others_say(components):
    _, depth = toy(200, 11)
    x, sigma = observed(depth, 12, 20.0)
    lost = torch.isinf(sigma)
    filled = components.filled(x, ~lost, components(x, sigma))
    assert torch.equal(filled[~lost], x[~lost])
    assert float((filled - depth)[lost].square().mean().sqrt()) < 20.0 * PPM
