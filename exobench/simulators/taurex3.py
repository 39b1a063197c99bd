"""Adapter to the `taurex` package, version 3: the same tables through somebody else's code."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.tables import CollisionInducedAbsorption, CrossSections, OpacitySet
from exobench.simulators.atmosphere import FILL_GASES, MASS, RADIUS, TEMPERATURE, AtmosphereReader, describe_physics
from exobench.simulators.base import Simulator
from exobench.simulators.constants import HELIUM_TO_HYDROGEN, TAUREX3, Flavour, resolve_flavour

Array = NDArray[np.float64]


class TauREx3Simulator(Simulator):
    """Transmission spectra from the installed TauREx 3 (Al-Refaie et al. 2021, ApJ 917, 37), one at a time.

    TauREx's lists of opacities are global; they hold this simulator's tables only while it is called.

    Args:
        opacities: tables on one wavelength grid.
        parameter_names: columns of theta, as for the batched simulator.
        flavour: ``"taurex3"``, the only one; the package brings its own constants.
        star_radius_rsun: radius of the star, in solar radii.
        n_layer: number of layers.
        pressure_top_pa: lowest pressure, in Pa.
        pressure_bottom_pa: highest pressure, in Pa.
        device: where results are returned; the work is done on the CPU.
        early_exit: TauREx skips the contributions that are left (CIA, Rayleigh) once a layer's smallest optical depth
            exceeds 10. False presents all of them as one, so that none is skipped.
        native_rayleigh: take Rayleigh scattering from TauREx's own formulas instead of the opacity set.
        dtype: of the result; TauREx computes in float64.

    Raises:
        MissingDependencyError: taurex is not installed.
        ExobenchError: wrong parameter names or gases, or another flavour.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
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
        version = _require_taurex()
        if resolve_flavour(flavour).name != TAUREX3.name:
            raise ExobenchError(
                f"simulator 'taurex3' has flavour 'taurex3' only, not '{resolve_flavour(flavour).name}'."
            )
        self.parameter_names = tuple(parameter_names)
        self.n_bin = len(opacities.wavelength_um)
        self.dtype = dtype
        self.device = torch.device(device)
        self._reader = AtmosphereReader.build(opacities, self.parameter_names, TAUREX3)
        gases = self._reader.gases
        self._opacities = {gas: _opacity(opacities.gases[gas], opacities.wavelength_um) for gas in gases}
        present = {*gases, *FILL_GASES}
        pairs = [pair for pair in opacities.cia if set(pair.pair) <= present]
        self._cia = {"-".join(pair.pair): _cia(pair, opacities.wavelength_um) for pair in pairs}
        contributions = _contributions(list(self._cia), None if native_rayleigh else opacities, early_exit)
        with self._tables(), _quiet():
            self._model = _build_model(
                gases, contributions, star_radius_rsun, n_layer, pressure_top_pa, pressure_bottom_pa
            )
        self._description = {
            "simulator": "taurex3",
            "taurex": version,
            "early_exit": early_exit,
            "native_rayleigh": native_rayleigh,
            "precision": str(dtype).removeprefix("torch."),
            **describe_physics(opacities, self._reader, star_radius_rsun, n_layer, pressure_top_pa, pressure_bottom_pa),
        }

    def describe(self) -> dict[str, object]:
        """See `Simulator.describe`."""
        return dict(self._description)

    def to(self, device: torch.device | str) -> Self:
        """Changes where results are returned."""
        self.device = torch.device(device)
        return self

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """See `Simulator.__call__`; not differentiable."""
        theta = theta.detach()
        self._reader.read(theta)
        rows = theta.double().cpu().numpy()
        with self._tables(), _quiet():
            depths = [self._depth(dict(zip(self.parameter_names, row.tolist(), strict=True))) for row in rows]
        result = torch.from_numpy(np.array(depths).reshape(len(rows), self.n_bin))
        return result.to(self.dtype).to(self.device)

    def _depth(self, parameters: dict[str, float]) -> Array:
        model = self._model
        model["planet_mass"] = parameters[MASS]
        model["planet_radius"] = parameters[RADIUS]
        model["T"] = parameters[TEMPERATURE]
        for gas in self._reader.gases:
            model[gas] = 10.0 ** parameters[f"log10_{gas.lower()}"]
        _, depth, _, _ = model.model()
        return np.asarray(depth)[::-1]

    @contextmanager
    def _tables(self) -> Iterator[None]:
        """Lends this simulator's tables to TauREx's global lists."""
        from taurex.cache import CIACache, GlobalCache, OpacityCache

        opacity_cache, cia_cache, settings = OpacityCache(), CIACache(), GlobalCache()
        before = opacity_cache.opacity_dict, cia_cache.cia_dict, settings["opacity_method"]
        opacity_cache.opacity_dict, cia_cache.cia_dict = dict(self._opacities), dict(self._cia)
        settings["opacity_method"] = "xsec"
        try:
            yield
        finally:
            opacity_cache.opacity_dict, cia_cache.cia_dict, settings["opacity_method"] = before


