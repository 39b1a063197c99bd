"""The stages of a fit: adversarial training, then, where corrected, encoder and calibrator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from exobench.method import FitInterrupted, Limits, Progress
from exobench.problem import Batch, InferenceProblem, Split
from exobench.seeds import derived_seed, stable_hash
from exobench_baselines.exogan.adversarial import CorrectedStep, GanPair, PublishedStep, uniform_z
from exobench_baselines.exogan.calibration import fit_calibrator
from exobench_baselines.exogan.encoder import statistics_of
from exobench_baselines.exogan.encoding import EncoderStep
from exobench_baselines.exogan.layout import PUBLISHED_DEPTH_MAX, PUBLISHED_DEPTH_MIN, Layout
from exobench_baselines.exogan.masks import bins_of_mask
from exobench_baselines.exogan.networks import initialise
from exobench_baselines.exogan.pictures import Pictures, out_of_range
from exobench_baselines.exogan.posterior import ExoGANPosterior, FittedNetworks, build_networks
from exobench_baselines.exogan.recipe import Recipe
from exobench_baselines.exogan.schedule import Stage
from exobench_baselines.exogan.trainer import Trainer
from exobench_baselines.exogan.validation import EncoderValidation

_ROWS_FOR_STATISTICS = 20_000
_EXTREMA_MARGIN = 0.02
_SMALLEST_PIXEL_SCALE = 1e-2
_SHARES = {"adversarial": 0.3, "encoder": 0.58}
"""Shares of a limit on seconds, and of the progress shown; the rest goes to the calibrator."""


@dataclass
class Fit:
    """One fit of one recipe.

    Attributes:
        problem: all that may be seen, already limited in training spectra.
        recipe: resolved.
        limits: the first reached ends training.
        seed: of everything random.
        device: torch device.
        workdir: holds the checkpoints.
        stop: asked each step.
        progress: where to report.
    """

    problem: InferenceProblem
    recipe: Recipe
    limits: Limits
    seed: int
    device: str
    workdir: Path
    stop: Callable[[], bool]
    progress: Progress

    def run(self) -> ExoGANPosterior:
        """Trains all stages and returns the posterior."""
        started = time.monotonic()
        layout, standardisation, statistics = self._prepare()
        networks = build_networks(layout, self.recipe, standardisation, statistics, self.device)
        for number, module in enumerate(networks.modules().values()):
            if number < 2:
                initialise(module, self._generator("weights", number))
        self._train_gan(networks, layout)
        if self.recipe.variant == "published":
            return self._posterior(networks, layout)
        if self.recipe.has_encoder:
            self._train_encoder(networks)
        networks.model_error = self._model_error(networks, layout)
        posterior = self._posterior(networks, layout)
        self._calibrate(posterior, started)
        return posterior

    def _posterior(self, networks: FittedNetworks, layout: Layout) -> ExoGANPosterior:
        problem = self.problem
        return ExoGANPosterior(layout, problem.wavelength_um, problem.parameters, self.recipe, networks, self.device)

    def to_tied(self, theta: torch.Tensor) -> torch.Tensor:
        """Parameters (n, param) to the range of z, [-1, 1]."""
        space = self.problem.parameters
        low = torch.as_tensor(space.low, dtype=torch.float32, device=theta.device)
        high = torch.as_tensor(space.high, dtype=torch.float32, device=theta.device)
        return 2.0 * (theta.float() - low) / (high - low) - 1.0

    def _prepare(self) -> tuple[Layout, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        problem, recipe = self.problem, self.recipe
        n = min(problem.n_train, _ROWS_FOR_STATISTICS)
        clean = problem.arrays("train", n, noise_copies=0)
        layout = Layout.build(problem.wavelength_um, problem.parameters, **self._depth_range(clean.x))
        bins_of_mask(layout, recipe.mask)
        pictures = Pictures(layout).encode(torch.as_tensor(clean.theta), torch.as_tensor(clean.x))
        self.progress.scalar("pixels_outside", 0, float(out_of_range(pictures)))
        if recipe.variant == "published":
            return layout, {}, {}
        scale = pictures.std(dim=0, correction=0).clamp_min(_SMALLEST_PIXEL_SCALE)
        if not recipe.has_encoder:
            return layout, {"mean": pictures.mean(dim=0), "scale": scale}, {}
        noisy = problem.arrays("train", n, seed=self._seed("statistics"))
        statistics = statistics_of(torch.as_tensor(noisy.x), torch.as_tensor(noisy.sigma))
        named = {f"features.{name}": value for name, value in statistics._asdict().items()}
        return layout, {"mean": pictures.mean(dim=0), "scale": scale}, named

    def _depth_range(self, depth: np.ndarray) -> dict[str, float]:
        if self.recipe.normalisation == "published":
            return {"depth_max": PUBLISHED_DEPTH_MAX, "depth_min": PUBLISHED_DEPTH_MIN}
        # The margin covers the rows that were not looked at.
        return {
            "depth_max": float(depth.max()) * (1.0 + _EXTREMA_MARGIN),
            "depth_min": float(depth.min()) * (1.0 - _EXTREMA_MARGIN),
        }

    def _train_gan(self, networks: FittedNetworks, layout: Layout) -> None:
        recipe, published = self.recipe, self.recipe.variant == "published"
        assert recipe.gan_steps is not None
        assert recipe.learning_rate is not None
        stage = self._stage("adversarial", recipe.gan_steps, self._adversarial_share())
        discriminator_rate = recipe.learning_rate if published else recipe.discriminator_learning_rate
        pair = GanPair.build(networks.generator, networks.discriminator, recipe.learning_rate, discriminator_rate)
        pictures = Pictures(layout, self.device)
        step: PublishedStep | CorrectedStep
        if published:
            step = PublishedStep(pair, pictures)
        else:
            step = CorrectedStep(
                pair,
                pictures,
                self.to_tied,
                stage,
                recipe.learning_rate,
                recipe.adversarial_weight,
                recipe.adversarial_every,
            )
        batch_size = self._batch_size(recipe.batch_size)
        progress = self._part(0.0, self._adversarial_share())
        trainer = self._trainer(stage, pair.networks, pair.optimisers, progress)
        trainer.run(lambda first: self._stream(batch_size, first, noise=False), step)

    def _adversarial_share(self) -> float:
        if self.recipe.variant == "published":
            return 1.0
        return _SHARES["adversarial"] + (0.0 if self.recipe.has_encoder else _SHARES["encoder"])

    def _train_encoder(self, networks: FittedNetworks) -> None:
        recipe, encoder = self.recipe, networks.encoder
        assert encoder is not None
        _reset_weights(encoder, self._generator("weights", 2))
        stage = self._stage("encoder", recipe.encoder_steps, _SHARES["encoder"])
        optimiser = torch.optim.AdamW(encoder.parameters(), lr=recipe.encoder_learning_rate, weight_decay=1e-2)
        seen = torch.ones(self.problem.n_bin, dtype=torch.bool)
        if recipe.mask != "parameters":
            seen = torch.as_tensor(bins_of_mask(self._mask_layout(), recipe.mask))
        step = EncoderStep(
            encoder,
            optimiser,
            self.to_tied,
            stage,
            recipe.encoder_learning_rate,
            recipe.encoder_draws,
            recipe.mask_share,
            seen.to(self.device),
        )
        batch_size = self._batch_size(recipe.encoder_batch_size)
        progress = self._part(_SHARES["adversarial"], _SHARES["encoder"])
        trainer = self._trainer(stage, {"encoder": encoder}, {"encoder": optimiser}, progress)
        validation = EncoderValidation(self.problem, step, self._seed("encoder validation"), self.device)
        trainer.validation = validation if validation.n else None
        trainer.run(lambda first: self._stream(batch_size, first, noise=True), step)

    def _mask_layout(self) -> Layout:
        return Layout.build(self.problem.wavelength_um, self.problem.parameters)

    def _model_error(self, networks: FittedNetworks, layout: Layout) -> torch.Tensor:
        """Root mean square error (bin,) of the generator's spectra for known parameters, on validation spectra."""
        networks.freeze()
        split: Split = "validation" if self.problem.n_validation else "train"
        n = min(512, self.problem.spectra.n(split))
        theta, depth = self.problem.spectra.read(split, n)
        tied = self.to_tied(torch.as_tensor(theta, dtype=torch.float32, device=self.device))
        generator = networks.generator
        random = torch.Generator(device=self.device).manual_seed(self._seed("model error"))
        z = uniform_z(n, generator.z_dim, random)
        z[:, : tied.shape[1]] = tied
        with torch.no_grad():
            made = Pictures(layout, self.device).decode(generator(z)).depth
        error = (made - torch.as_tensor(depth, dtype=torch.float32, device=self.device)).square().mean(dim=0).sqrt()
        return torch.nan_to_num(error, nan=0.0)

    def _calibrate(self, posterior: ExoGANPosterior, started: float) -> None:
        problem, recipe = self.problem, self.recipe
        n = min(recipe.calibration_spectra, problem.n_validation)
        if self.limits.steps is not None:
            # A short fit calibrates on no more spectra than it may take steps.
            n = min(n, max(self.limits.steps, 1))
        if n == 0:
            return
        arrays = problem.arrays("validation", n, seed=self._seed("calibration noise"))
        posterior.require_visible(arrays.x, arrays.sigma, "validation spectrum")
        seeds = np.random.default_rng(self._seed("calibration starts")).integers(2**62, size=n)
        per_batch = max(1, recipe.batch_pictures // recipe.calibration_restarts)
        trained = sum(_SHARES.values())
        progress = self._part(trained, 1.0 - trained)
        unit: list[torch.Tensor] = []
        misfit: list[torch.Tensor] = []
        for start in range(0, n, per_batch):
            rows = slice(start, start + per_batch)
            if self.stop():
                raise FitInterrupted("exogan stopped while it completed validation spectra.")
            if unit and self.limits.seconds is not None and time.monotonic() - started > 0.97 * self.limits.seconds:
                break
            x, sigma = arrays.x[rows], arrays.sigma[rows]
            done = posterior.complete(x, sigma, seeds[rows], restarts=recipe.calibration_restarts)
            unit.append(posterior.to_unit_cube(done.theta))
            misfit.append(done.misfit)
            progress.update(start + len(x), n, "calibration")
        u = torch.cat(unit)
        truth = 0.5 * (self.to_tied(torch.as_tensor(arrays.theta[: len(u)], device=self.device)) + 1.0)
        posterior.set_calibrator(
            fit_calibrator(
                u,
                torch.cat(misfit),
                truth,
                steps=self._calibration_steps(),
                generator=self._generator("calibrator", 0),
            )
        )

    def _calibration_steps(self) -> int:
        steps = self.recipe.calibration_steps
        return steps if self.limits.steps is None else min(steps, self.limits.steps)

    def _stage(self, name: str, steps: int, share: float) -> Stage:
        if self.limits.steps is not None:
            planned = self._planned_steps()
            steps = min(steps, max(1, round(self.limits.steps * steps / planned)))
        seconds = None if self.limits.seconds is None else self.limits.seconds * share
        return Stage(name, steps, seconds)

    def _planned_steps(self) -> int:
        assert self.recipe.gan_steps is not None
        return self.recipe.gan_steps + (self.recipe.encoder_steps if self.recipe.has_encoder else 0)

    def _batch_size(self, wanted: int) -> int:
        n_train = self.problem.n_train
        if wanted <= n_train:
            return wanted
        return max(16 * (n_train // 16), 1)

    def _stream(self, batch_size: int, first: int, *, noise: bool) -> Iterator[Batch]:
        seed = self._seed("stream", noise)
        return self.problem.stream("train", batch_size, device=self.device, seed=seed, noise=noise, start_step=first)

    def _trainer(
        self,
        stage: Stage,
        networks: dict[str, torch.nn.Module],
        optimisers: dict[str, torch.optim.Optimizer],
        progress: Progress,
    ) -> Trainer:
        seed = self._seed("steps", stage.name)
        return Trainer(stage, networks, optimisers, seed, self.device, self.workdir, self._key(), self.stop, progress)

    def _part(self, start: float, share: float) -> Progress:
        """The progress of a stage as that of the whole fit, so that a bar goes from end to end once."""

        def update(done: int, total: int, text: str) -> None:
            self.progress.update(round(1000 * (start + share * done / max(total, 1))), 1000, text)

        return Progress(update=update, scalar=self.progress.scalar)

    def _key(self) -> str:
        """Hash of all that determines the fit, so that a checkpoint serves no other."""
        problem = self.problem
        data = [problem.name, problem.n_train, problem.wavelength_um.tolist(), problem.parameters.describe()]
        return stable_hash([self.recipe.describe(), self.seed, data, problem.noise.describe()])

    def _seed(self, *parts: object) -> int:
        return derived_seed("exogan", self.seed, *parts)

    def _generator(self, *parts: object) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed(*parts))


def _reset_weights(network: torch.nn.Module, generator: torch.Generator) -> None:
    """Torch's usual uniform start for dense layers, drawn from the given generator (on the CPU) alone."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):
            bound = layer.in_features**-0.5
            with torch.no_grad():
                for values in (layer.weight, layer.bias):
                    if values is not None:
                        values.copy_((torch.rand(values.shape, generator=generator) * 2.0 - 1.0) * bound)
