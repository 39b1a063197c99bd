"""Opacity tables on one wavelength grid: the only form in which a simulator sees an opacity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrossSections:
    """Absorption cross-sections of one gas.

    Attributes:
        gas: formula, such as ``"H2O"``.
        temperature_k: nodes, ascending, shape (n_temperature,).
        pressure_pa: nodes, ascending, shape (n_pressure,).
        cross_section_m2: shape (n_pressure, n_temperature, n_bin), per molecule.
    """

    gas: str
    temperature_k: Array
    pressure_pa: Array
    cross_section_m2: Array

    def __post_init__(self) -> None:
        _check_ascending(self.gas, "temperature_k", self.temperature_k)
        _check_ascending(self.gas, "pressure_pa", self.pressure_pa)
        expected = (len(self.pressure_pa), len(self.temperature_k))
        if self.cross_section_m2.ndim != 3 or self.cross_section_m2.shape[:2] != expected:
            raise ExobenchError(
                f"opacity of {self.gas}: cross_section_m2 has shape {self.cross_section_m2.shape}, "
                f"expected (n_pressure, n_temperature, n_bin) = ({expected[0]}, {expected[1]}, n_bin)."
            )
        _check_values(self.gas, self.cross_section_m2)


@dataclass(frozen=True)
class CollisionInducedAbsorption:
    """Collision-induced absorption of one pair of molecules.

    Attributes:
        pair: the two formulas, such as ``("H2", "He")``.
        temperature_k: nodes, ascending, shape (n_temperature,).
        coefficient_m5: shape (n_temperature, n_bin), per molecule squared.
    """

    pair: tuple[str, str]
    temperature_k: Array
    coefficient_m5: Array

    def __post_init__(self) -> None:
        name = "-".join(self.pair)
        _check_ascending(name, "temperature_k", self.temperature_k)
        if self.coefficient_m5.ndim != 2 or len(self.coefficient_m5) != len(self.temperature_k):
            raise ExobenchError(
                f"opacity of {name}: coefficient_m5 has shape {self.coefficient_m5.shape}, "
                f"expected (n_temperature, n_bin) = ({len(self.temperature_k)}, n_bin)."
            )
        _check_values(name, self.coefficient_m5)


@dataclass(frozen=True)
class OpacitySet:
    """All opacities of an atmosphere on one wavelength grid, in ascending wavelength.

    Attributes:
        wavelength_um: bin centres, ascending, shape (n_bin,).
        bin_edges_um: ascending, shape (n_bin + 1,).
        gases: cross-sections by formula.
        cia: collision-induced absorption, one entry a pair.
        rayleigh_m2: Rayleigh cross-sections by formula, each of shape (n_bin,).
        source: one line that says where the numbers come from.
    """

    wavelength_um: Array
    bin_edges_um: Array
    gases: Mapping[str, CrossSections]
    cia: tuple[CollisionInducedAbsorption, ...]
    rayleigh_m2: Mapping[str, Array]
    source: str

    def __post_init__(self) -> None:
        _check_ascending(self.source, "wavelength_um", self.wavelength_um)
        _check_ascending(self.source, "bin_edges_um", self.bin_edges_um)
        n_bin = len(self.wavelength_um)
        if len(self.bin_edges_um) != n_bin + 1:
            raise ExobenchError(f"{self.source}: {n_bin} bins need {n_bin + 1} edges, not {len(self.bin_edges_um)}.")
        arrays = {name: table.cross_section_m2 for name, table in self.gases.items()}
        arrays |= {"-".join(table.pair): table.coefficient_m5 for table in self.cia}
        arrays |= {f"Rayleigh of {name}": values for name, values in self.rayleigh_m2.items()}
        for name, values in arrays.items():
            if values.shape[-1] != n_bin:
                raise ExobenchError(f"{self.source}: {name} has {values.shape[-1]} bins, the grid has {n_bin}.")

    def content_hash(self) -> str:
        """Hashes every number of the set; equal hashes mean equal opacities."""
        digest = hashlib.sha256()
        for name in sorted(self.gases):
            table = self.gases[name]
            _feed(digest, name, table.temperature_k, table.pressure_pa, table.cross_section_m2)
        for pair in sorted(self.cia, key=lambda table: table.pair):
            _feed(digest, "-".join(pair.pair), pair.temperature_k, pair.coefficient_m5)
        for name in sorted(self.rayleigh_m2):
            _feed(digest, f"rayleigh {name}", self.rayleigh_m2[name])
        _feed(digest, "grid", self.wavelength_um, self.bin_edges_um)
        return digest.hexdigest()[:16]


def _feed(digest: hashlib._Hash, name: str, *arrays: Array) -> None:
    digest.update(name.encode())
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())


def _check_ascending(owner: str, name: str, values: Array) -> None:
    if values.ndim != 1 or len(values) == 0 or not np.all(np.diff(values) > 0):
        raise ExobenchError(f"opacity of {owner}: {name} must be one-dimensional and strictly ascending.")


def _check_values(owner: str, values: Array) -> None:
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ExobenchError(f"opacity of {owner}: every value must be finite and not negative.")