def _require_taurex() -> str:
    try:
        import taurex
        from taurex.model import TransmissionModel  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"simulator 'taurex3' needs the package taurex ({error}); run: pip install 'exobench[forward]'."
        ) from error
    version = str(getattr(taurex, "__version__", "unknown"))
    if not version.startswith("3."):
        raise MissingDependencyError(
            f"simulator 'taurex3' needs taurex 3, found {version}; run: pip install 'exobench[forward]'."
        )
    return version


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences TauREx's notes about its own deprecated properties."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _wavenumber(wavelength_um: Array) -> Array:
    """Ascending, in cm-1."""
    return np.ascontiguousarray(1e4 / wavelength_um[::-1])


def _opacity(table: CrossSections, wavelength_um: Array) -> Any:
    """A TauREx opacity that holds the table in memory."""
    from taurex.opacity.interpolateopacity import InterpolatingOpacity

    wavenumber = _wavenumber(wavelength_um)
    square_cm = np.ascontiguousarray(table.cross_section_m2[:, :, ::-1]) * 1e4

    class TableOpacity(InterpolatingOpacity):
        moleculeName = table.gas
        wavenumberGrid = wavenumber
        temperatureGrid = table.temperature_k
        pressureGrid = table.pressure_pa
        xsecGrid = square_cm
        resolution = float(np.diff(wavenumber).mean())

    return TableOpacity(f"table of {table.gas}", interpolation_mode="linear")


def _cia(pair: CollisionInducedAbsorption, wavelength_um: Array) -> Any:
    """A TauREx CIA that holds the coefficients in memory."""
    from taurex.cia.picklecia import PickleCIA

    class TableCIA(PickleCIA):
        def _load_pickle_file(self, filename: str) -> None:
            del filename
            self._wavenumber_grid = _wavenumber(wavelength_um)
            self._temperature_grid = pair.temperature_k
            self._xsec_grid = np.ascontiguousarray(pair.coefficient_m5[:, ::-1])

    return TableCIA("in memory", "-".join(pair.pair))


def _contributions(pairs: list[str], rayleigh_of: OpacitySet | None, early_exit: bool) -> list[Any]:
    from taurex.contributions import AbsorptionContribution, CIAContribution, RayleighContribution

    rayleigh = RayleighContribution() if rayleigh_of is None else _table_rayleigh(rayleigh_of)
    contributions = [AbsorptionContribution(), CIAContribution(cia_pairs=pairs), rayleigh]
    return contributions if early_exit else [_together(contributions)]


def _table_rayleigh(opacities: OpacitySet) -> Any:
    """Rayleigh scattering with the cross-sections of the opacity set."""
    from taurex.contributions import RayleighContribution

    class TableRayleigh(RayleighContribution):
        def prepare_each(self, model: Any, wngrid: Array) -> Iterator[tuple[str, Array]]:
            chemistry = model.chemistry
            for gas in chemistry.gases:
                if gas in opacities.rayleigh_m2:
                    mixing = chemistry.get_gas_mix_profile(gas)
                    yield gas, opacities.rayleigh_m2[gas][::-1] * mixing[:, None]

    return TableRayleigh()


def _together(parts: list[Any]) -> Any:
    """One contribution made of several, which leaves TauREx no occasion to stop between them."""
    from taurex.contributions import Contribution

    class Together(Contribution):
        def prepare(self, model: Any, wngrid: Array) -> None:
            for part in parts:
                part.prepare(model, wngrid)

        def contribute(self, *args: Any, **kwargs: Any) -> None:
            for part in parts:
                part.contribute(*args, **kwargs)

    return Together("Together")


def _build_model(
    gases: tuple[str, ...],
    contributions: list[Any],
    star_radius_rsun: float,
    n_layer: int,
    pressure_top_pa: float,
    pressure_bottom_pa: float,
) -> Any:
    from taurex.chemistry import ConstantGas, TaurexChemistry
    from taurex.data.profiles.pressure import LogPressureProfile
    from taurex.model import TransmissionModel
    from taurex.planet import Planet
    from taurex.stellar import BlackbodyStar
    from taurex.temperature import Isothermal

    chemistry = TaurexChemistry(fill_gases=list(FILL_GASES), ratio=HELIUM_TO_HYDROGEN)
    for gas in gases:
        chemistry.addGas(ConstantGas(gas))
    if tuple(chemistry.activeGases) != gases:
        raise ExobenchError(f"TauREx took {', '.join(chemistry.activeGases)} as absorbing, not {', '.join(gases)}.")
    model = TransmissionModel(
        planet=Planet(),
        star=BlackbodyStar(radius=star_radius_rsun),
        pressure_profile=LogPressureProfile(n_layer, pressure_top_pa, pressure_bottom_pa),
        temperature_profile=Isothermal(),
        chemistry=chemistry,
        contributions=contributions,
    )
    model.build()
    return model
