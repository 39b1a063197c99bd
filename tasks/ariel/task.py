"""Hot Jupiters through 52 channels of Ariel, on k-tables that the user names."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.noise_varied import InstrumentNoise, photon_noise_shape
from exobench.opacities.grids import bin_centres
from exobench.prior import UniformPrior
from exobench.registry import register_task
from exobench.simulators.isothermal import isothermal_parameters, transmission_recipe
from exobench.task import Task, TaskRequest

PARAMETERS = isothermal_parameters(
    log10_abundance=(-8.0, -1.0), mass_mjup=(0.8, 2.0), radius_rjup=(0.8, 1.5), temperature_k=(1000.0, 2000.0)
)


def channels() -> NDArray[np.float64]:
    """Lower and upper edge in um of the 52 channels, shape (52, 2): three broad ones, then runs of constant ratio."""
    runs = [
        np.array([0.50, 0.60, 0.81, 1.10]),
        1.10 * 1.1025 ** np.arange(7),
        1.95 * 1.0201 ** np.arange(34),
        3.90 * (31 / 30) ** (2 * np.arange(11)),
    ]
    pairs = [np.stack([run[:-1], run[1:]], axis=1) for run in runs]
    return np.round(np.concatenate(pairs), 6)


@register_task("ariel")
def build(
    request: TaskRequest,
    *,
    noise_floor_ppm: float = 10.0,
    lowest_noise_ppm: float = 10.0,
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
        request: simulator and opacities that the user asked for; the opacities must be given.
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
        ExobenchError: no opacities are given.
    """
    if request.opacities_path is None:
        raise ExobenchError(
            "task ariel needs opacities.path: a folder with k-tables of H2O, CO2, CO and CH4 in the 52 channels of its "
            "card or in narrower bins (NEMESIS .kta such as *_ARIEL_test.kta, or ExoMolOP / TauREx HDF5 or pickle)."
        )
    edges = channels()
    return Task(
        name="ariel",
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
        ),
        data_seed=data_seed,
        shard_rows=shard_rows,
    )
