"""ExoGAN (Zingales & Waldmann 2018) as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from exobench.data.first_rows import first_rows
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import register_method
from exobench_baselines.exogan.fitting import Fit
from exobench_baselines.exogan.layout import why_not
from exobench_baselines.exogan.posterior import ExoGANPosterior
from exobench_baselines.exogan.recipe import Recipe, Variant
from exobench_baselines.exogan.sections import is_published_grid


@register_method("exogan")
class ExoGAN(AbstractMethod):
    """A generative adversarial network that completes the picture of a spectrum and its parameters.

    The arguments are those of ``Recipe``, where each is explained; None stands for the variant's own value.

    Raises:
        ExobenchError: a value that no fit can use.
    """

    capabilities: ClassVar[Capability] = Capability.AMORTISED | Capability.MISSING_BINS | Capability.SURPRISE
    default_n_test: ClassVar[int] = 100
    default_n_draws: ClassVar[int] = 1000

    def __init__(
        self,
        variant: Variant = "corrected",
        width: float | None = None,
        z_dim: int | None = None,
        batch_size: int = 64,
        gan_steps: int | None = None,
        learning_rate: float | None = None,
        discriminator_learning_rate: float = 2e-4,
        adversarial_weight: float = 0.02,
        adversarial_every: int = 4,
        normalisation: Literal["published", "training"] | None = None,
        mask: str | Sequence[int] = "parameters",
        starts: Literal["encoder", "random"] | None = None,
        restarts: int = 64,
        evaluations: int | None = None,
        inpainting_learning_rate: float | None = None,
        prior_weight: float = 0.1,
        tolerance: float | None = None,
        encoder_steps: int = 7000,
        encoder_batch_size: int = 256,
        encoder_learning_rate: float = 1e-3,
        encoder_size: int = 256,
        encoder_blocks: int = 3,
        encoder_draws: int = 4,
        mask_share: float = 0.1,
        calibration_spectra: int = 512,
        calibration_restarts: int = 64,
        calibration_steps: int = 200,
        batch_pictures: int = 1024,
    ) -> None:
        self.variant = variant
        self.width = width
        self.z_dim = z_dim
        self.batch_size = batch_size
        self.gan_steps = gan_steps
        self.learning_rate = learning_rate
        self.discriminator_learning_rate = discriminator_learning_rate
        self.adversarial_weight = adversarial_weight
        self.adversarial_every = adversarial_every
        self.normalisation = normalisation
        self.mask = mask
        self.starts = starts
        self.restarts = restarts
        self.evaluations = evaluations
        self.inpainting_learning_rate = inpainting_learning_rate
        self.prior_weight = prior_weight
        self.tolerance = tolerance
        self.encoder_steps = encoder_steps
        self.encoder_batch_size = encoder_batch_size
        self.encoder_learning_rate = encoder_learning_rate
        self.encoder_size = encoder_size
        self.encoder_blocks = encoder_blocks
        self.encoder_draws = encoder_draws
        self.mask_share = mask_share
        self.calibration_spectra = calibration_spectra
        self.calibration_restarts = calibration_restarts
        self.calibration_steps = calibration_steps
        self.batch_pictures = batch_pictures
        self._settings()

    def skip(self, problem: InferenceProblem) -> str | None:
        """Other parameters than ExoGAN's seven, or the WFC3 mask on another grid, cannot be put into its picture."""
        reason = why_not(problem.parameters)
        if reason is None and self.mask == "wfc3" and not is_published_grid(problem.wavelength_um):
            return "method.mask=wfc3 names points of the 515-point grid; give a list of bin indices on this one."
        return reason

    def recipe(self, problem: InferenceProblem) -> Recipe:
        """The settings for a problem, with every None replaced."""
        return self._settings().resolved(problem.n_train)

    def _settings(self) -> Recipe:
        return Recipe.of({name: getattr(self, name) for name in Recipe.__dataclass_fields__})

    def fit(
        self,
        problem: InferenceProblem,
        *,
        limits: Limits,
        rng: np.random.Generator,
        device: str,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> ExoGANPosterior:
        """Trains; ``limits.steps`` counts steps of all stages together. See ``AbstractMethod.fit``."""
        problem = first_rows(problem, limits.n_train)
        seed = int(rng.integers(2**62))
        return Fit(problem, self.recipe(problem), limits, seed, device, workdir, stop, progress).run()

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> ExoGANPosterior:
        """Reads back a saved posterior."""
        return ExoGANPosterior.load(path, problem.parameters, device)
