"""The kind and the range of every number among the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from exobench.errors import ExobenchError
from exobench_baselines.exogan.layout import PARAMETER_NAMES


@dataclass(frozen=True)
class Range:
    """Where a setting may lie.

    Attributes:
        low: lower end.
        high: upper end.
        whole: whether only whole numbers do.
        above: whether the lower end itself is too low.
        optional: whether None stands for the variant's own value.
    """

    low: float
    high: float = math.inf
    whole: bool = False
    above: bool = False
    optional: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if math.isinf(self.high):
            return f"{kind} {'above' if self.above else 'of at least'} {self.low:g}"
        return f"{kind} in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"

    def holds(self, value: object) -> bool:
        """Whether a value lies in it; a whole number may be written as 1e3."""
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        number = float(value)
        if not math.isfinite(number) or (self.whole and not number.is_integer()):
            return False
        return (number > self.low if self.above else number >= self.low) and number <= self.high


def _count(low: int, *, optional: bool = False) -> Range:
    return Range(low, whole=True, optional=optional)


def _positive(*, optional: bool = False) -> Range:
    return Range(0.0, above=True, optional=optional)


RANGES: Mapping[str, Range] = {
    "width": Range(0.0, 4.0, above=True, optional=True),
    "z_dim": _count(1, optional=True),
    "batch_size": _count(1),
    "gan_steps": _count(1, optional=True),
    "learning_rate": _positive(optional=True),
    "discriminator_learning_rate": _positive(),
    "adversarial_weight": Range(0.0),
    "adversarial_every": _count(1),
    "restarts": _count(1),
    "evaluations": _count(1, optional=True),
    "inpainting_learning_rate": _positive(optional=True),
    "prior_weight": Range(0.0),
    "tolerance": Range(0.0, optional=True),
    "encoder_steps": _count(1),
    "encoder_batch_size": _count(1),
    "encoder_learning_rate": _positive(),
    "encoder_size": _count(1),
    "encoder_blocks": _count(0),
    "encoder_draws": _count(2),
    "mask_share": Range(0.0, 1.0),
    "calibration_spectra": _count(0),
    "calibration_restarts": _count(1),
    "calibration_steps": _count(0),
    "batch_pictures": _count(1),
}
"""Two draws are the fewest that have a spread, which the encoder is trained on."""

CORRECTED_RANGES: Mapping[str, Range] = {
    "z_dim": _count(len(PARAMETER_NAMES), optional=True),
    "restarts": _count(2),
    "calibration_restarts": _count(2),
}
"""Narrower where corrected: a latent for each parameter, and a spread of the completions for the calibrator."""

_CHOICES: Mapping[str, tuple[str | None, ...]] = {
    "variant": ("published", "corrected"),
    "normalisation": ("published", "training", None),
    "starts": ("encoder", "random", None),
}
_IMAGES_A_GROUP = 16


def check_settings(settings: Mapping[str, object]) -> None:
    """Checks all that can be said of settings without a problem.

    Args:
        settings: value of every field of ``Recipe``.

    Raises:
        ExobenchError: naming the first setting that no fit can use, and what would be right.
    """
    for name, choices in _CHOICES.items():
        value = settings[name]
        if not (value is None or isinstance(value, str)) or value not in choices:
            raise _wrong(name, value, " or ".join("null" if choice is None else repr(choice) for choice in choices))
    for name, allowed in RANGES.items():
        if not allowed.holds(settings[name]):
            raise _wrong(name, settings[name], str(allowed))
    _check_mask(settings["mask"])
    if settings["variant"] == "corrected":
        for name, allowed in CORRECTED_RANGES.items():
            if not allowed.holds(settings[name]):
                raise _wrong(name, settings[name], f"{allowed} where method.variant=corrected")
    else:
        _check_published(settings)


def as_numbers(settings: Mapping[str, object]) -> dict[str, object]:
    """Checked settings with whole numbers as int, others as float, and a list of bins as a tuple."""
    made = dict(settings)
    for name, allowed in RANGES.items():
        value = made[name]
        if isinstance(value, Real):
            made[name] = int(float(value)) if allowed.whole else float(value)
    mask = made["mask"]
    if isinstance(mask, Sequence) and not isinstance(mask, str):
        made["mask"] = tuple(int(index) for index in mask)
    return made


def _check_published(settings: Mapping[str, object]) -> None:
    for name in ("restarts", "batch_size"):
        value = settings[name]
        if isinstance(value, Real) and float(value) % _IMAGES_A_GROUP:
            raise _wrong(
                name,
                value,
                "a multiple of 16 where method.variant=published: its discriminator mixes 16 images in 9 rows",
            )
    if settings["starts"] == "encoder":
        raise _wrong("starts", "encoder", "'random' or null where method.variant=published: its latents are not tied")


def _check_mask(mask: object) -> None:
    wanted = "'parameters', 'wfc3' or a list of bin indices of at least 0"
    if isinstance(mask, str):
        if mask not in ("parameters", "wfc3"):
            raise _wrong("mask", mask, wanted)
    elif not (isinstance(mask, Sequence) and mask and all(_count(0).holds(index) for index in mask)):
        raise _wrong("mask", mask, wanted)


def _wrong(name: str, value: object, right: str) -> ExobenchError:
    return ExobenchError(f"method.{name}={value} must be {right}.")
