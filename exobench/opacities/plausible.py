"""Checks of what was read from a file: units, and how far its temperatures and pressures reach."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.band_model import (
    BAND_MODEL_GASES,
    CIA_PAIRS,
    LONGEST_UM,
    SHORTEST_UM,
    band_model_cia,
    interval_mean_m2,
)
from exobench.opacities.grids import bin_bounds
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, KTable

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

LARGEST_FACTOR = 1000.0
"""Band model and line lists differ by far less, a confusion of cm2 and m2 is a factor of 10,000."""
STRONGEST_M2 = (1e-31, 1e-17)
"""Strongest bin of a gas that the band model does not have."""
DEEPEST_PA = (1e3, 1e10)
"""Highest pressure of a table with several."""
ATMOSPHERE_PA = 1e5
REFERENCE_K = 1500.0


def check_table(where: str, table: CrossSections | KTable, bin_edges_um: Array) -> None:
    """Checks the units of a table and notes in the log the pressures at which it is held constant.

    Args:
        where: the file, named in the error.
        table: on the bins.
        bin_edges_um: shape (n_bin + 1,) or (n_bin, 2), ascending.

    Raises:
        ExobenchError: coefficients or pressures so far off that their unit must be another.
    """
    deepest, several = table.pressure_pa[-1], len(table.pressure_pa) > 1
    if several and not DEEPEST_PA[0] < deepest < DEEPEST_PA[1]:
        raise ExobenchError(
            f"{where}: pressures of {table.gas} reach {deepest:.3g} Pa, "
            f"where {DEEPEST_PA[0]:g}-{DEEPEST_PA[1]:g} Pa is plausible; is the file's pressure unit right?"
        )
    _check_strength(where, table, bin_edges_um)
    if several:
        logger.debug("%s: %s is held constant below %.3g Pa.", where, table.gas, table.pressure_pa[0])
        if deepest < ATMOSPHERE_PA:
            logger.warning("%s: %s is held constant above %.3g Pa, within the atmosphere.", where, table.gas, deepest)


def check_temperatures(
    where: str, name: str, temperature_k: Array, needed: tuple[float, float] | None, *, strict: bool = True
) -> None:
    """Checks that a table brackets the temperatures of a task; in collisions a gap is held constant and only noted.

    Raises:
        ExobenchError: it does not, and ``strict``.
    """
    low, high = temperature_k[0], temperature_k[-1]
    if needed is None or (low < needed[0] and high > needed[1]):
        return
    message = f"opacity of {name} in {where} covers {low:g}-{high:g} K"
    if strict:
        raise ExobenchError(f"{message}; the task needs temperatures on both sides of {needed[0]:g}-{needed[1]:g} K.")
    if low > needed[0] or high < needed[1]:
        logger.warning("%s; it is held constant in the rest of %g-%g K.", message, *needed)


def check_pair(where: str, table: CollisionInducedAbsorption, bin_edges_um: Array) -> None:
    """Checks the unit of collision-induced absorption of H2-H2 and H2-He.

    Raises:
        ExobenchError: it is off by more than a factor of 1000 from the band model.
    """
    low, high = bin_bounds(bin_edges_um)
    if table.pair not in CIA_PAIRS or low[0] < SHORTEST_UM or high[-1] > LONGEST_UM:
        return
    model = band_model_cia(bin_edges_um)[CIA_PAIRS.index(table.pair)]
    rows = [int(np.abs(nodes - REFERENCE_K).argmin()) for nodes in (table.temperature_k, model.temperature_k)]
    found = table.coefficient_m5[rows[0]]
    if not np.any(found > 0):
        logger.warning("%s: %s does not absorb in any bin of the task.", where, "-".join(table.pair))
    expected = np.where(found > 0, model.coefficient_m5[rows[1]], 0.0)
    _compare(where, "-".join(table.pair), float(found.max()), float(expected.max()), "cm5 molecule-2")


def _check_strength(where: str, table: CrossSections | KTable, bin_edges_um: Array) -> None:
    mean = table.mean_m2 if isinstance(table, KTable) else table.cross_section_m2
    row = int(np.abs(table.temperature_k - REFERENCE_K).argmin())
    # Where lines are broadest, the average over transmission is closest to the mean that the band model gives.
    found = mean[-1, row]
    low, high = bin_bounds(bin_edges_um)
    if not np.any(found > 0):
        logger.warning("%s: %s does not absorb in any bin of the task.", where, table.gas)
        return
    if table.gas in BAND_MODEL_GASES and low[0] >= SHORTEST_UM and high[-1] <= LONGEST_UM:
        model = interval_mean_m2(table.gas, 1e4 / high, 1e4 / low, table.temperature_k[row : row + 1].clip(900, 2100))
        expected = np.where(found > 0, model[0], 0.0)
        _compare(where, table.gas, float(found.max()), float(expected.max()), "cm2 per molecule")
    elif not STRONGEST_M2[0] < found.max() < STRONGEST_M2[1]:
        raise ExobenchError(
            f"{where}: the strongest bin of {table.gas} has {found.max():.2g} m2 per molecule, where "
            f"{STRONGEST_M2[0]:g}-{STRONGEST_M2[1]:g} is plausible; is the file in another unit?"
        )


def _compare(where: str, name: str, found: float, expected: float, unit: str) -> None:
    if not (expected > 0 and found > 0):
        return
    ratio = found / expected
    if not 1.0 / LARGEST_FACTOR < ratio < LARGEST_FACTOR:
        raise ExobenchError(
            f"{where}: {name} absorbs {ratio:.1e} times what the band model gives; "
            f"the file must be in another unit than {unit} (m2 in place of cm2 is a factor of 1e4)."
        )
