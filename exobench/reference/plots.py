"""Pictures of the named observations: corner plot of the reference draws, and the spectrum with its predictive band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.reference.published import Published, published_path, read_published
from exobench.reference.request import run_settings, sort_arguments
from exobench.registry import build_task
from exobench.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

HELP = """usage: python -m exobench.reference plots task=NAME [KEY=VALUE ...]

Draws two pictures of each named observation of a task's reference posteriors: a corner plot of the draws with the
truth, and the spectrum with the band of spectra that the posterior predicts.

settings, with their defaults:
  file=                the reference posteriors; default: those in the task's folder
  out=reference_plots  folder of the pictures
  n_predicted=200      draws behind the band
  KEY=VALUE            as for a run: opacities.path=..., task.noise_ppm=...
"""

DEFAULTS = {"file": "", "out": "reference_plots", "n_predicted": "200"}

_SHARES = (0.95, 0.68)
_COLOUR, _TRUTH = "#2b5c8a", "#c4472f"


def plots(given: Sequence[str]) -> list[Path]:
    """Draws the pictures; see `HELP`.

    Raises:
        ExobenchError: for wrong settings, or a file of another task_id than the task as configured here.
    """
    arguments = sort_arguments(given, DEFAULTS, ())
    settings = run_settings(["method=prior", *arguments.shared])
    task = build_task(settings.task, settings.request)
    path = Path(arguments.own["file"]) if arguments.own["file"] else published_path(task.name)
    published = read_published(path)
    if published.task_id != task.task_id:
        raise ExobenchError(f"{path} is of task_id {published.task_id}; the task as configured has {task.task_id}.")
    n_predicted = arguments.whole("n_predicted", 10)
    out = Path(arguments.own["out"])
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, row in published.named.items():
        for kind, figure in (
            ("corner", corner(published, task, name, row)),
            ("spectrum", spectrum(published, task, name, row, n_predicted)),
        ):
            paths.append(out / f"{task.name}_{name}_{kind}.png")
            figure.savefig(paths[-1], dpi=110, bbox_inches="tight")
    return paths


def corner(published: Published, task: Task, name: str, row: int) -> Figure:
    """Marginals and pairs of the draws of one spectrum; the lines are the truth, the contours hold 68 and 95 %."""
    from matplotlib.figure import Figure

    theta, truth = published.theta[row], published.theta_true[row]
    n = theta.shape[1]
    figure = Figure(figsize=(1.6 * n + 0.6, 1.6 * n + 0.6))
    axes = figure.subplots(n, n, squeeze=False)
    low, high = _view(theta, truth, published.low, published.high)
    for i in range(n):
        for j in range(n):
            axis = axes[i][j]
            if j > i:
                axis.set_visible(False)
                continue
            if i == j:
                axis.hist(
                    theta[:, i], bins=40, range=(low[i], high[i]), color=_COLOUR, histtype="stepfilled", alpha=0.6
                )
                axis.set_yticks([])
            else:
                _pair(axis, theta[:, j], theta[:, i], ((low[j], high[j]), (low[i], high[i])))
                axis.axhline(truth[i], color=_TRUTH, linewidth=0.8)
                axis.set_ylim(low[i], high[i])
            axis.axvline(truth[j], color=_TRUTH, linewidth=0.8)
            axis.set_xlim(low[j], high[j])
            _label(axis, task, i, j, n)
    figure.suptitle(
        f"{task.name}: {name.replace('_', ' ')} (test spectrum {row}, {published.status[row]})",
        x=0.65,
        y=0.9,
        ha="center",
    )
    return figure


def _view(theta: Array, truth: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """What each panel shows: all but the outermost draws, and the truth, within the prior's box."""
    bottom, top = (
        np.minimum(np.quantile(theta, 0.001, axis=0), truth),
        np.maximum(np.quantile(theta, 0.999, axis=0), truth),
    )
    room = 0.08 * (top - bottom)
    return np.maximum(bottom - room, low), np.minimum(top + room, high)


def _pair(axis: Any, x: Array, y: Array, view: tuple[tuple[float, float], tuple[float, float]]) -> None:
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=28, range=view)
    ordered = np.sort(counts.ravel())[::-1]
    held = np.cumsum(ordered) / max(ordered.sum(), 1.0)
    levels = [float(ordered[min(int(np.searchsorted(held, share)), len(ordered) - 1)]) for share in _SHARES]
    axis.pcolormesh(x_edges, y_edges, counts.T, cmap="Blues", rasterized=True)
    if 0.0 < levels[0] < levels[1]:
        middles = (0.5 * (edges[1:] + edges[:-1]) for edges in (x_edges, y_edges))
        axis.contour(*middles, counts.T, levels=levels, colors=_COLOUR, linewidths=0.8)


def _label(axis: Any, task: Task, i: int, j: int, n: int) -> None:
    from matplotlib.ticker import MaxNLocator

    parameters = task.parameters.parameters
    axis.tick_params(labelsize=6)
    axis.xaxis.set_major_locator(MaxNLocator(3))
    if i != j:
        axis.yaxis.set_major_locator(MaxNLocator(3))
    if i == n - 1:
        axis.set_xlabel(parameters[j].label, fontsize=8)
        axis.tick_params(axis="x", labelrotation=30)
    else:
        axis.set_xticklabels([])
    if j == 0 and i > 0:
        axis.set_ylabel(parameters[i].label, fontsize=8)
    elif i != j:
        axis.set_yticklabels([])


def spectrum(published: Published, task: Task, name: str, row: int, n_predicted: int) -> Figure:
    """The spectrum with its errors, the 68 and 95 % bands that the posterior predicts, and the residuals in sigma."""
    from matplotlib.figure import Figure

    theta = published.theta[row][:n_predicted]
    with torch.no_grad():
        depth = 100.0 * task.simulator.build("cpu")(torch.as_tensor(theta)).double().cpu().numpy()
    wavelength, x, sigma = published.wavelength_um, 100.0 * published.x[row], 100.0 * published.sigma[row]
    figure = Figure(figsize=(8.0, 4.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    style = {"fmt": ".", "markersize": 3, "elinewidth": 0.6, "color": "0.35", "zorder": 1}
    top.errorbar(wavelength, x, sigma, label="observed", **style)
    for share, alpha in zip(_SHARES, (0.35, 0.7), strict=True):
        edges = np.quantile(depth, [0.5 - share / 2, 0.5 + share / 2], axis=0)
        top.fill_between(wavelength, *edges, color=_TRUTH, alpha=alpha, label=f"predicted, {share:.0%}", zorder=2)
    bottom.errorbar(wavelength, (x - np.median(depth, axis=0)) / sigma, 1.0, **style)
    bottom.axhline(0.0, color=_TRUTH, linewidth=0.8)
    top.set(ylabel="transit depth [%]", title=f"{task.name}: {name.replace('_', ' ')} (test spectrum {row})")
    bottom.set(ylabel=r"residual [$\sigma$]", xlabel=r"wavelength [$\mu$m]")
    if wavelength[-1] > 10.0 * wavelength[0]:
        bottom.set_xscale("log")
    top.legend(fontsize=8)
    return figure
