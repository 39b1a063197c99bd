"""In-painting: search for latents whose picture agrees with what is seen of a spectrum.

All restarts of many spectra form one batch; each picture has a loss of its own, so that neighbours never matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from exobench.progress import track
from exobench_baselines.exogan.layout import Layout
from exobench_baselines.exogan.losses import generator_loss
from exobench_baselines.exogan.masks import cut_bins, visible_pixels
from exobench_baselines.exogan.networks import Discriminator, Generator
from exobench_baselines.exogan.pictures import Extrema, Pictures

_ADAM_EPS = 1e-8


class Completions(NamedTuple):
    """End points of the restarts of several spectra.

    Attributes:
        theta: parameters as read from the pictures, (obs, restart, param).
        misfit: contextual loss of each, (obs, restart).
        loss: contextual plus weighted generator loss, (obs, restart).
        z: latents, (obs, restart, z_dim).
        evaluations: of the loss, each one forward and, but for the last, one backward pass.
    """

    theta: torch.Tensor
    misfit: torch.Tensor
    loss: torch.Tensor
    z: torch.Tensor
    evaluations: int


Misfit = Callable[[torch.Tensor], torch.Tensor]
"""Pictures (n, side, side), restarts of a spectrum side by side, to contextual losses (n,)."""


@dataclass
class PublishedMisfit:
    """Sum over the seen pixels of the absolute difference, as the paper has it.

    Seen bins of a cut section have no known extrema: there the generated depths, scaled back by the generated
    extrema, are compared in units of the span of the bins that are seen.

    Attributes:
        target: pictures of the spectra, (obs, side, side).
        visible: seen pixels, (obs, side, side), bool.
        cut: seen bins of cut sections, descending, (obs, bin), bool.
        extrema: of the seen bins.
        pictures: decoder.
        restarts: pictures a spectrum.
    """

    target: torch.Tensor
    visible: torch.Tensor
    cut: torch.Tensor
    extrema: Extrema
    pictures: Pictures
    restarts: int

    @classmethod
    def of(cls, pictures: Pictures, x: torch.Tensor, seen: torch.Tensor, restarts: int) -> PublishedMisfit:
        """For spectra x (obs, bin), NaN where not seen, and seen (obs, bin)."""
        layout = pictures.layout
        hidden = x.new_zeros(len(x), len(layout.parameter_names))
        shown = x.masked_fill(~seen, torch.nan)
        cut = cut_bins(layout, seen)
        visible = visible_pixels(layout, seen) & ~_pixels_of_bins(layout, cut)
        return cls(pictures.encode(hidden, shown), visible, cut, pictures.extrema(shown.flip(1)), pictures, restarts)

    def __call__(self, generated: torch.Tensor) -> torch.Tensor:
        """Contextual losses (n,)."""
        grouped = generated.unflatten(0, (-1, self.restarts))
        difference = (grouped - self.target[:, None]).abs()
        total = torch.where(self.visible[:, None], difference, 0.0).sum(dim=(2, 3)).flatten()
        if bool(self.cut.any()):
            total = total + self._cut_sections(generated)
        return total

    def _cut_sections(self, generated: torch.Tensor) -> torch.Tensor:
        layout, pictures = self.pictures.layout, self.pictures
        repeated = Extrema(*(value.repeat_interleave(self.restarts, dim=0) for value in self.extrema))
        depth = pictures.depth_of(pictures.components(generated))
        scaled = pictures.normalise(depth, repeated)
        target = pictures.components(self.target)[:, : layout.n_bin].repeat_interleave(self.restarts, dim=0)
        cut = self.cut.repeat_interleave(self.restarts, dim=0)
        return layout.repeat * torch.where(cut, (scaled - target).abs(), 0.0).sum(dim=1)


@dataclass
class DepthMisfit:
    """Half the mean squared difference of depths in units of noise and of the generator's own error.

    The generated spectrum is scaled back to depths, so that missing bins need no rule: they are left out.

    Attributes:
        x: depths, (obs, bin); 0 where not seen.
        weight: inverse variance of noise plus generator error over the number of seen bins, (obs, bin); 0 where not
            seen.
        pictures: decoder.
        restarts: pictures a spectrum.
    """

    x: torch.Tensor
    weight: torch.Tensor
    pictures: Pictures
    restarts: int

    @classmethod
    def of(
        cls,
        pictures: Pictures,
        x: torch.Tensor,
        sigma: torch.Tensor,
        seen: torch.Tensor,
        model_error: torch.Tensor,
        restarts: int,
    ) -> DepthMisfit:
        """For spectra x, sigma (obs, bin) and the generator's error (bin,), a depth."""
        kept = seen & torch.as_tensor(pictures.layout.kept_bins, device=x.device)
        variance = torch.where(kept, sigma, 1.0).square() + model_error.square()
        weight = torch.where(kept, 1.0 / variance, 0.0) / kept.sum(dim=1, keepdim=True).clamp_min(1)
        return cls(torch.where(kept, x, 0.0), weight, pictures, restarts)

    def __call__(self, generated: torch.Tensor) -> torch.Tensor:
        """Contextual losses (n,)."""
        depth = self.pictures.depth_of(self.pictures.components(generated)).flip(1)
        grouped = depth.unflatten(0, (-1, self.restarts))
        return 0.5 * (self.weight[:, None] * (grouped - self.x[:, None]).square()).sum(dim=2).flatten()


