"""How a transmission simulator is built again in any process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from exobench.errors import unknown_name
from exobench.opacities.grids import bin_centres
from exobench.simulators.base import Simulator

if TYPE_CHECKING:
    from exobench.opacities.tables import OpacitySet

PHYSICS_VERSION = 1
"""Goes up when a constant or formula changes spectra by more than rounding: data sets and task_ids change with it."""

K_TABLE_OVERLAPS = ("random", "equal_g")

GASES = ("H2O", "CO2", "CO", "CH4")

BinEdges = tuple[float, ...] | tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TransmissionRecipe:
    """A small, picklable description of a transmission simulator.

    Attributes:
        bin_edges_um: edges of the wavelength bins, ascending, or pairs of lower and upper edge, one a bin.
        parameter_names: columns of theta.
        kind: "transmission", "transmission_literal" or "taurex3".
        flavour: constants and conventions, "taurex3" or "taurex2".
        opacities_path: folder of opacity files, None for the embedded band model.
        opacities_average: how files of cross-sections become bin values, "transmission" or "mean"; of no effect on
            k-tables and on the band model.
        gases: active gases.
        star_radius_rsun: radius of the star.
        temperature_range_k: temperatures that the opacities must bracket: the prior's.
        k_table_overlap: how k-tables of several gases combine, "random" or "equal_g", None for "random"; of no effect
            on cross-sections.

    Raises:
        ExobenchError: there is no such overlap.
    """

    bin_edges_um: BinEdges
    parameter_names: tuple[str, ...]
    kind: str = "transmission"
    flavour: str = "taurex3"
    opacities_path: str | None = None
    gases: tuple[str, ...] = GASES
    star_radius_rsun: float = 1.0
    temperature_range_k: tuple[float, float] | None = None
    k_table_overlap: str | None = None
    opacities_average: str = "transmission"

    def __post_init__(self) -> None:
        if self.k_table_overlap not in (None, *K_TABLE_OVERLAPS):
            raise unknown_name("k-table overlap", str(self.k_table_overlap), K_TABLE_OVERLAPS)

    def build(self, device: str = "cpu", *, differentiable: bool = False) -> Simulator:
        """The simulator on a device; one that can be differentiated in theta where that is asked for.

        Raises:
            ExobenchError: the kind asked for cannot be differentiated.
        """
        from exobench.simulators.build import build_simulator, check_differentiable
        from exobench.simulators.build_ktable import build_k_table_simulator

        if differentiable:
            check_differentiable(self.kind)
        opacities = self._opacities()
        settings: dict[str, Any] = {
            "flavour": self.flavour,
            "star_radius_rsun": self.star_radius_rsun,
            "device": device,
        }
        if opacities.k_tables:
            return build_k_table_simulator(
                self.kind, opacities, self.parameter_names, overlap=self.k_table_overlap, **settings
            )
        return build_simulator(self.kind, opacities, self.parameter_names, differentiable=differentiable, **settings)

    def describe(self) -> dict[str, object]:
        """What determines the spectra; opacities enter by the hash of their numbers, not by their path."""
        return {
            "kind": self.kind,
            "physics_version": PHYSICS_VERSION,
            "flavour": self.flavour,
            "opacity_hash": self._opacities().content_hash(),
            "opacity_source": "embedded band model" if self.opacities_path is None else "files",
            "k_table_overlap": (self.k_table_overlap or "random") if self._opacities().k_tables else None,
            "gases": list(self.gases),
            "star_radius_rsun": self.star_radius_rsun,
        }

    def _opacities(self) -> OpacitySet:
        return _load_once(
            self.bin_edges_um,
            self.gases,
            self.opacities_path,
            self.flavour,
            self.temperature_range_k,
            self.opacities_average,
        )


@lru_cache(maxsize=4)
def _load_once(
    bin_edges_um: BinEdges,
    gases: tuple[str, ...],
    path: str | None,
    flavour: str,
    temperature_range_k: tuple[float, float] | None,
    average: str,
) -> OpacitySet:
    from exobench.opacities.load import load_opacities

    edges = np.array(bin_edges_um)
    return load_opacities(
        path,
        bin_centres(edges),
        edges,
        gases,
        flavour=flavour,
        temperature_range_k=temperature_range_k,
        average=average,
    )
