"""What tasks on isothermal transmission spectra have in common: their parameters and their simulator's recipe."""

from __future__ import annotations

from exobench.parameters import Parameter, ParameterSpace
from exobench.simulators.recipe import GASES, BinEdges, TransmissionRecipe
from exobench.task import TaskRequest

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


def transmission_recipe(
    request: TaskRequest,
    space: ParameterSpace,
    bin_edges_um: BinEdges,
    *,
    flavour: str,
    star_radius_rsun: float,
    k_table_overlap: str,
    default_opacities_path: str | None = None,
) -> TransmissionRecipe:
    """The recipe that follows what the user asked for, with opacities that bracket the prior's temperatures.

    Args:
        request: simulator and opacities asked for.
        space: the parameters of ``isothermal_parameters``.
        bin_edges_um: edges, or pairs of lower and upper edge.
        flavour: physics constants and conventions.
        star_radius_rsun: radius of the star.
        k_table_overlap: how k-tables of several gases combine.
        default_opacities_path: opacities where none are asked for; None for the embedded band model.
    """
    column = space.index("temperature_k")
    path = request.opacities_path
    return TransmissionRecipe(
        bin_edges_um=bin_edges_um,
        parameter_names=space.names,
        kind="transmission" if request.simulator == "auto" else request.simulator,
        flavour=flavour,
        opacities_path=default_opacities_path if path is None else path,
        opacities_average=request.opacities_average,
        star_radius_rsun=star_radius_rsun,
        temperature_range_k=(float(space.low[column]), float(space.high[column])),
        k_table_overlap=k_table_overlap,
    )
