"""Line-of-sight geometry of an isothermal atmosphere, in units of the planet's radius.

With one temperature and one mean molecular mass every length over R depends on a single number, the scale height at the
base over the radius, h = k_B T R / (mu G M). Altitudes obey z' = z + h (1 + z)^2 ln(P/P'), a layer at a time.
"""

from __future__ import annotations

import math

import torch

from exobench.errors import ExobenchError

_CHEBYSHEV_TOLERANCE = 1e-11
_CHEBYSHEV_NODES = (8, 16, 32, 64)


def layer_geometry(scale_height: torch.Tensor, log_step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Path lengths and ring areas of every layer.

    Args:
        scale_height: scale height at the base over the radius, shape (n,).
        log_step: natural log of the pressure ratio across each layer, from the bottom up, shape (layer,).

    Returns:
        Path over radius, shape (n, layer, layer), entry (l, k) the length inside layer k of the ray whose lowest layer
        is l (zero for k < l), and ring area over 2 pi R^2, shape (n, layer).
    """
    altitude, thickness = _altitudes(scale_height, log_step)
    # Distances from the planet's centre to the rays and to the tops of the layers as the rays see them; the difference
    # of their squares is a product of differences, free of cancellation.
    offset = altitude + 0.5 * thickness[:, :1]
    ray, top = offset[:, :, None], (offset + 0.5 * thickness)[:, None, :]
    squared = (top - ray) * (2.0 + top + ray)
    lower_layer = torch.ones(squared.shape[1:], dtype=torch.bool, device=squared.device).tril(-1)
    # The filler 1 keeps the derivative of the root finite where there is no path.
    reach = squared.masked_fill(lower_layer, 1.0).sqrt().masked_fill(lower_layer, 0.0)
    path = 2.0 * torch.diff(reach, dim=2, prepend=torch.zeros_like(reach[:, :, :1]))
    return path, (1.0 + altitude) * thickness


def _altitudes(scale_height: torch.Tensor, log_step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Altitudes of the layers' bottoms and their thicknesses, both over the radius, shape (n, layer)."""
    bottoms, thicknesses = [], []
    altitude = torch.zeros_like(scale_height)
    for step in log_step.unbind():
        thickness = scale_height * (1.0 + altitude) ** 2 * step
        bottoms.append(altitude)
        thicknesses.append(thickness)
        altitude = altitude + thickness
    return torch.stack(bottoms, dim=1), torch.stack(thicknesses, dim=1)


class GeometryExpansion:
    """Chebyshev series in h of anything linear in the paths, each term exact to about 1e-11 of the largest.

    Paths over sqrt(h) and ring areas over h are smooth in h down to zero, so about ten terms serve every hot Jupiter.
    Beyond ``largest_scale_height`` the geometry is computed afresh.

    Args:
        log_step: natural log of the pressure ratio across each layer, from the bottom up, shape (layer,), float64.
        column_weights: how much each layer adds to each column, shape (layer, column), float64.
        largest_scale_height: end of the series, as a fraction of the radius.
        dtype: of the results.
    """

    def __init__(
        self, log_step: torch.Tensor, column_weights: torch.Tensor, largest_scale_height: float, dtype: torch.dtype
    ) -> None:
        self.log_step = log_step
        self.column_weights = column_weights
        self.limit = largest_scale_height
        self.unbound = 1.0 / float(log_step.sum())
        columns, areas = self._fit()
        self._columns, self._areas = columns.to(dtype), areas.to(dtype)

    def to(self, device: torch.device | str) -> None:
        """Moves the tables to a device."""
        self.log_step = self.log_step.to(device)
        self.column_weights = self.column_weights.to(device)
        self._columns = self._columns.to(device)
        self._areas = self._areas.to(device)

    def beyond_series(self, scale_height: torch.Tensor) -> torch.Tensor:
        """Which draws need `exact`, boolean, shape (n,).

        Args:
            scale_height: h, shape (n,).

        Raises:
            ExobenchError: h is so large that the atmosphere is not bound up to its top.
        """
        largest = float(scale_height.detach().max()) if len(scale_height) else 0.0
        if largest >= self.unbound:
            raise ExobenchError(
                f"a scale height of {largest:.3g} planet radii leaves the atmosphere unbound; with these pressures it "
                f"must stay below {self.unbound:.3g} (a heavier, smaller or cooler planet)."
            )
        return scale_height > self.limit

    def series(self, scale_height: torch.Tensor, factor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Evaluates the series; right only up to ``largest_scale_height``.

        Args:
            scale_height: h, shape (n,), float64.
            factor: multiplies the columns, shape (n,), float64.

        Returns:
            Columns over the radius times the factor, shape (n, layer, column), and ring areas over 2 pi R^2,
            shape (n, layer), in the dtype of the expansion.
        """
        terms = _chebyshev(2.0 * scale_height / self.limit - 1.0, len(self._columns))
        n_layer, n_column = self.column_weights.shape
        dtype = self._columns.dtype
        columns = (terms * (scale_height.sqrt() * factor)[:, None]).to(dtype) @ self._columns
        areas = (terms * scale_height[:, None]).to(dtype) @ self._areas
        return columns.view(-1, n_layer, n_column), areas

    def exact(self, scale_height: torch.Tensor, factor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as `series` for any h of a bound atmosphere, layer by layer in float64, slower."""
        path, area = layer_geometry(scale_height, self.log_step)
        dtype = self._columns.dtype
        return (factor[:, None, None] * (path @ self.column_weights)).to(dtype), area.to(dtype)

    def _fit(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Doubles the number of nodes until the last terms are negligible, then drops those."""
        for n_node in _CHEBYSHEV_NODES:
            columns, areas = self._interpolate(n_node)
            both = torch.cat([columns, areas], dim=1).abs()
            relative = (both / both.amax(dim=0).clamp(min=torch.finfo(torch.float64).tiny)).amax(dim=1)
            n_term = max(2, int((relative > _CHEBYSHEV_TOLERANCE).nonzero().max()) + 1)
            if n_term <= n_node - 2:
                return columns[:n_term], areas[:n_term]
        raise ExobenchError(
            f"the geometry cannot be tabulated up to a scale height of {self.limit:g} planet radii; "
            f"an atmosphere with these pressures is unbound from {self.unbound:.3g}."
        )

    def _interpolate(self, n_node: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Chebyshev coefficients from values at the roots, shapes (n_node, layer * column) and (n_node, layer)."""
        angle = math.pi * (torch.arange(n_node, dtype=torch.float64) + 0.5) / n_node
        scale_height = 0.5 * self.limit * (angle.cos() + 1.0)
        path, area = layer_geometry(scale_height, self.log_step)
        columns = path @ self.column_weights / scale_height.sqrt()[:, None, None]
        transform = (torch.arange(n_node, dtype=torch.float64)[:, None] * angle).cos() * (2.0 / n_node)
        transform[0] *= 0.5
        return transform @ columns.flatten(1), transform @ (area / scale_height[:, None])


def _chebyshev(x: torch.Tensor, n_term: int) -> torch.Tensor:
    """Chebyshev polynomials of the first kind, shape (n, n_term)."""
    terms = [torch.ones_like(x), x]
    while len(terms) < n_term:
        terms.append(2.0 * x * terms[-1] - terms[-2])
    return torch.stack(terms[:n_term], dim=1)
