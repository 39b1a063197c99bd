"""Which figures a run has: drawn from its per-spectrum arrays, or brought along by its method."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exobench.metrics.calibration import MISSING_SHARE, complete_ranks
from exobench.report.cache import ASSETS, Cache
from exobench.report.entries import Entry
from exobench.report.figures import MAX_POINTS, coverage_figure, outside_frame, rank_figure, save, truth_figure

Array = NDArray[np.float64]
Artwork = dict[str, Any]
"""``truth``, ``calibration``, ``own``: lists of figures (png, svg, alt, caption); ``notes``: why some are missing."""

MIN_OBS_CURVES = 10
_SHOWN, _LINKED = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp"), (".pdf",)


def artwork(entry: Entry, cache: Cache) -> Artwork:
    """The figures of a run, drawn where they are missing or out of date."""
    made: Artwork = cache.get("artwork", lambda: _draw(entry, cache.folder))
    if all((cache.folder / name).is_file() for name in _files(made)):
        return made
    del cache.values["artwork"]
    return cache.get("artwork", lambda: _draw(entry, cache.folder))


def _files(made: Artwork) -> list[str]:
    figures = [figure for kind in ("truth", "calibration", "own") for figure in made[kind]]
    return [Path(name).name for figure in figures for name in (figure["png"], figure["svg"]) if name]


def _draw(entry: Entry, folder: Path) -> Artwork:
    made: Artwork = {"truth": [], "calibration": [], "own": [], "notes": []}
    arrays = entry.arrays()
    folder.mkdir(parents=True, exist_ok=True)
    for number, parameter in enumerate(entry.parameters):
        estimate = [arrays[key][:, number] for key in ("theta_true", "median", "q16", "q84")]
        if not np.isfinite(estimate[1][:MAX_POINTS]).any():
            made["notes"].append(f"No estimate of {parameter.name} is finite.")
            continue
        summary = _describe(estimate[0], estimate[1], parameter.low, parameter.high)
        alt = f"{parameter.name}: estimate over truth. {summary}"
        beyond = outside_frame(parameter, estimate[1])
        caption = parameter.name + (
            f" ({beyond} estimate{'s' if beyond > 1 else ''} beyond the frame)" if beyond else ""
        )
        draw = partial(truth_figure, parameter, *estimate)
        _add(made, "truth", folder / f"truth-{number + 1}", alt, caption, draw)
    _draw_calibration(entry, arrays["rank"], folder, made)
    _copy_own(entry, folder, made)
    return made


def _draw_calibration(entry: Entry, ranks: Array, folder: Path, made: Artwork) -> None:
    kept, n_missing = complete_ranks(ranks)
    if n_missing > MISSING_SHARE * len(ranks) or len(kept) < MIN_OBS_CURVES:
        why = f"{n_missing} of {len(ranks)} spectra have no rank" if n_missing else f"{len(ranks)} spectra are too few"
        made["notes"].append(f"No calibration curves: {why}.")
        return
    shares = np.abs(kept - 0.5) <= 0.34
    alt = "Coverage over level. At 68 %: " + ", ".join(
        f"{name} {100 * share:.0f} %" for name, share in zip(entry.names, shares.mean(axis=0), strict=True)
    )
    caption = f"Coverage of central intervals, {len(kept):,} spectra"
    _add(made, "calibration", folder / "coverage", alt, caption, partial(coverage_figure, entry.parameters, kept))
    alt = "Histograms of the rank of the truth among the draws, one for each parameter."
    caption = f"Ranks of the truth, {len(kept):,} spectra"
    _add(made, "calibration", folder / "ranks", alt, caption, partial(rank_figure, entry.parameters, kept))


def _add(made: Artwork, kind: str, stem: Path, alt: str, caption: str, draw: Callable[[], Figure]) -> None:
    """Draws and saves one figure; a label that matplotlib cannot set costs this figure only, and is said."""
    try:
        save(draw(), stem)
    except ValueError as error:
        made["notes"].append(f"{caption}: the figure could not be drawn ({' '.join(str(error).split())[:200]}).")
        return
    names = (f"{ASSETS}/{stem.parent.name}/{stem.name}.{suffix}" for suffix in ("png", "svg"))
    made[kind].append(dict(zip(("png", "svg", "alt", "caption"), (*names, alt, caption), strict=True)))


def _copy_own(entry: Entry, folder: Path, made: Artwork) -> None:
    """Copies the method's own figures, so that the page can be sent on; a file outside the run's folder is refused."""
    root = entry.record.folder.resolve()
    listed = entry.get("figures")
    for number, name in enumerate(listed if isinstance(listed, list) else []):
        source = (root / str(name)).resolve()
        suffix = source.suffix.lower()
        if not source.is_relative_to(root) or suffix not in _SHOWN + _LINKED or not source.is_file():
            made["notes"].append(f"The method's figure {name} is missing, outside its run or no picture.")
            continue
        copy = folder / f"own-{number + 1}{suffix}"
        part = copy.with_name(f"{copy.name}.{os.getpid()}.part")
        shutil.copyfile(source, part)
        os.replace(part, copy)
        shown = f"{ASSETS}/{folder.name}/{copy.name}"
        title = source.stem.replace("_", " ")
        image = {"png": shown, "svg": ""} if suffix in _SHOWN else {"png": "", "svg": shown}
        made["own"].append({**image, "alt": f"The method's own figure: {title}", "caption": title})


def _describe(truth: Array, median: Array, low: float, high: float) -> str:
    good = np.isfinite(median)
    share = np.mean(np.abs(median[good] - truth[good]) <= 0.1 * (high - low))
    return f"{100 * share:.0f} % of {int(good.sum())} medians lie within 10 % of the prior's range of the truth."
