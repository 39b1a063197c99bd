"""What a fit of HMC is: the problem and the sampler's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.progress import track
from exobench.sampling.settings_file import load_settings, save_settings
from exobench_baselines.hmc.sampler import SamplerSettings, sample_spectrum
from exobench_baselines.hmc.target import Target

Array = NDArray[np.float64]

_SETTINGS = "hmc.json"


@dataclass
class HMCPosterior(AbstractPosterior):
    """Samples each spectrum by itself.

    Attributes:
        problem: with the likelihood and its gradient.
        settings: of the sampler.
    """

    problem: InferenceProblem
    settings: SamplerSettings

    def sample(self, x: Array, sigma: Array, n_draws: int, *, rng: np.random.Generator) -> PosteriorSamples:
        """Draws of equal weight, (obs, draw, param); see ``AbstractPosterior.sample``.

        A spectrum's draws depend on its place in the call, not on its neighbours.
        """
        streams = rng.spawn(len(x))
        spectra = [
            sample_spectrum(Target(self.problem, x[row], sigma[row]), n_draws, self.settings, streams[row])
            for row in track(range(len(x)), "hmc")
        ]
        names = spectra[0].diagnostics
        return PosteriorSamples(
            np.stack([spectrum.theta for spectrum in spectra]),
            diagnostics={name: np.array([spectrum.diagnostics[name] for spectrum in spectra]) for name in names},
        )

    def save(self, path: Path) -> None:
        """Writes the settings as JSON."""
        save_settings(path / _SETTINGS, self.settings)

    @classmethod
    def load(cls, path: Path, problem: InferenceProblem) -> HMCPosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        settings = load_settings(path / _SETTINGS, lambda values: SamplerSettings(**values))
        return cls(problem, settings)
