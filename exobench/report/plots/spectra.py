"""Example spectra with the bands that several methods predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.report.entries import Entry
from exobench.report.plots.layout import axes_of, axis, figure, note, rounded
from exobench.report.plots.observations import Observations, observations, predicted_ppm
from exobench.report.plots.palette import LIGHT, Style, method_styles, translucent
from exobench.report.plots.shown import common_size, learners, representatives
from exobench.report.plots.spec import Caches, Figure
from exobench.report.plots.summary import mean_energy
from exobench.report.plots.text import joined, safe
from exobench.report.sections import Section

Array = NDArray[np.float64]
Bands = dict[str, list[list[float]]]

SHOWN_FIRST = 3
"""Methods that are shown before a name in the legend is chosen."""
_AMORTISED = "amortised"
_MOST_AMORTISED, _MOST_OTHERS = 9, 3

_LOWER, _MEDIAN, _UPPER = 0, 2, 4
_TOP_PX, _BOTTOM_PX, _GAP_PX = 190, 150, 66
_WIDE, _FEW_BINS = 10.0, 60
_MOST_SIGMA, _FAR_WIDER = 10.0, 4.0


def by_accuracy(section: Section, caches: Caches) -> list[Entry]:
    """One run a method without floor and limit, the best energy score on the shared spectra first."""
    n_obs = common_size(section)
    if n_obs is None:
        return []
    scored = [(mean_energy(entry, caches, n_obs), entry) for entry in representatives(section, n_obs)]
    kept = {entry.anchor for entry in learners([entry for _, entry in scored])}
    return [e for energy, e in sorted(scored, key=lambda pair: (pair[0] or [np.inf])[0]) if energy and e.anchor in kept]


def chosen(section: Section, caches: Caches) -> list[Entry]:
    """The runs of a figure with room for few: the best amortised ones, and the best of those that take longer.

    Samplers agree with each other and with the reference, so that one of them is enough at first sight.
    """
    ordered = by_accuracy(section, caches)
    amortised = [entry for entry in ordered if entry.get("track") == _AMORTISED][:_MOST_AMORTISED]
    others = [entry for entry in ordered if entry.get("track") != _AMORTISED][:_MOST_OTHERS]
    first = _unlike(amortised, SHOWN_FIRST - min(len(others), 1), [])
    first += _unlike(others, SHOWN_FIRST - len(first), first)
    return [*first, *(entry for entry in [*amortised, *others] if entry not in first)]


def _unlike(entries: Sequence[Entry], n: int, beside: Sequence[Entry]) -> list[Entry]:
    """The first n runs whose colours differ from each other's and from those of others; the next best if need be."""
    styles = method_styles([entry.method for entry in (*entries, *beside)])
    found: list[Entry] = []
    for entry in entries:
        if styles[entry.method].colour not in {styles[each.method].colour for each in (*found, *beside)}:
            found.append(entry)
    return [*found, *(entry for entry in entries if entry not in found)][:n]


def _runs(section: Section, caches: Caches, shown: Observations) -> list[tuple[Entry, Bands]]:
    pairs = ((entry, predicted_ppm(entry, caches, shown)) for entry in chosen(section, caches))
    return [(entry, found) for entry, found in pairs if found]


def draw_spectra(section: Section, caches: Caches) -> Figure | None:
    """For each spectrum the data with the band of the reference, and below it what each method predicts beside it."""
    shown = observations(section, caches)
    if shown is None:
        return None
    runs = _runs(section, caches, shown)
    if not runs:
        return None
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"annotations": []}
    block = _TOP_PX + _BOTTOM_PX + _GAP_PX
    height = block * len(shown.names)
    for place, name in enumerate(shown.names):
        data += _top(shown, name, runs, 2 * place)
        data += _bottom(shown, name, runs, 2 * place + 1)
        top = 1.0 - place * block / (height - _GAP_PX)
        cuts = (top, top - _TOP_PX / (height - _GAP_PX), max(top - (_TOP_PX + _BOTTOM_PX) / (height - _GAP_PX), 0.0))
        layout |= _axes(shown, place, cuts, _half_height(shown, name, runs))
        layout["annotations"].append(note(name, x=0, y=top, xanchor="left", yanchor="bottom", size=13))
    return figure(data, height + 40, legend=len(runs) + 2, left_px=64, **layout)


