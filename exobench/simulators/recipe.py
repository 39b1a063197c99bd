"""How a transmission simulator is built again in any process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from exobench.simulators.base import Simulator

if TYPE_CHECKING:
    from exobench.opacities.tables import OpacitySet

GASES = ("H2O", "CO2", "CO", "CH4")


@dataclass(frozen=True)
class TransmissionRecipe:
    """A small, picklable description of a transmission simulator.

    Attributes:
        bin_edges_um: edges of the wavelength bins, ascending.
        parameter_names: columns of theta.
        kind: "transmission", "transmission_literal" or "taurex3".
        flavour: constants and conventions, "taurex3" or "taurex2".
        opacities_path: folder of opacity files, None for the embedded band model.
        gases: active gases.
        star_radius_rsun: radius of the star.
        temperature_range_k: temperatures that the opacities must bracket: the prior's.
    """

    bin_edges_um: tuple[float, ...]
    parameter_names: tuple[str, ...]
    kind: str = "transmission"
    flavour: str = "taurex3"
    opacities_path: str | None = None
    gases: tuple[str, ...] = GASES
    star_radius_rsun: float = 1.0
    temperature_range_k: tuple[float, float] | None = None

    def build(self, device: str = "cpu") -> Simulator:
        """The simulator on a device."""
        from exobench.simulators.build import build_simulator

        return build_simulator(
            self.kind,
            self._opacities(),
            self.parameter_names,
            flavour=self.flavour,
            star_radius_rsun=self.star_radius_rsun,
            device=device,
        )

    def describe(self) -> dict[str, object]:
        """What determines the spectra; opacities enter by the hash of their numbers, not by their path."""
        return {
            "kind": self.kind,
            "flavour": self.flavour,
            "opacity_hash": self._opacities().content_hash(),
            "opacity_source": "embedded band model" if self.opacities_path is None else "files",
            "k_table_overlap": None,
            "gases": list(self.gases),
            "star_radius_rsun": self.star_radius_rsun,
        }

    def _opacities(self) -> OpacitySet:
        return _load_once(self.bin_edges_um, self.gases, self.opacities_path, self.flavour, self.temperature_range_k)


@lru_cache(maxsize=4)
def _load_once(
    bin_edges_um: tuple[float, ...],
    gases: tuple[str, ...],
    path: str | None,
    flavour: str,
    temperature_range_k: tuple[float, float] | None,
) -> OpacitySet:
    from exobench.opacities.load import load_opacities

    edges = np.array(bin_edges_um)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return load_opacities(path, centres, edges, gases, flavour=flavour, temperature_range_k=temperature_range_k)
