"""Hot Jupiters at 515 wavelengths with noise and missing bins that differ from spectrum to spectrum."""

from __future__ import annotations

from collections.abc import Sequence

from exobench.errors import ExobenchError
from exobench.noise_varied import VariedNoise
from exobench.opacities.grids import exogan_grid
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.isothermal import isothermal_parameters, transmission_recipe
from exobench.task import Task, TaskRequest

PARAMETERS = isothermal_parameters(
    log10_abundance=(-8.0, -1.0), mass_mjup=(0.8, 2.0), radius_rjup=(0.8, 1.5), temperature_k=(1000.0, 2000.0)
)


@register_task("hotjupiter_varied")
def build(
    request: TaskRequest,
    *,
    lowest_noise_ppm: float = 5.0,
    highest_noise_ppm: float = 200.0,
    test_noise_ppm: Sequence[float] = (20.0, 50.0, 100.0),
    shape_dex: float = 0.1,
    largest_missing: float = 0.3,
    k_table_overlap: str = "random",
    flavour: str = "taurex3",
    star_radius_rsun: float = 1.0,
    data_seed: int = 0,
    shard_rows: int = 10_000,
) -> Task:
    """Builds the task.

    Args:
        request: simulator and opacities that the user asked for.
        lowest_noise_ppm: lowest level of the noise, which is log-uniform from spectrum to spectrum.
        highest_noise_ppm: highest level.
        test_noise_ppm: levels of the test spectra, in turn.
        shape_dex: how far the noise departs from its level along the spectrum, in dex.
        largest_missing: the share of missing bins lies between 0 and this.
        k_table_overlap: how k-tables of several gases combine, "random" or "equal_g"; of no effect without k-tables.
        flavour: physics constants and conventions, "taurex3" or "taurex2".
        star_radius_rsun: radius of the star.
        data_seed: moves every spectrum.
        shard_rows: rows of one file of the shared data set.

    Returns:
        The task.

    Raises:
        ExobenchError: no level of the test spectra, or one that is no positive number.
    """
    if len(test_noise_ppm) == 0:
        raise ExobenchError("task.test_noise_ppm=[] must name at least one level in ppm, such as [20.0, 50.0, 100.0].")
    wavelength_um, bin_edges_um = exogan_grid()
    level = (lowest_noise_ppm, highest_noise_ppm)
    return Task(
        name="hotjupiter_varied",
        prior=UniformPrior(PARAMETERS),
        wavelength_um=wavelength_um,
        bin_edges_um=bin_edges_um,
        noise=VariedNoise(level, (), shape_dex, largest_missing),
        test_noise=VariedNoise(level, tuple(test_noise_ppm), shape_dex, largest_missing),
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
