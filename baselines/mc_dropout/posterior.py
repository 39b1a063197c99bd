"""The posterior of a dropout network, which is surprised where its passes part."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.neural.posterior import NeuralPosterior

Array = NDArray[np.float64]

_PASSES = 32
_SEED = 0
_TINY = 1e-30
_OFF_SCALE = 5.0
_SPECTRA_A_CALL = 1000


class DropoutPosterior(NeuralPosterior):
    """As every trained model's, but for its surprise."""

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum is, (obs,): spread between passes, and size where off scale.

        The sum over parameters of the log spread of 32 passes (Gal & Ghahramani 2016), in unbounded coordinates. What
        `exobench.neural.surprise` finds of the spectrum alone is added where it exceeds five standard deviations:
        below that it is the prior's own variety, which says nothing.

        Raises:
            ExobenchError: spectra of another shape, or with missing bins where training had none.
        """
        beyond = np.maximum(super().surprise(x, sigma) - _OFF_SCALE, 0.0)
        parts = [
            self._log_spread(x[k : k + _SPECTRA_A_CALL], sigma[k : k + _SPECTRA_A_CALL])
            for k in range(0, len(x), _SPECTRA_A_CALL)
        ]
        return np.nan_to_num(np.concatenate(parts) + beyond, nan=np.finfo(np.float64).max)

    @torch.no_grad()
    def _log_spread(self, x: Array, sigma: Array) -> Array:
        context = self.context(x, sigma)
        generator = torch.Generator(device=context.device).manual_seed(_SEED)
        passes = self.model.estimator.sample(context, _PASSES, generator).double()
        log_spread = passes.std(dim=1).clamp_min(_TINY).log().sum(dim=1)
        return np.asarray(log_spread.cpu().numpy())
