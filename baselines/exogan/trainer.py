"""The loop that every stage of training shares: resume, limits, checkpoints, interruption, progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exobench.method import FitInterrupted, Progress
from exobench.problem import Batch
from exobench.seeds import derived_seed
from exobench_baselines.exogan.checkpoint import read_checkpoint, write_checkpoint
from exobench_baselines.exogan.schedule import Stage

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
_STEPS_BETWEEN_REPORTS = 50
_VALIDATIONS = 20


@dataclass
class Trainer:
    """Runs one stage.

    Attributes:
        stage: its limits.
        networks: what is trained, by name; state that checkpoints hold.
        optimisers: by name.
        seed: of batches and of each step's random numbers.
        device: torch device.
        workdir: where the checkpoint lives.
        key: what determines the fit.
        stop: asked each step.
        progress: where to report.
        validation: loss on validation spectra, asked at each twentieth of the stage; it must not change the training.
    """

    stage: Stage
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    seed: int
    device: str
    workdir: Path
    key: str
    stop: Callable[[], bool]
    progress: Progress
    validation: Callable[[], float] | None = None
    _validated: int = 0
    _last_checkpoint: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The stage's checkpoint."""
        return self.workdir / f"{self.stage.name}.pt"

    def run(
        self,
        batches: Callable[[int], Iterator[Batch]],
        train_step: Callable[[Batch, torch.Generator], dict[str, torch.Tensor]],
    ) -> None:
        """Trains until the stage is done.

        Args:
            batches: gives the stream from a step on.
            train_step: one step on a batch; all its randomness comes from the generator, which is seeded by the step
                alone, so that a resumed stage repeats the numbers of one that was never interrupted.

        Raises:
            FitInterrupted: after writing a checkpoint, when ``stop`` said so.
        """
        self._resume()
        self.stage.start()
        if self.stage.done:
            return
        self._validated = self._place
        stream = batches(self.stage.step)
        while not self.stage.done:
            if self.stop():
                self._write()
                raise FitInterrupted(f"exogan stopped in stage {self.stage.name} at step {self.stage.step}.")
            generator = torch.Generator(device=self.device).manual_seed(derived_seed(self.seed, self.stage.step))
            losses = train_step(next(stream), generator)
            self.stage.step += 1
            self._report(losses)
            if self._place > self._validated:
                self._validate()
            if time.monotonic() - self._last_checkpoint >= _SECONDS_BETWEEN_CHECKPOINTS:
                self._write()
        self._write()

    def _report(self, losses: dict[str, torch.Tensor]) -> None:
        stage = self.stage
        if stage.step % _STEPS_BETWEEN_REPORTS and not stage.done:
            return
        for name, loss in losses.items():
            self.progress.scalar(f"{stage.name}/{name}", stage.step, float(loss))
        self._show()

    def _show(self, more: str = "") -> None:
        done = round(1000 * self.stage.fraction)
        self.progress.update(done, 1000, f"{self.stage.name}, step {self.stage.step}{more}")

    @property
    def _place(self) -> int:
        return int(_VALIDATIONS * self.stage.fraction)

    def _validate(self) -> None:
        self._validated = self._place
        if self.validation is not None:
            loss = self.validation()
            self._show(f", validation {loss:.3f}")
            self.progress.scalar("loss/validation", self.stage.step, loss)

    def _resume(self) -> None:
        state = read_checkpoint(self.path, self.key, self.device)
        if state is None:
            return
        self.stage.step, self.stage.spent = int(state["step"]), float(state["elapsed"])
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])

    def _write(self) -> None:
        state: dict[str, Any] = {
            "key": self.key,
            "step": self.stage.step,
            "elapsed": self.stage.elapsed,
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        write_checkpoint(self.path, state)
        self._last_checkpoint = time.monotonic()


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Sets the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = value
