"""Transmission through k-tables as written in the literature, one g at a time: the reference for the fast simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from exobench.opacities.tables import CrossSections, KTable, OpacitySet
from exobench.simulators.atmosphere import Atmosphere
from exobench.simulators.constants import Flavour
from exobench.simulators.ktable import check_overlap, describe_k, without_k
from exobench.simulators.literal import LiteralTransmissionSimulator


class LiteralKTableSimulator(LiteralTransmissionSimulator):
    """Float64 spectra with a loop over gases, g and layers, without any rewriting; some hundred times slower.

    Takes the arguments of `exobench.simulators.ktable.KTableTransmissionSimulator`; ``dtype`` is that of the result.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
        overlap: str = "random",
        flavour: str | Flavour = "taurex3",
        star_radius_rsun: float = 1.0,
        n_layer: int = 100,
        pressure_top_pa: float = 1e-5,
        pressure_bottom_pa: float = 1e6,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        max_chunk_bytes: int | None = None,
    ) -> None:
        check_overlap(overlap, opacities.k_tables)
        super().__init__(
            without_k(opacities),
            parameter_names,
            flavour=flavour,
            star_radius_rsun=star_radius_rsun,
            n_layer=n_layer,
            pressure_top_pa=pressure_top_pa,
            pressure_bottom_pa=pressure_bottom_pa,
            dtype=dtype,
            device=device,
            max_chunk_bytes=max_chunk_bytes,
        )
        self.overlap = overlap
        self._k_tables = [opacities.k_tables[gas] for gas in self._reader.gases if gas in opacities.k_tables]
        self._description |= describe_k(opacities, overlap, "transmission_ktable_literal")

    def _depth(self, atmosphere: Atmosphere) -> torch.Tensor:
        radius = atmosphere.radius_m[:, None]
        altitude, thickness = self._hydrostatic(atmosphere)
        path = self._path(radius, altitude, thickness)
        passed = torch.exp(-self._optical_depth(atmosphere, path)) * self._within_bins(atmosphere, path)
        rings = 2.0 * ((radius + altitude) * thickness)[:, :, None] * (1.0 - passed)
        return (radius**2 + rings.sum(dim=1)) / self._star_radius_m**2

    def _within_bins(self, atmosphere: Atmosphere, path: torch.Tensor) -> torch.Tensor:
        """Transmission of the gases with k-tables, shape (n, layer, bin)."""
        passed = torch.ones(*path.shape[:2], self.n_bin, dtype=torch.float64)
        if self.overlap == "random":
            for table in self._k_tables:
                of_gas = torch.zeros_like(passed)
                for g, weight in enumerate(table.g_weights.tolist()):
                    of_gas += weight * torch.exp(-path @ self._opacity(table, g, atmosphere))
                passed *= of_gas
            return passed
        together = torch.zeros_like(passed)
        for g, weight in enumerate(self._k_tables[0].g_weights.tolist()):
            opacity = torch.stack([self._opacity(table, g, atmosphere) for table in self._k_tables]).sum(dim=0)
            together += weight * torch.exp(-path @ opacity)
        return together

    def _opacity(self, table: KTable, g: int, atmosphere: Atmosphere) -> torch.Tensor:
        """Absorption per metre of one gas at one g, shape (n, layer, bin)."""
        nodes_k, temperature_k = table.temperature_k, atmosphere.temperature_k
        if self.flavour.k_temperature_interpolation == "log":
            nodes_k, temperature_k = np.log(nodes_k), temperature_k.log()
        at_g = CrossSections(table.gas, nodes_k, table.pressure_pa, table.coefficient_m2[..., g])
        density = self._layers_pa / (self.flavour.boltzmann_j_k * atmosphere.temperature_k[:, None])
        amount = density * atmosphere.mixing_ratio[table.gas][:, None]
        return amount[:, :, None] * self._cross_section(at_g, temperature_k)
