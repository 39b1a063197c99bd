"""Turns spectra into pictures and back, many at a time, on any device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from exobench_baselines.exogan.layout import Decoded, Layout

Array = NDArray[np.float64]


class Extrema(NamedTuple):
    """Smallest and largest depth of each section over its present bins, (n, section) each; 0 where none is."""

    low: torch.Tensor
    high: torch.Tensor


class Pictures:
    """Encoder and decoder of one layout on one device.

    Args:
        layout: which pixel holds what.
        device: where pictures live.
        dtype: of pictures.
    """

    def __init__(self, layout: Layout, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> None:
        self.layout = layout
        self.dtype = dtype
        tensor = lambda values: torch.as_tensor(values, device=device)  # noqa: E731
        self._source = tensor(layout.source.ravel())
        self._readout = tensor(layout.readout).to(dtype)
        self._section = tensor(layout.section_of_bin)
        self._scale = tensor(np.array(layout.parameter_scale)).to(dtype)
        self._zero_bins = tensor(np.array(layout.zero_bins, dtype=np.int64))
        self._raw_bins = tensor(np.array(layout.raw_bins, dtype=np.int64))

    def extrema(self, depth: torch.Tensor) -> Extrema:
        """Extrema of each section of depth (n, bin), descending; NaN bins are skipped."""
        layout = self.layout
        present = ~torch.isnan(depth)
        present[:, self._zero_bins] = False
        present[:, self._raw_bins] = False
        low = torch.where(present, depth, torch.inf)
        high = torch.where(present, depth, -torch.inf)
        spans = list(zip(layout.edges[:-1], layout.edges[1:], strict=True))
        lows = torch.stack([low[:, a:b].amin(dim=1) for a, b in spans], dim=1)
        highs = torch.stack([high[:, a:b].amax(dim=1) for a, b in spans], dim=1)
        empty = torch.isinf(lows)
        return Extrema(lows.masked_fill(empty, 0.0), highs.masked_fill(empty, 0.0))

    def normalise(self, depth: torch.Tensor, extrema: Extrema) -> torch.Tensor:
        """Scales depth (n, bin), descending, by given extrema; zero and raw bins as the picture has them."""
        low, span = extrema.low[:, self._section], (extrema.high - extrema.low)[:, self._section]
        scaled = torch.where(span > 0, (depth - low) / torch.where(span > 0, span, 1.0), 0.0)
        scaled[:, self._raw_bins] = depth[:, self._raw_bins]
        scaled[:, self._zero_bins] = 0.0
        return scaled

    def encode(self, theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Pictures of spectra.

        Args:
            theta: parameters, (n, param); any value where they are hidden.
            x: depth fractions in ascending wavelength, (n, bin); NaN where missing, whose pixel becomes 0.

        Returns:
            Pictures, (n, side, side).
        """
        layout = self.layout
        depth = x.to(self.dtype).flip(1)
        extrema = self.extrema(depth)
        scaled = torch.nan_to_num(self.normalise(depth, extrema), nan=0.0)
        mean = torch.nan_to_num(depth.nanmean(dim=1, keepdim=True), nan=0.0) / layout.depth_max
        low = torch.where(extrema.low > 0, layout.depth_min / torch.where(extrema.low > 0, extrema.low, 1.0), 0.0)
        parameters = theta.to(self.dtype) / self._scale
        zero = torch.zeros_like(mean)
        components = torch.cat([scaled, mean, extrema.high / layout.depth_max, low, parameters, zero], dim=1)
        return components[:, self._source].reshape(-1, layout.side, layout.side)

    def components(self, pictures: torch.Tensor) -> torch.Tensor:
        """Mean of the pixels of each component, (n, component)."""
        return pictures.reshape(len(pictures), -1) @ self._readout

    def decode(self, pictures: torch.Tensor) -> Decoded:
        """Parameters and depths that pictures (n, side, side) hold; differentiable."""
        components = self.components(pictures)
        _, _, _, theta, zero = self.layout.component_starts
        depth = self.depth_of(components).clone()
        depth[:, self._zero_bins] = torch.nan
        return Decoded(components[:, theta:zero] * self._scale, depth.flip(1))

    def depth_of(self, components: torch.Tensor) -> torch.Tensor:
        """Depths (n, bin), descending, from components: scaled bins are carried back by the picture's own extrema."""
        layout = self.layout
        mean, first_high, first_low, theta, _ = layout.component_starts
        high = components[:, first_high:first_low] * layout.depth_max
        low = layout.depth_min / components[:, first_low:theta].clamp_min(1e-3)
        depth = low[:, self._section] + components[:, :mean] * (high - low)[:, self._section]
        if len(self._raw_bins):
            depth = depth.index_copy(1, self._raw_bins, components[:, self._raw_bins])
        return depth

    def theta_of(self, pictures: torch.Tensor) -> torch.Tensor:
        """Parameters only, (n, param)."""
        _, _, _, theta, zero = self.layout.component_starts
        readout = self._readout[:, theta:zero]
        return (pictures.reshape(len(pictures), -1) @ readout) * self._scale


def encode(layout: Layout, theta: Array, x: Array) -> Array:
    """``Pictures.encode`` for numpy arrays, float64."""
    pictures = Pictures(layout, dtype=torch.float64)
    return pictures.encode(torch.as_tensor(theta), torch.as_tensor(x)).numpy()


def decode(layout: Layout, pictures: Array) -> tuple[Array, Array]:
    """``Pictures.decode`` for numpy arrays, float64: theta and depth."""
    decoded = Pictures(layout, dtype=torch.float64).decode(torch.as_tensor(pictures))
    return decoded.theta.numpy(), decoded.depth.numpy()


def out_of_range(pictures: torch.Tensor) -> int:
    """Number of pixels outside [0, 1], which a sigmoid cannot reach."""
    return int(((pictures < 0) | (pictures > 1)).sum())
