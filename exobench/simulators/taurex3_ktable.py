"""Adapter to the `taurex` package, version 3, in its k-table mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.opacities.tables import KTable, OpacitySet
from exobench.simulators.constants import Flavour
from exobench.simulators.ktable import describe_k, without_k
from exobench.simulators.taurex3 import TauREx3Simulator, _require_taurex, _wavenumber

Array = NDArray[np.float64]


class TauREx3KTableSimulator(TauREx3Simulator):
    """Transmission spectra from the installed TauREx 3 with k-tables, one at a time.

    TauREx 3 adds the optical depths of gases at equal g. Arguments and errors are those of `TauREx3Simulator`; every
    gas must have a k-table, all with the same weights.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
        overlap: str = "equal_g",
        flavour: str | Flavour = "taurex3",
        star_radius_rsun: float = 1.0,
        n_layer: int = 100,
        pressure_top_pa: float = 1e-5,
        pressure_bottom_pa: float = 1e6,
        device: torch.device | str = "cpu",
        early_exit: bool = True,
        native_rayleigh: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        _require_taurex()
        if overlap != "equal_g":
            raise ExobenchError(
                f"simulator 'taurex3' combines k-tables at equal g only, not by overlap '{overlap}'; "
                "set task.k_table_overlap=equal_g."
            )
        plain = [gas for gas in opacities.gases if f"log10_{gas.lower()}" in parameter_names]
        if plain:
            raise ExobenchError(f"simulator 'taurex3' takes k-tables of all gases or of none; {plain[0]} has none.")
        self._k_tables = {gas: _k_opacity(table, opacities.wavelength_um) for gas, table in opacities.k_tables.items()}
        # TauREx's list of k-tables names files only, so the model is set up from the cross-sections of zero.
        self._method = "xsec"
        super().__init__(
            without_k(opacities),
            parameter_names,
            flavour=flavour,
            star_radius_rsun=star_radius_rsun,
            n_layer=n_layer,
            pressure_top_pa=pressure_top_pa,
            pressure_bottom_pa=pressure_bottom_pa,
            device=device,
            early_exit=early_exit,
            native_rayleigh=native_rayleigh,
            dtype=dtype,
        )
        self._method = "ktables"
        self._description |= describe_k(opacities, overlap, "taurex3_ktable")

    @contextmanager
    def _tables(self) -> Iterator[None]:
        """Lends the k-tables to TauREx's global list too."""
        from taurex.cache import GlobalCache
        from taurex.cache.ktablecache import KTableCache

        cache, settings = KTableCache(), GlobalCache()
        before = cache.opacity_dict
        with super()._tables():
            cache.opacity_dict = dict(self._k_tables)
            settings["opacity_method"] = self._method
            try:
                yield
            finally:
                cache.opacity_dict = before


def _k_opacity(table: KTable, wavelength_um: Array) -> Any:
    """A TauREx k-table that holds the coefficients in memory."""
    from taurex.opacity.interpolateopacity import InterpolatingOpacity
    from taurex.opacity.ktables.ktable import KTable as TauRExKTable

    wavenumber = _wavenumber(wavelength_um)
    square_cm = np.ascontiguousarray(table.coefficient_m2[:, :, ::-1]) * 1e4

    class InMemory(TauRExKTable, InterpolatingOpacity):
        moleculeName = table.gas
        wavenumberGrid = wavenumber
        temperatureGrid = table.temperature_k
        pressureGrid = table.pressure_pa
        xsecGrid = square_cm
        weights = table.g_weights
        resolution = float(np.diff(wavenumber).mean())

    return InMemory(f"k-table of {table.gas}", interpolation_mode="linear")
