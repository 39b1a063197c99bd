"""Linear regression of the parameters on the spectrum; the residuals of the training set are its posterior."""

import numpy as np

from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.registry import register_method


class Residuals(AbstractPosterior):
    def __init__(self, weights, mean, residuals, low, high):
        self.weights, self.mean, self.residuals, self.low, self.high = weights, mean, residuals, low, high

    def sample(self, x, sigma, n_draws, *, rng):
        if not np.isfinite(x).all():
            raise ExobenchError("ridge cannot work with missing bins.")
        centre = (x - self.mean) @ self.weights[:-1] + self.weights[-1]
        drawn = self.residuals[rng.integers(len(self.residuals), size=(len(x), n_draws))]
        return PosteriorSamples(np.clip(centre[:, None] + drawn, self.low, self.high))

    def save(self, path):
        path.mkdir(parents=True, exist_ok=True)
        np.savez(path / "ridge.npz", **vars(self))


@register_method("ridge")
class Ridge(AbstractMethod):
    capabilities = Capability.AMORTISED
    default_n_test = 100
    default_n_draws = 200

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, problem, *, limits, rng, device, workdir, stop, progress):
        theta, x, sigma = problem.arrays("train")
        mean = x.mean(axis=0)
        scale = sigma.mean(axis=0)
        columns = np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], axis=1)
        gram = columns.T @ columns + self.penalty * np.eye(columns.shape[1])
        weights = np.linalg.solve(gram, columns.T @ theta)
        residuals = theta - columns @ weights
        weights[:-1] /= scale[:, None]
        return Residuals(weights, mean, residuals, problem.parameters.low, problem.parameters.high)

    @classmethod
    def load_posterior(cls, path, problem, device):
        return Residuals(**np.load(path / "ridge.npz"))
