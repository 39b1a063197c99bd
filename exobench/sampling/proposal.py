"""What draws are proposed from, for one spectrum: the trained posterior, the prior, and mixtures of such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from exobench.errors import ExobenchError
from exobench.posterior import AbstractPosterior
from exobench.prior import UniformPrior

Array = NDArray[np.float64]


class Proposal(Protocol):
    """A distribution over theta that can be drawn from and has a density."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param)."""

    def log_prob(self, theta: Array) -> Array:
        """Natural log of the density over declared units at theta (n, param), shape (n,)."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A fitted posterior, held at one spectrum x, sigma (bin,)."""

    posterior: AbstractPosterior
    x: Array
    sigma: Array

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param).

        Raises:
            ExobenchError: if the posterior gives fewer, or weighted ones: its density is then not that of its draws.
        """
        samples = self.posterior.sample(self.x[None], self.sigma[None], n, rng=rng)
        if samples.log_weight is not None or samples.theta.shape[1] != n:
            raise ExobenchError("method.proposal gives weighted or missing draws; it must draw from its own density.")
        return np.asarray(samples.theta[0], dtype=np.float64)

    def log_prob(self, theta: Array) -> Array:
        """See ``Proposal.log_prob``."""
        return np.asarray(self.posterior.log_prob(theta[None], self.x[None], self.sigma[None])[0], dtype=np.float64)


@dataclass(frozen=True)
class FromPrior:
    """The whole prior."""

    prior: UniformPrior

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param)."""
        return self.prior.sample(n, rng)

    def log_prob(self, theta: Array) -> Array:
        """See ``Proposal.log_prob``."""
        return self.prior.log_prob(theta)


@dataclass(frozen=True, eq=False)
class Mixture:
    """Parts with shares that sum to one; each part gives its share of every set of draws.

    The density is that of the whole mixture for every draw, whichever part it came from, which bounds the weights by
    those of the best part over its share (Hesterberg 1995, Technometrics 37, 185; Owen & Zhou 2000, JASA 95, 135).
    """

    parts: Sequence[Proposal]
    shares: Sequence[float]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws, (n, param), part after part."""
        ends = np.rint(n * np.cumsum(self.shares)).astype(int)
        counts = np.diff(ends, prepend=0)
        return np.concatenate([part.sample(int(m), rng) for part, m in zip(self.parts, counts, strict=True) if m > 0])

    def log_prob(self, theta: Array) -> Array:
        """See ``Proposal.log_prob``."""
        logs = [part.log_prob(theta) + np.log(share) for part, share in self._present()]
        return np.asarray(logsumexp(np.stack(logs), axis=0))

    def _present(self) -> list[tuple[Proposal, float]]:
        return [(part, share) for part, share in zip(self.parts, self.shares, strict=True) if share > 0.0]
