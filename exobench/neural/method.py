"""What all methods that train a conditional estimator share: fitting through the engine, storing, loading."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.method import AbstractMethod, Capability, Limits, Progress
from exobench.networks.box import BoxTransform
from exobench.networks.encoder import SpectrumEncoder
from exobench.networks.inferred_features import InferredFeatures
from exobench.networks.settings import EmbeddingSettings
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.model import NeuralModel
from exobench.neural.posterior import NeuralPosterior, read_description, read_weights
from exobench.neural.settling import settle, shared_limits
from exobench.problem import Arrays, InferenceProblem
from exobench.seeds import derived_seed
from exobench.training.engine import train
from exobench.training.settings import TrainingSettings

N_EXAMPLE = 40_000
N_NOISY_EXAMPLE, MOST_NOISE_COPIES = 20_000, 4
"""Rows that the first guess is fitted to where the noise varies, copies of a spectrum with other noise counted."""


class NeuralMethod(AbstractMethod):
    """A method that trains q(u | context(x, sigma)) on the shared spectra.

    Subclasses store their own arguments, hand ``embedding`` and ``training`` on to ``super().__init__``, and build
    their estimator.

    Args:
        embedding: settings of the embedding network; see ``EmbeddingSettings``. None for the defaults.
        training: settings of the training; see ``TrainingSettings``. None for the defaults.

    Raises:
        ExobenchError: a setting that does not exist, or a value that no fit can use.
    """

    capabilities: ClassVar[Capability] = (
        Capability.LOG_PROB | Capability.AMORTISED | Capability.MISSING_BINS | Capability.SURPRISE
    )
    default_n_test: ClassVar[int] = 10_000
    default_n_draws: ClassVar[int] = 200
    trains_in_parallel: ClassVar[bool] = True
    encoder_class: ClassVar[type[SpectrumEncoder]] = SpectrumEncoder
    """What ``build_encoder`` gives."""
    default_embedding: ClassVar[dict[str, Any]] = {}
    """What a subclass sets otherwise than ``EmbeddingSettings`` does."""
    default_training: ClassVar[dict[str, Any]] = {}
    """What a subclass sets otherwise than ``TrainingSettings`` does."""

    def __init__(self, embedding: dict[str, Any] | None = None, training: dict[str, Any] | None = None) -> None:
        self.embedding = embedding
        self.training = training
        for key, group in (("embedding", embedding), ("training", training)):
            if group is not None and not isinstance(group, Mapping):
                raise ExobenchError(f"method.{key}={group} must be null or a group of settings, such as {{}}.")
        self.embedding_settings()
        self.training_settings()

    def embedding_settings(self) -> EmbeddingSettings:
        """The embedding's settings, checked."""
        return EmbeddingSettings.of({**self.default_embedding, **(self.embedding or {})}, key="method.embedding")

    def training_settings(self) -> TrainingSettings:
        """The training's settings, checked."""
        return TrainingSettings.of({**self.default_training, **(self.training or {})}, key="method.training")

    def build_encoder(self, x: NDArray[Any], sigma: NDArray[Any], u: torch.Tensor) -> SpectrumEncoder:
        """The encoder with random weights, an ``encoder_class``, fitted to examples; see ``SpectrumEncoder.build``."""
        return SpectrumEncoder.build(self.embedding_settings(), x, sigma, u)

    @abc.abstractmethod
    def build_estimator(self, n_param: int, n_context: int) -> ConditionalEstimator:
        """The estimator with random weights, taken from torch's global generator, which the caller seeds."""

    def fit(
        self,
        problem: InferenceProblem,
        *,
        limits: Limits,
        rng: np.random.Generator,
        device: str,
        workdir: Path,
        stop: Callable[[], bool],
        progress: Progress,
    ) -> NeuralPosterior:
        """Trains; see ``AbstractMethod.fit``. ``limits.steps`` counts optimiser steps."""
        seed = int(rng.integers(2**62))
        model = self.untrained(problem, limits, seed)
        settings = self.training_settings()
        first, last = shared_limits(limits, settings.settle_share)
        shared: dict[str, Any] = {"seed": seed, "device": device, "workdir": workdir}
        shared |= {"stop": stop, "progress": progress}
        summary = train(model, problem, settings, limits=first, **shared)
        settle(model, problem, settings, steps=round(settings.settle_share * summary.step), limits=last, **shared)
        return NeuralPosterior(model, self.describe(model, problem), device)

    def untrained(self, problem: InferenceProblem, limits: Limits, seed: int) -> NeuralModel:
        """The model with random weights, its features fitted on training spectra; a pure function of its arguments."""
        n = min(problem.n_train, limits.n_train or N_EXAMPLE, N_EXAMPLE)
        examples = problem.arrays("train", n, seed=seed)
        box = BoxTransform(problem.parameters.low, problem.parameters.high)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            u = box.to_unbounded(torch.as_tensor(examples.theta))
            encoder = self.build_encoder(examples.x, examples.sigma, u)
            if encoder.features.inferred is not None:
                _fit_inferred(encoder.features.inferred, problem, examples, u, seed)
            estimator = self.build_estimator(len(problem.parameters), encoder.n_context)
        return NeuralModel(box, encoder, estimator)

    def describe(self, model: NeuralModel, problem: InferenceProblem) -> dict[str, Any]:
        """What ``load_posterior`` needs to build the model again; JSON-able."""
        return {
            "method": type(self).__name__,
            "arguments": {name: getattr(self, name) for name in _argument_names(type(self))},
            "parameters": list(problem.parameters.names),
            "encoder": model.encoder.describe(),
        }

    @classmethod
    def load_posterior(cls, path: Path, problem: InferenceProblem, device: str) -> NeuralPosterior:
        """Reads back a saved posterior.

        Raises:
            ExobenchError: the folder holds no posterior, or one of other parameters.
        """
        description = read_description(path)
        names = list(problem.parameters.names)
        if description["parameters"] != names:
            raise ExobenchError(f"{path} is of parameters {description['parameters']}, the task has {names}.")
        method = cls(**description["arguments"])
        encoder = cls.encoder_class.empty(description["encoder"])
        box = BoxTransform(problem.parameters.low, problem.parameters.high)
        model = NeuralModel(box, encoder, method.build_estimator(len(names), encoder.n_context))
        read_weights(path, model, device)
        return NeuralPosterior(model, description, device)


def _fit_inferred(
    inferred: InferredFeatures, problem: InferenceProblem, examples: Arrays, u: torch.Tensor, seed: int
) -> None:
    """Fits what is inferred from varied noise: a few spectra are seen with several draws of noise."""
    n = min(len(examples.x), N_NOISY_EXAMPLE)

    def noisy() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield torch.as_tensor(examples.x[:n]), torch.as_tensor(examples.sigma[:n])
        for copy in range(1, min(N_NOISY_EXAMPLE // n, MOST_NOISE_COPIES)):
            other = problem.arrays("train", n, seed=derived_seed("noise of examples", seed, copy))
            yield torch.as_tensor(other.x), torch.as_tensor(other.sigma)

    inferred.fit(torch.as_tensor(problem.arrays("train", n, noise_copies=0).x), noisy(), u[:n])


def _argument_names(cls: type) -> list[str]:
    return [name for name in inspect.signature(cls).parameters if name != "self"]
