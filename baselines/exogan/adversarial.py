"""Adversarial training of the generator, as published and as corrected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from exobench.problem import Batch
from exobench_baselines.exogan.losses import discriminator_loss, generator_loss, require_finite
from exobench_baselines.exogan.networks import Discriminator, Generator
from exobench_baselines.exogan.pictures import Pictures
from exobench_baselines.exogan.schedule import Stage
from exobench_baselines.exogan.trainer import set_learning_rate

_ADVICE = "lower method.learning_rate or raise method.batch_size"


@dataclass
class GanPair:
    """Generator and discriminator with their optimisers.

    Attributes:
        generator: z -> picture.
        discriminator: picture -> logit.
        generator_optimiser: Adam.
        discriminator_optimiser: Adam.
    """

    generator: Generator
    discriminator: Discriminator
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam

    @classmethod
    def build(
        cls, generator: Generator, discriminator: Discriminator, learning_rate: float, discriminator_rate: float
    ) -> GanPair:
        """Adam with beta1 0.5, as DCGAN (Radford et al. 2015)."""
        betas = (0.5, 0.999)
        return cls(
            generator,
            discriminator,
            torch.optim.Adam(generator.parameters(), lr=learning_rate, betas=betas),
            torch.optim.Adam(discriminator.parameters(), lr=discriminator_rate, betas=betas),
        )

    @property
    def networks(self) -> dict[str, nn.Module]:
        """By name."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """By name."""
        return {"generator": self.generator_optimiser, "discriminator": self.discriminator_optimiser}


@dataclass
class PublishedStep:
    """One step of the public code: one step of the discriminator, two of the generator, all on the same z.

    Attributes:
        pair: the networks.
        pictures: encoder of pictures.
        generator_steps: 2 as published.
    """

    pair: GanPair
    pictures: Pictures
    generator_steps: int = 2
    _step: int = 0

    def __call__(self, batch: Batch, random: torch.Generator) -> dict[str, torch.Tensor]:
        """Trains on noise-free spectra."""
        pair = self.pair
        real = self.pictures.encode(batch.theta, batch.x)
        z = uniform_z(len(real), pair.generator.z_dim, random)
        with torch.no_grad():
            fake = pair.generator(z)
        loss = discriminator_loss(pair.discriminator(real), pair.discriminator(fake))
        require_finite(loss, "discriminator", self._step, _ADVICE)
        _update(pair.discriminator_optimiser, loss)
        for _ in range(self.generator_steps):
            deceit = generator_loss(pair.discriminator(pair.generator(z))).mean()
            require_finite(deceit, "generator", self._step, _ADVICE)
            _update(pair.generator_optimiser, deceit)
        self._step += 1
        return {"discriminator": loss.detach(), "generator": deceit.detach()}


@dataclass
class CorrectedStep:
    """One step with latents tied to the parameters.

    The first latents are the parameters in the unit cube, stretched to [-1, 1]: their prior is uniform, which is just
    how z is drawn. So one forward pass serves two losses: the picture must be that of these parameters (mean squared
    error in standardised pixels), and the discriminator must take it for a real one.

    Attributes:
        pair: the networks.
        pictures: encoder of pictures.
        to_tied: parameters (n, param) to tied latents (n, param).
        stage: for the learning rate.
        learning_rate: of the generator, at its highest.
        adversarial_weight: of the generator's adversarial loss beside the error of the picture.
        adversarial_every: steps between adversarial ones; the others train on the picture's error alone.
        parameter_weight: of the error of the parameters as they are read from the picture, in units of the prior's
            half-range.
        frozen_after: fraction of the stage after which batch norm keeps its statistics, as it does when in-painting.
    """

    pair: GanPair
    pictures: Pictures
    to_tied: Callable[[torch.Tensor], torch.Tensor]
    stage: Stage
    learning_rate: float
    adversarial_weight: float
    adversarial_every: int
    parameter_weight: float = 10.0
    frozen_after: float = 0.5

    def __call__(self, batch: Batch, random: torch.Generator) -> dict[str, torch.Tensor]:
        """Trains on noise-free spectra."""
        pair, generator = self.pair, self.pair.generator
        set_learning_rate(pair.generator_optimiser, self.learning_rate * self.stage.cosine())
        generator.train(self.stage.fraction < self.frozen_after)
        picture = self.pictures.encode(batch.theta, batch.x)
        real = (picture - generator.mean) / generator.scale
        z = uniform_z(len(real), generator.z_dim, random)
        tied = self.to_tied(batch.theta)
        z[:, : tied.shape[1]] = tied
        fake = generator.logits(z)
        error = (fake - real).square().mean()
        read = self.to_tied(self.pictures.theta_of(generator.to_pixels(fake)))
        parameters = (read - tied).square().mean()
        losses = {"picture": error.detach(), "parameters": parameters.detach()}
        total = error + self.parameter_weight * parameters
        if self.stage.step % self.adversarial_every == 0:
            losses["discriminator"] = self._train_discriminator(real, fake.detach())
            deceit = generator_loss(pair.discriminator(fake)).mean()
            losses["generator"] = deceit.detach()
            total = total + self.adversarial_weight * deceit
        require_finite(total, "generator", self.stage.step, _ADVICE)
        _update(pair.generator_optimiser, total)
        return losses

    def _train_discriminator(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        loss = discriminator_loss(self.pair.discriminator(real), self.pair.discriminator(fake))
        require_finite(loss, "discriminator", self.stage.step, _ADVICE)
        _update(self.pair.discriminator_optimiser, loss)
        return loss.detach()


def uniform_z(n: int, z_dim: int, random: torch.Generator) -> torch.Tensor:
    """Latents (n, z_dim), uniform in [-1, 1)."""
    return torch.rand(n, z_dim, generator=random, device=random.device) * 2.0 - 1.0


def _update(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
