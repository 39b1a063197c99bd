"""Counter-based noise against the normal distribution it claims to be."""

import numpy as np
import pytest
import torch
from scipy import stats

from exobench.counter_random import standard_normal
from exobench.noise import ConstantNoise

N_ROW, N_COLUMN = 4096, 515


@pytest.fixture(scope="module")
def normal():
    return standard_normal(7, torch.arange(N_ROW), N_COLUMN).double().numpy()


def test_moments(normal):
    n = normal.size
    for order, expected, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((normal**order).mean() - expected) < 4.5 * (variance / n) ** 0.5


def test_distribution(normal):
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-4
    tail = (np.abs(normal) > 4).sum()
    assert abs(tail - normal.size * 2 * stats.norm.sf(4)) < 5 * (normal.size * 2 * stats.norm.sf(4)) ** 0.5


def test_columns_and_rows_are_uncorrelated(normal):
    for values in (normal, normal[:N_COLUMN].T):
        correlation = np.corrcoef(values.T)
        off_diagonal = correlation[~np.eye(len(correlation), dtype=bool)]
        assert np.abs(off_diagonal).max() < 6.5 / len(values) ** 0.5
        assert abs(off_diagonal.std() * len(values) ** 0.5 - 1) < 0.02


@pytest.mark.parametrize("far", [1, 2, 1000, 2**33])
def test_neighbouring_rows_and_seeds_are_unrelated(normal, far):
    shifted = standard_normal(7, torch.arange(N_ROW) + far, N_COLUMN).double().numpy()
    reseeded = standard_normal(7 + far, torch.arange(N_ROW), N_COLUMN).double().numpy()
    own_rows = (normal[far:] if far < N_ROW else normal) - (shifted[:-far] if far < N_ROW else normal)
    assert not own_rows.any()
    for other in (shifted, reseeded):
        assert abs((normal * other).mean()) < 4.5 / normal.size**0.5


def test_pairs_of_columns_are_independent_beyond_correlation(normal):
    even, odd = normal[:, 0:514:2], normal[:, 1:515:2]
    correlation = np.corrcoef((even**2).ravel(), (odd**2).ravel())[0, 1]
    assert abs(correlation) < 4.5 / even.size**0.5


def test_constant_noise_has_its_ppm_in_every_bin():
    depth = np.full((N_ROW, 50), 0.012)
    x, sigma = ConstantNoise(20.0).sample(depth, seed=3)
    np.testing.assert_allclose(sigma, 20e-6, rtol=1e-12)
    spread = (x - depth).std(axis=0) / 20e-6
    assert np.abs(spread - 1).max() < 5 / (2 * N_ROW) ** 0.5


def test_rows_are_named_not_counted():
    depth = np.full((10, 5), 0.01)
    whole, _ = ConstantNoise(20.0).sample(depth, seed=3)
    part, _ = ConstantNoise(20.0).sample(depth[4:], seed=3, first_row=4)
    np.testing.assert_array_equal(part, whole[4:])
