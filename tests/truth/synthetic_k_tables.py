"""A small set of made-up k-tables with the size, slope and steepness in g of real ones, for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic_opacities import GASES, synthetic_opacities

from exobench.opacities.tables import KTable, OpacitySet


def synthetic_k_tables(
    n_bin: int = 12, *, n_g: int = 8, seed: int = 0, same_grids: bool = True, gases: tuple[str, ...] = GASES
) -> OpacitySet:
    """The cross-sections of `synthetic_opacities`, each spread over three decades within its bin."""
    plain = synthetic_opacities(n_bin, seed=seed, same_grids=same_grids, gases=gases)
    nodes, weights = np.polynomial.legendre.leggauss(n_g)
    rng = np.random.default_rng(seed + 1)
    tables = {}
    for gas, cross_section in plain.gases.items():
        steepness = rng.uniform(0.5, 1.5, size=(n_bin, 1))
        spread = 10.0 ** (steepness * nodes * 1.5)
        k = cross_section.cross_section_m2[..., None] * spread
        tables[gas] = KTable(gas, cross_section.temperature_k, cross_section.pressure_pa, weights / 2, k)
    return replace(plain, gases={}, k_tables=tables)
