"""The one training loop: streaming batches, AdamW, averaged weights, early stopping, exact resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import nn

from exobench.data.first_rows import first_rows
from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits, Progress
from exobench.problem import Batch, InferenceProblem
from exobench.seeds import derived_seed
from exobench.training.checkpoint import read_checkpoint, training_key, write_checkpoint
from exobench.training.distributed import Ranks
from exobench.training.guard import BadStep, GradientGuard
from exobench.training.precision import autocast, matrix_products, resolved_precision
from exobench.training.randomness import seed_global
from exobench.training.scalars import Scalars
from exobench.training.schedule import Clock, fraction_done, learning_rate_factor, plan_steps
from exobench.training.settings import TrainingSettings
from exobench.training.state import TrainingState
from exobench.training.summary import TrainingSummary
from exobench.training.validation import ValidationLoss

__all__ = ["CHECKPOINT_NAME", "TrainingDiverged", "TrainingSummary", "train"]

CHECKPOINT_NAME = "training.safetensors"
_STEPS_BETWEEN_AGREEMENTS = 10


class TrainingDiverged(ExobenchError):
    """Losses or gradients stayed non-finite; the model and the checkpoint hold the last good state."""


def train(
    model: nn.Module,
    problem: InferenceProblem,
    settings: TrainingSettings,
    *,
    limits: Limits,
    seed: int,
    device: str,
    workdir: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> TrainingSummary:
    """Trains a model on the problem's training spectra, with fresh noise each epoch.

    Without a limit on seconds the result is a pure function of (model, problem, settings, limits, seed): on a CPU a
    fit that was killed and resumed ends with the same bits as one that was not. Under torchrun the processes share
    each batch, and the first one alone writes and reports.

    Args:
        model: ``model(theta, x, sigma, generator)`` gives the loss of each row, (n,), for theta (n, param), x and
            sigma (n, bin), float32 on the device. Its randomness comes from the generator or from torch's global one;
            both are seeded anew at each step. On return the model holds the averaged weights with the best validation
            loss, in eval mode.
        problem: all that may be seen.
        settings: of training.
        limits: the first reached ends training; the learning rate is down by then. Seconds include those before an
            interruption.
        seed: of everything random.
        device: torch device; under torchrun each process takes a GPU of its own in its place.
        workdir: holds the checkpoint, ``training.safetensors``.
        stop: asked each step (each tenth with several processes).
        progress: where to report.

    Returns:
        The summary.

    Raises:
        FitInterrupted: ``stop`` said so; the checkpoint is written.
        TrainingDiverged: too many steps in a row were not finite.
        ExobenchError: there are no training spectra, or the checkpoint in ``workdir`` is not of this training.
    """
    ranks = Ranks.from_environment()
    device = ranks.device(device)
    ranks.join(device)
    problem = first_rows(problem, limits.n_train)
    if problem.n_train < ranks.world_size:
        raise ExobenchError(f"budget leaves {problem.n_train} training spectra: each training process needs one.")
    devices = [device] if device.startswith("cuda") else []
    model.to(device)
    ranks.equalise(model)
    with torch.random.fork_rng(devices=devices):
        return _Training(model, problem, settings, limits, seed, device, ranks, workdir, stop, progress).run()


class _Training:
    """One call of ``train``: what all its steps share."""

    def __init__(
        self,
        model: nn.Module,
        problem: InferenceProblem,
        settings: TrainingSettings,
        limits: Limits,
        seed: int,
        device: str,
        ranks: Ranks,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self.model, self.problem, self.settings = model, problem, settings
        self.seed, self.device, self.ranks, self.stop = seed, device, ranks, stop
        self.plan = plan_steps(settings, limits, problem.n_train, ranks.world_size)
        self.precision = resolved_precision(settings.precision, device)
        self.path, self.key = workdir / CHECKPOINT_NAME, training_key(model, problem, settings, self.plan, seed)
        self.state = TrainingState(model, settings)
        self.guard = GradientGuard(self.state.named, settings.clip_norm, device)
        self.summary = self._resume()
        self.clock = Clock(self.summary.seconds)
        self.scalars = Scalars(
            progress, workdir / "tensorboard" if settings.tensorboard else None, self.summary.step, ranks.is_first
        )
        self.generator = torch.Generator(device)
        self._seconds = self._written = self.clock.seconds
        self._loss_sum, self._window = torch.zeros((), device=device), (self.clock.seconds, self.summary.step)

    def run(self) -> TrainingSummary:
        """Trains to the end, or to an interruption."""
        with closing(self.scalars), matrix_products(self.precision):
            if not self.summary.ended_by:
                self._loop()
        if self.summary.history and self.summary.best_loss is None:
            raise TrainingDiverged("the validation loss was never finite: lower method.training.learning_rate.")
        self.state.load_best()
        self.ranks.equalise(self.model)
        self.model.eval()
        return self.summary

    def _loop(self) -> None:
        summary, plan = self.summary, self.plan
        validation = ValidationLoss(
            self.problem,
            self.settings.validation_rows,
            derived_seed("validation", self.seed),
            self.device,
            self.ranks,
        )
        forward = self._forward()
        stream = self.problem.stream(
            "train",
            plan.batch_size,
            device=self.device,
            seed=derived_seed("batches", self.seed),
            start_step=summary.step,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
        )
        self.model.train()
        with _closed(stream):
            while not summary.ended_by:
                self._obey()
                self._step(forward, next(stream))
                summary.step += 1
                self._after_step(validation)

    def _forward(self) -> nn.Module:
        model = self.ranks.wrap(self.model, self.device)
        return cast(nn.Module, torch.compile(model)) if self.settings.compile else model

    def _obey(self) -> None:
        """Stops where any process was told to, and sets the clock that the processes share."""
        if self.ranks.world_size > 1 and self.summary.step % _STEPS_BETWEEN_AGREEMENTS:
            return
        stop, self._seconds = self.ranks.agree(self.stop(), self.clock.seconds, self.device)
        if stop:
            self._write()
            raise FitInterrupted(f"training stopped at step {self.summary.step} of {self.plan.steps}.")

    def _step(self, forward: nn.Module, batch: Batch) -> None:
        step, state = self.summary.step, self.state
        seed = derived_seed("step", self.seed, step, self.ranks.rank)
        seed_global(seed, self.device)
        self.generator.manual_seed(seed)
        rate = self._learning_rate()
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        state.optimiser.zero_grad(set_to_none=True)
        with autocast(self.precision, self.device):
            loss = forward(batch.theta, batch.x, batch.sigma, self.generator).float().mean()
        loss.backward()
        loss = self.ranks.mean(loss.detach())
        # Fused AdamW leaves the step out on the device where this is 1, so that no step waits for its verdict.
        state.optimiser.found_inf = self.guard(step, loss)  # type: ignore[attr-defined]
        state.optimiser.step()
        state.average.update(step)
        self._loss_sum += loss.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def _after_step(self, validation: ValidationLoss) -> None:
        step, settings = self.summary.step, self.settings
        if self.device == "cpu" or step % settings.report_every == 0:
            self._check_finite()
        if step % settings.report_every == 0:
            self._report()
        elif step % max(1, settings.report_every // 10) == 0:
            self.scalars.update(fraction_done(step, self.plan, self._seconds), step)
        ended_by = self._reached()
        if ended_by or step % self.plan.validate_every == 0:
            ended_by = self._validate(validation) or ended_by
        self.summary.ended_by = ended_by
        due = self.clock.seconds - self._written >= settings.checkpoint_seconds
        if ended_by or due:
            self._write()

    def _learning_rate(self) -> float:
        fraction = fraction_done(self.summary.step, self.plan, self._seconds)
        settings = self.settings
        factor = learning_rate_factor(fraction, self.plan.steps, settings.warmup_share, settings.final_share)
        return settings.learning_rate * factor

    def _reached(self) -> str:
        if self.summary.step >= self.plan.steps:
            return "steps"
        return "seconds" if fraction_done(self.summary.step, self.plan, self._seconds) >= 1.0 else ""

    def _validate(self, validation: ValidationLoss) -> str:
        """Measures the averaged weights and keeps them if they are the best; says "patience" when it has run out."""
        self._check_finite()
        if validation.n == 0:
            self.state.keep_average()
            return ""
        with self.state.average.in_place():
            loss = validation(self.model)
        self.scalars(self.summary.step, {"loss/validation": loss})
        if self.summary.add(loss, self.clock.seconds):
            self.state.keep_average()
        patience = self.settings.patience
        return "patience" if patience is not None and self.summary.since_best >= patience else ""

    def _report(self) -> None:
        step, (before, first), now = self.summary.step, self._window, self.clock.seconds
        loss = float(self._loss_sum) / (step - first)
        values = {
            "loss/train": loss,
            "learning_rate": self._learning_rate(),
            "gradient_norm": float(self.guard.norm),
            "samples_per_second": (step - first) * self.plan.batch_size / max(now - before, 1e-9),
            "skipped_steps": float(self.summary.n_skipped),
        }
        self.scalars(step, values)
        best = "" if self.summary.best_loss is None else f", validation {self.summary.best_loss:.3f}"
        fraction = fraction_done(step, self.plan, self._seconds)
        self.scalars.update(fraction, step, f"loss {loss:.3f}{best}")
        self._loss_sum.zero_()
        self._window = now, step

    def _check_finite(self) -> None:
        """Stops training where too many steps in a row were left out."""
        bad = self.guard.look()
        self.summary.n_skipped = self.guard.total()
        allowed = self.settings.max_skipped if self.settings.non_finite == "skip" else 0
        if bad is not None and bad.in_a_row > allowed:
            self._give_up(bad)

    def _give_up(self, bad: BadStep) -> None:
        # The weights are those before the first bad step: AdamW left out every one since.
        self.summary.step = bad.step
        self._write()
        if self.summary.best_loss is None:
            self.state.keep_average()
        self.state.load_best()
        self.model.eval()
        raise TrainingDiverged(
            f"{bad.text(self._learning_rate())}, and {bad.in_a_row} step(s) in a row were left out; the state before "
            f"it is kept in {self.path}: lower method.training.learning_rate or method.training.clip_norm."
        )

    def _write(self) -> None:
        self.summary.seconds = self._written = self.clock.seconds
        self.summary.n_skipped = self.guard.total()
        if self.ranks.is_first:
            write_checkpoint(self.path, self.state.tensors(), {"key": self.key} | asdict(self.summary))

    def _resume(self) -> TrainingSummary:
        # Read once and handed on: processes that saw different checkpoints would wait for each other for ever.
        found = self.ranks.from_first(lambda: read_checkpoint(self.path, self.key, "cpu"))
        if found is None:
            return TrainingSummary()
        tensors, kept = found
        self.state.restore({name: value.to(self.device) for name, value in tensors.items()})
        del kept["key"]
        summary = TrainingSummary(**kept)
        self.guard.resume(summary.n_skipped)
        return summary


@contextmanager
def _closed(stream: Iterator[Batch]) -> Iterator[None]:
    """Ends the stream's thread, where it has one, as soon as training does."""
    try:
        yield
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
