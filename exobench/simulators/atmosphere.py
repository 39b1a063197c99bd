"""From a row of theta to an isothermal atmosphere of constant composition."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from exobench.errors import ExobenchError, unknown_name
from exobench.opacities.tables import OpacitySet
from exobench.simulators.base import check_theta
from exobench.simulators.constants import Flavour

MASS, RADIUS, TEMPERATURE = "mass_mjup", "radius_rjup", "temperature_k"
_ABUNDANCE_PREFIX = "log10_"
FILL_GASES = ("H2", "He")


@dataclass(frozen=True)
class Atmosphere:
    """A batch of atmospheres in SI units, float64.

    Attributes:
        mass_kg: shape (n,).
        radius_m: radius at the highest pressure, shape (n,).
        temperature_k: shape (n,).
        mixing_ratio: number fraction by formula, each of shape (n,); holds H2 and He too.
        mean_molecule_kg: shape (n,).
    """

    mass_kg: torch.Tensor
    radius_m: torch.Tensor
    temperature_k: torch.Tensor
    mixing_ratio: dict[str, torch.Tensor]
    mean_molecule_kg: torch.Tensor


@dataclass(frozen=True)
class AtmosphereReader:
    """Reads the columns of theta by name and checks them against the opacity tables.

    Attributes:
        parameter_names: names of the columns of theta.
        gases: formulas of the trace gases, in the order of their columns.
        temperature_range_k: where every gas has a table.
        flavour: constants.
    """

    parameter_names: tuple[str, ...]
    gases: tuple[str, ...]
    temperature_range_k: tuple[float, float]
    flavour: Flavour

    @classmethod
    def build(cls, opacities: OpacitySet, parameter_names: tuple[str, ...], flavour: Flavour) -> AtmosphereReader:
        """Checks the names of the parameters against the gases of the opacity set.

        Raises:
            ExobenchError: a column is missing, given twice, not understood, or names a gas without opacity or mass.
        """
        if len(set(parameter_names)) != len(parameter_names):
            raise ExobenchError(f"parameter names must be distinct, got: {', '.join(parameter_names)}.")
        for name in (MASS, RADIUS, TEMPERATURE):
            if name not in parameter_names:
                raise ExobenchError(f"parameter '{name}' is missing; given: {', '.join(parameter_names)}.")
        gases = tuple(_gas_of(name, opacities) for name in parameter_names if name not in (MASS, RADIUS, TEMPERATURE))
        if not gases:
            raise ExobenchError("a transmission simulator needs at least one gas, such as parameter 'log10_h2o'.")
        for gas in (*FILL_GASES, *gases):
            flavour.molecule_kg(gas)
        low = max(float(opacities.gases[gas].temperature_k[0]) for gas in gases)
        high = min(float(opacities.gases[gas].temperature_k[-1]) for gas in gases)
        if low > high:
            raise ExobenchError(f"the opacity tables of {', '.join(gases)} share no temperature.")
        return cls(parameter_names, gases, (low, high), flavour)

    def read(self, theta: torch.Tensor) -> Atmosphere:
        """Turns a batch of parameters into atmospheres.

        Args:
            theta: shape (n, n_param).

        Returns:
            The atmospheres, in float64, differentiable in theta.

        Raises:
            ExobenchError: wrong shape, a value that is not finite, a mass or radius that is not positive, a temperature
                outside the tables, or trace gases that add up to one or more.
        """
        check_theta(theta, self.parameter_names)
        columns = dict(zip(self.parameter_names, theta.double().unbind(dim=1), strict=True))
        flavour = self.flavour
        trace = {gas: 10.0 ** columns[_ABUNDANCE_PREFIX + gas.lower()] for gas in self.gases}
        total = torch.stack(list(trace.values())).sum(dim=0)
        self._check(columns, total)
        hydrogen = (1.0 - total) / (1.0 + flavour.helium_ratio)
        mixing = trace | {"H2": hydrogen, "He": flavour.helium_ratio * hydrogen}
        return Atmosphere(
            mass_kg=columns[MASS] * flavour.m_jup_kg,
            radius_m=columns[RADIUS] * flavour.r_jup_m,
            temperature_k=columns[TEMPERATURE],
            mixing_ratio=mixing,
            mean_molecule_kg=torch.stack([x * flavour.molecule_kg(gas) for gas, x in mixing.items()]).sum(dim=0),
        )

    def _check(self, columns: dict[str, torch.Tensor], total: torch.Tensor) -> None:
        low, high = self.temperature_range_k
        temperature = columns[TEMPERATURE]
        # One transfer from the device for all checks together.
        bad = torch.stack(
            [columns[MASS] <= 0, columns[RADIUS] <= 0, (temperature < low) | (temperature > high), total >= 1.0]
        )
        if not bool(bad.any()):
            return
        check, row = (int(index) for index in bad.nonzero()[0])
        value = (columns[MASS], columns[RADIUS], temperature, total)[check][row].item()
        raise ExobenchError(
            f"theta row {row}: "
            + (
                f"{MASS} is {value:g}; it must be positive.",
                f"{RADIUS} is {value:g}; it must be positive.",
                f"{TEMPERATURE} is {value:g}; the opacity tables cover {low:g} to {high:g} K.",
                f"the mixing ratios add up to {value:g}; they must stay below 1.",
            )[check]
        )


def _gas_of(name: str, opacities: OpacitySet) -> str:
    by_column = {_ABUNDANCE_PREFIX + gas.lower(): gas for gas in opacities.gases}
    if name not in by_column:
        raise unknown_name("parameter of this opacity set", name, [MASS, RADIUS, TEMPERATURE, *by_column])
    gas = by_column[name]
    if gas in FILL_GASES:
        raise ExobenchError(f"parameter '{name}': {gas} fills the atmosphere and cannot be a trace gas.")
    return gas


def pressure_grid(n_layer: int, bottom_pa: float, top_pa: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pressures of the layers, from the bottom up.

    Args:
        n_layer: number of layers.
        bottom_pa: highest pressure, in Pa.
        top_pa: lowest pressure, in Pa.

    Returns:
        Levels, shape (n_layer + 1,), logarithmically spaced, and layers, shape (n_layer,), each the geometric mean of
        its two levels; both descending, in Pa.

    Raises:
        ExobenchError: there is no layer or the pressures are not in order.
    """
    if n_layer < 1:
        raise ExobenchError(f"n_layer is {n_layer}; it must be at least 1.")
    if not 0 < top_pa < bottom_pa:
        raise ExobenchError(f"pressure_top_pa={top_pa:g} must be positive and below pressure_bottom_pa={bottom_pa:g}.")
    bottom, top = torch.tensor([bottom_pa, top_pa], dtype=torch.float64).log10().tolist()
    levels = 10.0 ** torch.linspace(bottom, top, n_layer + 1, dtype=torch.float64)
    return levels, (levels[:-1] * levels[1:]).sqrt()


def describe_physics(
    opacities: OpacitySet,
    reader: AtmosphereReader,
    star_radius_rsun: float,
    n_layer: int,
    pressure_top_pa: float,
    pressure_bottom_pa: float,
) -> dict[str, object]:
    """What determines a transmission spectrum besides the arithmetic, ready for JSON."""
    return {
        "parameter_names": list(reader.parameter_names),
        "gases": list(reader.gases),
        "flavour": reader.flavour.describe(),
        "opacities": opacities.content_hash(),
        "star_radius_rsun": float(star_radius_rsun),
        "n_layer": int(n_layer),
        "pressure_top_pa": float(pressure_top_pa),
        "pressure_bottom_pa": float(pressure_bottom_pa),
    }
