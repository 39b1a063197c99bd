"""sbi's flows behind sbi's density-estimator interface, with a whitening in front and sampling that cannot fail midway.

Imports sbi: import this module inside functions only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from nflows.transforms.base import InputOutsideDomain
from sbi.neural_nets import posterior_nn
from sbi.neural_nets.estimators.base import ConditionalDensityEstimator
from torch import Tensor

from exobench.errors import ExobenchError
from exobench.neural.gaussian_whitening import GaussianWhitening

# nflows calls it once in each process; nobody who trains a flow can do anything about it.
warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated", category=UserWarning)

ATTEMPTS = 20
"""Draws of new latents for one spectrum before sampling gives up with an error."""
FAILURES = (AssertionError, InputOutsideDomain)
"""What a spline's inverse raises where rounding makes its discriminant negative (nflows issue 87)."""


def build_density(
    flow: str, n_param: int, n_context: int, *, transforms: int, hidden: int, bins: int, tail_bound: float, whiten: bool
) -> WhitenedDensity:
    """A flow from sbi's ``posterior_nn``, without z-scores and without an embedding of its own.

    Args:
        flow: a model name of sbi, such as "nsf".
        n_param: parameters d.
        n_context: width of the context.
        transforms: layers of the flow.
        hidden: width of their networks.
        bins: of the splines.
        tail_bound: where the splines end; beyond it they are the identity.
        whiten: put a conditional Gaussian in front.

    Returns:
        The estimator, with random weights from torch's global generator.
    """
    is_zuko = flow.startswith("zuko_")
    settings: dict[str, Any] = {"hidden_features": [hidden, hidden] if is_zuko else hidden}
    if flow.endswith(("nsf", "rqs")):
        settings["num_bins"] = bins
    if not is_zuko and flow != "maf":
        settings["tail_bound"] = tail_bound
    build = posterior_nn(flow, z_score_theta="none", z_score_x="none", num_transforms=transforms, **settings)
    core = build(torch.zeros(2, n_param), torch.zeros(2, n_context))
    return WhitenedDensity(core, GaussianWhitening(n_param, n_context, hidden) if whiten else None)


class WhitenedDensity(ConditionalDensityEstimator):
    """log q(u | context) = log core(w | context) + log |dw/du|, w the whitened u."""

    def __init__(self, core: ConditionalDensityEstimator, whitening: GaussianWhitening | None) -> None:
        """Joins the two.

        Args:
            core: sbi's estimator.
            whitening: in front of it, or None.
        """
        super().__init__(core, core.input_shape, core.condition_shape)
        self.whitening = whitening

    @property
    def embedding_net(self) -> torch.nn.Module:
        """The core's, which is the identity."""
        return self.net.embedding_net

    def log_prob(self, input: Tensor, condition: Tensor, **kwargs: Any) -> Tensor:
        """Log density (draw, n) of input (draw, n, d) or (n, d), given condition (n, c) or (1, c)."""
        if input.dim() == 2:
            input = input.unsqueeze(0)
        if self.whitening is None:
            return self.net.log_prob(input, condition)
        n = max(input.shape[1], len(condition))
        condition = condition.expand(n, -1)
        w, log_det = self.whitening.whiten(input.expand(-1, n, -1).transpose(0, 1), condition)
        return self.net.log_prob(w.transpose(0, 1), condition) + log_det.T

    def loss(self, input: Tensor, condition: Tensor, **kwargs: Any) -> Tensor:
        """-log q, (n,), of input (n, d)."""
        return -self.log_prob(input.unsqueeze(0), condition)[0]

    def sample(self, sample_shape: torch.Size | tuple[int, ...], condition: Tensor, **kwargs: Any) -> Tensor:
        """Draws of shape (*sample_shape, n, d), from torch's global generator.

        Raises:
            ExobenchError: if a spectrum has no finite draws after ``ATTEMPTS`` tries.
        """
        shape = torch.Size(sample_shape)
        u = sample_rows(self._draw, shape.numel(), condition)
        return u.reshape(*shape, len(condition), *self.input_shape)

    def _draw(self, sample_shape: torch.Size, condition: Tensor) -> Tensor:
        w = self.net.sample(sample_shape, condition)
        if self.whitening is None:
            return w
        return self.whitening.colour(w.transpose(0, 1), condition).transpose(0, 1)


def sample_rows(draw: Callable[[torch.Size, Tensor], Tensor], n_draws: int, condition: Tensor) -> Tensor:
    """Draws for every row of the condition; rows that fail are drawn again, each for itself.

    Args:
        draw: (sample shape, condition) -> (draw, n, d); may raise one of ``FAILURES`` or return NaN.
        n_draws: draws a row.
        condition: (n, c).

    Returns:
        Finite draws, (n_draws, n, d).

    Raises:
        ExobenchError: if a single row failed ``ATTEMPTS`` times.
    """
    drawn = _try(draw, n_draws, condition)
    if drawn is not None:
        return drawn
    n = len(condition)
    if n > 1:
        halves = (condition[: n // 2], condition[n // 2 :])
        return torch.cat([sample_rows(draw, n_draws, half) for half in halves], dim=1)
    return torch.cat([_sample_one(draw, min(64, n_draws - start), condition) for start in range(0, n_draws, 64)])


def _sample_one(draw: Callable[[torch.Size, Tensor], Tensor], n_draws: int, condition: Tensor) -> Tensor:
    """A few draws for one row: few, so that one bad latent spoils little."""
    for _ in range(ATTEMPTS):
        drawn = _try(draw, n_draws, condition)
        if drawn is not None:
            return drawn
    raise ExobenchError(
        f"the flow gave no finite draws for a spectrum in {ATTEMPTS} tries; is it far outside the training range? "
        "method.flow=maf inverts no splines and cannot fail so."
    )


def _try(draw: Callable[[torch.Size, Tensor], Tensor], n_draws: int, condition: Tensor) -> Tensor | None:
    try:
        drawn = draw(torch.Size([n_draws]), condition)
    except FAILURES:
        return None
    return drawn if bool(torch.isfinite(drawn).all()) else None