@dataclass
class Search:
    """Adam on the latents with the networks frozen.

    Attributes:
        generator: in evaluation mode.
        discriminator: in evaluation mode.
        pictures: decoder.
        evaluations: of the loss at most; the latents move between them.
        learning_rate: of Adam, 0.01 as published, in units of ``scale``.
        prior_weight: of the generator loss, 0.1 as published.
        tolerance: the search ends once the mean loss falls by less than this share in a step; 0 never ends early.
    """

    generator: Generator
    discriminator: Discriminator
    pictures: Pictures
    evaluations: int
    learning_rate: float
    prior_weight: float
    tolerance: float = 0.0

    def __call__(self, z: torch.Tensor, misfit: Misfit, scale: torch.Tensor | None = None) -> Completions:
        """Completes spectra.

        Args:
            z: starts, (obs, restart, z_dim).
            misfit: contextual loss of pictures.
            scale: step of each latent, (obs, 1, z_dim); 1 where None.
        """
        n_obs, restarts, _ = z.shape
        flat = z.flatten(0, 1).clone()
        step = 1.0 if scale is None else scale.expand_as(z).flatten(0, 1)
        moment, square = torch.zeros_like(flat), torch.zeros_like(flat)
        last = torch.full((n_obs,), torch.inf, device=z.device)
        active = torch.ones(n_obs, dtype=torch.bool, device=z.device)
        count = max(1, self.evaluations)
        for number in track(range(1, count + 1), "in-painting", "evaluations"):
            final = number == count
            pictures, contextual, loss, gradient = self._evaluate(flat, misfit, need_gradient=not final)
            mean = loss.unflatten(0, (n_obs, restarts)).mean(dim=1)
            if self.tolerance > 0:
                # Each spectrum stops by its own loss, so that its result never depends on its neighbours.
                active = active & (last - mean > self.tolerance * mean.abs())
                last = mean
            if final or not bool(active.any()):
                break
            gradient = gradient * step
            moment = 0.9 * moment + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient.square()
            move = (moment / (1 - 0.9**number)) / ((square / (1 - 0.999**number)).sqrt() + _ADAM_EPS)
            moving = active.repeat_interleave(restarts)[:, None]
            flat = torch.where(moving, (flat - self.learning_rate * step * move).clamp(-1.0, 1.0), flat)
        theta = self.pictures.theta_of(pictures)
        shape = (n_obs, restarts)
        return Completions(
            theta.unflatten(0, shape),
            contextual.unflatten(0, shape),
            loss.unflatten(0, shape),
            flat.unflatten(0, shape),
            number,
        )

    def _evaluate(
        self, flat: torch.Tensor, misfit: Misfit, *, need_gradient: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.set_grad_enabled(need_gradient):
            z = flat.detach().requires_grad_(need_gradient)
            logits = self.generator.logits(z)
            pictures = self.generator.to_pixels(logits)
            contextual = misfit(pictures)
            loss, total = contextual, contextual.sum()
            if self.prior_weight > 0:
                deceit = generator_loss(self.discriminator(logits if self.generator.standardised else pictures))
                # Mixed images have fewer logits than pictures; their mean stands for each, as in the public code.
                loss = contextual + self.prior_weight * (deceit if len(deceit) == len(flat) else deceit.mean())
                scale = len(flat) / len(deceit)
                total = total + self.prior_weight * scale * deceit.sum()
            gradient = torch.autograd.grad(total, z)[0] if need_gradient else torch.empty(0)
        return pictures.detach(), contextual.detach(), loss.detach(), gradient


def _pixels_of_bins(layout: Layout, bins: torch.Tensor) -> torch.Tensor:
    others = torch.zeros(len(bins), layout.n_component - layout.n_bin, dtype=torch.bool, device=bins.device)
    source = torch.as_tensor(layout.source.ravel(), device=bins.device)
    return torch.cat([bins, others], dim=1)[:, source].reshape(-1, layout.side, layout.side)
