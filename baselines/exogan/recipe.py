"""The settings of a fit, with what the published and the corrected variant put where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from exobench_baselines.exogan.ranges import as_numbers, check_settings

Variant = Literal["published", "corrected"]


@dataclass(frozen=True)
class Recipe:
    """Settings of ExoGAN; None stands for the variant's own value.

    Attributes:
        variant: "published" follows the public code, "corrected" mends it; the card lists each difference.
        width: factor on the numbers of maps of both networks.
        z_dim: length of z.
        batch_size: pictures a step of adversarial training.
        gan_steps: steps of adversarial training; None for one epoch where published.
        learning_rate: of the generator (and the discriminator where published).
        discriminator_learning_rate: of the discriminator.
        adversarial_weight: of the generator's adversarial loss beside the picture's error (corrected).
        adversarial_every: steps between adversarial ones (corrected).
        normalisation: "published" constants, or the "training" set's own extrema.
        mask: bins that are seen: "parameters" (all), "wfc3", or ascending bin indices.
        starts: of the search, "encoder" (corrected only) or "random"; None for encoder where corrected.
        restarts: completions a spectrum.
        evaluations: of the in-painting loss, at most.
        inpainting_learning_rate: of Adam on z.
        prior_weight: of the generator loss when in-painting.
        tolerance: the search ends once the loss falls by less than this share in a step.
        encoder_steps: steps of the encoder's training (corrected).
        encoder_batch_size: spectra a step.
        encoder_learning_rate: at its highest.
        encoder_size: width of its trunk.
        encoder_blocks: residual blocks of its trunk.
        encoder_draws: draws a spectrum and step.
        mask_share: share of training spectra that lose bins.
        calibration_spectra: validation spectra that the calibrator is fitted on; 0 for none.
        calibration_restarts: completions of each.
        calibration_steps: optimiser steps of the calibrator.
        batch_pictures: pictures that are in-painted at once.
    """

    variant: Variant = "corrected"
    width: float | None = None
    z_dim: int | None = None
    batch_size: int = 64
    gan_steps: int | None = None
    learning_rate: float | None = None
    discriminator_learning_rate: float = 2e-4
    adversarial_weight: float = 0.02
    adversarial_every: int = 4
    normalisation: Literal["published", "training"] | None = None
    mask: str | tuple[int, ...] = "parameters"
    starts: Literal["encoder", "random"] | None = None
    restarts: int = 64
    evaluations: int | None = None
    inpainting_learning_rate: float | None = None
    prior_weight: float = 0.1
    tolerance: float | None = None
    encoder_steps: int = 7000
    encoder_batch_size: int = 256
    encoder_learning_rate: float = 1e-3
    encoder_size: int = 256
    encoder_blocks: int = 3
    encoder_draws: int = 4
    mask_share: float = 0.1
    calibration_spectra: int = 512
    calibration_restarts: int = 64
    calibration_steps: int = 200
    batch_pictures: int = 1024

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> Recipe:
        """A recipe of settings as they come from a config.

        Raises:
            ExobenchError: a value that no fit can use.
        """
        check_settings(settings)
        return cls(**as_numbers(settings))  # type: ignore[arg-type]

    @property
    def has_encoder(self) -> bool:
        """Whether an encoder gives the starts."""
        return self.variant == "corrected" and self.starts != "random"

    def resolved(self, n_train: int) -> Recipe:
        """With the variant's values in place of None.

        Raises:
            ExobenchError: a value that no fit can use.
        """
        check_settings(asdict(self))
        published = self.variant == "published"
        defaults: dict[str, object] = {
            "width": 1.0 if published else 0.25,
            "z_dim": 100 if published else 16,
            "gan_steps": max(1, n_train // self.batch_size) if published else 1400,
            "learning_rate": 2e-4 if published else 3e-3,
            "normalisation": "published" if published else "training",
            "starts": "random" if published else "encoder",
            "evaluations": 1001 if published else 3,
            "inpainting_learning_rate": 0.01 if published else 0.1,
            "tolerance": 0.0 if published else 0.01,
        }
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **missing)  # type: ignore[arg-type]

    def describe(self) -> dict[str, object]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_description(cls, content: dict[str, object]) -> Recipe:
        """The inverse of ``describe``."""
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in content.items()})  # type: ignore[arg-type]
