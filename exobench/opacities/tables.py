"""Opacity tables on one wavelength grid: the only form in which a simulator sees an opacity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.grids import check_bin_edges

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
class KTable:
    """The distribution of one gas's absorption within each bin (correlated k; Lacis & Oinas 1991, JGR 96, 9027).

    Attributes:
        gas: formula, such as ``"H2O"``.
        temperature_k: nodes, ascending, shape (n_temperature,).
        pressure_pa: nodes, ascending, shape (n_pressure,).
        g_weights: share of the bin that each coefficient stands for, adding up to one, shape (n_g,).
        coefficient_m2: shape (n_pressure, n_temperature, n_bin, n_g), per molecule.
    """

    gas: str
    temperature_k: Array
    pressure_pa: Array
    g_weights: Array
    coefficient_m2: Array

    def __post_init__(self) -> None:
        _check_ascending(self.gas, "temperature_k", self.temperature_k)
        _check_ascending(self.gas, "pressure_pa", self.pressure_pa)
        if self.g_weights.ndim != 1 or np.any(self.g_weights <= 0) or abs(self.g_weights.sum() - 1.0) > 1e-6:
            raise ExobenchError(f"k-table of {self.gas}: g_weights must be positive and add up to one.")
        outer, n_g = (len(self.pressure_pa), len(self.temperature_k)), len(self.g_weights)
        shape = self.coefficient_m2.shape
        if len(shape) != 4 or shape[:2] != outer or shape[3] != n_g:
            raise ExobenchError(
                f"k-table of {self.gas}: coefficient_m2 has shape {shape}, expected "
                f"(n_pressure, n_temperature, n_bin, n_g) = ({outer[0]}, {outer[1]}, n_bin, {n_g})."
            )
        _check_values(self.gas, self.coefficient_m2)

    @property
    def mean_m2(self) -> Array:
        """Mean over each bin, shape (n_pressure, n_temperature, n_bin)."""
        return np.asarray(self.coefficient_m2 @ self.g_weights)


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
        bin_edges_um: ascending, shape (n_bin + 1,), or the lower and upper edge of each bin, shape (n_bin, 2).
        gases: cross-sections by formula.
        cia: collision-induced absorption, one entry a pair.
        rayleigh_m2: Rayleigh cross-sections by formula, each of shape (n_bin,).
        source: one line that says where the numbers come from.
        k_tables: k-distributions by formula, of gases that have no cross-sections.
    """

    wavelength_um: Array
    bin_edges_um: Array
    gases: Mapping[str, CrossSections]
    cia: tuple[CollisionInducedAbsorption, ...]
    rayleigh_m2: Mapping[str, Array]
    source: str
    k_tables: Mapping[str, KTable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_ascending(self.source, "wavelength_um", self.wavelength_um)
        n_bin = len(self.wavelength_um)
        check_bin_edges(self.source, self.bin_edges_um, n_bin)
        twice = [gas for gas in self.k_tables if gas in self.gases]
        if twice:
            raise ExobenchError(f"{self.source}: {twice[0]} has cross-sections and a k-table; keep one.")
        arrays = {name: table.cross_section_m2 for name, table in self.gases.items()}
        arrays |= {"-".join(table.pair): table.coefficient_m5 for table in self.cia}
        arrays |= {f"Rayleigh of {name}": values for name, values in self.rayleigh_m2.items()}
        arrays |= {f"k-table of {name}": table.coefficient_m2[..., 0] for name, table in self.k_tables.items()}
        for name, values in arrays.items():
            if values.shape[-1] != n_bin:
                raise ExobenchError(f"{self.source}: {name} has {values.shape[-1]} bins, the grid has {n_bin}.")

    def content_hash(self) -> str:
        """Hashes every number of the set; equal hashes mean equal opacities."""
        digest = hashlib.sha256()
        for name in sorted(self.gases):
            table = self.gases[name]
            _feed(digest, name, table.temperature_k, table.pressure_pa, table.cross_section_m2)
        for name in sorted(self.k_tables):
            k = self.k_tables[name]
            _feed(digest, f"k {name}", k.temperature_k, k.pressure_pa, k.g_weights, k.coefficient_m2)
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
