"""The transmission formulas as written in the literature, layer by layer: the reference for the fast simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch

from exobench.errors import ExobenchError
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet
from exobench.simulators.atmosphere import FILL_GASES, Atmosphere, AtmosphereReader, describe_physics, pressure_grid
from exobench.simulators.base import Simulator
from exobench.simulators.constants import Flavour, resolve_flavour

_CHUNK_BYTES = 64 * 2**20


class LiteralTransmissionSimulator(Simulator):
    """Float64 transmission spectra without any rewriting of the formulas; some hundred times slower.

    Takes the arguments of `exobench.simulators.transmission.TransmissionSimulator`; ``dtype`` is that of the result
    only, the arithmetic is float64.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
        flavour: str | Flavour = "taurex3",
        star_radius_rsun: float = 1.0,
        n_layer: int = 100,
        pressure_top_pa: float = 1e-5,
        pressure_bottom_pa: float = 1e6,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
        max_chunk_bytes: int | None = None,
    ) -> None:
        if not star_radius_rsun > 0:
            raise ExobenchError(f"star_radius_rsun is {star_radius_rsun}; it must be positive.")
        self.parameter_names = tuple(parameter_names)
        self.n_bin = len(opacities.wavelength_um)
        self.flavour = resolve_flavour(flavour)
        self.dtype = dtype
        self.device = torch.device(device)
        self._reader = AtmosphereReader.build(opacities, self.parameter_names, self.flavour)
        self._opacities = opacities
        self._star_radius_m = star_radius_rsun * self.flavour.r_sun_m
        self._levels_pa, self._layers_pa = pressure_grid(n_layer, pressure_bottom_pa, pressure_top_pa)
        self._chunk = max(1, (max_chunk_bytes or _CHUNK_BYTES) // (8 * n_layer * max(n_layer, self.n_bin)))
        self._description = {
            "simulator": "transmission_literal",
            "precision": str(dtype).removeprefix("torch."),
            **describe_physics(opacities, self._reader, star_radius_rsun, n_layer, pressure_top_pa, pressure_bottom_pa),
        }

    def describe(self) -> dict[str, object]:
        """See `Simulator.describe`."""
        return dict(self._description)

    def to(self, device: torch.device | str) -> Self:
        """Changes where results are returned; the arithmetic stays on the CPU."""
        self.device = torch.device(device)
        return self

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """See `Simulator.__call__`."""
        self._reader.read(theta)  # checks the whole batch, so that an error names a row of it
        if len(theta) == 0:
            return torch.zeros((0, self.n_bin), dtype=self.dtype, device=self.device)
        depths = [self._depth(self._reader.read(part.cpu())) for part in theta.split(self._chunk)]
        return torch.cat(depths).to(self.dtype).to(self.device)

    def _depth(self, atmosphere: Atmosphere) -> torch.Tensor:
        radius = atmosphere.radius_m[:, None]
        altitude, thickness = self._hydrostatic(atmosphere)
        optical_depth = self._optical_depth(atmosphere, self._path(radius, altitude, thickness))
        rings = 2.0 * ((radius + altitude) * thickness)[:, :, None] * (1.0 - torch.exp(-optical_depth))
        return (radius**2 + rings.sum(dim=1)) / self._star_radius_m**2

    def _hydrostatic(self, atmosphere: Atmosphere) -> tuple[torch.Tensor, torch.Tensor]:
        """Altitudes of the bottoms of the layers and their thicknesses, in m, shape (n, layer)."""
        flavour = self.flavour
        altitudes, thicknesses = [], []
        altitude = torch.zeros_like(atmosphere.radius_m)
        for below, above in zip(self._levels_pa[:-1], self._levels_pa[1:], strict=True):
            gravity = flavour.gravity_m3_kg_s2 * atmosphere.mass_kg / (atmosphere.radius_m + altitude) ** 2
            scale_height = flavour.boltzmann_j_k * atmosphere.temperature_k / (atmosphere.mean_molecule_kg * gravity)
            thickness = scale_height * torch.log(below / above)
            altitudes.append(altitude)
            thicknesses.append(thickness)
            altitude = altitude + thickness
        return torch.stack(altitudes, dim=1), torch.stack(thicknesses, dim=1)

    @staticmethod
    def _path(radius: torch.Tensor, altitude: torch.Tensor, thickness: torch.Tensor) -> torch.Tensor:
        """Length of ray l in layer k, in m, shape (n, layer l, layer k)."""
        ray = radius + thickness[:, :1] / 2.0 + altitude
        top = ray + thickness / 2.0
        path = torch.zeros(*ray.shape, ray.shape[1], dtype=ray.dtype)
        for lowest in range(ray.shape[1]):
            reach = torch.sqrt(top[:, lowest:] ** 2 - ray[:, lowest : lowest + 1] ** 2)
            path[:, lowest, lowest] = 2.0 * reach[:, 0]
            path[:, lowest, lowest + 1 :] = 2.0 * (reach[:, 1:] - reach[:, :-1])
        return path

    def _optical_depth(self, atmosphere: Atmosphere, path: torch.Tensor) -> torch.Tensor:
        """Optical depth along every ray, shape (n, layer, bin)."""
        mixing = atmosphere.mixing_ratio
        density = self._layers_pa / (self.flavour.boltzmann_j_k * atmosphere.temperature_k[:, None])
        opacity = torch.zeros(*density.shape, self.n_bin, dtype=torch.float64)
        for gas in self._reader.gases:
            cross_section = self._cross_section(self._opacities.gases[gas], atmosphere.temperature_k)
            opacity += density[:, :, None] * mixing[gas][:, None, None] * cross_section
        for gas in (*self._reader.gases, *FILL_GASES):
            if gas in self._opacities.rayleigh_m2 and self.flavour.scatters(gas):
                scattering = torch.from_numpy(self._opacities.rayleigh_m2[gas])
                opacity += density[:, :, None] * mixing[gas][:, None, None] * scattering
        for pair in self._opacities.cia:
            if all(molecule in mixing for molecule in pair.pair):
                amount = mixing[pair.pair[0]] * mixing[pair.pair[1]]
                coefficient = self._coefficient(pair, atmosphere.temperature_k)
                opacity += density[:, :, None] ** 2 * amount[:, None, None] * coefficient[:, None, :]
        return path @ opacity

    def _cross_section(self, table: CrossSections, temperature_k: torch.Tensor) -> torch.Tensor:
        """Bilinear in temperature and in pressure or its logarithm, in m2, shape (n, layer, bin)."""
        nodes_pa, layers_pa = torch.from_numpy(table.pressure_pa), self._layers_pa
        if self.flavour.pressure_interpolation == "log":
            nodes_pa, layers_pa = nodes_pa.log10(), layers_pa.log10()
        p, p_next, p_fraction = _bracket(nodes_pa, layers_pa)
        t, t_next, t_fraction = _bracket(torch.from_numpy(table.temperature_k), temperature_k)
        values = torch.from_numpy(table.cross_section_m2)
        t, t_next, t_fraction = t[:, None], t_next[:, None], t_fraction[:, None, None]
        cool = (1.0 - p_fraction)[:, None] * values[p, t] + p_fraction[:, None] * values[p_next, t]
        warm = (1.0 - p_fraction)[:, None] * values[p, t_next] + p_fraction[:, None] * values[p_next, t_next]
        return (1.0 - t_fraction) * cool + t_fraction * warm

    @staticmethod
    def _coefficient(pair: CollisionInducedAbsorption, temperature_k: torch.Tensor) -> torch.Tensor:
        """Linear in temperature, held beyond the table, in m5, shape (n, bin)."""
        t, t_next, fraction = _bracket(torch.from_numpy(pair.temperature_k), temperature_k)
        values = torch.from_numpy(pair.coefficient_m5)
        return (1.0 - fraction)[:, None] * values[t] + fraction[:, None] * values[t_next]


def _bracket(nodes: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Indices of the nodes below and above each point and the fraction of the way between; held at the edges."""
    held = points.clamp(nodes[0], nodes[-1])
    above = torch.searchsorted(nodes, held).clamp(min=min(1, len(nodes) - 1), max=len(nodes) - 1)
    below = (above - 1).clamp(min=0)
    width = nodes[above] - nodes[below]
    fraction = torch.where(width > 0, (held - nodes[below]) / width, torch.zeros_like(held))
    return below, above, fraction
