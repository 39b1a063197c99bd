"""How long training lasts, how far it is, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from exobench.method import Limits
from exobench.training.settings import TrainingSettings

_SMALLEST_BATCH = 16
_BATCHES_AN_EPOCH = 10
_VALIDATE_AT_LEAST, _VALIDATE_AT_MOST = 100, 1000


@dataclass(frozen=True)
class Plan:
    """What settings, limits and the number of training spectra come to.

    Attributes:
        batch_size: rows of a global batch.
        per_epoch: steps of an epoch.
        steps: steps at most.
        validate_every: steps between validations.
        seconds: seconds at most, or None.
    """

    batch_size: int
    per_epoch: int
    steps: int
    validate_every: int
    seconds: float | None


def plan_steps(settings: TrainingSettings, limits: Limits, n_train: int, world_size: int = 1) -> Plan:
    """Turns settings and limits into numbers of steps.

    A small training split gets smaller batches, so that an epoch has at least ten of them while a batch keeps 16 rows.

    Args:
        settings: of training.
        limits: steps and seconds; n_train is taken to be in ``n_train`` already.
        n_train: training spectra.
        world_size: processes that share a batch; it divides the batch size.
    """
    batch_size = min(settings.batch_size, max(n_train // _BATCHES_AN_EPOCH, _SMALLEST_BATCH), n_train)
    batch_size = max(batch_size - batch_size % world_size, world_size)
    per_epoch = max(n_train // batch_size, 1)
    steps = settings.steps
    if steps is None:
        steps = max(math.ceil(settings.epochs * per_epoch), settings.min_steps)
    if limits.steps is not None:
        steps = min(steps, max(limits.steps, 1))
    validate_every = settings.validate_every or min(max(per_epoch, _VALIDATE_AT_LEAST), _VALIDATE_AT_MOST)
    return Plan(batch_size, per_epoch, steps, validate_every, limits.seconds)


def learning_rate_factor(fraction: float, steps: int, warmup_share: float, final_share: float) -> float:
    """Linear rise, then half a cosine (Loshchilov & Hutter 2017, without restarts) down to ``final_share``.

    Args:
        fraction: how far training is, in [0, 1].
        steps: steps of the whole training; the first of them has no factor of zero.
        warmup_share: share of training that the rise takes.
        final_share: what is left at the end.

    Returns:
        The factor on the largest learning rate, in (0, 1].
    """
    if fraction < warmup_share:
        return min(1.0, (fraction + 1.0 / steps) / warmup_share)
    after = (fraction - warmup_share) / (1.0 - warmup_share)
    return final_share + (1.0 - final_share) * 0.5 * (1.0 + math.cos(math.pi * min(after, 1.0)))


@dataclass
class Clock:
    """Seconds of training, those before an interruption included.

    Attributes:
        spent: seconds before this process took over.
    """

    spent: float = 0.0
    _started: float = field(default_factory=time.monotonic, repr=False)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.spent + time.monotonic() - self._started


def fraction_done(step: int, plan: Plan, seconds: float) -> float:
    """How far training is, in [0, 1]: by steps or, where they are limited, by seconds, whichever is further.

    Without a limit on seconds this is a pure function of the step, which is what makes an interrupted fit equal to an
    uninterrupted one bit for bit. With one, the cosine ends when the time does.
    """
    by_seconds = 0.0 if plan.seconds is None else seconds / plan.seconds
    return min(1.0, max(step / plan.steps, by_seconds))
