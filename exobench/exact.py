"""Posteriors known in closed form: the yardstick of a task that has one. Methods never see it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class LogEvidence(NamedTuple):
    """Natural log of the evidence of several spectra, (obs,), and the standard error of its computation, (obs,)."""

    value: Array
    error: Array


class ExactPosterior(Protocol):
    """p(theta | x) under the task's prior and exact likelihood."""

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> Array:
        """Independent draws of theta for each spectrum x, sigma (obs, bin); shape (obs, draw, param)."""

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Natural log of the density of theta (obs, draw, param) over the declared units; shape (obs, draw)."""

    def log_evidence(self, x: Array, sigma: Array) -> LogEvidence:
        """Evidence of the likelihood over the normalised prior, the Gaussian's own normalisation included."""
