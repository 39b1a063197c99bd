"""Whether a run may say anything of a spectrum: real or simulated, its star, its unit, its missing bins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.taurex_parfile import TaurexSetup, read_par
from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability
from exobench.retrieve.observed import Observed
from exobench.retrieve.rebin import Rebinned
from exobench.retrieve.request import NO_PAR
from exobench.retrieve.units import DEPTH_FACTOR, RADIUS_RATIO
from exobench.task import Task

Array = NDArray[np.float64]

NOT_FOR_SCIENCE = "not for science"
_FROM_FILES = "files"
_MARGIN = 2.0
"""How far beyond the depths of the training spectra a depth is still taken for one in the unit that was assumed."""


def why_not_for_science(task: Task, spectrum: Observed, *, simulated: bool, demo: bool) -> str | None:
    """Why the answer must be marked, or None.

    A spectrum is real unless its header or the caller says that it was simulated. Only runs on opacities of files may
    be asked about real ones: the embedded band model is good enough to compare methods, and no more.

    Raises:
        ExobenchError: the spectrum is real, the run's opacities are not, and nobody asked for a demonstration; or it
            was simulated for another task, and the run's is no atmosphere.
    """
    _check_simulated_for(task, spectrum, simulated)
    if simulated or spectrum.simulated is not None or task.simulator.describe().get("opacity_source") == _FROM_FILES:
        return None
    if not demo:
        raise ExobenchError(
            f"{spectrum.path} is a real spectrum and the run was trained on {_physics(task)}, so its answer would be "
            f"wrong: train with opacities.path=FOLDER, or give demo=true (marked '{NOT_FOR_SCIENCE}'), or "
            "simulated=true if the spectrum was simulated."
        )
    return f"a real spectrum, and a run trained on {_physics(task)}"


def _check_simulated_for(task: Task, spectrum: Observed, simulated: bool) -> None:
    other = re.match(r"exobench, task (\w+)", spectrum.simulated or "")
    if simulated or other is None or other[1] == task.name or _is_atmosphere(task):
        return
    raise ExobenchError(
        f"{spectrum.path} was simulated for task {other[1]}, and the run was trained on {_physics(task)}: name a run "
        f"on {other[1]}."
    )


def _is_atmosphere(task: Task) -> bool:
    return "opacity_source" in task.simulator.describe()


def _physics(task: Task) -> str:
    return "the embedded band model" if _is_atmosphere(task) else f"{task.name}, which is no atmosphere"


@dataclass(frozen=True)
class Star:
    """The star of the spectrum and that of the task.

    Attributes:
        radius_rsun: of the spectrum's star.
        task_radius_rsun: of the task's star.
        told: where the first one comes from; None where nothing is known of it.
    """

    radius_rsun: float
    task_radius_rsun: float
    told: str | None

    @property
    def factor(self) -> float:
        """What depths are multiplied with: the planet's shadow stays, the disc it is compared with changes."""
        return (self.radius_rsun / self.task_radius_rsun) ** 2

    def note(self) -> str:
        """What was done, in a sentence."""
        if self.told is None:
            return (
                f"The star is taken to have {self.task_radius_rsun:g} R_sun; give star_radius_rsun=VALUE if it has "
                "not: the retrieved radius is proportional to it."
            )
        if self.factor == 1.0:
            return f"The star of the spectrum ({self.told}) is that of the task, {self.task_radius_rsun:g} R_sun."
        return (
            f"Depths are multiplied by ({self.radius_rsun:g}/{self.task_radius_rsun:g})^2 = {self.factor:.4g}, from "
            f"the star of the spectrum ({self.told}) to that of the task."
        )


