"""Simulators of opacity sets with k-tables, by the names under which configuration files ask for a simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from exobench.errors import unknown_name

if TYPE_CHECKING:
    from exobench.opacities.tables import OpacitySet
    from exobench.simulators.base import Simulator

K_TABLE_KINDS = ("transmission", "transmission_torch", "transmission_literal", "taurex3")


def build_k_table_simulator(
    kind: str, opacities: OpacitySet, parameter_names: Sequence[str], *, overlap: str | None = None, **settings: Any
) -> Simulator:
    """Builds a simulator of a set with k-tables.

    Args:
        kind: ``"transmission"`` or ``"transmission_torch"`` (batched torch), ``"transmission_literal"`` (slow float64
            reference) or ``"taurex3"`` (the installed taurex package).
        opacities: a set with k-tables.
        parameter_names: columns of theta.
        overlap: ``"random"`` or ``"equal_g"``; None for ``"random"``.
        **settings: keyword arguments of the simulator.

    Raises:
        ExobenchError: there is no such kind for k-tables, or an argument is wrong.
        MissingDependencyError: the kind needs a package that is not installed.
    """
    if kind not in K_TABLE_KINDS:
        raise unknown_name("simulator of k-tables", kind, K_TABLE_KINDS)
    simulator: Any
    if kind == "taurex3":
        from exobench.simulators.taurex3_ktable import TauREx3KTableSimulator as simulator
    elif kind == "transmission_literal":
        from exobench.simulators.ktable_literal import LiteralKTableSimulator as simulator
    else:
        from exobench.simulators.ktable import KTableTransmissionSimulator as simulator
    accepted = simulator.__init__.__kwdefaults__
    for name in settings:
        if name not in accepted:
            raise unknown_name(f"setting of simulator '{kind}' with k-tables", name, accepted)
    built: Simulator = simulator(opacities, parameter_names, overlap=overlap or "random", **settings)
    return built
