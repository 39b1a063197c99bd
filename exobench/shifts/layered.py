"""Transmission spectra layer by layer, of atmospheres that the fast simulator has no closed form for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from exobench.errors import ExobenchError
from exobench.opacities.tables import CrossSections, OpacitySet
from exobench.simulators.atmosphere import FILL_GASES, Atmosphere
from exobench.simulators.literal import LiteralTransmissionSimulator, _bracket


@dataclass(frozen=True)
class LinearProfile:
    """A temperature that is linear in log10 pressure between two pressures, and constant beyond them.

    Attributes:
        gradient_k_per_decade: rise for each decade of pressure, downwards.
        reference_pa: pressure at which the temperature is theta's.
        top_pa: lowest pressure of the linear part.
        bottom_pa: highest pressure of the linear part.
    """

    gradient_k_per_decade: float
    reference_pa: float
    top_pa: float
    bottom_pa: float

    def __post_init__(self) -> None:
        if not 0 < self.top_pa < self.bottom_pa or not self.reference_pa > 0:
            raise ExobenchError(
                f"top_pa={self.top_pa:g}, bottom_pa={self.bottom_pa:g} and reference_pa={self.reference_pa:g} must be "
                "positive, the top's below the bottom's."
            )

    def offset_k(self, pressure_pa: torch.Tensor) -> torch.Tensor:
        """What is added to theta's temperature at each pressure, in K."""
        decades = (pressure_pa.clamp(self.top_pa, self.bottom_pa) / self.reference_pa).log10()
        return self.gradient_k_per_decade * decades


class LayeredTransmissionSimulator(LiteralTransmissionSimulator):
    """As the literal simulator, in float64, with a temperature for each layer and an opaque deck.

    Args:
        opacities: cross-sections, CIA and Rayleigh scattering on one wavelength grid; k-tables are refused.
        parameter_names: columns of theta.
        profile: temperature of the layers about theta's; None for isothermal atmospheres.
        cloud_top_pa: layers of this pressure and above let nothing through, as the grey deck of TauREx
            (Al-Refaie et al. 2021, ApJ 917, 37); None for no cloud.
        **settings: of `LiteralTransmissionSimulator`.

    Raises:
        ExobenchError: k-tables, or what the literal simulator refuses.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
        profile: LinearProfile | None = None,
        cloud_top_pa: float | None = None,
        **settings: Any,
    ) -> None:
        if opacities.k_tables:
            raise ExobenchError(
                f"{opacities.source}: the layer-by-layer simulator takes cross-sections, not the k-table of "
                f"{next(iter(opacities.k_tables))}."
            )
        super().__init__(opacities, parameter_names, **settings)
        none = torch.zeros_like(self._layers_pa)
        self._offset_k = none if profile is None else profile.offset_k(self._layers_pa)
        self._opaque = none.bool() if cloud_top_pa is None else self._layers_pa >= cloud_top_pa
        self._description |= {
            "simulator": "transmission_layered",
            "profile": None if profile is None else asdict(profile),
            "cloud_top_pa": cloud_top_pa,
        }

    def _depth(self, atmosphere: Atmosphere) -> torch.Tensor:
        radius = atmosphere.radius_m[:, None]
        altitude, thickness = self._hydrostatic(atmosphere)
        passed = torch.exp(-self._optical_depth(atmosphere, self._path(radius, altitude, thickness)))
        passed[:, self._opaque] = 0.0
        rings = 2.0 * ((radius + altitude) * thickness)[:, :, None] * (1.0 - passed)
        return (radius**2 + rings.sum(dim=1)) / self._star_radius_m**2

    def _temperature(self, atmosphere: Atmosphere) -> torch.Tensor:
        """Temperature of every layer, in K, shape (n, layer)."""
        temperature = atmosphere.temperature_k[:, None] + self._offset_k
        low, high = self._reader.temperature_range_k
        coldest, hottest = float(temperature.min()), float(temperature.max())
        if coldest < low or hottest > high:
            raise ExobenchError(
                f"the profile reaches {coldest:g} to {hottest:g} K; the opacity tables cover {low:g} to {high:g} K."
            )
        return temperature

    def _hydrostatic(self, atmosphere: Atmosphere) -> tuple[torch.Tensor, torch.Tensor]:
        """Altitudes of the bottoms of the layers and their thicknesses, in m, shape (n, layer)."""
        flavour = self.flavour
        steps = (self._levels_pa[:-1] / self._levels_pa[1:]).log()
        # Scale height times gravity: what gravity, which depends on the altitude reached, is yet to divide.
        energy = flavour.boltzmann_j_k * self._temperature(atmosphere) / atmosphere.mean_molecule_kg[:, None]
        altitudes, thicknesses = [], []
        altitude = torch.zeros_like(atmosphere.radius_m)
        for layer_energy, step in zip(energy.unbind(dim=1), steps, strict=True):
            gravity = flavour.gravity_m3_kg_s2 * atmosphere.mass_kg / (atmosphere.radius_m + altitude) ** 2
            altitudes.append(altitude)
            thicknesses.append(layer_energy / gravity * step)
            altitude = altitude + thicknesses[-1]
        return torch.stack(altitudes, dim=1), torch.stack(thicknesses, dim=1)

    def _optical_depth(self, atmosphere: Atmosphere, path: torch.Tensor) -> torch.Tensor:
        """Optical depth along every ray, shape (n, layer, bin)."""
        temperature, mixing = self._temperature(atmosphere), atmosphere.mixing_ratio
        density = self._layers_pa / (self.flavour.boltzmann_j_k * temperature)
        opacity = torch.zeros(*density.shape, self.n_bin, dtype=torch.float64)
        for gas in self._reader.gases:
            table = self._opacities.gases[gas]
            opacity += (density * mixing[gas][:, None])[:, :, None] * self._cross_section(table, temperature)
        for gas in (*self._reader.gases, *FILL_GASES):
            if gas in self._opacities.rayleigh_m2 and self.flavour.scatters(gas):
                scattering = torch.from_numpy(self._opacities.rayleigh_m2[gas])
                opacity += (density * mixing[gas][:, None])[:, :, None] * scattering
        for pair in self._opacities.cia:
            if all(molecule in mixing for molecule in pair.pair):
                amount = mixing[pair.pair[0]] * mixing[pair.pair[1]]
                coefficient = self._coefficient(pair, temperature.flatten()).view(*temperature.shape, -1)
                opacity += (density**2 * amount[:, None])[:, :, None] * coefficient
        return path @ opacity

    def _cross_section(self, table: CrossSections, temperature_k: torch.Tensor) -> torch.Tensor:
        """Bilinear in temperature (n, layer) and in pressure or its logarithm, in m2, shape (n, layer, bin)."""
        nodes_pa, layers_pa = torch.from_numpy(table.pressure_pa), self._layers_pa
        if self.flavour.pressure_interpolation == "log":
            nodes_pa, layers_pa = nodes_pa.log10(), layers_pa.log10()
        p, p_next, p_fraction = _bracket(nodes_pa, layers_pa)
        t, t_next, t_fraction = _bracket(torch.from_numpy(table.temperature_k), temperature_k.contiguous())
        values = torch.from_numpy(table.cross_section_m2)
        cool = torch.lerp(values[p, t], values[p_next, t], p_fraction[:, None])
        warm = torch.lerp(values[p, t_next], values[p_next, t_next], p_fraction[:, None])
        return torch.lerp(cool, warm, t_fraction[:, :, None])
