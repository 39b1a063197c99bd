"""A conditional neural spline flow (Durkan et al. 2019) of the package normflows."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from exobench.errors import MissingDependencyError
from exobench.networks.box import standard_normal_log_prob
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.gaussian_whitening import GaussianWhitening

_CONTEXT_LIMIT = 20.0


def load_normflows() -> Any:
    """The package normflows.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import normflows
    except ImportError as error:
        raise MissingDependencyError(
            f"method=normflow needs the package normflows ({error}): pip install 'normflows>=1.7.3,<2'."
        ) from error
    return normflows


class SplineFlow(ConditionalEstimator):
    """Coupled rational-quadratic splines and LU-decomposed linear maps, on u or on what a Gaussian leaves of it.

    Args:
        n_param: length of u.
        n_context: length of the context vector.
        transforms: spline couplings, each followed by a linear map.
        hidden: width of the networks that give the splines.
        blocks: residual blocks of each of them.
        bins: of each spline.
        tail_bound: splines act on [-tail_bound, tail_bound], beyond it they are the identity.
        whiten: whether a Gaussian, a function of the context, takes place, width and correlations off u first.
    """

    def __init__(
        self,
        n_param: int,
        n_context: int,
        *,
        transforms: int,
        hidden: int,
        blocks: int,
        bins: int,
        tail_bound: float,
        whiten: bool,
    ) -> None:
        super().__init__()
        nf = load_normflows()
        flows: list[nn.Module] = []
        for _ in range(transforms):
            flows.append(
                nf.flows.CoupledRationalQuadraticSpline(
                    n_param,
                    blocks,
                    hidden,
                    num_context_channels=n_context,
                    num_bins=bins,
                    tail_bound=tail_bound,
                    activation=nn.SiLU,
                )
            )
            flows.append(nf.flows.LULinearPermute(n_param))
        base = nf.distributions.DiagGaussian(n_param, trainable=False)
        self.n_param = n_param
        self.flow = nf.ConditionalNormalizingFlow(base, flows)
        self.whitening = GaussianWhitening(n_param, n_context) if whiten else None

    def loss(self, u: torch.Tensor, context: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """-log q(u | context), (n,)."""
        del generator
        return -self.log_prob(u[:, None], context)[:, 0]

    def log_prob(self, u: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Natural log density (n, draw) of u (n, draw, param); float32 throughout, as splines do not bear less."""
        with torch.autocast(u.device.type, enabled=False):
            n, n_draws, _ = u.shape
            context = _bounded(context)
            w, log_det = (u, 0.0) if self.whitening is None else self.whitening.whiten(u, context)
            z, log_det_flow = self.flow.inverse_and_log_det(w.flatten(0, 1), context=_repeated(context, n_draws))
            return (standard_normal_log_prob(z) + log_det_flow).view(n, n_draws) + log_det

    def sample(self, context: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws (n, n_draws, param)."""
        context = _bounded(context)
        z = torch.randn(len(context) * n_draws, self.n_param, generator=generator, device=context.device)
        repeated = _repeated(context, n_draws)
        try:
            w = self.flow.forward(z, context=repeated)
        except AssertionError:
            # Rounding can make the quadratic of a spline's inverse look unsolvable in float32; float64 settles it.
            w = copy.deepcopy(self.flow).double().forward(z.double(), context=repeated.double()).float()
        w = w.view(len(context), n_draws, self.n_param)
        return w if self.whitening is None else self.whitening.colour(w, context)


def _repeated(context: torch.Tensor, n_draws: int) -> torch.Tensor:
    """One row a draw: normflows does not broadcast the context."""
    return context if n_draws == 1 else context.repeat_interleave(n_draws, dim=0)


def _bounded(context: torch.Tensor) -> torch.Tensor:
    """Spectra far outside the training range must not drive the splines' networks to overflow."""
    return torch.nan_to_num(context.float()).clamp(-_CONTEXT_LIMIT, _CONTEXT_LIMIT)
