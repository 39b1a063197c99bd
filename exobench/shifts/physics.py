"""Shifts of the physics: spectra of the same theta by another simulator, with the very noise of the test set."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.source import TestSpectra
from exobench.errors import ExobenchError
from exobench.opacities.band_shapes import COLUMNS
from exobench.opacities.grids import bin_bounds, bin_centres
from exobench.opacities.load import load_opacities
from exobench.opacities.tables import OpacitySet
from exobench.shifts.absorber import band_cross_sections, with_gas
from exobench.shifts.layered import LayeredTransmissionSimulator, LinearProfile
from exobench.shifts.shift import Shift, Unshifted
from exobench.simulators.base import Simulator
from exobench.simulators.build import build_simulator
from exobench.simulators.recipe import TransmissionRecipe

Array = NDArray[np.float64]

_ROWS = 250
"""Spectra simulated at a time."""


class PhysicsShift(Shift):
    """Another simulator than the task's; the exact posterior to compare with is still that of the task's own."""

    exact: ClassVar[str] = "the likelihood of the task, whose simulator is not the one that made the spectra"

    @abc.abstractmethod
    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The simulator, and its theta (obs, param) for the truths of the test set."""

    def refuse(self, base: Unshifted) -> str | None:
        """A task without an atmosphere."""
        if not isinstance(base.task.simulator, TransmissionRecipe):
            return f"task {base.task.name} has no atmosphere to change"
        return None

    def apply(self, base: Unshifted) -> TestSpectra:
        """See `Shift.apply`; the noise is that of the test set, number by number."""
        simulator, theta = self.simulator(_recipe(base), base)
        return base.with_spectra(simulated(simulator, theta) + base.test.sigma * base.normal, base.test.sigma)


@dataclass(frozen=True)
class CloudDeck(PhysicsShift):
    """A grey cloud that is opaque from a pressure downwards.

    Attributes:
        cloud_top_pa: that pressure; it acts on whole layers, of which there are nine a decade.
    """

    cloud_top_pa: float

    def __post_init__(self) -> None:
        if not self.cloud_top_pa > 0:
            raise ExobenchError(f"cloud_top_pa={self.cloud_top_pa} must be a positive pressure in Pa.")

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, or one of k-tables."""
        return super().refuse(base) or _why_not_layered(base)

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The layer-by-layer simulator with a deck."""
        return layered(recipe, cloud_top_pa=self.cloud_top_pa), base.test.theta_true


@dataclass(frozen=True)
class TemperatureGradient(PhysicsShift):
    """A temperature that changes with pressure; see `LinearProfile` for the attributes."""

    gradient_k_per_decade: float
    reference_pa: float = 1e3
    top_pa: float = 1.0
    bottom_pa: float = 1e5

    def __post_init__(self) -> None:
        self._profile()

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, or one of k-tables."""
        return super().refuse(base) or _why_not_layered(base)

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The layer-by-layer simulator with the profile."""
        return layered(recipe, profile=self._profile()), base.test.theta_true

    def _profile(self) -> LinearProfile:
        return LinearProfile(self.gradient_k_per_decade, self.reference_pa, self.top_pa, self.bottom_pa)


@dataclass(frozen=True)
class UnseenAbsorber(PhysicsShift):
    """One more gas, at one abundance for all spectra.

    Attributes:
        gas: formula, for its mass.
        log10_abundance: base-ten log of its volume mixing ratio.
        bands: rows of log10 strength (cm/molecule), power of T/T0 of the strength, centre (cm-1), width below, width
            above (cm-1, at T0 = 1500 K), power of T/T0 of the widths.
    """

    gas: str
    log10_abundance: float
    bands: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.bands or any(len(row) != len(COLUMNS) for row in self.bands):
            raise ExobenchError(f"bands of {self.gas} must be rows of {len(COLUMNS)} numbers: {', '.join(COLUMNS)}.")
        if not self.log10_abundance < 0:
            raise ExobenchError(f"log10_abundance={self.log10_abundance} must be below 0.")

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, or one that has the gas already."""
        reason = super().refuse(base)
        if reason is None and self.gas in _recipe(base).gases:
            return f"{self.gas} is a gas of task {base.task.name} already"
        return reason

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The task's own kind of simulator, with one more gas and one more column of theta."""
        table = band_cross_sections(self.gas, np.array(self.bands), np.array(recipe.bin_edges_um))
        opacities = with_gas(opacities_of(recipe), table)
        names = (*recipe.parameter_names, f"log10_{self.gas.lower()}")
        settings: dict[str, Any] = {"overlap": recipe.k_table_overlap} if opacities.k_tables else {}
        simulator = build_simulator(
            recipe.kind,
            opacities,
            names,
            flavour=recipe.flavour,
            star_radius_rsun=recipe.star_radius_rsun,
            **settings,
        )
        column = np.full((len(base.test.theta_true), 1), self.log10_abundance)
        return simulator, np.concatenate([base.test.theta_true, column], axis=1)


