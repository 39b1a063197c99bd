"""A normal distribution cut off at the prior's edges, around the training mean; it has a density."""

import json

import numpy as np
from scipy.stats import truncnorm

from exobench.method import AbstractMethod, Capability
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.registry import register_method


class CutOff(AbstractPosterior):
    def __init__(self, mean, scale, low, high):
        self.mean, self.scale, self.low, self.high = map(np.asarray, (mean, scale, low, high))
        self.n_parameters_trained = self.mean.size

    def _parts(self):
        low, high = (self.low - self.mean) / self.scale, (self.high - self.mean) / self.scale
        return truncnorm(low, high, self.mean, self.scale)

    def sample(self, x, sigma, n_draws, *, rng):
        return PosteriorSamples(self._parts().rvs((len(x), n_draws, self.mean.size), random_state=rng))

    def log_prob(self, theta, x, sigma):
        return self._parts().logpdf(theta).sum(axis=-1)

    def save(self, path):
        path.mkdir(parents=True, exist_ok=True)
        content = {name: getattr(self, name).tolist() for name in ("mean", "scale", "low", "high")}
        (path / "moments.json").write_text(json.dumps(content))


@register_method("moments")
class Moments(AbstractMethod):
    capabilities = Capability.LOG_PROB | Capability.AMORTISED | Capability.MISSING_BINS
    default_n_test = 100
    default_n_draws = 200

    def __init__(self, spread: float = 0.5) -> None:
        self.spread = spread

    def fit(self, problem, *, limits, rng, device, workdir, stop, progress):
        low, high = problem.parameters.low, problem.parameters.high
        return CutOff(problem.arrays("train").theta.mean(axis=0), self.spread * (high - low), low, high)

    @classmethod
    def load_posterior(cls, path, problem, device):
        return CutOff(**json.loads((path / "moments.json").read_text()))
