"""The few spectra that people look at, and what each run says of them: predicted depths and outlines of draws.

Where the task publishes reference posteriors of this task_id, the spectra are its named observations, and what runs
predict is simulated here once and kept. Elsewhere they are the first test spectra, whose predictions the runs stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.report.entries import Entry
from exobench.report.plots.outlines import outlines, view_of
from exobench.report.plots.shown import representatives
from exobench.report.plots.spec import Caches
from exobench.report.sections import Section
from exobench.results import DRAWS, PREDICTIVE

Array = NDArray[np.float64]

MOST = 3
"""Spectra shown."""
_VERSION = 2
"""Goes up when a number kept here would change."""
_PPM = 1e6
_TASKS, _PUBLISHED = "exobench.tasks", ("reference", "posteriors.h5")


@dataclass(frozen=True)
class Observations:
    """Spectra of one task.

    Attributes:
        reference: what the runs are compared with: ``"reference"``, or the anchor of a run.
        key: names the spectra in caches.
        content: ``wavelength_um`` (bin,), and by name of the spectrum ``row``, ``x_ppm`` and ``sigma_ppm`` (bin,),
            ``theta_true`` (param,), ``depth_ppm`` (quantile, bin) of the reference or None, ``view`` (two ends, param)
            and ``outlines`` of the reference or None.
    """

    reference: str
    key: str
    content: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """Of the spectra."""
        return list(self.content["spectra"])

    def spectrum(self, name: str) -> dict[str, Any]:
        """All of one spectrum."""
        found: dict[str, Any] = self.content["spectra"][name]
        return found


def observations(section: Section, caches: Caches) -> Observations | None:
    """The spectra of a section; None where there are neither references nor stored predictions."""
    if not section.scored or not section.scored[0].is_current:
        return None
    path = _published(section)
    if path is not None:
        key = f"observations {_VERSION} {section.task_id} {path.stat().st_mtime_ns}"
        content = caches[section.scored[0].anchor].get(key, lambda: _from_reference(section, path))
        return Observations("reference", key, content)
    runs = [entry for entry in representatives(section) if (entry.record.folder / PREDICTIVE).is_file()]
    if not runs:
        return None
    # A likelihood-based run comes nearest to a reference where none is published.
    base = min(runs, key=lambda entry: (not entry.is_ceiling, entry.get("track") == "amortised", entry.is_floor))
    key = f"observations {_VERSION} {base.anchor} {caches[base.anchor].stamp}"
    return Observations(base.anchor, key, caches[base.anchor].get(key, lambda: _from_run(base)))


def predicted_ppm(entry: Entry, caches: Caches, shown: Observations) -> dict[str, list[list[float]]]:
    """Quantiles of the depth that a run predicts of each spectrum, in ppm; empty where it says nothing of them."""
    found: dict[str, list[list[float]]] = caches[entry.anchor].get(
        f"predicted {shown.key}", lambda: _simulated(entry, shown) if shown.reference == "reference" else _stored(entry)
    )
    return found


def outlines_of(entry: Entry, caches: Caches, shown: Observations, name: str) -> dict[str, Any] | None:
    """Outlines of a run's draws for one spectrum; None where it has no draws of it."""
    found: dict[str, Any] | None = caches[entry.anchor].get(
        f"outlines {name} {shown.key}", lambda: _outlines(entry, shown.spectrum(name))
    )
    return found


def _published(section: Section) -> Path | None:
    """The file of reference posteriors of the section's task_id, found without importing the task."""
    for point in entry_points(group=_TASKS, name=section.task):
        spec = find_spec(point.module)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent.joinpath(*_PUBLISHED)
            try:
                with h5py.File(path, "r") as file:
                    return path if file.attrs.get("task_id") == section.task_id else None
            except OSError:
                return None
    return None


def _from_reference(section: Section, path: Path) -> dict[str, Any]:
    # Heavy imports wait until something has to be computed.
    from exobench.reference.published import read_published

    found = read_published(path)
    named = dict(list(found.named.items())[:MOST])
    rows = list(named.values())
    depth = _quantiles(section.scored[0], found.theta[rows], None)
    spectra = {}
    for place, (name, row) in enumerate(named.items()):
        view = view_of(found.theta[row], found.theta_true[row], found.low, found.high)
        spectra[name.replace("_", " ")] = _spectrum(row, found.x[row], found.sigma[row], found.theta_true[row]) | {
            "depth_ppm": None if depth is None else _ppm(depth[place]),
            "view": view.tolist(),
            "outlines": outlines(found.theta[row], None, view),
        }
    return {"wavelength_um": found.wavelength_um.tolist(), "spectra": spectra}


