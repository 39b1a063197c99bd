"""What a nested sampler is told: its size, its target and when to give up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from exobench.errors import ExobenchError, unknown_name
from exobench.sampling.settings_file import load_settings, save_settings

_FILE = "nested.json"

SAMPLERS = ("nautilus", "dynesty", "ultranest")

_LEAST = {"n_live": 20, "batch_size": 1, "n_networks": 0, "n_effective": 1, "max_calls": 100}


@dataclass(frozen=True)
class NestedSettings:
    """Settings of one nested sampling run.

    Attributes:
        sampler: one of ``SAMPLERS``.
        n_live: live points. More of them find narrower modes and cost likelihood calls in proportion.
        batch_size: points whose likelihood is asked for in one call (nautilus, ultranest).
        n_networks: networks that nautilus fits to sharpen each bound; 0 leaves ellipsoids alone.
        n_effective: effective draws at which the run ends at the earliest.
        effective_per_draw: effective draws wanted for each draw asked for, where that is more.
        max_calls: most likelihood calls for one spectrum.
        max_seconds: most wall-clock seconds for one spectrum; a run that meets it is not a function of its seed alone.
    """

    sampler: str
    n_live: int
    batch_size: int
    n_networks: int
    n_effective: int
    effective_per_draw: float
    max_calls: int
    max_seconds: float

    @classmethod
    def of(cls, method: object, key: str = "method") -> Self:
        """Takes the settings from a method that stores them under the same names.

        Raises:
            ExobenchError: if a value is wrong; the message names ``key`` and what is right.
        """
        return cls.from_mapping({field.name: getattr(method, field.name) for field in fields(cls)}, key)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], key: str = "method") -> Self:
        """Checks every value.

        Raises:
            ExobenchError: if a value is wrong; the message names ``key`` and what is right.
        """
        if values["sampler"] not in SAMPLERS:
            raise unknown_name(f"{key}.sampler", str(values["sampler"]), SAMPLERS)
        for name, least in _LEAST.items():
            value = values[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ExobenchError(f"{key}.{name}={value!r} must be a whole number of at least {least}.")
        for name in ("effective_per_draw", "max_seconds"):
            value = values[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ExobenchError(f"{key}.{name}={value!r} must be a positive number.")
        return cls(**values)

    def target(self, n_draws: int) -> int:
        """Effective draws at which a run for n_draws draws may end."""
        return max(self.n_effective, round(self.effective_per_draw * n_draws))

    def save(self, path: Path) -> None:
        """Writes the settings into a folder, made if missing."""
        save_settings(path / _FILE, self)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        return load_settings(path / _FILE, lambda values: cls.from_mapping(values, str(path / _FILE)))
