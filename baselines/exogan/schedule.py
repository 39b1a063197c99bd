"""How long a stage of training lasts, and how far it is."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class Stage:
    """One stage of training: ends after its steps or its seconds, whichever comes first.

    Attributes:
        name: shown and used in file names.
        steps: optimiser steps at most.
        seconds: wall-clock seconds at most; None for no bound, which makes training a function of its seed alone.
        step: steps done.
        spent: seconds spent before this process took over.
    """

    name: str
    steps: int
    seconds: float | None = None
    step: int = 0
    spent: float = 0.0
    _started: float = field(default_factory=time.monotonic, repr=False)

    def start(self) -> None:
        """Starts the clock of this process."""
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.spent + time.monotonic() - self._started

    @property
    def fraction(self) -> float:
        """How far the stage is, in [0, 1]."""
        by_steps = self.step / max(self.steps, 1)
        by_seconds = 0.0 if self.seconds is None else self.elapsed / max(self.seconds, 1e-9)
        return min(1.0, max(by_steps, by_seconds))

    @property
    def done(self) -> bool:
        """Whether a limit is reached."""
        return self.fraction >= 1.0

    def cosine(self, warm_steps: int = 100) -> float:
        """Factor on the learning rate: a short rise, then half a cosine down to a five-hundredth."""
        rise = min(1.0, (self.step + 1) / warm_steps)
        return rise * (0.002 + 0.998 * 0.5 * (1.0 + math.cos(math.pi * self.fraction)))
