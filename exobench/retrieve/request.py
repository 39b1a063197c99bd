"""What the command line asks for, checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exobench.errors import ExobenchError, unknown_name
from exobench.retrieve.units import DEPTH_UNITS
from exobench.small_commands import split_arguments

NO_PAR = "none"
REFINEMENTS = ("importance", "smc", "nested")
DEFAULTS = {
    "run": "",
    "out": "",
    "n_draws": "4000",
    "seed": "0",
    "device": "auto",
    "demo": "false",
    "simulated": "false",
    "refine": "",
    "par": "",
    "star_radius_rsun": "",
    "wavelength_unit": "",
    "depth_unit": "",
    "opacities.path": "",
    "paths.data": "",
}
_WHOLE = {"n_draws": 100, "seed": 0}
_FLAGS = ("demo", "simulated")
_MOST_DRAWS = 1_000_000


@dataclass(frozen=True)
class Request:
    """A spectrum, a run, and checked values.

    Attributes:
        spectrum: the file.
        values: every setting as text.
    """

    spectrum: Path
    values: dict[str, str]

    @property
    def out(self) -> Path:
        """Where the answer goes: ``out=``, else a folder in the current one named after spectrum and refinement."""
        names = ("retrieved", self.spectrum.stem, self.text("refine"))
        return Path(self.values["out"] or "-".join(name for name in names if name))

    def whole(self, key: str) -> int:
        """A whole number."""
        return int(self.values[key])

    def flag(self, key: str) -> bool:
        """True or false."""
        return self.values[key] == "true"

    def text(self, key: str) -> str | None:
        """The value, or None where none is given."""
        return self.values[key] or None

    def number(self, key: str) -> float | None:
        """A number, or None where none is given."""
        return float(self.values[key]) if self.values[key] else None


def parse(arguments: Sequence[str]) -> Request:
    """Reads the name of a file and KEY=VALUE arguments.

    Raises:
        ExobenchError: an unknown key, a wrong value, or a file or folder that is not there.
    """
    values, files = split_arguments(arguments, DEFAULTS, is_place=Path.is_file, whole=_WHOLE, flags=_FLAGS)
    _check(values)
    if len(files) != 1:
        raise ExobenchError(f"name one spectrum file, such as planet.dat; {len(files)} were given (--help shows all).")
    if files[0].is_dir():
        raise ExobenchError(
            f"{files[0]} is a folder; name one spectrum file, such as planet.dat (the folder of a run: run=FOLDER)."
        )
    if not files[0].is_file():
        raise ExobenchError(f"{files[0]}: there is no such file.")
    if not values["run"]:
        raise ExobenchError(
            "name a finished run: run=FOLDER, such as run=runs/hotjupiter_varied/npe (--help shows all)."
        )
    if not Path(values["run"]).is_dir():
        raise ExobenchError(f"run={values['run']}: there is no such folder.")
    return Request(files[0], values)


def _check(values: Mapping[str, str]) -> None:
    for key in _WHOLE:
        if int(values[key]) > _MOST_DRAWS:
            raise ExobenchError(f"{key}={values[key]} must be a whole number of at most {_MOST_DRAWS}.")
    refine, unit, radius = values["refine"], values["depth_unit"], values["star_radius_rsun"]
    if refine and refine not in REFINEMENTS:
        raise unknown_name("refinement (refine)", refine, REFINEMENTS)
    if unit and unit not in DEPTH_UNITS:
        raise unknown_name("depth_unit", unit, DEPTH_UNITS)
    if radius and not _is_positive(radius):
        raise ExobenchError(f"star_radius_rsun={radius} must be a positive number of solar radii.")


def _is_positive(value: str) -> bool:
    try:
        return 0.0 < float(value) < float("inf")
    except ValueError:
        return False