def _from_run(base: Entry) -> dict[str, Any]:
    with h5py.File(base.record.folder / PREDICTIVE, "r") as file:
        arrays = {name: file[name][:MOST] for name in ("x", "sigma", "theta_true")}
        wavelength_um = file["wavelength_um"][()]
    low, high = (np.array([getattr(parameter, end) for parameter in base.parameters]) for end in ("low", "high"))
    spectra = {}
    for row in range(len(arrays["x"])):
        spectrum = _spectrum(row, arrays["x"][row], arrays["sigma"][row], arrays["theta_true"][row])
        draws = _draws(base, row)
        view = np.stack([low, high]) if draws is None else view_of(draws[0], arrays["theta_true"][row], low, high)
        spectra[f"test spectrum {row + 1}"] = spectrum | {"depth_ppm": None, "view": view.tolist(), "outlines": None}
    return {"wavelength_um": wavelength_um.tolist(), "spectra": spectra}


def _spectrum(row: int, x: Array, sigma: Array, theta_true: Array) -> dict[str, Any]:
    return {"row": int(row), "x_ppm": _ppm(x), "sigma_ppm": _ppm(sigma), "theta_true": theta_true.tolist()}


def _simulated(entry: Entry, shown: Observations) -> dict[str, list[list[float]]]:
    found = {name: _draws(entry, shown.spectrum(name)["row"]) for name in shown.names}
    draws = {name: each for name, each in found.items() if each is not None}
    if not draws or shown.spectrum(shown.names[0])["depth_ppm"] is None:
        return {}
    theta = np.stack([theta for theta, _ in draws.values()])
    weights = [log_weight for _, log_weight in draws.values() if log_weight is not None]
    depth = _quantiles(entry, theta, np.stack(weights) if weights else None)
    if depth is None:
        return {}
    return {name: _ppm(depth[place]) for place, name in enumerate(draws) if np.isfinite(depth[place]).all()}


def _quantiles(entry: Entry, theta: Array, log_weight: Array | None) -> Array | None:
    """What draws predict; None where the task cannot be built here, as with opacities of files that are elsewhere."""
    from exobench.predictive_bands import quantiles_of_run

    try:
        return quantiles_of_run(entry.record, theta, log_weight)
    except (ExobenchError, KeyError, TypeError, AttributeError):
        return None  # the page says that there is no band, and a record of another kind must not stop it


def _stored(entry: Entry) -> dict[str, list[list[float]]]:
    try:
        with h5py.File(entry.record.folder / PREDICTIVE, "r") as file:
            depth = file["depth"][:MOST]
    except (OSError, KeyError):
        return {}
    return {f"test spectrum {row + 1}": _ppm(each) for row, each in enumerate(depth) if np.isfinite(each).all()}


def _outlines(entry: Entry, spectrum: dict[str, Any]) -> dict[str, Any] | None:
    draws = _draws(entry, spectrum["row"])
    return None if draws is None else outlines(*draws, np.array(spectrum["view"]))


def _draws(entry: Entry, row: int) -> tuple[Array, Array | None] | None:
    """Draws (draw, param) of one spectrum and their weights (draw,); None where none were stored."""
    try:
        with h5py.File(entry.record.folder / DRAWS, "r") as file:
            if row >= len(file["theta"]) or file["theta"].shape[2] != len(entry.parameters):
                return None
            log_weight = np.asarray(file["log_weight"][row], np.float64) if "log_weight" in file else None
            return np.asarray(file["theta"][row], np.float64), log_weight
    except (OSError, KeyError):
        return None


def _ppm(depth: Array) -> Any:
    """In ppm to a tenth, None where the bin is missing."""
    shown = np.round(_PPM * np.asarray(depth, np.float64), 1).astype(object)
    shown[~np.isfinite(depth)] = None
    return shown.tolist()
