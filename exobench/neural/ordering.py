"""In which order an estimator should meet the parameters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.networks.box import BoxTransform
from exobench.networks.spectrum import SpectrumFeatures

_RIDGE = 1e-3
_MOST_EXAMPLES = 8192


@torch.no_grad()
def sharpest_first(
    box: BoxTransform,
    features: SpectrumFeatures,
    theta: NDArray[np.float64],
    x: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> list[int]:
    """Parameters sorted by how well a linear regression on the features finds them, the best first.

    Triangular maps give axis i as a regression on the axes before it. A narrow parameter that comes after a broad one
    gets its marginal width from coefficients times the broad one's spread, so that small errors of the coefficients
    widen it; one that comes first has a width of its own.

    Args:
        box: in the declared order.
        features: fitted.
        theta: of example spectra, (n, param).
        x: example spectra, (n, bin).
        sigma: their noise, (n, bin).

    Returns:
        Indices of the parameters.
    """
    n = min(len(theta), _MOST_EXAMPLES)
    u = box.to_unbounded(torch.as_tensor(theta[:n]))
    bins, summary = features(torch.as_tensor(x[:n]), torch.as_tensor(sigma[:n]))
    design = torch.cat([bins.flatten(1), summary, torch.ones(n, 1)], dim=1).double()
    fitted, held_out = slice(0, n // 2), slice(n // 2, n)
    gram = design[fitted].T @ design[fitted] + _RIDGE * n * torch.eye(design.shape[1], dtype=torch.float64)
    coefficients = torch.linalg.solve(gram, design[fitted].T @ u[fitted])
    residual = u[held_out] - design[held_out] @ coefficients
    return [int(index) for index in torch.argsort(residual.square().mean(dim=0), stable=True)]
