"""Simulators by name, as configuration files ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from exobench.errors import ExobenchError, unknown_name

if TYPE_CHECKING:
    from exobench.opacities.tables import OpacitySet
    from exobench.simulators.base import Simulator

KINDS = ("transmission", "transmission_literal", "taurex3")


def build_simulator(kind: str, opacities: OpacitySet, parameter_names: Sequence[str], **settings: Any) -> Simulator:
    """Builds a simulator.

    Args:
        kind: ``"transmission"`` (batched torch), ``"transmission_literal"`` (slow float64 reference) or ``"taurex3"``
            (the installed taurex package).
        opacities: tables on one wavelength grid.
        parameter_names: columns of theta.
        **settings: keyword arguments of the simulator.

    Raises:
        ExobenchError: there is no such kind or it does not take such a setting.
        MissingDependencyError: the kind needs a package that is not installed.
    """
    simulator = _simulator_class(kind)
    accepted = simulator.__init__.__kwdefaults__ or {}
    for name in settings:
        if name not in accepted:
            raise unknown_name(f"setting of simulator '{kind}'", name, accepted)
    try:
        return simulator(opacities, parameter_names, **settings)
    except TypeError as error:
        raise ExobenchError(f"simulator '{kind}': {error}") from error


def _simulator_class(kind: str) -> Any:
    if kind == "transmission":
        from exobench.simulators.transmission import TransmissionSimulator

        return TransmissionSimulator
    if kind == "transmission_literal":
        from exobench.simulators.literal import LiteralTransmissionSimulator

        return LiteralTransmissionSimulator
    if kind == "taurex3":
        from exobench.simulators.taurex3 import TauREx3Simulator

        return TauREx3Simulator
    raise unknown_name("simulator", kind, KINDS)
