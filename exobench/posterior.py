"""What a fitted method gives: q(theta | x) for any spectrum of the task."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PosteriorSamples:
    """Draws of theta for several spectra.

    Attributes:
        theta: draws in declared units, shape (obs, draw, param). The number of draws may be below the number asked
            for; the record keeps both.
        log_weight: natural log of importance weights, shape (obs, draw), not normalised; None for equal weights.
        diagnostics: named numbers that a method wants recorded, one per spectrum (obs,) or one for all.
    """

    theta: Array
    log_weight: Array | None = None
    diagnostics: dict[str, Array | float] = field(default_factory=dict)


class AbstractPosterior(abc.ABC):
    """q(theta | x), fitted."""

    n_parameters_trained: int = 0
    """Trained numbers, for the cost table."""

    @abc.abstractmethod
    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws theta for each spectrum.

        Args:
            x: depth fractions (obs, bin); NaN marks a missing bin.
            sigma: one standard deviation of each depth, (obs, bin); inf where the bin is missing.
            n_draws: draws wanted for each spectrum; fewer may come back.
            rng: the only source of randomness.

        Returns:
            The draws, (obs, draw, param).
        """

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Natural log of the density of theta (obs, draw, param) over the declared units; shape (obs, draw).

        Only methods with ``Capability.LOG_PROB`` are asked.
        """
        del theta, x, sigma
        raise TypeError(f"{type(self).__name__} has no density; the runner must not ask for one.")

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum x, sigma (obs, bin) is: (obs,), finite, higher for less alike.

        Only the order of the numbers is used, so any scale will do. Only methods with ``Capability.SURPRISE`` are
        asked.
        """
        del x, sigma
        raise TypeError(f"{type(self).__name__} has no surprise; nothing must ask for one.")

    @abc.abstractmethod
    def save(self, path: Path) -> None:
        """Writes the posterior into a folder as safetensors, JSON or plain arrays; never a pickle."""

    def draw_figures(self, x: Array, sigma: Array, theta_true: Array, folder: Path) -> list[Path]:
        """Draws the method's own figures for some test spectra, after scoring; returns the files written."""
        del x, sigma, theta_true, folder
        return []
