"""How a network is trained: one group of settings for every gradient-trained method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from exobench.errors import ExobenchError, unknown_name
from exobench.settings import whole_number

PRECISIONS = ("auto", "float32", "tf32", "bfloat16")
NON_FINITE = ("skip", "raise")
_NO_PART_OF_THE_RESULT = ("checkpoint_seconds", "report_every", "tensorboard", "settle_share")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training run; the defaults suit networks of a few hundred thousand weights.

    Attributes:
        batch_size: rows of a global batch; fewer where the training split is small (see ``schedule.plan_steps``).
        learning_rate: largest learning rate of AdamW.
        weight_decay: decoupled decay of matrices; vectors (biases, norms) are not decayed.
        beta2: decay of AdamW's second moment.
        warmup_share: share of training over which the learning rate rises from zero.
        final_share: share of the learning rate that is left at the end of the cosine.
        epochs: passes over the training split, unless ``steps`` is given.
        min_steps: fewest steps that ``epochs`` may come to, so that small budgets are trained as well.
        steps: optimiser steps; None to follow ``epochs``.
        clip_norm: largest norm of the gradient; None for no clipping.
        ema_decay: decay of the moving average of the weights; 0 for no average.
        patience: validations without improvement before training ends; None to train to the end.
        validate_every: steps between validations; None for an epoch, but 100 to 1000 steps.
        validation_rows: most validation spectra that are looked at.
        precision: "float32", "tf32" or "bfloat16" (autocast) on a GPU; "auto" chooses. A CPU always takes float32.
        compile: pass the model through ``torch.compile``.
        non_finite: "skip" leaves out a step whose loss or gradient is not finite; "raise" stops at the first one.
        max_skipped: steps left out in a row before training stops with an error.
        checkpoint_seconds: time between checkpoints.
        report_every: steps between reports of the training loss.
        tensorboard: also write scalars for TensorBoard into the working folder.
        settle_share: steps of a last stage with the embedding fixed, as a share of the steps before; 0 for none. Used
            by ``exobench.neural``, not by the loop itself.
    """

    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    beta2: float = 0.99
    warmup_share: float = 0.03
    final_share: float = 0.002
    epochs: float = 40
    min_steps: int = 1000
    steps: int | None = None
    clip_norm: float | None = 5.0
    ema_decay: float = 0.998
    patience: int | None = 20
    validate_every: int | None = None
    validation_rows: int = 10_000
    precision: str = "auto"
    compile: bool = False
    non_finite: str = "skip"
    max_skipped: int = 20
    checkpoint_seconds: float = 60.0
    report_every: int = 50
    tensorboard: bool = False
    settle_share: float = 0.15

    @staticmethod
    def of(mapping: Mapping[str, Any] | None, key: str = "method.training") -> TrainingSettings:
        """Settings from a group of the config; what it leaves out has its default.

        Args:
            mapping: names and values; None for all defaults.
            key: where the group stands in the config, named in errors.

        Raises:
            ExobenchError: an unknown name or a wrong value; the message names the key, the value and what is right.
        """
        given = dict(mapping or {})
        valid = [field.name for field in fields(TrainingSettings)]
        for name in given:
            if name not in valid:
                raise unknown_name(f"setting {key}.", str(name), valid)
        checked: dict[str, Any] = {name: _checked(f"{key}.{name}", name, value) for name, value in given.items()}
        return TrainingSettings(**checked)

    def describe(self) -> dict[str, object]:
        """What determines the trained weights, for hashing."""
        return {name: value for name, value in asdict(self).items() if name not in _NO_PART_OF_THE_RESULT}


_WHOLE = {"batch_size": 1, "min_steps": 1, "validation_rows": 1, "max_skipped": 0, "report_every": 1}
_OPTIONAL_WHOLE = {"steps": 1, "patience": 1, "validate_every": 1}
_CHOICES = {"precision": PRECISIONS, "non_finite": NON_FINITE}
_FLAGS = ("compile", "tensorboard")
_NUMBERS = {
    "learning_rate": (0.0, math.inf, "a positive number"),
    "weight_decay": (0.0, math.inf, "a number of at least 0"),
    "beta2": (0.0, 1.0, "a number of at least 0 and below 1"),
    "warmup_share": (0.0, 1.0, "a number of at least 0 and below 1"),
    "final_share": (0.0, 1.0, "a number of at least 0 and below 1"),
    "epochs": (0.0, math.inf, "a positive number"),
    "clip_norm": (0.0, math.inf, "a positive number, or null for no clipping"),
    "settle_share": (0.0, 1.0, "a number of at least 0 and below 1"),
    "ema_decay": (0.0, 1.0, "a number of at least 0 and below 1"),
    "checkpoint_seconds": (0.0, math.inf, "a number of seconds of at least 0"),
}
"""Bounds; the lower one may be taken unless the number must be positive, the upper one never."""


def _checked(key: str, name: str, value: object) -> object:
    if name in _WHOLE:
        return whole_number(key, value, _WHOLE[name])
    if name in _OPTIONAL_WHOLE:
        return None if value is None else whole_number(key, value, _OPTIONAL_WHOLE[name])
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ExobenchError(f"{key}={value} must be one of {', '.join(_CHOICES[name])}.")
        return value
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ExobenchError(f"{key}={value} must be true or false.")
        return value
    return _number(key, name, value)


def _number(key: str, name: str, value: object) -> float | None:
    low, high, wanted = _NUMBERS[name]
    if name == "clip_norm" and value is None:
        return None
    right = isinstance(value, int | float) and not isinstance(value, bool) and low <= value < high
    if not right or (value == 0 and "positive" in wanted):
        raise ExobenchError(f"{key}={value} must be {wanted}.")
    assert isinstance(value, int | float)
    return float(value)