@dataclass(frozen=True)
class OtherFlavour(PhysicsShift):
    """The constants and conventions of another generation of TauREx.

    Attributes:
        flavour: such as "taurex2".
    """

    flavour: str

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, or one of this very flavour."""
        reason = super().refuse(base)
        if reason is None and _recipe(base).flavour == self.flavour:
            return f"task {base.task.name} is of flavour {self.flavour} already"
        return reason

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The task's recipe with another flavour."""
        return replace(recipe, flavour=self.flavour).build(), base.test.theta_true


@dataclass(frozen=True)
class RealTables(PhysicsShift):
    """Opacities of files in place of the embedded band model; the folder is given on the command line."""

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, one of files already, or no folder."""
        reason = super().refuse(base)
        if reason is None and _recipe(base).opacities_path is not None:
            return f"task {base.task.name} rests on opacities of files already"
        if reason is None and base.opacities_path is None:
            return "it needs real opacities: opacities.path=FOLDER"
        return reason

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The task's recipe with the folder.

        Raises:
            ExobenchError: tables coarser than the grid, or too narrow in temperature.
        """
        try:
            return replace(recipe, opacities_path=base.opacities_path).build(), base.test.theta_true
        except ExobenchError as error:
            raise ExobenchError(f"{error} {_needed(recipe)}") from error

    def opacity_hash(self, base: Unshifted) -> str | None:
        """See `Shift.opacity_hash`; None where the shift is refused."""
        if self.refuse(base) is not None:
            return None
        return str(replace(_recipe(base), opacities_path=base.opacities_path).describe()["opacity_hash"])

    def describe(self) -> dict[str, object]:
        """The kind alone; the record has the hash of the opacities beside it."""
        return {}


@dataclass(frozen=True)
class BandModel(PhysicsShift):
    """The embedded band model in place of opacities of files: `RealTables` the other way round."""

    def refuse(self, base: Unshifted) -> str | None:
        """No atmosphere, or one of the band model already."""
        reason = super().refuse(base)
        if reason is None and _recipe(base).opacities_path is None:
            return f"task {base.task.name} rests on the band model already"
        return reason

    def simulator(self, recipe: TransmissionRecipe, base: Unshifted) -> tuple[Simulator, Array]:
        """The task's recipe without its folder."""
        return replace(recipe, opacities_path=None, k_table_overlap=None).build(), base.test.theta_true

    def describe(self) -> dict[str, object]:
        """The kind alone; the model's numbers come with the project."""
        return {}


def layered(
    recipe: TransmissionRecipe, *, profile: LinearProfile | None = None, cloud_top_pa: float | None = None
) -> LayeredTransmissionSimulator:
    """The layer-by-layer simulator of a recipe's atmosphere."""
    return LayeredTransmissionSimulator(
        opacities_of(recipe),
        recipe.parameter_names,
        profile=profile,
        cloud_top_pa=cloud_top_pa,
        flavour=recipe.flavour,
        star_radius_rsun=recipe.star_radius_rsun,
    )


def opacities_of(recipe: TransmissionRecipe) -> OpacitySet:
    """The opacities of a recipe."""
    edges = np.array(recipe.bin_edges_um)
    return load_opacities(
        recipe.opacities_path,
        bin_centres(edges),
        edges,
        recipe.gases,
        flavour=recipe.flavour,
        temperature_range_k=recipe.temperature_range_k,
        average=recipe.opacities_average,
    )


def simulated(simulator: Simulator, theta: Array) -> Array:
    """Noise-free depths (obs, bin) in float64."""
    with torch.no_grad():
        parts = [simulator(torch.as_tensor(theta[k : k + _ROWS])).double() for k in range(0, len(theta), _ROWS)]
    return np.asarray(torch.cat(parts).numpy())


def _recipe(base: Unshifted) -> TransmissionRecipe:
    assert isinstance(base.task.simulator, TransmissionRecipe)  # refused otherwise
    return base.task.simulator


def _needed(recipe: TransmissionRecipe) -> str:
    """What tables must have to serve a recipe's grid."""
    low, high = bin_bounds(np.array(recipe.bin_edges_um))
    finest = float(np.max(0.5 * (low + high) / (high - low)))
    range_k = recipe.temperature_range_k
    warm = "" if range_k is None else ", with temperatures on both sides of {:g}-{:g} K".format(*range_k)
    return (
        f"The shift needs k-tables or cross-sections of {', '.join(recipe.gases)} at a resolving power of at least "
        f"{finest:.0f} over {low[0]:.3g}-{high[-1]:.3g} um{warm}."
    )


def _why_not_layered(base: Unshifted) -> str | None:
    if opacities_of(_recipe(base)).k_tables:
        return f"the layer-by-layer simulator takes no k-tables, which task {base.task.name} has"
    return None
