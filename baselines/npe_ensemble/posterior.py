"""An equal mixture of posteriors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.inner_fit import InnerFit, load_inner, save_inner
from exobench.method import Capability
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.seeds import rng_for

Array = NDArray[np.float64]
_DESCRIPTION = "ensemble.json"
_DRAWS_OF_SURPRISE = 32
_SMALLEST_SHARE = 1e-6


class EnsemblePosterior(AbstractPosterior):
    """q(theta | x) = mean over the members of q_k(theta | x).

    Args:
        members: fitted, one or more.
    """

    def __init__(self, members: list[InnerFit]) -> None:
        self.members = members
        self.n_parameters_trained = sum(member.posterior.n_parameters_trained for member in members)

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws (obs, n_draws, param), as many from each member as from the others, in random order.

        A remainder goes to members picked at random, so that each draw by itself is one of the mixture.

        Raises:
            ExobenchError: a member gives weighted draws or fewer than asked for.
        """
        counts = balanced_counts(n_draws, len(self.members), rng)
        parts = []
        for member, count in zip(self.members, counts, strict=True):
            if count:
                parts.append(_equal_draws(member, x, sigma, int(count), rng))
        theta = np.concatenate(parts, axis=1)
        order = rng.permuted(np.tile(np.arange(n_draws), (len(x), 1)), axis=1)
        return PosteriorSamples(np.take_along_axis(theta, order[:, :, None], axis=1))

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Natural log of the members' mean density, (obs, draw), of theta (obs, draw, param)."""
        log_probs = np.stack([member.posterior.log_prob(theta, x, sigma) for member in self.members])
        return logsumexp(log_probs, axis=0) - np.log(len(self.members))

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum is, (obs,): the members' discord and, where theirs is known,
        their own surprise, in quadrature.

        Discord is the spread of the members' mean draws over that of their draws, the root of its square's sum over
        parameters: members were fitted to agree on training spectra alone (Lakshminarayanan et al. 2017). One member
        has none.

        Raises:
            ExobenchError: as a member's ``sample``.
        """
        found = self._discord(x, sigma)
        known = [m.posterior for m in self.members if Capability.SURPRISE in m.method.capabilities]
        if known:
            found = np.hypot(found, np.mean([member.surprise(x, sigma) for member in known], axis=0))
        return found

    def _discord(self, x: Array, sigma: Array) -> Array:
        if len(self.members) == 1:
            return np.zeros(len(x))
        means, variances = [], []
        for index, member in enumerate(self.members):
            rng = rng_for("ensemble surprise", index)
            theta = member.posterior.sample(x, sigma, _DRAWS_OF_SURPRISE, rng=rng).theta
            means.append(theta.mean(axis=1))
            variances.append(theta.var(axis=1))
        within = np.mean(variances, axis=0)
        # Draws that crowd on the prior's edge may be all alike.
        smallest = _SMALLEST_SHARE * within.mean(axis=0) + np.finfo(np.float64).tiny
        ratio = np.var(means, axis=0, ddof=1) / np.maximum(within, smallest)
        return np.sqrt(ratio.sum(axis=1))

    def save(self, path: Path) -> None:
        """Writes each member into a folder of its own."""
        path.mkdir(parents=True, exist_ok=True)
        for index, member in enumerate(self.members):
            save_inner(member, member_folder(path, index))
        write_atomically(path / _DESCRIPTION, json.dumps({"members": len(self.members)}).encode())

    @classmethod
    def load(cls, path: Path, problem: InferenceProblem, device: str) -> EnsemblePosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        try:
            n_members = int(json.loads((path / _DESCRIPTION).read_text(encoding="utf-8"))["members"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExobenchError(f"{path / _DESCRIPTION} cannot be read ({error}); remove the run's folder.") from error
        return cls([load_inner(member_folder(path, index), problem, device) for index in range(n_members)])


def member_folder(path: Path, index: int) -> Path:
    """Where a member is kept."""
    return path / f"member_{index}"


def balanced_counts(n_draws: int, n_members: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draws of each member (member,): equal, with a remainder of one each for members picked at random."""
    counts = np.full(n_members, n_draws // n_members)
    counts[rng.permutation(n_members)[: n_draws % n_members]] += 1
    return counts


def _equal_draws(member: InnerFit, x: Array, sigma: Array, count: int, rng: np.random.Generator) -> Array:
    samples = member.posterior.sample(x, sigma, count, rng=rng)
    name = member.settings["name"]
    if samples.log_weight is not None:
        raise ExobenchError(f"method.member={name} gives weighted draws; an ensemble needs equal weights.")
    if samples.theta.shape[1] != count:
        raise ExobenchError(f"method.member={name} gave {samples.theta.shape[1]} draws of {count} asked for.")
    return samples.theta
