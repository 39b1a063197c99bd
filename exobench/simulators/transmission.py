"""Batched transmission spectra of isothermal atmospheres: the simulator that makes data sets."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch.utils.checkpoint import checkpoint

from exobench.errors import ExobenchError
from exobench.opacities.tables import OpacitySet
from exobench.simulators.atmosphere import Atmosphere, AtmosphereReader, describe_physics, pressure_grid
from exobench.simulators.base import Simulator
from exobench.simulators.constants import Flavour, resolve_flavour
from exobench.simulators.geometry import GeometryExpansion
from exobench.simulators.nodes import build_node_tables

_LARGEST_TABULATED_SCALE_HEIGHT = 0.012
_LAYERS_A_BLOCK = 20
_SMALLEST_EXPONENT = -126.0
_CHUNK_BYTES = {"cpu": 4 * 2**20, "cuda": 2**30}


class TransmissionSimulator(Simulator):
    """Transit depths of isothermal H2-He atmospheres with constant mixing ratios.

    The physics is that of TauREx (Waldmann et al. 2015, ApJ 802, 107; Al-Refaie et al. 2021, ApJ 917, 37): absorption,
    collision-induced absorption and Rayleigh scattering along straight rays through layers. Three rewritings, none of
    them an approximation beyond rounding, make it fast: layers collapse onto the pressure nodes of the tables
    (`exobench.simulators.nodes`), lengths follow from one number (`exobench.simulators.geometry`), and draws are
    sorted by temperature interval so that mixing the tables is one matrix product.

    Args:
        opacities: cross-sections, CIA and Rayleigh scattering on one wavelength grid.
        parameter_names: columns of theta: ``mass_mjup``, ``radius_rjup``, ``temperature_k`` and ``log10_<gas>``.
        flavour: ``"taurex3"``, ``"taurex2"`` or constants of one's own.
        star_radius_rsun: radius of the star, in solar radii of the flavour.
        n_layer: number of layers.
        pressure_top_pa: lowest pressure, in Pa.
        pressure_bottom_pa: highest pressure, in Pa, where the planet's radius is defined.
        dtype: of the arithmetic and of the result; what a draw contributes as a number is float64 in any case.
        device: where the tables live and the work is done.
        max_chunk_bytes: bound on the largest intermediate; a default that suits the device if None.

    Raises:
        ExobenchError: an unknown flavour, gas or parameter, or pressures out of order.
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
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        max_chunk_bytes: int | None = None,
    ) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise ExobenchError(f"dtype {dtype} is too coarse for transit depths; use torch.float32 or torch.float64.")
        if not star_radius_rsun > 0:
            raise ExobenchError(f"star_radius_rsun is {star_radius_rsun}; it must be positive.")
        self.parameter_names = tuple(parameter_names)
        self.n_bin = len(opacities.wavelength_um)
        self.flavour = resolve_flavour(flavour)
        self.dtype = dtype
        self.max_chunk_bytes = max_chunk_bytes
        self._reader = AtmosphereReader.build(opacities, self.parameter_names, self.flavour)
        self._star_radius_m = star_radius_rsun * self.flavour.r_sun_m
        levels, layers = pressure_grid(n_layer, pressure_bottom_pa, pressure_top_pa)
        self._nodes = build_node_tables(
            opacities, self._reader.gases, self.flavour, layers.numpy(), self._reader.temperature_range_k, dtype
        )
        log_step = (levels[:-1] / levels[1:]).log()
        largest = min(_LARGEST_TABULATED_SCALE_HEIGHT, 0.5 / float(log_step.sum()))
        self._geometry = GeometryExpansion(log_step, self._nodes.column_weights, largest, dtype)
        # A ray never meets a pressure above that of its lowest layer, so upper blocks of rays use fewer columns.
        starts = range(0, n_layer, _LAYERS_A_BLOCK)
        self._blocks = [
            (start, min(start + _LAYERS_A_BLOCK, n_layer), self._nodes.used_columns(start)) for start in starts
        ]
        self._description = {
            "simulator": "transmission",
            "precision": str(dtype).removeprefix("torch."),
            **describe_physics(opacities, self._reader, star_radius_rsun, n_layer, pressure_top_pa, pressure_bottom_pa),
        }
        self.device = torch.device("cpu")
        self.to(device)

    def describe(self) -> dict[str, object]:
        """See `Simulator.describe`; holds the precision, not the device."""
        return dict(self._description)

    def to(self, device: torch.device | str) -> Self:
        """Moves the tables to a device, in place, and returns the simulator."""
        self.device = torch.device(device)
        self._nodes = self._nodes.to(self.device)
        self._geometry.to(self.device)
        return self

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """See `Simulator.__call__`; differentiable in theta, any batch size, result on the simulator's device."""
        atmosphere = self._reader.read(theta.to(self.device))
        thermal = self.flavour.boltzmann_j_k * atmosphere.temperature_k
        weight = self.flavour.gravity_m3_kg_s2 * atmosphere.mass_kg * atmosphere.mean_molecule_kg
        scale_height = thermal * atmosphere.radius_m / weight
        # exp(-tau) is computed as a power of two, which float32 units evaluate many times faster.
        factor = atmosphere.radius_m / thermal * (-math.log2(math.e) * self._nodes.scale_m2)
        disc = (atmosphere.radius_m / self._star_radius_m) ** 2
        interval, amounts = self._amounts(atmosphere)

        group = 2 * interval + self._geometry.beyond_series(scale_height)
        order = torch.argsort(group, stable=True)
        per_draw = [value[order] for value in (scale_height, factor, amounts, disc)]
        depths = [theta.new_zeros((0, self.n_bin), dtype=self.dtype, device=self.device)]
        for rows, group_number in _chunks(torch.bincount(group).tolist(), self._draws_a_chunk()):
            inputs = [value[rows] for value in per_draw]
            if torch.is_grad_enabled() and any(value.requires_grad for value in inputs):
                # Computing a chunk again in the backward pass keeps the memory bounded there too.
                depths.append(
                    checkpoint(self._chunk, group_number, *inputs, use_reentrant=False, preserve_rng_state=False)
                )
            else:
                depths.append(self._chunk(group_number, *inputs))
        return torch.cat(depths)[torch.argsort(order)]

    def _amounts(self, atmosphere: Atmosphere) -> tuple[torch.Tensor, torch.Tensor]:
        """Temperature interval of each draw, and what its two nodes' rows are multiplied by, shape (n, 2 row)."""
        nodes, temperature = self._nodes.temperature_k, atmosphere.temperature_k
        interval = (torch.searchsorted(nodes, temperature.detach().contiguous(), right=True) - 1).clamp(
            0, len(nodes) - 2
        )
        fraction = ((temperature - nodes[interval]) / (nodes[interval + 1] - nodes[interval]))[:, None]
        amounts = self._nodes.amounts(atmosphere)
        return interval, torch.cat([(1.0 - fraction) * amounts, fraction * amounts], dim=1)

    def _draws_a_chunk(self) -> int:
        limit = self.max_chunk_bytes or _CHUNK_BYTES.get(self.device.type, _CHUNK_BYTES["cuda"])
        tables, n_column = self._nodes.table, self._nodes.table.shape[2]
        bytes_a_draw = tables.element_size() * (
            self.n_bin * (n_column + _LAYERS_A_BLOCK + 2) + len(self._nodes.column_weights) * n_column
        )
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
            absorption = (amounts.to(self.dtype) @ pair.flatten(0, 1).flatten(1)).view(-1, *pair.shape[2:])
            transmitted = self._transmitted_area(columns, areas[:, None, :], absorption)
        disc = disc.to(self.dtype)[:, None]
        return disc + 2.0 * disc * (areas.sum(dim=1, keepdim=True) - transmitted)

    def _transmitted_area(self, columns: torch.Tensor, areas: torch.Tensor, absorption: torch.Tensor) -> torch.Tensor:
        """Sum over the rings of their area times what passes through them, shape (n, bin)."""
        total: torch.Tensor | None = None
        for start, stop, n_column in self._blocks:
            exponent = torch.bmm(columns[:, start:stop, :n_column], absorption[:, :n_column])
            # Below this a power of two is subnormal in float32: nothing to a depth, but slow to compute.
            passed = exponent.clamp_(min=_SMALLEST_EXPONENT).exp2_()
            block = torch.bmm(areas[:, :, start:stop], passed)
            total = block if total is None else total + block
        assert total is not None  # there is at least one layer
        return total[:, 0]


def _chunks(counts: list[int], most: int) -> Iterator[tuple[slice, int]]:
    """Rows of each chunk, none across two groups, and the number of its group."""
    start = 0
    for group, count in enumerate(counts):
        for first in range(start, start + count, most):
            yield slice(first, min(first + most, start + count)), group
        start += count


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keeps float32 products in float32: TF32 inputs cost 0.2 ppm, bfloat16 more than 1 ppm."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
