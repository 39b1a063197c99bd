"""Opacity tables in the form that the batched simulator multiplies: a few pressure nodes in place of many layers.

Cross-sections are linear between the nodes of their tables and the pressures of the layers never change, so a sum over
layers is a sum over nodes with other weights, exactly. Gases with different grids meet on the union of their nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet
from exobench.simulators.atmosphere import FILL_GASES, Atmosphere
from exobench.simulators.constants import Flavour

Array = NDArray[np.float64]


def hat_weights(nodes: Array, points: Array) -> Array:
    """Weights of piecewise-linear interpolation, held constant beyond the first and the last node.

    Args:
        nodes: ascending, shape (n_node,).
        points: shape (n_point,).

    Returns:
        Shape (n_point, n_node); each row adds up to one and has at most two entries.
    """
    weights = np.zeros((len(points), len(nodes)))
    if len(nodes) == 1:
        weights[:, 0] = 1.0
        return weights
    held = np.clip(points, nodes[0], nodes[-1])
    left = np.clip(np.searchsorted(nodes, held, side="right") - 1, 0, len(nodes) - 2)
    fraction = (held - nodes[left]) / (nodes[left + 1] - nodes[left])
    rows = np.arange(len(points))
    weights[rows, left] = 1.0 - fraction
    weights[rows, left + 1] = fraction
    return weights


@dataclass(frozen=True)
class NodeTables:
    """Absorption by row (what absorbs), temperature node and column (CIA first, then pressure nodes upwards).

    Tables are divided by ``scale`` so that their largest entry is one: in float32 a cross-section in m2 underflows.

    Attributes:
        gases: formulas of the first rows; next come the Rayleigh scattering and the CIA of H2 and He, then other pairs.
        other_pairs: pairs with at least one trace gas.
        temperature_k: nodes, ascending, shape (n_temperature,), at least two.
        pressure_pa: nodes of the columns after the first, ascending.
        table: shape (n_temperature, row, column, bin).
        column_weights: what a layer adds to a column a unit of path, shape (layer, column); float64, pressures in Pa.
        scale_m2: unit of the table in the columns of the pressure nodes.
        scale_m5: unit of the table in the CIA column.
        boltzmann_j_k: Boltzmann's constant.
    """

    gases: tuple[str, ...]
    other_pairs: tuple[tuple[str, str], ...]
    temperature_k: torch.Tensor
    pressure_pa: Array
    table: torch.Tensor
    column_weights: torch.Tensor
    scale_m2: float
    scale_m5: float
    boltzmann_j_k: float

    def to(self, device: torch.device | str) -> NodeTables:
        """A copy on another device."""
        return replace(self, temperature_k=self.temperature_k.to(device), table=self.table.to(device))

    def amounts(self, atmosphere: Atmosphere) -> torch.Tensor:
        """What each row is multiplied by, shape (n, row), float64.

        With the columns times R / (k_B T) the products are optical depths over ``scale_m2``.
        """
        mixing = atmosphere.mixing_ratio
        hydrogen = mixing["H2"]
        density = self.scale_m5 / (self.scale_m2 * self.boltzmann_j_k * atmosphere.temperature_k)
        pairs = [mixing[first] * mixing[second] * density for first, second in self.other_pairs]
        return torch.stack([*(mixing[gas] for gas in self.gases), hydrogen, hydrogen**2 * density, *pairs], dim=1)

    def used_columns(self, first_layer: int) -> int:
        """How many leading columns a ray sees whose lowest layer is ``first_layer``."""
        return int(self.column_weights[first_layer:].any(dim=0).nonzero().max()) + 1


def build_node_tables(
    opacities: OpacitySet,
    gases: tuple[str, ...],
    flavour: Flavour,
    layer_pressure_pa: Array,
    temperature_range_k: tuple[float, float],
    dtype: torch.dtype,
) -> NodeTables:
    """Gathers all opacities of an atmosphere on common nodes.

    A pair of the set with a molecule that the atmosphere does not hold absorbs nothing and is left out.

    Args:
        opacities: tables on one wavelength grid.
        gases: formulas of the trace gases.
        flavour: conventions of interpolation and scattering.
        layer_pressure_pa: from the bottom up, shape (layer,).
        temperature_range_k: the ends of what the tables must cover.
        dtype: of the tables.
    """
    tables = [opacities.gases[gas] for gas in gases]
    present = (*gases, *FILL_GASES)
    pairs = [pair for pair in opacities.cia if set(pair.pair) <= set(present)]
    nodes_k = _temperature_nodes([*tables, *pairs], temperature_range_k)
    nodes_pa, weights = _pressure_nodes(tables, layer_pressure_pa, flavour.pressure_interpolation)

    cross_sections = np.stack(
        [_on_nodes(table, nodes_k, nodes_pa, flavour.pressure_interpolation) for table in tables]
        + [np.zeros((len(nodes_k), len(nodes_pa), len(opacities.wavelength_um)))],
        axis=1,
    )
    cross_sections += _rayleigh_rows(opacities, gases, flavour)[:, None, :]
    fill = np.zeros((len(nodes_k), len(opacities.wavelength_um)))
    others: dict[tuple[str, str], Array] = {}
    for pair in pairs:
        values = hat_weights(pair.temperature_k, nodes_k) @ pair.coefficient_m5
        if set(pair.pair) <= set(FILL_GASES):
            fill += flavour.helium_ratio ** pair.pair.count("He") * values
        else:
            others[pair.pair] = others.get(pair.pair, 0.0) + values

    collisions = np.stack([fill, *others.values()], axis=1)
    scale_m2, scale_m5 = _scale(cross_sections), _scale(collisions)
    n_row = len(gases) + 1 + collisions.shape[1]
    table = np.zeros((len(nodes_k), n_row, 1 + len(nodes_pa), len(opacities.wavelength_um)))
    table[:, : len(gases) + 1, 1:] = cross_sections / scale_m2
    table[:, len(gases) + 1 :, 0] = collisions / scale_m5
    pressure = layer_pressure_pa[:, None]
    return NodeTables(
        gases=gases,
        other_pairs=tuple(others),
        temperature_k=torch.from_numpy(nodes_k),
        pressure_pa=nodes_pa,
        table=torch.from_numpy(table).to(dtype),
        column_weights=torch.from_numpy(np.concatenate([pressure**2, pressure * weights], axis=1)),
        scale_m2=scale_m2,
        scale_m5=scale_m5,
        boltzmann_j_k=flavour.boltzmann_j_k,
    )


def _temperature_nodes(
    tables: list[CrossSections | CollisionInducedAbsorption], temperature_range_k: tuple[float, float]
) -> Array:
    low, high = temperature_range_k
    union = np.unique(np.concatenate([[low, high], *(table.temperature_k for table in tables)]))
    nodes = union[(union >= low) & (union <= high)]
    # A table of one temperature still needs an interval to be linear on.
    return nodes if len(nodes) > 1 else np.array([low, low + 1.0])


def _pressure_nodes(
    tables: list[CrossSections], layer_pressure_pa: Array, interpolation: Literal["log", "linear"]
) -> tuple[Array, Array]:
    """Nodes that the layers touch, ascending, and the weight of each for every layer."""
    union = np.unique(np.concatenate([table.pressure_pa for table in tables]))
    weights = hat_weights(_coordinate(union, interpolation), _coordinate(layer_pressure_pa, interpolation))
    used = weights.any(axis=0)
    return union[used], weights[:, used]


def _on_nodes(table: CrossSections, nodes_k: Array, nodes_pa: Array, interpolation: Literal["log", "linear"]) -> Array:
    """Cross-sections at every pair of nodes, shape (n_temperature, n_pressure, bin)."""
    in_temperature = hat_weights(table.temperature_k, nodes_k)
    in_pressure = hat_weights(_coordinate(table.pressure_pa, interpolation), _coordinate(nodes_pa, interpolation))
    return np.einsum("tj,pi,ijw->tpw", in_temperature, in_pressure, table.cross_section_m2, optimize=True)


def _coordinate(pressure_pa: Array, interpolation: Literal["log", "linear"]) -> Array:
    return np.log10(pressure_pa) if interpolation == "log" else pressure_pa


def _rayleigh_rows(opacities: OpacitySet, gases: tuple[str, ...], flavour: Flavour) -> Array:
    """Scattering of one molecule of each gas, then of one H2 with its share of He, shape (gas + 1, bin)."""
    none = np.zeros(len(opacities.wavelength_um))
    scattering = {gas: opacities.rayleigh_m2.get(gas, none) if flavour.scatters(gas) else none for gas in FILL_GASES}
    fill = scattering["H2"] + flavour.helium_ratio * scattering["He"]
    return np.stack([*(opacities.rayleigh_m2.get(gas, none) for gas in gases), fill])


def _scale(values: Array) -> float:
    largest = float(values.max(initial=0.0))
    return largest if largest > 0.0 else 1.0
