"""Shifts by name: one YAML file each, in ``exobench.conf`` or anywhere else."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from exobench.errors import ExobenchError, unknown_name
from exobench.shifts.bins import MissingAtRandom, MissingBlock, Outliers
from exobench.shifts.noise import KnownNoise, MisstatedNoise
from exobench.shifts.physics import BandModel, CloudDeck, OtherFlavour, RealTables, TemperatureGradient, UnseenAbsorber
from exobench.shifts.shift import NoShift, Shift

KINDS: dict[str, type[Shift]] = {
    "known_noise": KnownNoise,
    "misstated_noise": MisstatedNoise,
    "cloud_deck": CloudDeck,
    "unseen_absorber": UnseenAbsorber,
    "temperature_gradient": TemperatureGradient,
    "other_flavour": OtherFlavour,
    "real_tables": RealTables,
    "band_model": BandModel,
    "missing_at_random": MissingAtRandom,
    "missing_block": MissingBlock,
    "outliers": Outliers,
}
"""What ``kind:`` may be in a YAML file."""

NONE = "none"
"""Name of the spectra as they are."""
ALL = "all"
_GROUP = "shift"


@dataclass(frozen=True)
class NamedShift:
    """A shift with its name.

    Attributes:
        name: of its YAML file.
        kind: a key of `KINDS`.
        summary: what it is, in one line.
        source: where its numbers come from.
        shift: what it does.
    """

    name: str
    kind: str
    summary: str
    source: str
    shift: Shift

    def describe(self) -> dict[str, Any]:
        """What determines the shifted spectra besides the task; JSON-able."""
        return {"name": self.name, "kind": self.kind, **self.shift.describe()}


UNSHIFTED = NamedShift(NONE, NONE, "the test spectra as they are", "the task", NoShift())


def shipped_names() -> list[str]:
    """Names of the shifts that come with the project."""
    folder = importlib.resources.files("exobench.conf") / _GROUP
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def find_shifts(wanted: str) -> list[NamedShift]:
    """Shifts by names joined by commas, ``all`` for those that are shipped; a name may be the path of a YAML file.

    Raises:
        ExobenchError: there is no such shift, or its file is wrong.
    """
    names = shipped_names() if wanted == ALL else [name for name in wanted.split(",") if name]
    if not names:
        raise ExobenchError(f"shift={wanted} names none; valid: {ALL}, or some of {', '.join(shipped_names())}.")
    return [find_shift(name) for name in dict.fromkeys(names)]


def find_shift(name: str) -> NamedShift:
    """One shift by its name or by the path of its YAML file.

    Raises:
        ExobenchError: there is no such shift, or its file is wrong.
    """
    if name == NONE:
        return UNSHIFTED
    if name.endswith(".yaml"):
        path = Path(name)
        if not path.is_file():
            raise ExobenchError(f"shift={name}: there is no such file.")
        return _read(path.stem, path.read_text(encoding="utf-8"), name)
    if name not in shipped_names():
        raise unknown_name("shift", name, [ALL, NONE, *shipped_names()])
    file = importlib.resources.files("exobench.conf") / _GROUP / f"{name}.yaml"
    return _read(name, file.read_text(encoding="utf-8"), f"conf/shift/{name}.yaml")


def _read(name: str, text: str, where: str) -> NamedShift:
    from omegaconf import OmegaConf
    from yaml import YAMLError

    try:
        content = OmegaConf.to_container(OmegaConf.create(text))
    except YAMLError as error:
        raise ExobenchError(f"{where} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or "kind" not in content:
        raise ExobenchError(f"{where} must be a mapping with a kind; valid: {', '.join(sorted(KINDS))}.")
    numbers = {str(key): value for key, value in content.items()}
    kind, summary, source = (str(numbers.pop(key, "")) for key in ("kind", "summary", "source"))
    if kind not in KINDS:
        raise unknown_name(f"kind (in {where})", kind, KINDS)
    return NamedShift(name, kind, " ".join(summary.split()), " ".join(source.split()), _build(kind, numbers, where))


def _build(kind: str, numbers: dict[str, Any], where: str) -> Shift:
    cls = KINDS[kind]
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for key in numbers:
        if key not in known:
            raise unknown_name(f"setting of {kind} (in {where})", str(key), known)
    try:
        return cls(**{key: _frozen(value) for key, value in numbers.items()})
    except TypeError as error:
        raise ExobenchError(f"{where}: {error}") from error
    except ExobenchError as error:
        raise ExobenchError(f"{where}: {error}") from error


def _frozen(value: object) -> object:
    return tuple(_frozen(one) for one in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
