"""sbi's density estimator as the benchmark's conditional estimator, drawn from through sbi's posterior.

Imports sbi: import this module inside functions only.
"""

from __future__ import annotations

import torch
from sbi.inference import DirectPosterior
from torch import Tensor
from torch.distributions import Independent, Normal

from exobench.neural.estimator import ConditionalEstimator
from exobench_baselines.npe.density import WhitenedDensity

CONTEXT_LIMIT = 30.0
"""The context is held within these bounds: a flow's networks never see a spectrum as extreme as they can get."""


class SbiEstimator(ConditionalEstimator):
    """q(u | context) by an estimator of sbi.

    Args:
        density: behind sbi's interface, its embedding the identity: the context is computed once for all draws.
    """

    def __init__(self, density: WhitenedDensity) -> None:
        super().__init__()
        self.density = density

    def loss(self, u: Tensor, context: Tensor, generator: torch.Generator | None) -> Tensor:
        """-log q(u | context), (n,), in float32 throughout: splines in half precision lose their invertibility."""
        with torch.autocast(u.device.type, enabled=False):
            return self.density.loss(u.float(), bounded(context))

    def log_prob(self, u: Tensor, context: Tensor) -> Tensor:
        """Natural log density (n, draw)."""
        return self.density.log_prob(u.transpose(0, 1), bounded(context)).T

    def sample(self, context: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
        """Draws (n, n_draws, d) through sbi's ``DirectPosterior``.

        The prior of u is unbounded, so that nothing is ever rejected. sbi draws from torch's global generator, which is
        seeded from the one given and put back afterwards; making the posterior draws from it, too, to check the prior.

        Raises:
            ExobenchError: a spectrum for which the flow gives no finite draws.
        """
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        devices = [context.device] if context.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(seed)
            posterior = self.direct_posterior(context.device)
            # sbi warns where its rejection batch would be large; without rejection the size is not used.
            drawn = posterior.sample_batched(
                (n_draws,),
                x=bounded(context),
                max_sampling_batch_size=1,
                show_progress_bars=False,
                reject_outside_prior=False,
            )
        return drawn.transpose(0, 1)

    def direct_posterior(self, device: torch.device) -> DirectPosterior:
        """The posterior of u given a context, as sbi has it."""
        prior = standard_normal(self.density.input_shape[0], device)
        return DirectPosterior(self.density, prior, device=str(device), enable_transform=False)


def bounded(context: Tensor) -> Tensor:
    """The context, float32, within +-``CONTEXT_LIMIT``."""
    return context.float().clamp(-CONTEXT_LIMIT, CONTEXT_LIMIT)


def standard_normal(n_param: int, device: torch.device) -> Independent:
    """The prior of u."""
    return Independent(Normal(torch.zeros(n_param, device=device), torch.ones(n_param, device=device)), 1)
