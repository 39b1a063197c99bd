"""The last stage of training: the embedding stands still and the estimator alone is trained on.

While all weights move, each step jitters the embedding, and the widths that are learnt cover that jitter. The averaged
weights that are kept jitter less, so their posteriors are too wide, most of all for a parameter that is known to a
thousandth of its range. With the embedding fixed, the widths come down to what the averaged network really misses.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from exobench.method import Limits, Progress
from exobench.neural.model import NeuralModel
from exobench.problem import InferenceProblem
from exobench.seeds import derived_seed
from exobench.training.distributed import Ranks
from exobench.training.engine import train
from exobench.training.settings import TrainingSettings
from exobench.training.validation import ValidationLoss

FOLDER = "settling"
_RATE_SHARE = 0.3
"""Of the learning rate of the training before."""


def shared_limits(limits: Limits, share: float) -> tuple[Limits, Limits]:
    """Limits of the training and of the settling that takes a share of it; those of neither kind stay None."""
    steps, seconds = limits.steps, limits.seconds
    last_steps = None if steps is None else min(round(share * steps), steps - 1)
    last_seconds = None if seconds is None else share * seconds
    return (
        replace(
            limits,
            steps=None if steps is None or last_steps is None else steps - last_steps,
            seconds=None if seconds is None or last_seconds is None else seconds - last_seconds,
        ),
        replace(limits, steps=last_steps, seconds=last_seconds),
    )


def settle(
    model: NeuralModel,
    problem: InferenceProblem,
    settings: TrainingSettings,
    *,
    steps: int,
    limits: Limits,
    seed: int,
    device: str,
    workdir: Path,
    stop: Callable[[], bool],
    progress: Progress,
) -> None:
    """Trains the estimator of a trained model on, its embedding fixed; the best weights by validation are kept.

    Those of before are among them.

    Args:
        model: trained; changed in place.
        problem: as in training.
        settings: those of the training before.
        steps: steps to take.
        limits: the first reached ends it.
        seed: of the training before; the batches are others.
        device: as in training.
        workdir: the checkpoint goes into a folder below.
        stop: as in training.
        progress: as in training.
    """
    if steps < 1:
        return
    folder = workdir / FOLDER
    folder.mkdir(exist_ok=True)
    loss_before, kept = _validation_loss(model, problem, settings, seed, device), copy.deepcopy(model.state_dict())
    gentle = replace(settings, steps=steps, learning_rate=_RATE_SHARE * settings.learning_rate, patience=None)
    summary = train(
        _FixedEmbedding(model),
        problem,
        gentle,
        limits=limits,
        seed=seed + 1,
        device=device,
        workdir=folder,
        stop=stop,
        progress=replace(progress, scalar=lambda name, step, value: progress.scalar(f"settling/{name}", step, value)),
    )
    model.eval()
    # With few validation spectra or steps the last stage may end above where it began.
    if summary.best_loss is not None and summary.best_loss > loss_before:
        model.load_state_dict(kept)


def _validation_loss(
    model: NeuralModel, problem: InferenceProblem, settings: TrainingSettings, seed: int, device: str
) -> float:
    """As the engine measures it in the last stage."""
    if problem.n_validation == 0:
        return math.inf
    ranks = Ranks.from_environment()
    rows, noise_seed = settings.validation_rows, derived_seed("validation", seed + 1)
    with torch.random.fork_rng(devices=[device] if device.startswith("cuda") else []):
        return ValidationLoss(problem, rows, noise_seed, ranks.device(device), ranks)(model.to(device).eval())


class _FixedEmbedding(nn.Module):
    """The loss of a model as a function of its estimator's weights alone."""

    def __init__(self, model: NeuralModel) -> None:
        super().__init__()
        self.estimator = model.estimator
        self._whole = (model.eval(),)  # in a tuple: its other weights are no part of this module

    def forward(
        self, theta: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Loss of each row, (n,)."""
        (model,) = self._whole
        with torch.no_grad():
            context = model.encoder(x, sigma)
        return model.loss_at(theta, context, generator)
