"""Where training says how far it is: the progress of the run and, where asked for, TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exobench.errors import MissingDependencyError
from exobench.method import Progress
from exobench.progress import pace


class Scalars:
    """Sends scalars to the run's progress and to TensorBoard; silent on all processes but the first.

    Args:
        progress: of the run.
        folder: where TensorBoard's files go; None for none.
        first_step: what an earlier process wrote from this step on is superseded.
        is_first: whether this process reports.

    Raises:
        MissingDependencyError: TensorBoard is asked for and is not installed.
    """

    def __init__(self, progress: Progress, folder: Path | None, first_step: int, is_first: bool) -> None:
        self._progress = progress if is_first else Progress.silent()
        self._writer = _summary_writer(folder, first_step) if folder is not None and is_first else None
        self._first_step, self._started, self._text = first_step, time.monotonic(), ""

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Reports values by name."""
        for name, value in values.items():
            self._progress.scalar(name, step, value)
            if self._writer is not None:
                self._writer.add_scalar(name, value, step)

    def update(self, fraction: float, step: int, text: str | None = None) -> None:
        """Moves the bar; the words stay where none are given, for a loss costs a wait for the device."""
        self._text = self._text if text is None else f", {text}"
        rate = (step - self._first_step) / max(time.monotonic() - self._started, 1e-9)
        self._progress.update(round(1000 * fraction), 1000, f"step {step:,}, {pace(rate, 'steps')}{self._text}")

    def close(self) -> None:
        """Writes out what TensorBoard still holds."""
        if self._writer is not None:
            self._writer.close()


def _summary_writer(folder: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "method.training.tensorboard=true needs the package tensorboard: pip install tensorboard."
        ) from error
    return SummaryWriter(str(folder), purge_step=first_step or None)
