"""A small problem and a small network for tests of training; also a script, so that a test can kill it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from exobench.data.source import open_data
from exobench.method import Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench.training.engine import TrainingSummary, train
from exobench.training.settings import TrainingSettings

N_TRAIN, N_VALIDATION = 2_000, 300
SETTINGS = {"batch_size": 64, "steps": 120, "validate_every": 40, "learning_rate": 3e-3, "report_every": 10}


def build_problem(data_root: Path) -> InferenceProblem:
    """The linear Gaussian task with a few spectra."""
    task = build_task({"name": "linear_gaussian"}, TaskRequest())
    data = open_data(task, data_root, n_train=N_TRAIN, n_validation=N_VALIDATION, n_test=2, workers=1)
    return task.problem(data.source, Capability.NONE)


class Regression(nn.Module):
    """Squared error of theta, with dropout, noise from the generator and a running mean, so that resume has work."""

    def __init__(self, problem: InferenceProblem, dropout: float = 0.1, jitter: float = 0.1) -> None:
        super().__init__()
        self.jitter = jitter
        arrays = problem.arrays("train", 200)
        self.register_buffer("centre", torch.as_tensor(arrays.x.mean(axis=0), dtype=torch.float32))
        self.register_buffer("scale", torch.as_tensor(arrays.x.std(axis=0), dtype=torch.float32))
        n_param = arrays.theta.shape[1]
        torch.manual_seed(5)
        self.layers = nn.Sequential(
            nn.Linear(problem.n_bin, 32),
            nn.BatchNorm1d(32) if dropout else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(32, n_param),
        )

    def forward(self, theta, x, sigma, generator=None):
        inputs = (x - self.centre) / self.scale
        if self.jitter:
            inputs = inputs + self.jitter * torch.randn(x.shape, generator=generator, device=x.device)
        return (self.layers(inputs) - theta).square().mean(dim=1)


def fit(
    problem: InferenceProblem,
    workdir: Path,
    *,
    model: nn.Module | None = None,
    limits: Limits | None = None,
    stop=lambda: False,
    scalar=lambda name, step, value: None,
    **settings,
) -> tuple[nn.Module, TrainingSummary]:
    """Trains the small network."""
    model = Regression(problem) if model is None else model
    summary = train(
        model,
        problem,
        TrainingSettings.of(SETTINGS | settings),
        limits=limits or Limits(),
        seed=3,
        device="cpu",
        workdir=workdir,
        stop=stop,
        progress=Progress(update=lambda done, total, text: None, scalar=scalar),
    )
    return model, summary


def weights(model: nn.Module) -> torch.Tensor:
    """All tensors of a model in one."""
    return torch.cat([value.double().ravel() for value in model.state_dict().values()])


def _main(data_root: str, workdir: str, kill_at: str) -> None:
    """Trains with a checkpoint at every step and dies by SIGKILL in the middle of one."""
    torch.set_num_threads(1)
    asked = iter(range(10**9))

    def stop() -> bool:
        if next(asked) == int(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    fit(build_problem(Path(data_root)), Path(workdir), stop=stop, checkpoint_seconds=0.0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
