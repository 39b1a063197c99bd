"""The linear simulator is linear, fixed by its seed and on the scale of transit depths."""

from __future__ import annotations

import json

import pytest
import torch

from exobench.errors import ExobenchError
from exobench.simulators.linear_gaussian import LinearGaussianSimulator


def test_it_is_the_affine_map_that_it_states():
    simulator = LinearGaussianSimulator(7, 100, seed=3, dtype=torch.float64)
    theta = torch.randn(20, 7, dtype=torch.float64)
    unit = simulator(torch.eye(7, dtype=torch.float64)) - simulator(torch.zeros(1, 7, dtype=torch.float64))
    assert torch.allclose(simulator(theta), theta @ unit + simulator.offset, rtol=1e-12)
    assert torch.allclose(unit.T, simulator.matrix, rtol=1e-9)
    assert torch.linalg.matrix_rank(simulator.matrix) == 7
    assert 5e-5 < float(simulator.matrix.square().mean().sqrt()) < 2e-4


def test_seed_decides_the_matrix():
    one, same, other = (LinearGaussianSimulator(3, 50, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.matrix, same.matrix)
    assert one.describe() == same.describe() != other.describe()
    json.dumps(one.describe())


def test_wrong_input_is_named():
    with pytest.raises(ExobenchError, match="n_param=0"):
        LinearGaussianSimulator(0, 10)
    with pytest.raises(ExobenchError, match="2 parameter names"):
        LinearGaussianSimulator(3, 10, parameter_names=("a", "b"))
    with pytest.raises(ExobenchError, match="theta_2"):
        LinearGaussianSimulator(2, 10)(torch.tensor([[0.0, float("inf")]]))
