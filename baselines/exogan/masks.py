"""Which pixels of a picture are shown to the in-painting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench_baselines.exogan.layout import Layout

WFC3_BINS = range(334, 384)
"""Descending indices of the points that Hubble's WFC3 sees, 1.11-1.81 um."""


def bins_of_mask(layout: Layout, mask: str | Sequence[int]) -> NDArray[np.bool_]:
    """Bins that a named mask shows, in ascending order, (bin,).

    Args:
        layout: the layout.
        mask: ``"parameters"`` (all bins are seen), ``"wfc3"``, or ascending indices of the bins that are seen.

    Raises:
        ExobenchError: an unknown name, ``"wfc3"`` on another grid than the published one, or indices beyond the grid.
    """
    seen = np.zeros(layout.n_bin, dtype=bool)
    if isinstance(mask, str):
        if mask == "parameters":
            return ~seen
        if mask != "wfc3":
            raise ExobenchError(f"method.mask='{mask}' must be 'parameters', 'wfc3' or a list of bin indices.")
        if not layout.zero_bins:
            raise ExobenchError("method.mask='wfc3' names points of the 515-point grid; give a list of bin indices.")
        seen[list(WFC3_BINS)] = True
        return seen[::-1].copy()
    index = np.asarray(list(mask), dtype=np.int64)
    if len(index) == 0 or index.min() < 0 or index.max() >= layout.n_bin:
        raise ExobenchError(f"method.mask={list(mask)} must hold bin indices in 0..{layout.n_bin - 1}.")
    seen[index] = True
    return seen


def visible_pixels(layout: Layout, seen: torch.Tensor) -> torch.Tensor:
    """Pixels that are compared as they are.

    A hidden bin hides its pixel and the mean; extrema are shown only for sections that are seen whole.

    Args:
        layout: the layout.
        seen: bins that are seen, ascending, (n, bin), bool.

    Returns:
        (n, side, side), bool; pixels of seen bins in cut sections are shown too.
    """
    bins = seen.flip(1)
    whole = torch.stack(
        [bins[:, a:b].all(dim=1) for a, b in zip(layout.edges[:-1], layout.edges[1:], strict=True)], dim=1
    )
    mean = bins.all(dim=1, keepdim=True)
    hidden = torch.zeros(len(bins), len(layout.parameter_names), dtype=torch.bool, device=bins.device)
    shown = torch.cat([bins, mean, whole, whole, hidden, mean], dim=1)
    # Unused slots hold the constant zero; they go with the mean, which is shown for whole spectra only.
    source = torch.as_tensor(layout.source.ravel(), device=bins.device)
    return shown[:, source].reshape(-1, layout.side, layout.side)


def cut_bins(layout: Layout, seen: torch.Tensor) -> torch.Tensor:
    """Seen bins of sections that are not seen whole, descending, (n, bin): compared after undoing the scaling."""
    bins = seen.flip(1)
    cut = torch.cat(
        [
            (~bins[:, a:b].all(dim=1, keepdim=True)).expand(-1, b - a)
            for a, b in zip(layout.edges[:-1], layout.edges[1:], strict=True)
        ],
        dim=1,
    )
    return bins & cut
