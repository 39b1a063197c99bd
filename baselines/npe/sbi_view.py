"""A trained posterior as sbi's users know it: a ``DirectPosterior`` over theta, given spectra.

Imports sbi: import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from sbi.inference import DirectPosterior
from sbi.neural_nets.estimators.base import ConditionalDensityEstimator
from sbi.utils import BoxUniform
from torch import Tensor

from exobench.neural.model import NeuralModel
from exobench_baselines.npe.estimator import SbiEstimator, bounded

_INWARDS = 1e-6
"""float32 may round a draw next to the box's edge onto the far side; sbi's prior would reject it."""


class ThetaDensity(ConditionalDensityEstimator):
    """q(theta | x) over declared units for one level of noise: box, encoder and sbi's estimator in one.

    Args:
        model: trained, its estimator an ``SbiEstimator``.
        sigma: one standard deviation of each bin, (bin,).
    """

    def __init__(self, model: NeuralModel, sigma: Tensor) -> None:
        super().__init__(model, torch.Size([model.box.n_param]), torch.Size([model.encoder.n_bin]))
        self.register_buffer("sigma", sigma)
        self.density = _sbi_estimator(model).density

    @property
    def embedding_net(self) -> torch.nn.Module:
        """The encoder of spectra."""
        return self.net.encoder

    def context(self, condition: Tensor) -> Tensor:
        """Context (n, c) of spectra (n, bin)."""
        return bounded(self.net.encoder(condition, self.sigma.expand_as(condition)))

    def log_prob(self, input: Tensor, condition: Tensor, **kwargs: Any) -> Tensor:
        """Natural log density (draw, n) of theta (draw, n, d) or (n, d) for spectra (n, bin), each encoded once."""
        u = self.net.box.to_unbounded(input if input.dim() == 3 else input.unsqueeze(0))
        context = self.context(condition)
        rest, log_width = self.net.residual(u.transpose(0, 1), context)
        log_prob_u = self.density.log_prob(rest.transpose(0, 1).float(), context).double() - log_width
        return self.net.box.log_prob_theta(log_prob_u, u).float()

    def loss(self, input: Tensor, condition: Tensor, **kwargs: Any) -> Tensor:
        """-log q, (n,)."""
        return -self.log_prob(input.unsqueeze(0), condition)[0]

    def sample(self, sample_shape: torch.Size | tuple[int, ...], condition: Tensor, **kwargs: Any) -> Tensor:
        """Draws of theta (*sample_shape, n, d), inside the box."""
        box = self.net.box
        context = self.context(condition)
        rest = self.density.sample(sample_shape, context).reshape(-1, len(context), box.n_param)
        u = self.net.add_guess(rest.transpose(0, 1), context).transpose(0, 1)
        theta = box.to_theta(u).reshape(*sample_shape, len(context), box.n_param)
        margin = _INWARDS * (box.high - box.low)
        return torch.minimum(torch.maximum(theta, box.low + margin), box.high - margin).float()


def sbi_posterior(model: NeuralModel, sigma: Tensor) -> DirectPosterior:
    """A posterior of sbi over theta, with the task's uniform prior, for spectra with noise sigma (bin,)."""
    device = str(model.box.low.device)
    prior = BoxUniform(model.box.low.float(), model.box.high.float(), device=device)
    return DirectPosterior(ThetaDensity(model, sigma.float().to(device)).eval(), prior, device=device)


def _sbi_estimator(model: NeuralModel) -> SbiEstimator:
    estimator = model.estimator
    if not isinstance(estimator, SbiEstimator):
        raise TypeError(f"the estimator is a {type(estimator).__name__}, not one of sbi.")
    return estimator
