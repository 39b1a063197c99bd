"""The posterior of a trained model: drawn from and evaluated in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from exobench.errors import ExobenchError
from exobench.neural.model import NeuralModel
from exobench.neural.surprise import surprise
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.seeds import torch_generator

Array = NDArray[np.float64]
ROWS_A_CALL = 65_536
SPECTRA_A_CALL = 4096
WEIGHTS, DESCRIPTION = "weights.safetensors", "posterior.json"


class NeuralPosterior(AbstractPosterior):
    """q(theta | x, sigma) of a trained model.

    Args:
        model: trained; it is put on the device, in evaluation mode.
        description: JSON-able, enough to build the model again; see ``NeuralMethod.load_posterior``.
        device: torch device.
    """

    def __init__(self, model: NeuralModel, description: dict[str, Any], device: str) -> None:
        self.model = model.to(device).eval()
        self.description = description
        self.device = device
        self.n_parameters_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws (obs, n_draws, param); a pure function of the spectra and of rng.

        Raises:
            ExobenchError: spectra of another shape, or with missing bins where training had none.
        """
        self._check(x, sigma)
        generator = torch_generator(rng, self.device)
        draws_a_call = min(n_draws, ROWS_A_CALL)
        theta = np.empty((len(x), n_draws, self.model.box.n_param))
        for rows in _chunks(len(x), _spectra_a_call(draws_a_call)):
            context = self.context(x[rows], sigma[rows])
            for draws in _chunks(n_draws, draws_a_call):
                drawn = self.model.sample(context, draws.stop - draws.start, generator)
                theta[rows, draws] = drawn.cpu().numpy()
        return PosteriorSamples(theta)

    def log_prob(self, theta: Array, x: Array, sigma: Array) -> Array:
        """Natural log density over declared units, (obs, draw), of theta (obs, draw, param); -inf outside the box.

        Raises:
            ExobenchError: arrays of another shape, or missing bins where training had none.
        """
        if not self.model.estimator.has_density:
            return super().log_prob(theta, x, sigma)
        self._check(x, sigma)
        n_param = self.model.box.n_param
        if theta.ndim != 3 or len(theta) != len(x) or theta.shape[2] != n_param:
            raise ExobenchError(f"theta {theta.shape} must have shape ({len(x)}, draw, {n_param}).")
        n_draws = theta.shape[1]
        draws_a_call = min(max(n_draws, 1), ROWS_A_CALL)
        log_prob = np.empty(theta.shape[:2])
        for rows in _chunks(len(x), _spectra_a_call(draws_a_call)):
            context = self.context(x[rows], sigma[rows])
            for draws in _chunks(n_draws, draws_a_call):
                at = torch.as_tensor(theta[rows, draws], dtype=torch.float64, device=self.device)
                log_prob[rows, draws] = self.model.log_prob(at, context).cpu().numpy()
        return log_prob

    def surprise(self, x: Array, sigma: Array) -> Array:
        """How unlike the training spectra each spectrum is, (obs,); see `exobench.neural.surprise.surprise`.

        Raises:
            ExobenchError: spectra of another shape, or with missing bins where training had none.
        """
        self._check(x, sigma)
        return surprise(self.model, x, sigma)

    @torch.no_grad()
    def context(self, x: Array, sigma: Array) -> torch.Tensor:
        """Context (n, n_context) of spectra x, sigma (n, bin), on the device."""
        x_ = torch.as_tensor(x, dtype=torch.float32, device=self.device)
        sigma_ = torch.as_tensor(sigma, dtype=torch.float32, device=self.device)
        return self.model.encoder(x_, sigma_)

    def _check(self, x: Array, sigma: Array) -> None:
        n_bin = self.model.encoder.n_bin
        if x.ndim != 2 or x.shape != sigma.shape or x.shape[1] != n_bin:
            raise ExobenchError(f"x {x.shape} and sigma {sigma.shape} must both have shape (obs, {n_bin}).")
        missing = ~(np.isfinite(x) & np.isfinite(sigma))
        if missing.any() and not self.model.encoder.knows_missing_bins:
            row = int(np.argmax(missing.any(axis=1)))
            raise ExobenchError(
                f"spectrum {row} has {int(missing[row].sum())} missing bins, but the training spectra had none; "
                "fit on a task whose spectra miss bins, such as hotjupiter_varied."
            )

    def save(self, path: Path) -> None:
        """Writes ``weights.safetensors`` and ``posterior.json`` into a folder."""
        path.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in self.model.state_dict().items()}
        save_file(tensors, path / WEIGHTS)
        (path / DESCRIPTION).write_text(json.dumps(self.description, indent=1))


def read_description(path: Path) -> dict[str, Any]:
    """The description in a saved posterior's folder.

    Raises:
        ExobenchError: the folder holds none.
    """
    file = path / DESCRIPTION
    if not file.exists():
        raise ExobenchError(f"{path} holds no {DESCRIPTION}; it was not written by NeuralPosterior.save.")
    return json.loads(file.read_text())


def read_weights(path: Path, model: NeuralModel, device: str) -> None:
    """Loads a saved posterior's weights into a model of the same sizes."""
    model.load_state_dict(load_file(path / WEIGHTS, device=device))


def _spectra_a_call(n_draws: int) -> int:
    return min(max(ROWS_A_CALL // max(n_draws, 1), 1), SPECTRA_A_CALL)


def _chunks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