def _axes(shown: Observations, place: int, cuts: tuple[float, float, float], half_ppm: float) -> dict[str, Any]:
    wavelength = shown.content["wavelength_um"]
    scale: dict[str, Any] = {"nticks": 6}
    if wavelength[-1] > _WIDE * wavelength[0]:
        ticks = [tick for tick in (0.3, 0.5, 1, 2, 5, 10, 20, 50) if wavelength[0] * 0.99 <= tick <= wavelength[-1]]
        scale = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    upper, lower = (f"{2 * place + k}" if 2 * place + k > 1 else "" for k in (1, 2))
    return {
        f"xaxis{upper}": axis(anchor=f"y{upper}", matches=f"x{lower}", showticklabels=False, **scale),
        f"yaxis{upper}": axis("depth [%]", anchor=f"x{upper}", domain=[cuts[1] + 0.006, cuts[0]], nticks=5),
        f"xaxis{lower}": axis("wavelength [µm]" if place == len(shown.names) - 1 else "", anchor=f"y{lower}", **scale),
        f"yaxis{lower}": axis(
            "difference [ppm]",
            anchor=f"x{lower}",
            domain=[cuts[2], cuts[1] - 0.006],
            range=[-half_ppm, half_ppm],
            nticks=5,
        ),
    }


def base_ppm(shown: Observations, name: str, runs: Sequence[tuple[Entry, Bands]]) -> list[float]:
    """What differences are taken from: the reference's median, or that of the run that stands in for it."""
    depth = shown.spectrum(name)["depth_ppm"]
    if depth is None:
        near = [found for entry, found in runs if entry.anchor == shown.reference and name in found]
        depth = (near or [found for _, found in runs if name in found])[0][name]
    median: list[float] = depth[_MEDIAN]
    return median


def _top(shown: Observations, name: str, runs: Sequence[tuple[Entry, Bands]], number: int) -> list[dict[str, Any]]:
    spectrum = shown.spectrum(name)
    observed = {
        "type": "scatter",
        "mode": "markers",
        "name": "observed",
        "legendgroup": "observed",
        "showlegend": number == 0,
        "x": rounded(shown.content["wavelength_um"]),
        "y": rounded((None if v is None else v / 1e4 for v in spectrum["x_ppm"]), 6),
        "error_y": {
            "type": "data",
            "array": rounded(None if v is None else v / 1e4 for v in spectrum["sigma_ppm"]),
            "width": 0,
            "thickness": 0.7,
            "color": translucent(LIGHT["blue"], 0.4),
        },
        "marker": {"color": LIGHT["blue"], "size": 3},
        "hovertemplate": "%{x:.3g} µm: %{y:.4f} %<extra>observed</extra>",
        **axes_of(number),
    }
    line = {
        "type": "scatter",
        "mode": _mode(shown.content["wavelength_um"]),
        "marker": {"size": 4},
        "name": "reference" if shown.reference == "reference" else "stand-in for a reference",
        "legendgroup": "reference",
        "showlegend": number == 0,
        "x": rounded(shown.content["wavelength_um"]),
        "y": rounded((v / 1e4 for v in base_ppm(shown, name, runs)), 6),
        "line": {"color": LIGHT["ink"], "width": 1.4},
        "hovertemplate": "%{x:.3g} µm: %{y:.4f} %<extra>predicted median</extra>",
        **axes_of(number),
    }
    return [observed, line]


