"""All pilot draws of a spectrum together, each weighed against everything that any of them was drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from exobench.problem import InferenceProblem
from exobench.sampling.importance import WeightedDraws
from exobench_baselines.importance.proposal import Mixture, Proposal
from exobench_baselines.importance.weighing import log_joint

Array = NDArray[np.float64]


@dataclass
class PilotPool:
    """Adaptive multiple importance sampling (Cornuet, Marin, Mira & Robert 2012, Scand. J. Stat. 39, 798).

    The weight of a draw is prior times likelihood over the mean density of all proposals so far, so that a draw that
    was unlikely where it came from loses its weight once a better proposal is known.

    Attributes:
        problem: with prior and likelihood.
        x: depths of the spectrum, (bin,).
        sigma: as x.
    """

    problem: InferenceProblem
    x: Array
    sigma: Array
    _parts: list[Proposal] = field(default_factory=list, init=False)
    _counts: list[float] = field(default_factory=list, init=False)
    _log_density: list[Array] = field(default_factory=list, init=False)
    _theta: Array = field(init=False)
    _log_joint: Array = field(init=False)

    def __post_init__(self) -> None:
        self._theta = np.empty((0, len(self.problem.parameters)))
        self._log_joint = np.empty(0)

    def add(self, proposal: Mixture, n: int, rng: np.random.Generator) -> None:
        """Draws n more from a proposal, at n likelihood calls."""
        for part, share in zip(proposal.parts, proposal.shares, strict=True):
            self._add_part(part, share * n)
        theta = proposal.sample(n, rng)
        joint = log_joint(self.problem, theta, self.x, self.sigma)
        kept = np.isfinite(joint)
        theta, joint = theta[kept], joint[kept]
        self._log_density = [
            np.concatenate([old, part.log_prob(theta)])
            for part, old in zip(self._parts, self._log_density, strict=True)
        ]
        self._theta = np.concatenate([self._theta, theta])
        self._log_joint = np.concatenate([self._log_joint, joint])

    def draws(self) -> WeightedDraws:
        """All draws so far inside the box."""
        present = [(log, count) for log, count in zip(self._log_density, self._counts, strict=True) if count > 0.0]
        total = sum(count for _, count in present)
        log_mean = logsumexp(np.stack([log + np.log(count / total) for log, count in present]), axis=0)
        log_weight = self._log_joint - log_mean
        return WeightedDraws(self._theta, np.where(np.isfinite(log_weight), log_weight, -np.inf))

    def _add_part(self, part: Proposal, count: float) -> None:
        for row, known in enumerate(self._parts):
            if known is part:
                self._counts[row] += count
                return
        self._parts.append(part)
        self._counts.append(count)
        self._log_density.append(part.log_prob(self._theta) if len(self._theta) else np.empty(0))
