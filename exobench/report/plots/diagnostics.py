"""What a run's sampler says of itself, spectrum by spectrum."""

from __future__ import annotations

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, figure, log_ticks, panels, rounded
from exobench.report.plots.palette import LIGHT
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.text import joined
from exobench.results import DIAGNOSTICS

Array = NDArray[np.float64]

_SAMPLER_WORDS = {
    "effective_sample_size": "effective sample size",
    "psis_k": "Pareto k of the weights (above 0.7: not trusted)",
    "r_hat": "R-hat of the chains (1 is converged)",
    "likelihood_calls": "likelihood calls",
    "gradient_calls": "gradient calls",
    "log_evidence_error": "error of the log evidence",
    "seconds": "seconds",
    "acceptance": "acceptance rate",
    "efficiency": "efficiency",
    "duplicate_share": "share of duplicate draws",
    "distinct_draws": "distinct draws",
    "inpainting_loss": "in-painting loss",
    "misfit": "misfit",
}
_LOG_SCALE = ("effective_sample_size", "likelihood_calls", "gradient_calls", "seconds", "log_evidence_error")


def diagnostics(entry: Entry) -> dict[str, Array]:
    """What the method recorded of each spectrum, by name, in the order of `_SAMPLER_WORDS`; without flags."""
    path = entry.record.folder / DIAGNOSTICS
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: np.asarray(file[name][()], np.float64) for name in _SAMPLER_WORDS if name in file}
    except OSError:
        return {}
    kept = {name: values[np.isfinite(values)] for name, values in arrays.items() if values.ndim == 1}
    return {name: values for name, values in kept.items() if len(values) > 1}


def draw_diagnostics(entry: Entry, caches: Caches) -> Figure | None:
    """The distribution over spectra of each number, as the share of spectra below it."""
    found = diagnostics(entry)
    if not found:
        return None
    data = []
    for number, (name, values) in enumerate(found.items()):
        quantile = np.linspace(0.0, 1.0, min(len(values), 101))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(values) <= 30 else "lines",
                "x": rounded(np.quantile(values, quantile)),
                "y": rounded(quantile),
                "line": {"color": LIGHT["blue"], "width": 1.6},
                "marker": {"size": 4},
                "hovertemplate": f"{name} %{{x:.4g}}, share %{{y:.2f}}<extra></extra>",
                **axes_of(number),
            }
        )
    axes, height = panels(
        [_SAMPLER_WORDS[name].split(" (")[0] for name in found],
        "",
        "share of spectra",
        x={"nticks": 5},
        y={"range": [0, 1.02], "tickvals": [0, 0.5, 1]},
    )
    for number, (name, values) in enumerate(found.items()):
        if name in _LOG_SCALE and values.min() > 0.0 and values.max() > 3.0 * values.min():
            axes["xaxis" if number == 0 else f"xaxis{number + 1}"] |= {
                "type": "log",
                **log_ticks(float(values.min()), float(values.max())),
            }
    return figure(data, height, **axes)


def describe_diagnostics(entry: Entry, caches: Caches) -> str:
    """Median and range of each number."""
    parts = [
        f"{_SAMPLER_WORDS[name]} median {np.median(values):.3g}, from {values.min():.3g} to {values.max():.3g}"
        for name, values in diagnostics(entry).items()
    ]
    return f"What the method recorded of each spectrum: {joined(parts)}."
