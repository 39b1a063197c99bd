"""What a fitted ExoGAN gives: completions of a spectrum's picture, and draws made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from exobench.errors import ExobenchError
from exobench.parameters import ParameterSpace
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.progress import track
from exobench_baselines.exogan.calibration import Calibrator
from exobench_baselines.exogan.encoder import N_NOISE, SpectrumStatistics, StochasticEncoder
from exobench_baselines.exogan.inpainting import Completions, DepthMisfit, Misfit, PublishedMisfit, Search
from exobench_baselines.exogan.layout import Layout
from exobench_baselines.exogan.masks import bins_of_mask
from exobench_baselines.exogan.networks import Discriminator, Generator, n_parameters
from exobench_baselines.exogan.pictures import Pictures
from exobench_baselines.exogan.recipe import Recipe

Array = NDArray[np.float64]
_SMALLEST_STEP = 2e-3
_RESTARTS_OF_SURPRISE = 8


@dataclass
class FittedNetworks:
    """All that was trained.

    Attributes:
        generator: z -> picture.
        discriminator: picture -> logit.
        encoder: spectrum -> tied latents; None where published.
        calibrator: completions -> draws; None where published.
        model_error: root mean square error of the generator's spectra, (bin,), a depth; None where published.
    """

    generator: Generator
    discriminator: Discriminator
    encoder: StochasticEncoder | None = None
    calibrator: Calibrator | None = None
    model_error: torch.Tensor | None = None

    def modules(self) -> dict[str, nn.Module]:
        """By name, those that exist."""
        named: dict[str, nn.Module | None] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "calibrator": self.calibrator,
        }
        return {name: module for name, module in named.items() if module is not None}

    def freeze(self) -> None:
        """Evaluation mode, batch norm with its running statistics, no gradients of weights."""
        for module in self.modules().values():
            module.eval().requires_grad_(False)


class ExoGANPosterior(AbstractPosterior):
    """Completes pictures.

    Args:
        layout: which pixel holds what.
        wavelength_um: ascending bin centres, (bin,).
        space: the task's parameters and their box.
        recipe: resolved settings.
        networks: trained networks.
        device: where they run.
    """

    def __init__(
        self,
        layout: Layout,
        wavelength_um: Array,
        space: ParameterSpace,
        recipe: Recipe,
        networks: FittedNetworks,
        device: str,
    ) -> None:
        self.wavelength_um = np.asarray(wavelength_um, dtype=float)
        self.layout, self.space, self.recipe, self.networks, self.device = layout, space, recipe, networks, device
        networks.freeze()
        self.n_parameters_trained = sum(n_parameters(module) for module in networks.modules().values())
        self.pictures = Pictures(layout, device)
        self._mask = torch.as_tensor(bins_of_mask(layout, recipe.mask), device=device)
        self._low = torch.as_tensor(space.low, dtype=torch.float32, device=device)
        self._range = torch.as_tensor(space.high - space.low, dtype=torch.float32, device=device)

    def set_calibrator(self, calibrator: Calibrator) -> None:
        """Takes a fitted calibrator; from then on ``sample`` draws from it."""
        self.networks.calibrator = calibrator
        self.networks.freeze()
        self.n_parameters_trained += n_parameters(calibrator)

    @property
    def seen_bins(self) -> torch.Tensor:
        """Bins that the mask leaves, ascending, (bin,), bool."""
        return self._mask

    @property
    def search(self) -> Search:
        """The search that in-painting runs."""
        recipe = self.recipe
        assert recipe.evaluations is not None
        assert recipe.inpainting_learning_rate is not None
        return Search(
            self.networks.generator,
            self.networks.discriminator,
            self.pictures,
            recipe.evaluations,
            recipe.inpainting_learning_rate,
            recipe.prior_weight,
            recipe.tolerance or 0.0,
        )

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws theta: as corrected n_draws of them, as published the completions as they are.

        Args:
            x: depth fractions (obs, bin), NaN where missing.
            sigma: their standard deviations, inf where missing.
            n_draws: draws wanted.
            rng: each spectrum takes one seed from it, so that a result depends neither on batches nor on neighbours.

        Raises:
            ExobenchError: x has another number of bins than the layout, or a spectrum shows no bin at all.
        """
        self._check(x, sigma)
        seeds = rng.integers(2**62, size=len(x))
        per_batch = max(1, self.recipe.batch_pictures // self.recipe.restarts)
        theta, misfit, loss, evaluations = [], [], [], []
        for start in track(range(0, len(x), per_batch), "completing", "batches"):
            rows = slice(start, start + per_batch)
            done = self.complete(x[rows], sigma[rows], seeds[rows])
            theta.append(self._draws(done, n_draws, seeds[rows]))
            misfit.append(done.misfit.mean(dim=1).double().cpu().numpy())
            loss.append(done.loss.mean(dim=1).double().cpu().numpy())
            evaluations.append(np.full(len(done.theta), float(done.evaluations)))
        return PosteriorSamples(
            np.concatenate(theta),
            diagnostics={
                "misfit": np.concatenate(misfit),
                "inpainting_loss": np.concatenate(loss),
                "evaluations": np.concatenate(evaluations),
            },
        )

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum is, (obs,): what in-painting leaves of it.

        The mean over a few restarts of their contextual loss, from the same starts for every spectrum: the generator
        makes spectra like those of training, and no latent gives another (as in AnoGAN, Schlegl et al. 2017,
        arXiv:1703.05921).

        Raises:
            ExobenchError: as ``sample``.
        """
        self._check(x, sigma)
        restarts = min(self.recipe.restarts, _RESTARTS_OF_SURPRISE)
        per_batch = max(1, self.recipe.batch_pictures // restarts)
        misfit = []
        for start in range(0, len(x), per_batch):
            rows = slice(start, start + per_batch)
            seeds = np.zeros(len(x[rows]), dtype=np.int64)
            done = self.complete(x[rows], sigma[rows], seeds, restarts=restarts)
            misfit.append(done.misfit.mean(dim=1).double().cpu().numpy())
        return np.nan_to_num(np.concatenate(misfit), nan=np.finfo(np.float64).max)

    def complete(self, x: Array, sigma: Array, seeds: NDArray[np.int64], *, restarts: int | None = None) -> Completions:
        """In-paints spectra x, sigma (obs, bin) from starts that follow from one seed a spectrum."""
        restarts = restarts or self.recipe.restarts
        x_, sigma_, seen = self._on_device(x, sigma)
        z, scale = self.starts(x_, sigma_, seeds, restarts)
        return self.search(z, self.misfit(x_, sigma_, seen, restarts), scale)

    def starts(
        self, x: torch.Tensor, sigma: torch.Tensor, seeds: NDArray[np.int64], restarts: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Latents to start from, (obs, restart, z_dim), and the size of a step of each, (obs, 1, z_dim) or None."""
        z_dim = self.networks.generator.z_dim
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        z = torch.stack([torch.rand(restarts, z_dim, generator=g) * 2.0 - 1.0 for g in generators]).to(self.device)
        encoder = self.networks.encoder
        if encoder is None:
            return z, None
        noise = torch.stack([torch.randn(restarts, N_NOISE, generator=g) for g in generators]).to(self.device)
        with torch.no_grad():
            tied = encoder(x, sigma, noise)
        n_tied = tied.shape[2]
        z[:, :, :n_tied] = tied
        scale = torch.ones_like(z[:, :1])
        if restarts > 1:
            scale[:, 0, :n_tied] = tied.std(dim=1).clamp_min(_SMALLEST_STEP)
        return z, scale

    def misfit(self, x: torch.Tensor, sigma: torch.Tensor, seen: torch.Tensor, restarts: int) -> Misfit:
        """The contextual loss of the variant."""
        if self.networks.model_error is None:
            return PublishedMisfit.of(self.pictures, x, seen, restarts)
        return DepthMisfit.of(self.pictures, x, sigma, seen, self.networks.model_error, restarts)

    def to_unit_cube(self, theta: torch.Tensor) -> torch.Tensor:
        """Parameters to the unit cube, on the device."""
        return (theta - self._low) / self._range

    def _draws(self, done: Completions, n_draws: int, seeds: NDArray[np.int64]) -> Array:
        calibrator = self.networks.calibrator
        if calibrator is None:
            return done.theta[:, :n_draws].double().cpu().numpy()
        u = self.to_unit_cube(done.theta)
        with torch.no_grad():
            draws = [
                calibrator.draw(
                    u[row : row + 1],
                    done.misfit[row : row + 1],
                    n_draws,
                    torch.Generator(device=self.device).manual_seed(int(seed) + 1),
                )
                for row, seed in enumerate(seeds)
            ]
        return self.space.clip(self.space.from_unit_cube(torch.cat(draws).double().cpu().numpy()))

    def _on_device(self, x: Array, sigma: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x_ = torch.as_tensor(x, dtype=torch.float32, device=self.device)
        sigma_ = torch.as_tensor(sigma, dtype=torch.float32, device=self.device)
        seen = torch.isfinite(x_) & torch.isfinite(sigma_) & self._mask
        return x_.masked_fill(~seen, torch.nan), sigma_.masked_fill(~seen, torch.inf), seen

    def _check(self, x: Array, sigma: Array) -> None:
        if x.ndim != 2 or x.shape != sigma.shape or x.shape[1] != self.layout.n_bin:
            raise ExobenchError(f"x {x.shape} and sigma {sigma.shape} must both have shape (obs, {self.layout.n_bin}).")
        self.require_visible(x, sigma)

    def require_visible(self, x: Array, sigma: Array, what: str = "spectrum") -> None:
        """Refuses spectra (obs, bin) of which the mask leaves nothing.

        Raises:
            ExobenchError: naming the first such spectrum.
        """
        seen = (np.isfinite(x) & np.isfinite(sigma) & self._mask.cpu().numpy()).any(axis=1)
        if not seen.all():
            raise ExobenchError(f"{what} {int(np.argmin(seen))} shows no bin that the mask leaves.")

    def save(self, path: Path) -> None:
        """Writes ``weights.safetensors`` and ``posterior.json`` into a folder."""
        path.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, module in self.networks.modules().items()
            for key, value in module.state_dict().items()
        }
        if self.networks.model_error is not None:
            tensors["model_error"] = self.networks.model_error.cpu().contiguous()
        save_file(tensors, path / "weights.safetensors")
        content = {
            "layout": self.layout.describe(),
            "wavelength_um": self.wavelength_um.tolist(),
            "recipe": self.recipe.describe(),
        }
        (path / "posterior.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, path: Path, space: ParameterSpace, device: str) -> ExoGANPosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: the folder holds no posterior, or one of other parameters.
        """
        if not (path / "posterior.json").exists():
            raise ExobenchError(f"{path} holds no posterior.json; it was not written by ExoGANPosterior.save.")
        content = json.loads((path / "posterior.json").read_text())
        layout, recipe = Layout.from_description(content["layout"]), Recipe.from_description(content["recipe"])
        if layout.parameter_names != space.names:
            raise ExobenchError(f"{path} is of parameters {layout.parameter_names}, the task has {space.names}.")
        tensors = load_file(path / "weights.safetensors", device=device)
        networks = build_networks(layout, recipe, _part(tensors, "generator"), _part(tensors, "encoder"), device)
        networks.model_error = tensors.get("model_error")
        if _part(tensors, "calibrator"):
            networks.calibrator = Calibrator(len(space)).to(device)
        for name, module in networks.modules().items():
            module.load_state_dict(_part(tensors, name))
        return cls(layout, np.array(content["wavelength_um"]), space, recipe, networks, device)

    def draw_figures(self, x: Array, sigma: Array, theta_true: Array, folder: Path) -> list[Path]:
        """Pictures (input, masked, completed, difference) and completed spectra of a few test spectra."""
        from exobench_baselines.exogan.figures import draw_completions

        return draw_completions(self, x, sigma, theta_true, folder)


def build_networks(
    layout: Layout,
    recipe: Recipe,
    standardisation: dict[str, torch.Tensor],
    statistics: dict[str, torch.Tensor],
    device: str,
) -> FittedNetworks:
    """Networks of a recipe, untrained.

    Args:
        layout: gives their sizes.
        recipe: resolved.
        standardisation: holds ``mean`` and ``scale`` of pictures, each (side, side); empty where published.
        statistics: holds ``features.<field of SpectrumStatistics>``; empty where published.
        device: where they go.
    """
    assert recipe.width is not None
    assert recipe.z_dim is not None
    published = recipe.variant == "published"
    generator = Generator(
        layout.base, recipe.width, recipe.z_dim, standardisation.get("mean"), standardisation.get("scale")
    )
    networks = FittedNetworks(
        generator.to(device), Discriminator(layout.side, recipe.width, mix_images=published).to(device)
    )
    if statistics:
        fields = {name: statistics[f"features.{name}"].cpu() for name in SpectrumStatistics._fields}
        networks.encoder = StochasticEncoder(
            SpectrumStatistics(**fields), len(layout.parameter_names), recipe.encoder_size, recipe.encoder_blocks
        ).to(device)
    return networks


def _part(tensors: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    prefix = name + "."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
