"""ExoGAN's own figure: the picture before, masked, completed, and what differs; beside it the completed spectrum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exobench_baselines.exogan.masks import visible_pixels

if TYPE_CHECKING:
    from exobench_baselines.exogan.posterior import ExoGANPosterior

Array = NDArray[np.float64]
_MOST_FIGURES = 3
_FIGURE_SEED = 20180901


def draw_completions(posterior: ExoGANPosterior, x: Array, sigma: Array, theta_true: Array, folder: Path) -> list[Path]:
    """Draws one PNG for each of the first spectra x, sigma (obs, bin) with theta_true (obs, param)."""
    folder.mkdir(parents=True, exist_ok=True)
    n = min(_MOST_FIGURES, len(x))
    seeds = np.arange(n, dtype=np.int64) + _FIGURE_SEED
    done = posterior.complete(x[:n], sigma[:n], seeds)
    files = []
    for row in range(n):
        with torch.no_grad():
            made = posterior.networks.generator(done.z[row])
        best = int(done.misfit[row].argmin())
        figure = _draw_one(posterior, x[row], sigma[row], theta_true[row], made.cpu(), best)
        path = folder / f"exogan_completion_{row}.png"
        figure.savefig(path, dpi=110)
        files.append(path)
    return files


def _draw_one(
    posterior: ExoGANPosterior, x: Array, sigma: Array, theta: Array, made: torch.Tensor, best: int
) -> Figure:
    pictures, layout = posterior.pictures, posterior.layout
    device = posterior.device
    x_ = torch.as_tensor(x[None], dtype=torch.float32, device=device)
    truth = torch.as_tensor(theta[None], dtype=torch.float32, device=device)
    seen = torch.isfinite(x_) & posterior.seen_bins
    whole = pictures.encode(truth, x_)[0].cpu()
    visible = visible_pixels(layout, seen)[0].cpu()
    masked = torch.where(visible, whole, torch.nan)
    completed = torch.where(visible, whole, made[best])
    figure = Figure(figsize=(11.0, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 1)
    top = figure.add_subfigure(grid[0])
    bottom = figure.add_subfigure(grid[1])
    panels = (("input", whole), ("masked", masked), ("completed", completed), ("completed - input", completed - whole))
    for axis, (title, picture) in zip(top.subplots(1, 4), panels, strict=True):
        _picture(axis, title, picture.numpy())
    depth = pictures.decode(made.to(device)).depth.cpu().numpy()
    _spectrum(bottom.subplots(), posterior.wavelength_um, x, sigma, depth)
    return figure


def _picture(axis: Axes, title: str, picture: Array) -> None:
    if "-" in title:
        limit = float(np.nanmax(np.abs(picture))) or 1.0
        image = axis.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        image = axis.imshow(picture, cmap="viridis", vmin=0.0, vmax=1.0)
    axis.set_title(title, fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.figure.colorbar(image, ax=axis, shrink=0.75)


def _spectrum(axis: Axes, wavelength_um: Array, x: Array, sigma: Array, depth: Array) -> None:
    kept = ~np.isnan(depth).any(axis=0)
    low, middle, high = np.percentile(depth[:, kept], (16, 50, 84), axis=0) * 1e6
    axis.fill_between(wavelength_um[kept], low, high, color="tab:orange", alpha=0.4, lw=0, label="completions, 16-84 %")
    axis.plot(wavelength_um[kept], middle, color="tab:orange", lw=1.0, label="completions, median")
    error = np.where(np.isfinite(sigma), sigma, 0.0) * 1e6
    axis.errorbar(wavelength_um, x * 1e6, error, fmt=".", ms=2, lw=0.5, color="black", label="spectrum")
    axis.set_xscale("log")
    axis.set_xlabel("wavelength [um]")
    axis.set_ylabel("transit depth [ppm]")
    axis.legend(fontsize=8)
