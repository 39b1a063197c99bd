"""The headline task: ExoGAN's hot Jupiters seen at 515 wavelengths with 20 ppm noise in every bin."""

from __future__ import annotations

from exobench.noise import ConstantNoise
from exobench.opacities.grids import exogan_grid
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.isothermal import isothermal_parameters, transmission_recipe
from exobench.task import Task, TaskRequest

PARAMETERS = isothermal_parameters(
    log10_abundance=(-8.0, -1.0), mass_mjup=(0.8, 2.0), radius_rjup=(0.8, 1.5), temperature_k=(1000.0, 2000.0)
)


@register_task("hotjupiter")
def build(
    request: TaskRequest,
    *,
    noise_ppm: float = 20.0,
    k_table_overlap: str = "random",
    flavour: str = "taurex3",
    star_radius_rsun: float = 1.0,
    data_seed: int = 0,
    shard_rows: int = 10_000,
) -> Task:
    """Builds the task.

    Args:
        request: simulator and opacities that the user asked for.
        noise_ppm: one standard deviation of the noise in every bin.
        k_table_overlap: how k-tables of several gases combine, "random" or "equal_g"; of no effect without k-tables.
        flavour: physics constants and conventions, "taurex3" or "taurex2".
        star_radius_rsun: radius of the star.
        data_seed: moves every spectrum.
        shard_rows: rows of one file of the shared data set.

    Returns:
        The task.
    """
    wavelength_um, bin_edges_um = exogan_grid()
    return Task(
        name="hotjupiter",
        prior=UniformPrior(PARAMETERS),
        wavelength_um=wavelength_um,
        bin_edges_um=bin_edges_um,
        noise=ConstantNoise(noise_ppm),
        simulator=transmission_recipe(
            request,
            PARAMETERS,
            tuple(bin_edges_um),
            flavour=flavour,
            star_radius_rsun=star_radius_rsun,
            k_table_overlap=k_table_overlap,
        ),
        data_seed=data_seed,
        shard_rows=shard_rows,
    )
