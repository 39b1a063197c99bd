"""The transmission simulator for production on a processor: the node form in one compiled kernel, on one thread."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.autograd import forward_ad

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.tables import OpacitySet
from exobench.simulators.base import check_theta
from exobench.simulators.transmission import TransmissionSimulator

if TYPE_CHECKING:
    from exobench.simulators.fused_kernel import KernelTables

# Elementwise torch kernels treat what is left over after full vectors in another way, and split longer ones between
# threads: within these bounds every row goes through the same instructions whatever the size of the batch.
_ROWS_A_VECTOR = 64
_ROWS_A_BLOCK = 8192


class FusedTransmissionSimulator(TransmissionSimulator):
    """`TransmissionSimulator` in float32 without intermediates, several times faster on one thread of a processor.

    A spectrum has the same bits in any batch. It differs from the parent's by rounding (at most 0.005 ppm). Where a
    gradient is asked for, or on another device, the parent's torch operations do the work.

    Args:
        opacities: as for the parent.
        parameter_names: as for the parent.
        dtype: torch.float32, nothing else.
        **settings: as for the parent; ``max_chunk_bytes`` matters to the torch operations only.

    Raises:
        MissingDependencyError: numba is not installed, or switched off.
        ExobenchError: another dtype, or what the parent raises.
    """

    def __init__(
        self,
        opacities: OpacitySet,
        parameter_names: Sequence[str],
        *,
        dtype: torch.dtype = torch.float32,
        **settings: Any,
    ) -> None:
        reason = why_not_compiled()
        if reason:
            raise MissingDependencyError(f"simulator 'transmission_fused': {reason}; run: pip install numba.")
        if dtype != torch.float32:
            raise ExobenchError(f"simulator 'transmission_fused' computes in torch.float32 only, not {dtype}.")
        super().__init__(opacities, parameter_names, dtype=dtype, **settings)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """See `Simulator.__call__`."""
        check_theta(theta, self.parameter_names)
        if self.device.type != "cpu" or _differentiates(theta):
            return super().__call__(theta)
        theta = theta.detach().cpu()
        if len(theta) > _ROWS_A_BLOCK:
            self._reader.read(theta)  # for what is wrong to be named by its row in the whole batch
        depths = np.empty((len(theta), self.n_bin), dtype=np.float32)
        for start in range(0, len(theta), _ROWS_A_BLOCK):
            rows = slice(start, start + _ROWS_A_BLOCK)
            self._write(theta[rows], depths[rows])
        return torch.from_numpy(depths)

    def _write(self, theta: torch.Tensor, depths: NDArray[np.float32]) -> None:
        from exobench.simulators.fused_kernel import empty_rays, spectra

        n = len(theta)
        filled = torch.cat([theta, theta[-1:].expand(-n % _ROWS_A_VECTOR, -1)])
        atmosphere = self._reader.read(filled)
        thermal = self.flavour.boltzmann_j_k * atmosphere.temperature_k
        weight = self.flavour.gravity_m3_kg_s2 * atmosphere.mass_kg * atmosphere.mean_molecule_kg
        scale_height = thermal * atmosphere.radius_m / weight
        factor = atmosphere.radius_m / thermal * (-math.log2(math.e) * self._nodes.scale_m2)
        disc = (atmosphere.radius_m / self._star_radius_m) ** 2
        interval, amounts = self._amounts(atmosphere)
        spectra(
            self._tables,
            empty_rays(self._tables),
            torch.argsort(interval[:n], stable=True).numpy(),
            scale_height.numpy(),
            self._geometry.beyond_series(scale_height).numpy(),
            factor.numpy(),
            interval.numpy(),
            amounts.float().contiguous().numpy(),
            disc.numpy(),
            depths,
        )

    @cached_property
    def _tables(self) -> KernelTables:
        from exobench.simulators.pack import pack_tables

        return pack_tables(self._nodes, self._geometry)


def why_not_compiled() -> str | None:
    """Why the kernel cannot run in this installation; None if it can."""
    try:
        numba = importlib.import_module("numba")
    except ImportError as error:
        return f"numba cannot be imported ({error})"
    return "numba is switched off by NUMBA_DISABLE_JIT" if numba.config.DISABLE_JIT else None


def _differentiates(theta: torch.Tensor) -> bool:
    """Whether a derivative is wanted, in backward or forward mode."""
    if torch.is_grad_enabled() and theta.requires_grad:
        return True
    return forward_ad.unpack_dual(theta).tangent is not None
