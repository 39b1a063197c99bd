"""The posterior of ``npe``: that of every neural method, and a view of it for sbi's own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.neural.posterior import NeuralPosterior

if TYPE_CHECKING:
    from sbi.inference import DirectPosterior


class NPEPosterior(NeuralPosterior):
    """q(theta | x, sigma), drawn from through sbi's ``DirectPosterior``."""

    def sbi_posterior(self, sigma: NDArray[np.float64]) -> DirectPosterior:
        """A posterior for sbi's diagnostics (``run_sbc``, ``run_tarp``, ``LC2ST``), plots and MAP search.

        Args:
            sigma: one standard deviation of the depth in each bin, (bin,): sbi knows spectra, not their noise.

        Returns:
            sbi's posterior over theta in declared units; x are spectra (n, bin) as float32 depth fractions.

        Raises:
            ExobenchError: if sigma has another shape.
        """
        from exobench_baselines.npe.sbi_view import sbi_posterior

        n_bin = self.model.encoder.n_bin
        if np.shape(sigma) != (n_bin,):
            raise ExobenchError(f"sigma has shape {np.shape(sigma)}; one noise level a bin is ({n_bin},).")
        return sbi_posterior(self.model, torch.as_tensor(np.asarray(sigma), dtype=torch.float32))