def _bottom(shown: Observations, name: str, runs: Sequence[tuple[Entry, Bands]], number: int) -> list[dict[str, Any]]:
    wavelength, base = rounded(shown.content["wavelength_um"]), np.array(base_ppm(shown, name, runs))
    traces = []
    depth = shown.spectrum(name)["depth_ppm"]
    if depth is not None:
        reference = Style(LIGHT["ink"], "solid", "circle")
        grey = {
            "mode": "lines",
            "line": {"width": 0, "color": LIGHT["ink"]},
            "legendgroup": "reference",
            "name": "reference",
        }
        lower, upper = _band(wavelength, depth, base, reference, number)
        traces += [lower | grey, upper | grey | {"fillcolor": translucent(LIGHT["ink"], 0.35)}]
    styles = method_styles([entry.method for entry, _ in runs])
    for place, (entry, found) in enumerate(runs):
        if name in found:
            band = _band(wavelength, found[name], base, styles[entry.method], number)
            named = {"name": safe(entry.method), "legendgroup": safe(entry.method)}
            visible = {"visible": True if place < SHOWN_FIRST else "legendonly"}
            traces += [band[0] | named | visible, band[1] | named | visible | {"showlegend": number == 1}]
    return traces


def _band(
    wavelength: list[Any], depth: list[list[float]], base: Array, style: Style, number: int
) -> list[dict[str, Any]]:
    """The lower edge of the 95 % band beside the base, and the upper one, filled down to it."""
    lower, upper = ((np.array(depth[k]) - base).round(1).tolist() for k in (_LOWER, _UPPER))
    edge = {
        "type": "scatter",
        "mode": _mode(wavelength),
        "marker": {"size": 3},
        "x": wavelength,
        "line": style.line(1.2),
        "hoverinfo": "name",
        "showlegend": False,
        **axes_of(number),
    }
    fill = {"fill": "tonexty", "fillcolor": translucent(style.colour, 0.15)}
    return [edge | {"y": lower}, edge | {"y": upper} | fill]


def _mode(wavelength: Sequence[Any]) -> str:
    """Markers where bins are few: a line across a wide gap is then seen to be no measurement."""
    return "lines+markers" if len(wavelength) < _FEW_BINS else "lines"


def _half_height(shown: Observations, name: str, runs: Sequence[tuple[Entry, Bands]]) -> float:
    """Half the frame of differences: holds the reference's band and those shown first, but for far wider ones.

    A frame for the widest could make lines of the others; no frame is larger than a few sigma of the noise.
    """
    base = np.array(base_ppm(shown, name, runs))
    reference = shown.spectrum(name)["depth_ppm"]
    widest = [_widest(found[name], base) for _, found in runs[:SHOWN_FIRST] if name in found]
    widest += [] if reference is None else [_widest(reference, base)]
    usual = max((width for width in widest if width <= _FAR_WIDER * float(np.median(widest))), default=0.0)
    sigma = [value for value in shown.spectrum(name)["sigma_ppm"] if value is not None]
    return 1.15 * max(min(usual, _MOST_SIGMA * float(np.median(sigma))), 0.1)


def _widest(depth: list[list[float]], base: Array) -> float:
    return max(float(np.max(np.abs(np.array(depth[k]) - base))) for k in (_LOWER, _UPPER))


def describe_spectra(section: Section, caches: Caches) -> str:
    """How far each method's predictions are from the reference's."""
    shown = observations(section, caches)
    if shown is None:
        return ""
    runs = _runs(section, caches, shown)
    parts = []
    for entry, found in runs:
        apart = [
            float(np.sqrt(np.mean((np.array(found[name][_MEDIAN]) - base_ppm(shown, name, runs)) ** 2)))
            for name in shown.names
            if name in found
        ]
        parts.append(f"{entry.method} {max(apart):.1f} ppm")
    noise = np.median([v for v in shown.spectrum(shown.names[0])["sigma_ppm"] if v is not None])
    return (
        f"Spectra {', '.join(shown.names)} with noise of {noise:.0f} ppm; root mean square over wavelengths of what "
        f"each method's median spectrum differs from the reference's, in the worst of them: {joined(parts)}"
        f"{_left_out(section, caches, runs)}."
    )


def _left_out(section: Section, caches: Caches, runs: Sequence[tuple[Entry, Bands]]) -> str:
    """The methods without a band."""
    shown = {entry.anchor for entry, _ in runs}
    names = [entry.method for entry in chosen(section, caches) if entry.anchor not in shown]
    return f"; no draws of these spectra were kept by {', '.join(names)}" if names else ""
