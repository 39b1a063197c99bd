"""Averaged weights, the guard against non-finite steps, checkpoints and the smaller training split."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from training_cases import build_problem

from exobench.data.first_rows import first_rows
from exobench.errors import ExobenchError
from exobench.training.checkpoint import read_checkpoint, write_checkpoint
from exobench.training.ema import WeightAverage
from exobench.training.guard import GradientGuard


def test_the_average_is_the_closed_form_one():
    weight, average = torch.tensor([0.0]), None
    average = WeightAverage([weight], 0.9)
    for step in range(1000, 1030):
        weight.fill_(1.0)
        average.update(step)
    assert float(average.values[0]) == pytest.approx(1.0 - 0.9**30, rel=1e-5)


def test_a_young_average_follows_quickly_and_no_average_follows_at_once():
    weight = torch.tensor([0.0])
    average, none = WeightAverage([weight], 0.999), WeightAverage([weight], 0.0)
    weight.fill_(1.0)
    for step in range(50):
        average.update(step)
        none.update(step)
    assert float(average.values[0]) > 0.99
    assert float(none.values[0]) == 1.0


def test_the_average_is_lent_and_given_back():
    weight = torch.tensor([3.0])
    average = WeightAverage([weight], 0.5)
    weight.fill_(7.0)
    with average.in_place():
        assert weight.item() == 3.0
    assert weight.item() == 7.0


def _guarded(clip_norm: float | None) -> tuple[nn.Module, GradientGuard]:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    return model, GradientGuard(list(model.named_parameters()), clip_norm, "cpu")


def test_clipping_agrees_with_torch():
    model, guard = _guarded(0.1)
    twin, _ = _guarded(None)
    twin.load_state_dict(model.state_dict())
    x = torch.randn(5, 3)
    for network in (model, twin):
        network(x).square().sum().backward()
    expected = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
    assert guard(0, torch.tensor(1.0)).item() == 0.0
    torch.testing.assert_close(guard.norm, expected)
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


def test_the_first_bad_step_of_a_row_and_its_parameter_are_named():
    model, guard = _guarded(5.0)
    model(torch.ones(2, 3)).sum().backward()
    assert guard(3, torch.tensor(1.0)).item() == 0.0
    assert guard.look() is None
    model[1].weight.grad[0, 2] = torch.nan
    assert guard(4, torch.tensor(2.0)).item() == 1.0
    assert guard(5, torch.tensor(3.0)).item() == 1.0
    bad = guard.look()
    assert (bad.step, bad.loss, bad.in_a_row) == (4, 2.0, 2)
    assert bad.parameter == "1.weight"
    assert guard.total() == 2


def test_a_bad_loss_with_good_gradients_is_seen():
    model, guard = _guarded(5.0)
    model(torch.ones(2, 3)).sum().backward()
    assert guard(9, torch.tensor(torch.inf)).item() == 1.0
    bad = guard.look()
    assert bad.parameter is None
    assert "loss of training step 9" in bad.text(1e-3)
    model(torch.ones(2, 3)).sum().backward()
    guard(10, torch.tensor(1.0))
    assert guard.look() is None
    assert guard.total() == 1


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "deep" / "training.safetensors"
    assert read_checkpoint(path, "k", "cpu") is None
    shared = torch.randn(3, 4)
    tensors = {"a": shared, "b": shared, "step": torch.tensor(4.0), "counts": torch.arange(3)}
    write_checkpoint(path, tensors, {"key": "k", "loss": 0.1 + 0.2, "none": None, "nan": float("nan")})
    read, state = read_checkpoint(path, "k", "cpu")
    assert all(torch.equal(read[name], value) for name, value in tensors.items())
    assert (state["loss"], state["none"]) == (0.1 + 0.2, None)
    assert state["nan"] != state["nan"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "training.safetensors"
    write_checkpoint(path, {"a": torch.ones(2)}, {"key": "one"})
    with pytest.raises(ExobenchError, match="other settings"):
        read_checkpoint(path, "two", "cpu")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ExobenchError, match="damaged"):
        read_checkpoint(path, "one", "cpu")
    path.write_bytes(b"")
    with pytest.raises(ExobenchError, match="damaged"):
        read_checkpoint(path, "one", "cpu")


def test_fewer_training_spectra_are_the_first_ones(data_root):
    problem = build_problem(data_root)
    assert first_rows(problem, None) is problem
    fewer = first_rows(problem, 100)
    assert fewer.n_train == 100
    allowed = {row.tobytes() for row in problem.arrays("train", 100).theta.astype(np.float32)}
    seen = list(itertools.islice(fewer.stream("train", 30, seed=1), 9))
    assert {row.numpy().tobytes() for batch in seen for row in batch.theta} == allowed
    assert not torch.equal(seen[0].x, seen[3].x)
    later = next(fewer.stream("train", 30, seed=1, start_step=4))
    assert torch.equal(later.x, seen[4].x)
    halves = [next(fewer.stream("train", 30, seed=1, rank=rank, world_size=2)) for rank in (0, 1)]
    assert torch.equal(torch.cat([half.x for half in halves]), seen[0].x)
