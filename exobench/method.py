"""What a method is: a recipe that turns an inference problem into a posterior."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from exobench.posterior import AbstractPosterior
from exobench.problem import InferenceProblem


class Capability(enum.Flag):
    """What a method can do, and what it asks for."""

    NONE = 0
    LOG_PROB = enum.auto()
    """The posterior has a density."""
    AMORTISED = enum.auto()
    """One fit serves every spectrum."""
    MISSING_BINS = enum.auto()
    """Accepts x = NaN with sigma = inf."""
    NEEDS_LIKELIHOOD = enum.auto()
    """Calls the likelihood, at a counted cost."""
    NEEDS_SIMULATOR = enum.auto()
    """Calls the simulator beyond the shared data set, at a counted cost."""
    NEEDS_GRADIENT = enum.auto()
    """Calls the likelihood and its gradient in theta, at a counted cost."""
    SURPRISE = enum.auto()
    """The posterior says how unlike its training spectra a spectrum is."""


@dataclass(frozen=True)
class Limits:
    """When training ends: the first limit that is reached. None means no limit of that kind.

    Attributes:
        n_train: distinct training spectra that may be used.
        steps: optimiser steps, in the unit that the method's card names.
        seconds: wall-clock seconds of training.
    """

    n_train: int | None = None
    steps: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Progress:
    """Where a method reports how far it is; the runner shows it and keeps the scalars.

    Attributes:
        update: called with (done, total, text) during work.
        scalar: called with (name, step, value), such as ("loss/generator", 100, 0.7).
    """

    update: Callable[[int, int, str], None]
    scalar: Callable[[str, int, float], None]

    @staticmethod
    def silent() -> Progress:
        """A progress that shows and keeps nothing."""
        return Progress(update=lambda done, total, text: None, scalar=lambda name, step, value: None)


class AbstractMethod(abc.ABC):
    """An immutable recipe: ``__init__`` only stores its arguments, under their own names.

    A method never sees the test truth; all it may see is the problem.
    """

    capabilities: ClassVar[Capability]
    registered_name: ClassVar[str] = ""
    """Set by ``@register_method``."""
    default_n_test: ClassVar[int] = 1000
    """Size of the nested test set that one run of this method can afford."""
    default_n_draws: ClassVar[int] = 1000
    learns: ClassVar[bool] = True
    """Whether ``fit`` looks at training spectra; a method that does not is charged none and given none."""
    trains_in_parallel: ClassVar[bool] = False
    """Whether several processes may call ``fit`` together, as under torchrun: all learning goes through
    ``exobench.training.engine.train``, and nothing else is written or depends on the process."""
    if_weights_are_uneven: ClassVar[str] = ""
    """What helps where the weighted draws of some spectra count for too few to be scored; said of runs with such."""
    spectra_per_call: ClassVar[int] = 1000
    """Spectra handed to ``sample`` at a time. Each answer is kept on disk, so a method that is slow on each spectrum
    takes few at a time and loses little when it is cut off."""

    def skip(self, problem: InferenceProblem) -> str | None:
        """A reason why the method cannot run on this problem, or None."""
        del problem
        return None

    @abc.abstractmethod
    def fit(
        self,
        problem: InferenceProblem,
        *,
        limits: Limits,
        rng: np.random.Generator,
        device: str,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> AbstractPosterior:
        """Learns from the problem's training spectra.

        Args:
            problem: all that a method may see.
            limits: the first one reached ends training.
            rng: the only source of randomness; torch generators are derived from it.
            device: a torch device name, already resolved ("cpu", "cuda:0").
            workdir: a folder of this fit alone; a fit that finds a checkpoint there goes on from it.
            stop: asked often; when it says True, write a checkpoint and raise ``FitInterrupted``.
            progress: where to report.

        Returns:
            The posterior; there is no unfitted state.
        """

    @classmethod
    @abc.abstractmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> AbstractPosterior:
        """Reads back a posterior that ``AbstractPosterior.save`` wrote to a folder; never unpickles."""


class FitInterrupted(RuntimeError):
    """Raised by ``fit`` after it wrote a checkpoint because ``stop`` said so."""
