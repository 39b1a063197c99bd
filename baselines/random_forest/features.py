"""What the trees split on: noise-whitened principal components of a spectrum, or its bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError

Array = NDArray[np.float64]

KINDS = ("components", "bins")
_VARIES = 1e-3
"""Spectra whose mean log sigma differs by more than this have noise levels worth splitting on."""


@dataclass(frozen=True)
class Features:
    """Turns spectra into columns for the trees.

    Attributes:
        mean: of the training spectra, (bin,).
        projection: deviations (n, bin) times this give the columns, (bin, column); shape (0, 0) leaves the bins as
            they are.
        knows_level: whether the noise level is a last column.
    """

    mean: Array
    projection: Array
    knows_level: bool

    @staticmethod
    def fitted(x: Array, sigma: Array, kind: str, n_components: int) -> Features:
        """Features by statistics of noisy training spectra.

        Args:
            x: (n, bin), none missing.
            sigma: (n, bin).
            kind: "components" or "bins".
            n_components: leading principal components kept; fewer where there are fewer bins.

        Raises:
            ExobenchError: bins are missing.
        """
        require_whole_spectra(x, sigma)
        level = np.log(sigma).mean(axis=1)
        knows_level = bool(np.ptp(level) > _VARIES)
        mean = x.mean(axis=0)
        if kind == "bins":
            return Features(mean, np.empty((0, 0)), knows_level)
        noise = np.exp(np.log(sigma).mean(axis=0))
        whitened = (x - mean) / noise
        variance, vectors = np.linalg.eigh(whitened.T @ whitened / len(x))
        leading = np.argsort(variance)[::-1][:n_components]
        return Features(mean, vectors[:, leading] / noise[:, None], knows_level)

    def __call__(self, x: Array, sigma: Array) -> NDArray[np.float32]:
        """Columns (n, column) of whole spectra x, sigma (n, bin), in the precision that trees compare in.

        Raises:
            ExobenchError: spectra of another grid, or with missing bins.
        """
        n_bin = len(self.mean)
        if x.ndim != 2 or x.shape != sigma.shape or x.shape[1] != n_bin:
            raise ExobenchError(f"x {x.shape} and sigma {sigma.shape} must both have shape (obs, {n_bin}).")
        require_whole_spectra(x, sigma)
        columns = x if self.projection.size == 0 else (x - self.mean) @ self.projection
        if self.knows_level:
            columns = np.concatenate([columns, np.log(sigma).mean(axis=1, keepdims=True)], axis=1)
        return np.ascontiguousarray(columns, dtype=np.float32)


def require_whole_spectra(x: Array, sigma: Array) -> None:
    """Refuses missing bins.

    Raises:
        ExobenchError: some bin is NaN, or its sigma is not finite and positive.
    """
    missing = ~(np.isfinite(x) & np.isfinite(sigma) & (sigma > 0))
    if missing.any():
        row = int(np.argmax(missing.any(axis=1)))
        raise ExobenchError(
            f"random_forest cannot work with missing bins, and spectrum {row} misses {int(missing[row].sum())}; "
            "use a method with MISSING_BINS, or a task whose spectra are whole."
        )
