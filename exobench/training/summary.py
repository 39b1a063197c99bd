"""What training came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrainingSummary:
    """What training came to, and where a resumed one goes on.

    Attributes:
        step: optimiser steps done, those left out included.
        seconds: of training, over all processes that resumed one another.
        best_loss: validation loss of the weights that are kept; None without validation spectra.
        best_step: when it was measured.
        since_best: validations since then.
        ended_by: "steps", "seconds" or "patience"; empty while training.
        n_skipped: steps left out because they were not finite.
        history: step, seconds and validation loss of every validation.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int = 0
    since_best: int = 0
    ended_by: str = ""
    n_skipped: int = 0
    history: list[list[float]] = field(default_factory=list)

    def add(self, loss: float, seconds: float) -> bool:
        """Notes a validation loss; says whether it is the best so far, which NaN never is."""
        self.history.append([self.step, seconds, loss])
        if loss == loss and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_step, self.since_best = loss, self.step, 0
            return True
        self.since_best += 1
        return False
