"""The two networks of ExoGAN, a DCGAN (Radford et al. 2015), at the published size times a width."""

from __future__ import annotations

import torch
from torch import nn

from exobench.errors import ExobenchError

Z_DIM = 100
_GENERATOR_MAPS = (512, 256, 128, 64)
_DISCRIMINATOR_MAPS = (64, 128, 256, 512)
_WEIGHT_SIGMA = 0.02
_NORM_MOMENTUM = 0.1
"""Torch's momentum is one minus the decay of 0.9 that the paper's code uses."""
_NORM_EPS = 1e-5
_POSITIONS_A_ROW = 16
"""The public code flattens the last maps in rows of 8192 = 16 x 512 numbers, where an image has 9 x 512."""


def scaled_maps(maps: tuple[int, ...], width: float) -> list[int]:
    """Numbers of maps at a width; at least four each."""
    if not 0 < width <= 4:
        raise ExobenchError(f"method.width={width} must lie in (0, 4].")
    return [max(4, round(count * width)) for count in maps]


class Generator(nn.Module):
    """Maps z to a picture: a dense layer, then four transposed convolutions that each turn side n into 2n - 1.

    Args:
        base: side of the first maps, 3 for 33 x 33.
        width: factor on the numbers of maps, 1 as published.
        z_dim: length of z.
        mean: mean picture (side, side), or None for the published sigmoid.
        scale: standard deviation of each pixel. With a mean and a scale, the last layer is linear in standardised
            pixels, so that a pixel that varies little counts as much as one that varies a lot.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        base: int,
        width: float = 1.0,
        z_dim: int = Z_DIM,
        mean: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        maps = scaled_maps(_GENERATOR_MAPS, width)
        self.base, self.z_dim = base, z_dim
        self.first_maps = maps[0]
        self.dense = nn.Linear(z_dim, maps[0] * base * base)
        self.norms = nn.ModuleList(_norm(count) for count in maps)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 5, stride=2, padding=2) for a, b in zip(maps, [*maps[1:], 1], strict=True)
        )
        self.standardised = mean is not None
        if mean is not None and scale is not None:
            self.register_buffer("mean", mean.clone())
            self.register_buffer("scale", scale.clone())

    def logits(self, z: torch.Tensor) -> torch.Tensor:
        """Output of the last layer, (n, side, side): logits, or standardised pixels."""
        h = self.dense(z).reshape(len(z), self.first_maps, self.base, self.base)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(torch.relu(norm(h)))
        return h[:, 0]

    def to_pixels(self, logits: torch.Tensor) -> torch.Tensor:
        """Pixels from the last layer's output."""
        if self.standardised:
            return self.mean + self.scale * logits
        return torch.sigmoid(logits)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Pictures (n, side, side) for z (n, z_dim)."""
        return self.to_pixels(self.logits(z))


class Discriminator(nn.Module):
    """Judges pictures: four convolutions of stride 2, then one logit.

    Args:
        side: side of the picture.
        width: factor on the numbers of maps.
        mix_images: flatten as the public code does, in rows that hold 16/9 images each, so that logits mix images and
            a batch of 64 has 36 of them. Otherwise one logit an image.
    """

    def __init__(self, side: int, width: float = 1.0, *, mix_images: bool = False) -> None:
        super().__init__()
        maps = scaled_maps(_DISCRIMINATOR_MAPS, width)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 5, stride=2, padding=2) for a, b in zip([1, *maps[:-1]], maps, strict=True)
        )
        self.norms = nn.ModuleList(_norm(count) for count in maps[1:])
        for _ in maps:
            side = (side + 1) // 2
        self.positions = side * side
        self.mix_images = mix_images
        self.dense = nn.Linear(maps[-1] * (_POSITIONS_A_ROW if mix_images else self.positions), 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits that pictures (n, side, side) are real; (n,), or fewer where images are mixed."""
        h = nn.functional.leaky_relu(self.convolutions[0](pictures[:, None]), 0.2)
        for norm, convolution in zip(self.norms, self.convolutions[1:], strict=True):
            h = nn.functional.leaky_relu(norm(convolution(h)), 0.2)
        if not self.mix_images:
            return self.dense(h.flatten(1))[:, 0]
        # Channels last, as in the public code, so that the same numbers share a row.
        flat = h.permute(0, 2, 3, 1).flatten()
        if flat.numel() % self.dense.in_features:
            raise ExobenchError(
                f"method.variant=published mixes images in rows of {_POSITIONS_A_ROW} positions: "
                f"{len(pictures)} images of {self.positions} positions do not fill whole rows; use multiples of 16."
            )
        return self.dense(flat.reshape(-1, self.dense.in_features))[:, 0]


def _norm(count: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(count, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Weights from N(0, 0.02), biases 0, batch norms 1 and 0, from the given generator alone (on the CPU)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            with torch.no_grad():
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * _WEIGHT_SIGMA)
                if module.bias is not None:
                    module.bias.zero_()


def n_parameters(network: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(p.numel() for p in network.parameters())
