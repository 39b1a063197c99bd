"""Features of spectra: standardised, whitened in units of noise, blind to what is missing."""

import numpy as np
import pytest
import torch

from exobench.networks.spectrum import FeatureShape, SpectrumFeatures
from exobench.networks.whitening import Components, components_of

N, N_BIN = 4000, 40
SIGMA = 2e-5


def linear_spectra(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three directions of very different spread, plus noise."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(N_BIN, 3)))[0].T
    x = 0.015 + (rng.normal(size=(N, 3)) * [3e-3, 3e-4, 1e-4]) @ directions + SIGMA * rng.normal(size=(N, N_BIN))
    return torch.as_tensor(x), torch.full((N, N_BIN), SIGMA, dtype=torch.float64)


def test_components_are_white_and_ordered_by_what_noise_leaves():
    x, sigma = linear_spectra()
    y = (x - x.mean(dim=0)) / sigma
    directions = components_of(y, 6)
    assert torch.allclose(directions.vectors.T @ directions.vectors, torch.eye(6).double(), atol=1e-9)
    expected = np.array([3e-3, 3e-4, 1e-4]) ** 2 / SIGMA**2 + 1.0
    assert np.allclose(directions.variance[:3].numpy(), expected, rtol=0.1)
    assert np.allclose(directions.variance[3:].numpy(), 1.0, atol=0.25)
    components = Components(N_BIN, 6)
    components.set(directions, sigma[0])
    z = components((x - x.mean(dim=0)).float())
    assert torch.allclose(torch.cov(z.T), torch.eye(6), atol=2e-2)


def test_a_weak_direction_is_seen_as_well_as_a_strong_one():
    x, sigma = linear_spectra()
    features = SpectrumFeatures.fitted(x, sigma, 3)
    summary = features(x, sigma).summary
    assert summary[:, 2:5].std(dim=0).numpy() == pytest.approx(np.ones(3), abs=0.05)


def test_bins_are_standardised():
    x, sigma = linear_spectra()
    features = SpectrumFeatures.fitted(x, sigma, 0)
    bins, summary, _ = features(x, sigma)
    assert bins.shape == (N, 1, N_BIN)
    assert summary.shape == (N, features.n_summary)
    assert bins.square().mean(dim=(0, 1)).sqrt().numpy() == pytest.approx(np.ones(N_BIN), abs=0.02)
    assert summary[:, 0].std().item() == pytest.approx(1.0, abs=0.05)


def test_what_examples_show_decides_the_channels():
    x, sigma = linear_spectra()
    scaled = sigma * torch.linspace(1, 3, N)[:, None]
    lost = torch.rand(N, N_BIN, generator=torch.Generator().manual_seed(0)) < 0.1
    cases = {(False, False): (x, sigma), (False, True): (x, scaled)}
    cases[True, False] = (x.masked_fill(lost, torch.nan), sigma.masked_fill(lost, torch.inf))
    cases[True, True] = (x.masked_fill(lost, torch.nan), scaled.masked_fill(lost, torch.inf))
    for (missing, varying), (x_, sigma_) in cases.items():
        features = SpectrumFeatures.fitted(x_, sigma_, 4)
        assert (features.shape.has_missing, features.shape.has_varying_sigma) == (missing, varying)
        bins, summary, _ = features(x_, sigma_)
        assert bins.shape == (N, features.n_channel, N_BIN)
        assert summary.shape == (N, features.n_summary)
        assert torch.isfinite(bins).all()
        assert torch.isfinite(summary).all()


def test_values_in_missing_bins_do_not_matter():
    x, sigma = linear_spectra()
    lost = torch.rand(N, N_BIN, generator=torch.Generator().manual_seed(0)) < 0.3
    sigma = sigma.masked_fill(lost, torch.inf)
    features = SpectrumFeatures.fitted(x.masked_fill(lost, torch.nan), sigma, 4)
    one, other = features(x.masked_fill(lost, torch.nan), sigma), features(x.masked_fill(lost, 7.0), sigma)
    assert torch.equal(one.bins, other.bins)
    assert torch.equal(one.summary, other.summary)


def test_a_bin_that_no_example_shows():
    x, sigma = linear_spectra()
    x[:, 5], sigma[:, 5] = torch.nan, torch.inf
    features = SpectrumFeatures.fitted(x, sigma, 4)
    assert all(torch.isfinite(part).all() for part in features(x, sigma))


def test_noise_free_and_constant_spectra_are_finite():
    x = torch.full((50, N_BIN), 0.01, dtype=torch.float64)
    features = SpectrumFeatures.fitted(x, torch.zeros_like(x), 4)
    assert all(torch.isfinite(part).all() for part in features(x, torch.zeros_like(x)))


def test_sizes_from_a_description():
    x, sigma = linear_spectra()
    features = SpectrumFeatures.fitted(x, sigma, 5)
    again = SpectrumFeatures(FeatureShape(**features.describe()))
    again.load_state_dict(features.state_dict())
    assert torch.equal(again(x, sigma).summary, features(x, sigma).summary)
