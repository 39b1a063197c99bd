"""Checkpoints: when they are written, which fit they serve, what a damaged one says."""

import dataclasses

import pytest
import torch
from test_exogan_method import SMALL, SPACE, fit, problem_of

from exobench.errors import ExobenchError
from exobench.method import Progress
from exobench.noise import ConstantNoise
from exobench.parameters import ParameterSpace
from exobench_baselines.exogan import trainer as trainer_module
from exobench_baselines.exogan.checkpoint import read_checkpoint, write_checkpoint
from exobench_baselines.exogan.method import ExoGAN
from exobench_baselines.exogan.schedule import Stage
from exobench_baselines.exogan.trainer import Trainer


class Cut(Exception):
    """Ends a process without a word."""


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_the_clock_decides_about_checkpoints_at_every_step(seconds, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "_SECONDS_BETWEEN_CHECKPOINTS", seconds)
    network = torch.nn.Linear(1, 1)
    trainer = Trainer(Stage("s", 100), {"n": network}, {}, 0, "cpu", tmp_path, "key", lambda: False, Progress.silent())

    def step(batch, random):
        if batch == 3:
            raise Cut
        return {"loss": torch.tensor(0.0)}

    with pytest.raises(Cut):
        trainer.run(lambda first: iter(range(first, 100)), step)
    state = read_checkpoint(tmp_path / "s.pt", "key", "cpu")
    if seconds:
        assert state is None
    else:
        assert state is not None
        assert state["step"] == 3


def other_grid(problem):
    return dataclasses.replace(problem, wavelength_um=problem.wavelength_um * 1.001)


def other_range(problem):
    *first, last = SPACE.parameters
    return dataclasses.replace(problem, parameters=ParameterSpace((*first, dataclasses.replace(last, high=1900.0))))


def other_noise(problem):
    return dataclasses.replace(problem, noise=ConstantNoise(50.0))


@pytest.mark.parametrize("change", [other_grid, other_range, other_noise])
def test_a_checkpoint_of_other_data_is_refused(change, tmp_path):
    problem = problem_of(n_bin=17)
    fit(ExoGAN(**SMALL), problem, tmp_path, steps=2)
    with pytest.raises(ExobenchError, match=r"adversarial\.pt belongs to a fit with other settings or data"):
        fit(ExoGAN(**SMALL), change(problem), tmp_path, steps=2)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_cut_checkpoint_is_named_with_what_to_do(part, tmp_path):
    path = tmp_path / "adversarial.pt"
    write_checkpoint(path, {"key": "k", "weights": torch.randn(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ExobenchError, match=r"adversarial\.pt is damaged .*; delete it"):
        read_checkpoint(path, "k", "cpu")


@pytest.mark.parametrize("content", [b"not a checkpoint", b"\x80\x02.", b"\x80\x04]q."])
def test_a_file_of_another_kind_is_named_with_what_to_do(content, tmp_path):
    path = tmp_path / "encoder.pt"
    path.write_bytes(content)
    with pytest.raises(ExobenchError, match=r"encoder\.pt is .*delete it"):
        read_checkpoint(path, "k", "cpu")


def test_tensors_in_place_of_a_checkpoint_are_named(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "encoder.pt")
    with pytest.raises(ExobenchError, match=r"encoder\.pt is no checkpoint"):
        read_checkpoint(tmp_path / "encoder.pt", "k", "cpu")
