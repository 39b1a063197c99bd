"""A TauREx 3 parameter file that goes on from an answer: bounds narrowed to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.parameters import ParameterSpace
from exobench.retrieve.admission import NOT_FOR_SCIENCE
from exobench.retrieve.answer import Answer
from exobench.simulators.constants import HELIUM_TO_HYDROGEN, TAUREX3
from exobench.task import Task

Array = NDArray[np.float64]

WIDTH_IN_SIGMA = 8.0
TOUCHES = 0.01
"""A posterior touches a bound when its outermost 0.1 % come within this share of the prior's range of it."""
_TAIL = 1e-3
_FIXED = {"mass_mjup": "planet_mass", "radius_rjup": "planet_radius", "temperature_k": "T"}
_N_LIVE = 500


@dataclass(frozen=True, eq=False)
class SearchBounds:
    """Where a sampler should look.

    Attributes:
        low: (param,), in the declared units.
        high: as low.
        log_volume_ratio: natural log of the bounds' volume over the prior's.
        touched: "NAME lower" or "NAME upper" for each bound of the prior that the posterior touches.
    """

    low: Array
    high: Array
    log_volume_ratio: float
    touched: tuple[str, ...]


def search_bounds(answer: Answer) -> SearchBounds:
    """Mean plus and minus 8 standard deviations, widened to hold every draw, cut to the prior."""
    space, weight = answer.space, answer.weight
    mean = weight @ answer.theta
    spread = np.sqrt(weight @ (answer.theta - mean) ** 2)
    low = np.minimum(mean - WIDTH_IN_SIGMA * spread, answer.theta.min(axis=0))
    high = np.maximum(mean + WIDTH_IN_SIGMA * spread, answer.theta.max(axis=0))
    low, high = np.maximum(low, space.low), np.minimum(high, space.high)
    ratio = float(np.sum(np.log(high - low) - np.log(space.high - space.low)))
    margin = TOUCHES * (space.high - space.low)
    ends = [answer.quantile(_TAIL) < space.low + margin, answer.quantile(1.0 - _TAIL) > space.high - margin]
    touched = [
        f"{name} {side}" for side, touches in zip(("lower", "upper"), ends, strict=True)
        for name, yes in zip(space.names, touches, strict=True) if yes
    ]  # fmt: skip
    return SearchBounds(low, high, ratio, tuple(sorted(touched)))


def why_no_file(task: Task) -> str | None:
    """Why TauREx 3 cannot take up a task, or None."""
    described = task.simulator.describe()
    gases = [name for name in task.parameters.names if name not in _FIXED and not name.startswith("log10_")]
    if gases or "star_radius_rsun" not in described:
        return f"task {task.name} is no isothermal atmosphere"
    if described.get("flavour") != TAUREX3.name:
        return f"task {task.name} has the constants of {described.get('flavour')}, and TauREx 3 has its own"
    return None


def spectrum_text(answer: Answer, wavelength_um: Array, low_um: Array, high_um: Array) -> str:
    """Four columns as TauREx reads them, in the task's bins, without those that are missing."""
    seen = np.isfinite(answer.x)
    columns = np.stack([wavelength_um, answer.x, answer.sigma, high_um - low_um], axis=1)[seen]
    rows = "\n".join(" ".join(f"{value:.10g}" for value in row) for row in columns)
    mark = f"# {NOT_FOR_SCIENCE}: {answer.mark}\n" if answer.mark else ""
    simulated = f"# simulated: {answer.spectrum.simulated}\n" if answer.spectrum.simulated else ""
    return f"{mark}{simulated}# wavelength (um), transit depth, error, bin width (um)\n{rows}\n"


