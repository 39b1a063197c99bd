"""Transmission spectra from k-distributions: absorption that varies within a bin, and several gases in one bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.tables import CrossSections, KTable, OpacitySet
from exobench.simulators.atmosphere import Atmosphere
from exobench.simulators.constants import Flavour
from exobench.simulators.nodes import hat_weights
from exobench.simulators.transmission import (
    _LAYERS_A_BLOCK,
    _SMALLEST_EXPONENT,
    TransmissionSimulator,
    _full_precision,
)

Array = NDArray[np.float64]
Overlap = Literal["random", "equal_g"]
OVERLAPS: tuple[str, ...] = get_args(Overlap)

_CHUNK_BYTES = {"cpu": 6 * 2**20, "cuda": 2**30}


class KTableTransmissionSimulator(TransmissionSimulator):
    """Transit depths of isothermal H2-He atmospheres whose gases absorb as k-tables say.

    Within a bin the transmission of one gas is the sum over g of its weights times exp(-tau_g). ``overlap`` says how
    gases combine. ``"random"``: their lines are unrelated, transmissions multiply (as in TauREx 2). ``"equal_g"``:
    their strong lines coincide, optical depths are added at equal g (as in TauREx 3). What does not vary within a bin
    (collisions, scattering, gases with plain cross-sections) multiplies the result in both.

    Layers collapse onto the pressure nodes of the tables for each g as they do for cross-sections, without
    approximation. Takes the arguments of `TransmissionSimulator`, and ``overlap``.

    Raises:
        ExobenchError: an unknown overlap, no k-table, equal g asked of tables with different weights, or what
            `TransmissionSimulator` raises.
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
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_chunk_bytes: int | None = None,
    ) -> None:
        check_overlap(overlap, opacities.k_tables)
        self.overlap = overlap
        self._k_tables: tuple[torch.Tensor, ...] = ()
        self._g_weights: tuple[torch.Tensor, ...] = ()
        super().__init__(
            without_k(opacities),
            parameter_names,
            flavour=flavour,
            star_radius_rsun=star_radius_rsun,
            n_layer=n_layer,
            pressure_top_pa=pressure_top_pa,
            pressure_bottom_pa=pressure_bottom_pa,
            dtype=dtype,
            max_chunk_bytes=max_chunk_bytes,
        )
        self._k_rows = tuple(row for row, gas in enumerate(self._nodes.gases) if gas in opacities.k_tables)
        k_tables = [opacities.k_tables[self._nodes.gases[row]] for row in self._k_rows]
        if not k_tables:
            raise ExobenchError(f"no gas of {', '.join(self._nodes.gases)} has a k-table: {opacities.source}.")
        self._k_tables = tuple(self._on_nodes(table) for table in k_tables)
        self._g_weights = tuple(torch.from_numpy(table.g_weights).to(dtype) for table in k_tables)
        self._description |= describe_k(opacities, overlap, "transmission_ktable")
        self.to(device)

    def to(self, device: torch.device | str) -> Self:
        """Moves the tables to a device, in place, and returns the simulator."""
        self._k_tables = tuple(table.to(device) for table in self._k_tables)
        self._g_weights = tuple(weights.to(device) for weights in self._g_weights)
        return super().to(device)

    def _on_nodes(self, table: KTable) -> torch.Tensor:
        """Coefficients over the common scale at the common nodes, shape (n_temperature, n_pressure, bin, g)."""
        of_t = np.log if self.flavour.k_temperature_interpolation == "log" else np.asarray
        of_p = np.log10 if self.flavour.pressure_interpolation == "log" else np.asarray
        in_temperature = hat_weights(of_t(table.temperature_k), of_t(self._nodes.temperature_k.numpy()))
        in_pressure = hat_weights(of_p(table.pressure_pa), of_p(self._nodes.pressure_pa))
        values = np.einsum("tj,pi,ijwg->tpwg", in_temperature, in_pressure, table.coefficient_m2, optimize=True)
        return torch.from_numpy(values / self._nodes.scale_m2).to(self.dtype)

    def _amounts(self, atmosphere: Atmosphere) -> tuple[torch.Tensor, torch.Tensor]:
        """As the parent's, with the amounts of gases with k-tables appended for the lower and for the upper node."""
        interval, amounts = super()._amounts(atmosphere)
        nodes, temperature = self._nodes.temperature_k, atmosphere.temperature_k
        if self.flavour.k_temperature_interpolation == "log":
            nodes, temperature = nodes.log(), temperature.log()
        fraction = ((temperature - nodes[interval]) / (nodes[interval + 1] - nodes[interval]))[:, None]
        k_amounts = torch.stack([atmosphere.mixing_ratio[self._nodes.gases[row]] for row in self._k_rows], dim=1)
        return interval, torch.cat([amounts, (1.0 - fraction) * k_amounts, fraction * k_amounts], dim=1)

    def _draws_a_chunk(self) -> int:
        limit = self.max_chunk_bytes or _CHUNK_BYTES.get(self.device.type, _CHUNK_BYTES["cuda"])
        n_g = max(len(weights) for weights in self._g_weights)
        n_layer, n_column = self._nodes.column_weights.shape
        absorptions = self.n_bin * n_g * n_column * len(self._k_tables)
        exponents = 2 * self.n_bin * n_g * _LAYERS_A_BLOCK
        bytes_a_draw = self._nodes.table.element_size() * (absorptions + exponents + n_layer * n_column)
        return max(1, limit // bytes_a_draw)

    def _chunk(
        self, group: int, scale_height: torch.Tensor, factor: torch.Tensor, amounts: torch.Tensor, disc: torch.Tensor
    ) -> torch.Tensor:
        """Depths of draws of one temperature interval, shape (n, bin)."""
        interval, beyond_series = divmod(group, 2)
        with torch.autocast(self.device.type, enabled=False), _full_precision():
            geometry = self._geometry.exact if beyond_series else self._geometry.series
            columns, areas = geometry(scale_height, factor)
            pair = self._nodes.table[interval : interval + 2]
            n_row = 2 * pair.shape[1]
            plain, within = amounts[:, :n_row].to(self.dtype), amounts[:, n_row:].to(self.dtype)
            continuum = (plain @ pair.flatten(0, 1).flatten(1)).view(-1, *pair.shape[2:])
            distributions = self._distributions(interval, within.unflatten(1, (2, -1)))
            transmitted = self._area_passed(columns, areas[:, None, :], continuum, distributions)
        disc = disc.to(self.dtype)[:, None]
        return disc + 2.0 * disc * (areas.sum(dim=1, keepdim=True) - transmitted)

    def _distributions(self, interval: int, amounts: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Absorption (n, pressure node, bin * g) and g weights of everything whose transmissions multiply.

        Args:
            interval: temperature interval.
            amounts: what each k-table is multiplied by at its lower and upper node, shape (n, 2, k-table).
        """
        absorptions = []
        for number, table in enumerate(self._k_tables):
            pair = table[interval : interval + 2]
            mixed = amounts[:, :, number] @ pair.flatten(1)
            absorptions.append(mixed.view(len(amounts), pair.shape[1], -1))
        if self.overlap == "random":
            return list(zip(absorptions, self._g_weights, strict=True))
        return [(torch.stack(absorptions).sum(dim=0), self._g_weights[0])]

    def _area_passed(
        self,
        columns: torch.Tensor,
        areas: torch.Tensor,
        continuum: torch.Tensor,
        distributions: list[tuple[torch.Tensor, torch.Tensor]],
    ) -> torch.Tensor:
        """Sum over the rings of their area times what passes through them, shape (n, bin)."""
        total = torch.zeros_like(areas[:, :, :1])
        for start, stop, n_column in self._blocks:
            rays = columns[:, start:stop, :n_column]
            passed = _power_of_two(torch.bmm(rays, continuum[:, :n_column]))
            for absorption, weights in distributions:
                of_g = _power_of_two(torch.bmm(rays[:, :, 1:], absorption[:, : n_column - 1]))
                passed = passed * (of_g.unflatten(2, (self.n_bin, -1)) @ weights)
            total = total + torch.bmm(areas[:, :, start:stop], passed)
        return total[:, 0]


def check_overlap(overlap: str, k_tables: Mapping[str, KTable]) -> None:
    """Checks how the absorption of several gases is to be combined.

    Raises:
        ExobenchError: an unknown name, or equal g for tables whose weights differ.
    """
    if overlap not in OVERLAPS:
        raise unknown_name("k-table overlap", overlap, OVERLAPS)
    weights = [table.g_weights for table in k_tables.values()]
    if overlap == "equal_g" and not all(len(w) == len(weights[0]) and np.allclose(w, weights[0]) for w in weights):
        raise ExobenchError("overlap 'equal_g' needs k-tables that share their g weights; use 'random'.")


def without_k(opacities: OpacitySet) -> OpacitySet:
    """The set with cross-sections of zero, on the same nodes, in place of k-tables: what does not vary with g."""
    empty = {
        gas: CrossSections(gas, table.temperature_k, table.pressure_pa, np.zeros(table.coefficient_m2.shape[:3]))
        for gas, table in opacities.k_tables.items()
    }
    return replace(opacities, gases={**opacities.gases, **empty}, k_tables={})


def describe_k(opacities: OpacitySet, overlap: str, simulator: str) -> dict[str, object]:
    """What a simulator with k-tables adds to its description."""
    return {"simulator": simulator, "opacities": opacities.content_hash(), "k_table_overlap": overlap}


def _power_of_two(exponent: torch.Tensor) -> torch.Tensor:
    # Below this a power of two is subnormal in float32: nothing to a depth, but slow to compute.
    return exponent.clamp_(min=_SMALLEST_EXPONENT).exp2_()
