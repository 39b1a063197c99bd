"""What tasks on isothermal transmission spectra have in common: their parameters and the temperatures they need."""

from __future__ import annotations

from exobench.parameters import Parameter, ParameterSpace
from exobench.simulators.recipe import GASES

_LABELS = {"H2O": r"H_2O", "CO2": r"CO_2", "CO": r"CO", "CH4": r"CH_4"}

Range = tuple[float, float]


def isothermal_parameters(
    *, log10_abundance: Range, mass_mjup: Range, radius_rjup: Range, temperature_k: Range
) -> ParameterSpace:
    """Abundances of H2O, CO2, CO and CH4, then mass, radius and temperature.

    Args:
        log10_abundance: ends of the base-ten log of each volume mixing ratio.
        mass_mjup: ends, in Jupiter masses.
        radius_rjup: ends, in Jupiter radii.
        temperature_k: ends, in K.
    """
    gases = [
        Parameter(f"log10_{gas.lower()}", "dex", rf"$\log_{{10}} X_{{\rm {_LABELS[gas]}}}$", *log10_abundance, "log10")
        for gas in GASES
    ]
    return ParameterSpace(
        (
            *gases,
            Parameter("mass_mjup", "M_Jup", r"$M\ [M_{\rm Jup}]$", *mass_mjup),
            Parameter("radius_rjup", "R_Jup", r"$R\ [R_{\rm Jup}]$", *radius_rjup),
            Parameter("temperature_k", "K", r"$T\ [{\rm K}]$", *temperature_k),
        )
    )


def temperature_range(space: ParameterSpace) -> Range:
    """Ends of the prior of the temperature, for the opacities to bracket."""
    column = space.index("temperature_k")
    return float(space.low[column]), float(space.high[column])