def parameter_text(answer: Answer, task: Task, run_name: str, opacities: str) -> str:
    """The file's content; it is to be run in the folder that it lies in.

    Args:
        answer: gives bounds and medians.
        task: gives atmosphere and star.
        run_name: noted.
        opacities: lines of the section Global that name the folders.
    """
    bounds = search_bounds(answer)
    return "\n".join(
        [
            *(f"# {line}" for line in _heading(answer, bounds, run_name)),
            "",
            setup_text(task, answer.intervals()["median"], opacities),
            "[Observation]",
            "observed_spectrum = spectrum.dat",
            "",
            "[Binning]",
            "bin_type = observed",
            "",
            "[Optimizer]",
            "optimizer = nestle",
            f"num_live_points = {_N_LIVE}",
            "",
            "[Fitting]",
            *_fitting(answer.space, bounds),
            "",
        ]
    )


def setup_text(task: Task, theta: Array, opacities: str) -> str:
    """Atmosphere, planet and star of a TauREx 3 file for parameters theta (param,)."""
    values = dict(zip(task.parameters.names, theta, strict=True))
    gases = [name for name in values if name not in _FIXED]
    lines = ["[Global]", opacities, "", "[Chemistry]", "chemistry_type = taurex", "fill_gases = H2,He"]
    lines.append(f"ratio = {HELIUM_TO_HYDROGEN}")
    for name in gases:
        lines += [f"    [[{_gas(name)}]]", "    gas_type = constant", f"    mix_ratio = {10.0 ** values[name]:.8g}"]
    star = task.simulator.describe()["star_radius_rsun"]
    return "\n".join(
        [
            *lines,
            "",
            "[Temperature]",
            "profile_type = isothermal",
            f"T = {values['temperature_k']:.8g}",
            "",
            "[Pressure]",
            "profile_type = simple",
            "atm_min_pressure = 1e-5",
            "atm_max_pressure = 1e6",
            "nlayers = 100",
            "",
            "[Planet]",
            "planet_type = simple",
            f"planet_mass = {values['mass_mjup']:.8g}",
            f"planet_radius = {values['radius_rjup']:.8g}",
            "",
            "[Star]",
            "star_type = blackbody",
            f"radius = {star}",
            "",
            "[Model]",
            "model_type = transmission",
            "    [[Absorption]]",
            "    [[CIA]]",
            "    cia_pairs = H2-H2,H2-He",
            "    [[Rayleigh]]",
            "",
        ]
    )


def _gas(name: str) -> str:
    return name.removeprefix("log10_").upper()


def _fitting(space: ParameterSpace, bounds: SearchBounds) -> list[str]:
    lines = []
    for parameter, low, high in zip(space.parameters, bounds.low, bounds.high, strict=True):
        key = _FIXED.get(parameter.name)
        ends = (low, high) if key else (10.0**low, 10.0**high)
        key = key or _gas(parameter.name)
        mode = "linear" if parameter.name in _FIXED else "log"
        lines += [f"{key}:fit = True", f"{key}:bounds = {ends[0]:.8g}, {ends[1]:.8g}", f"{key}:mode = {mode}"]
    return lines


def _heading(answer: Answer, bounds: SearchBounds, run_name: str) -> list[str]:
    lines = [f"{NOT_FOR_SCIENCE.upper()}: {answer.mark}."] if answer.mark else []
    lines += [
        f"TauREx 3, from a posterior for {answer.spectrum.path.name}: {answer.made_by(run_name)}.",
        "Run it in this folder: taurex -i taurex3.par --retrieval -o taurex3.h5",
        f"The bounds are SEARCH BOUNDS, no prior: mean +- {WIDTH_IN_SIGMA:g} standard deviations of that posterior,",
        "widened to hold every draw and cut to the prior that the run was trained on:",
        *(f"    {p.name}: {p.low:g} to {p.high:g} {p.unit}, uniform" for p in answer.space.parameters),
        f"log volume ratio (natural log of bounds over prior): {bounds.log_volume_ratio:.6f}",
        "The log evidence under the prior is TauREx's log evidence plus this, if no posterior mass lies outside.",
        "spectrum.dat holds the spectrum in the run's bins, scaled to the star below.",
    ]
    lines += [f"WARNING: the posterior touches the {each} bound of the prior." for each in map(_sided, bounds.touched)]
    if answer.warning:
        lines.append(answer.warning)
    return lines


def _sided(touched: str) -> str:
    name, side = touched.split()
    return f"{side} {name}"
