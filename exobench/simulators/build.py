"""Simulators by name, as configuration files ask for them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from exobench.errors import ExobenchError, unknown_name

if TYPE_CHECKING:
    from exobench.opacities.tables import OpacitySet
    from exobench.simulators.base import Simulator

log = logging.getLogger(__name__)

KINDS = ("transmission", "transmission_torch", "transmission_fused", "transmission_literal", "taurex3")
_WITHOUT_GRADIENT = ("transmission_fused", "taurex3")


def build_simulator(
    kind: str,
    opacities: OpacitySet,
    parameter_names: Sequence[str],
    *,
    differentiable: bool = False,
    **settings: Any,
) -> Simulator:
    """Builds a simulator.

    Args:
        kind: ``"transmission"`` (batched; in compiled loops on the CPU where numba is installed and float32 will do,
            else in torch), ``"transmission_torch"`` or ``"transmission_fused"`` (one of the two in any case),
            ``"transmission_literal"`` (slow float64 reference) or ``"taurex3"`` (the installed taurex package).
        opacities: tables on one wavelength grid; for k-tables see `build_k_table_simulator`.
        parameter_names: columns of theta.
        differentiable: choose what can be differentiated in theta: torch.
        **settings: keyword arguments of the simulator.

    Raises:
        ExobenchError: there is no such kind, it does not take such a setting, or it cannot be differentiated.
        MissingDependencyError: the kind needs a package that is not installed.
    """
    if differentiable:
        check_differentiable(kind)
    if opacities.k_tables:
        from exobench.simulators.build_ktable import build_k_table_simulator

        return build_k_table_simulator(kind, opacities, parameter_names, **settings)
    simulator = _simulator_class(kind, differentiable, settings)
    accepted = _settings_of(simulator)
    for name in settings:
        if name not in accepted:
            raise unknown_name(f"setting of simulator '{kind}'", name, accepted)
    try:
        return simulator(opacities, parameter_names, **settings)
    except TypeError as error:
        raise ExobenchError(f"simulator '{kind}': {error}") from error


def check_differentiable(kind: str) -> None:
    """Refuses a kind of simulator that has no gradient.

    Raises:
        ExobenchError: naming one that has.
    """
    if kind in _WITHOUT_GRADIENT:
        raise ExobenchError(f"simulator '{kind}' cannot be differentiated; use 'transmission_torch'.")


def _settings_of(simulator: Any) -> dict[str, Any]:
    """Keyword arguments with their defaults, those passed on to a parent class too."""
    found: dict[str, Any] = {}
    for ancestor in reversed(simulator.__mro__):
        found |= getattr(ancestor.__init__, "__kwdefaults__", None) or {}
    return found


def _simulator_class(kind: str, differentiable: bool, settings: Mapping[str, Any]) -> Any:
    if kind == "transmission":
        kind = "transmission_fused" if not differentiable and _compiles(settings) else "transmission_torch"
    if kind == "transmission_torch":
        from exobench.simulators.transmission import TransmissionSimulator

        return TransmissionSimulator
    if kind == "transmission_fused":
        from exobench.simulators.fused import FusedTransmissionSimulator

        return FusedTransmissionSimulator
    if kind == "transmission_literal":
        from exobench.simulators.literal import LiteralTransmissionSimulator

        return LiteralTransmissionSimulator
    if kind == "taurex3":
        from exobench.simulators.taurex3 import TauREx3Simulator

        return TauREx3Simulator
    raise unknown_name("simulator", kind, KINDS)


def _compiles(settings: Mapping[str, Any]) -> bool:
    """Whether the compiled kernel can do what is asked; says so where only the installation stands in the way."""
    from exobench.simulators.fused import why_not_compiled

    if settings.get("dtype", torch.float32) != torch.float32:
        return False
    try:
        device = torch.device(settings.get("device", "cpu"))
    except (RuntimeError, TypeError):
        return False  # the simulator itself says what is wrong with the device
    if device.type != "cpu":
        return False
    reason = why_not_compiled()
    if reason:
        log.info("Spectra are made by torch, about five times slower than by compiled loops: %s.", reason)
    return reason is None
