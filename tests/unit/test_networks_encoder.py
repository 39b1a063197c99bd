"""Embeddings: checked settings, sizes, missing bins, and what they must not depend on."""

import numpy as np
import pytest
import torch

from exobench.errors import ExobenchError
from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.settings import EmbeddingSettings

KINDS = ("residual_mlp", "residual_cnn", "transformer")
N, N_BIN = 300, 61


def spectra(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wave = np.linspace(0, 6, N_BIN)
    amplitude, phase = rng.uniform(0.2e-3, 1e-3, (N, 1)), rng.uniform(0, 6, (N, 1))
    x = 0.015 + 1e-3 * rng.normal(size=(N, 1)) + amplitude * np.sin(wave + phase) + 2e-5 * rng.normal(size=(N, N_BIN))
    return x, np.full((N, N_BIN), 2e-5)


def varied(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, sigma = spectra(seed)
    rng = np.random.default_rng(seed + 1)
    sigma = sigma * rng.uniform(0.5, 5, (N, 1))
    lost = rng.random((N, N_BIN)) < 0.2
    return np.where(lost, np.nan, x), np.where(lost, np.inf, sigma)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.as_tensor(array, dtype=torch.float32) for array in arrays]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [spectra, varied])
def test_context_has_its_size_and_gradients(kind, make):
    x, sigma = make()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2, n_context=11), x, sigma)
    context = encoder(*tensors(x[:7], sigma[:7]))
    assert context.shape == (7, 11)
    context.square().sum().backward()
    idle = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle, idle


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_does_not_depend_on_its_neighbours(kind):
    x, sigma = varied()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2), x, sigma).eval()
    all_rows, one = encoder(*tensors(x[:20], sigma[:20])), encoder(*tensors(x[3:4], sigma[3:4]))
    assert torch.allclose(all_rows[3:4], one, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_all_bins_missing_is_finite(kind):
    x, sigma = varied()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2), x, sigma)
    assert torch.isfinite(encoder(*tensors(np.full((2, N_BIN), np.nan), np.full((2, N_BIN), np.inf)))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_spectra_far_from_training_are_finite(kind):
    x, sigma = spectra()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2), x, sigma)
    for wild in (np.zeros_like(x[:2]), 1e3 + x[:2], -(x[:2] ** 0)):
        assert torch.isfinite(encoder(*tensors(wild, sigma[:2]))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sigma_matters_where_it_varies(kind):
    x, sigma = varied()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2), x, sigma).eval()
    plain, noisier = encoder(*tensors(x[:5], sigma[:5])), encoder(*tensors(x[:5], 2 * sigma[:5]))
    assert (plain - noisier).abs().amax(dim=1).min() > 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [spectra, varied])
def test_described_and_loaded_is_the_same(kind, make):
    x, sigma = make()
    encoder = SpectrumEncoder.build(EmbeddingSettings(kind=kind, size=32, blocks=2), x, sigma).eval()
    again = SpectrumEncoder.empty(encoder.describe()).eval()
    again.load_state_dict(encoder.state_dict())
    batch = tensors(x[:9], sigma[:9])
    assert torch.equal(encoder(*batch), again(*batch))


def test_bfloat16_does_not_touch_the_features():
    x, sigma = spectra()
    encoder = SpectrumEncoder.build(EmbeddingSettings(size=32), x, sigma)
    plain = encoder.features(*tensors(x, sigma)).summary
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = encoder.features(*tensors(x, sigma)).summary
    assert torch.equal(plain, cast)


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"kind": "cnn"}, "method.embedding.kind=cnn must be one of residual_mlp"),
        ({"size": 4}, "method.embedding.size=4"),
        ({"size": 20.5}, "method.embedding.size=20.5"),
        ({"blocks": True}, "method.embedding.blocks=True"),
        ({"dropout": 1.0}, "method.embedding.dropout=1.0"),
        ({"kind": "transformer", "size": 36}, "multiple of 8"),
        ({"width": 3}, "width"),
    ],
)
def test_wrong_settings_are_named(mapping, words):
    with pytest.raises(ExobenchError, match=words):
        EmbeddingSettings.of(mapping)


def test_settings_keep_defaults():
    assert EmbeddingSettings.of({"size": 64}) == EmbeddingSettings(size=64)
    assert EmbeddingSettings.of(None) == EmbeddingSettings()