def find_star(task: Task, given_rsun: float | None, setup: TaurexSetup | None) -> Star | None:
    """The star's radius as given, else of the parameter file, else the task's; None for a task without a star.

    Raises:
        ExobenchError: a radius is given and the task has no star.
    """
    own = task.simulator.describe().get("star_radius_rsun")
    if not isinstance(own, int | float):
        if given_rsun is not None:
            raise ExobenchError(f"star_radius_rsun={given_rsun:g}: task {task.name} has no star; leave it out.")
        return None
    if given_rsun is not None:
        return Star(given_rsun, float(own), "star_radius_rsun")
    if setup is not None:
        return Star(setup.star_radius_rsun, float(own), setup.path.name)
    return Star(float(own), float(own), None)


def find_setup(spectrum: Path, given: str | None) -> TaurexSetup | None:
    """The TauREx parameter file that is given or lies beside a ``.dat`` file under its name.

    Raises:
        ExobenchError: it cannot be read.
    """
    if given == NO_PAR:
        return None
    beside = spectrum.with_suffix(".par")
    if given is None and not (spectrum.suffix.lower() == ".dat" and beside.is_file()):
        return None
    try:
        return read_par(beside if given is None else Path(given))
    except ExobenchError as error:
        if given is not None:
            raise
        raise ExobenchError(f"{error} Give par={NO_PAR} to leave this file out.") from error


def check_missing_bins(method: AbstractMethod, rebinned: Rebinned) -> None:
    """Refuses gaps for a method that knows none.

    Raises:
        ExobenchError: it is such a method, and bins are missing.
    """
    n_missing = int(np.isnan(rebinned.x).sum())
    if n_missing and Capability.MISSING_BINS not in method.capabilities:
        raise ExobenchError(
            f"{n_missing} of the task's {len(rebinned.x)} bins were not observed, and {method.registered_name} takes "
            "no missing bins; use a run of a method that does, such as npe on hotjupiter_varied."
        )


def check_units(spectrum: Observed, x: Array, depth: Array) -> None:
    """Refuses depths that are far from the training spectra and would be near them in another unit, and errors that are
    larger than depths.

    Args:
        spectrum: says which unit its numbers were taken for.
        x: depths in the task's bins, (bin,), NaN where missing.
        depth: of training or validation spectra, (n, bin); no check where these are no transit depths.

    Raises:
        ExobenchError: another unit must be meant, and the command line does not insist on this one.
    """
    seen = np.isfinite(x)
    usual = depth[:, seen]
    if spectrum.unit_told == "setting" or usual.min() <= 0:
        return
    _check_depths(spectrum, float(np.median(x[seen])), float(usual.min()), float(usual.max()))
    depth_median, sigma_median = float(np.median(spectrum.depth)), float(np.median(spectrum.sigma))
    if sigma_median > abs(depth_median):
        raise ExobenchError(
            f"{spectrum.path}: the median error, {sigma_median:.3g}, is larger than the median depth, "
            f"{depth_median:.3g} (both as fractions): give both in one unit, or depth_unit={spectrum.depth_unit} if "
            "they are."
        )


def _check_depths(spectrum: Observed, median: float, low: float, high: float) -> None:
    if low / _MARGIN <= median <= high * _MARGIN:
        return
    number = np.sqrt(median) if spectrum.depth_unit == RADIUS_RATIO else median / DEPTH_FACTOR[spectrum.depth_unit]
    others = {name: number * factor for name, factor in DEPTH_FACTOR.items()} | {RADIUS_RATIO: number**2}
    del others[spectrum.depth_unit]
    fitting = [name for name, value in others.items() if low / _MARGIN <= value <= high * _MARGIN]
    if not fitting:
        return
    known, wanted = f"where the run knows {low:.2g} to {high:.2g}", " or ".join(fitting)
    if spectrum.unit_told:
        raise ExobenchError(
            f"{spectrum.path}: the median depth is {number:.4g} and the file says that it is in {spectrum.depth_unit}, "
            f"{median:.2g} as a fraction, {known}: correct the file if it is in {wanted}, else give "
            f"depth_unit={spectrum.depth_unit}."
        )
    raise ExobenchError(
        f"{spectrum.path}: the median depth is {median:.4g}, taken as a fraction, {known}; give depth_unit={wanted} if "
        "that is the unit, else depth_unit=fraction."
    )
