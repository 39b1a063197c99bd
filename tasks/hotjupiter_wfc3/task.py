"""Hot Jupiters through HST/WFC3 G141 and the two warm Spitzer/IRAC channels, on real line data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.noise_varied import InstrumentNoise, photon_noise_shape
from exobench.opacities.grids import bin_centres
from exobench.opacities.installed import package_folder
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.isothermal import isothermal_parameters, transmission_recipe
from exobench.task import Task, TaskRequest

PARAMETERS = isothermal_parameters(
    log10_abundance=(-8.0, -1.0), mass_mjup=(0.8, 2.0), radius_rjup=(0.8, 1.5), temperature_k=(1000.0, 2000.0)
)

# Centres are those of the k-tables; widths of the IRAC channels from the IRAC Instrument Handbook (0.750, 1.015 um).
_G141_FIRST_UM, _G141_STEP_UM, _G141_N = 1.125, 0.035, 15
_IRAC_CENTRE_UM, _IRAC_WIDTH_UM = (3.6, 4.5), (0.750, 1.015)


def channels() -> NDArray[np.float64]:
    """Lower and upper edge in um of the 17 channels, shape (17, 2)."""
    low = _G141_FIRST_UM + _G141_STEP_UM * np.arange(_G141_N)
    g141 = np.stack([low, low + _G141_STEP_UM], axis=1)
    centre, width = np.array(_IRAC_CENTRE_UM), np.array(_IRAC_WIDTH_UM)
    irac = np.stack([centre - 0.5 * width, centre + 0.5 * width], axis=1)
    return np.round(np.concatenate([g141, irac]), 6)


@register_task("hotjupiter_wfc3")
def build(
    request: TaskRequest,
    *,
    noise_floor_ppm: float = 15.0,
    lowest_noise_ppm: float = 20.0,
    highest_noise_ppm: float = 100.0,
    star_temperature_k: float = 5800.0,
    k_table_overlap: str = "random",
    flavour: str = "taurex3",
    star_radius_rsun: float = 1.0,
    data_seed: int = 0,
    shard_rows: int = 10_000,
) -> Task:
    """Builds the task.

    Args:
        request: simulator and opacities that the user asked for; without opacities, those of the package nemesispy.
        noise_floor_ppm: noise that more photons do not remove.
        lowest_noise_ppm: lowest photon noise of the median channel, log-uniform from spectrum to spectrum.
        highest_noise_ppm: highest photon noise of the median channel.
        star_temperature_k: black body that gives the photon noise its shape.
        k_table_overlap: how k-tables of several gases combine, "random" or "equal_g".
        flavour: physics constants and conventions, "taurex3" or "taurex2".
        star_radius_rsun: radius of the star.
        data_seed: moves every spectrum.
        shard_rows: rows of one file of the shared data set.

    Returns:
        The task.

    Raises:
        ExobenchError: nemesispy is not installed and no other opacities are given.
    """
    edges = channels()
    # Not looked for when other opacities are given: it then need not be installed.
    default = str(package_folder("nemesispy", "data")) if request.opacities_path is None else None
    return Task(
        name="hotjupiter_wfc3",
        prior=UniformPrior(PARAMETERS),
        wavelength_um=bin_centres(edges),
        bin_edges_um=edges,
        noise=InstrumentNoise(
            noise_floor_ppm,
            (lowest_noise_ppm, highest_noise_ppm),
            tuple(photon_noise_shape(edges, star_temperature_k).tolist()),
        ),
        simulator=transmission_recipe(
            request,
            PARAMETERS,
            tuple((low, high) for low, high in edges.tolist()),
            flavour=flavour,
            star_radius_rsun=star_radius_rsun,
            k_table_overlap=k_table_overlap,
            default_opacities_path=default,
        ),
        data_seed=data_seed,
        shard_rows=shard_rows,
    )
