"""What a fit of HMC is: the problem and the sampler's settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import InferenceProblem
from exobench.progress import track
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
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / _SETTINGS, json.dumps(asdict(self.settings), indent=1).encode())

    @classmethod
    def load(cls, path: Path, problem: InferenceProblem) -> HMCPosterior:
        """Reads back what ``save`` wrote.

        Raises:
            ExobenchError: if it is missing or damaged.
        """
        try:
            content = json.loads((path / _SETTINGS).read_text(encoding="utf-8"))
            settings = SamplerSettings(**content)
        except (OSError, ValueError, TypeError) as error:
            raise ExobenchError(f"{path / _SETTINGS} cannot be read ({error}); remove the run's folder.") from error
        return cls(problem, settings)
