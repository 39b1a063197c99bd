"""Measures the cost of ExoGAN's in-painting: published settings, corrected ones, one spectrum at a time and many.

    python bench/exogan.py --threads 2 --out exogan.json

Everything is measured in one run on one machine. The published cost (width 1, 64 restarts, 1001 evaluations) is
measured over a few evaluations and scaled, and the file says so. Scores are energy scores in the unit cube on
validation spectra, after the evaluations named.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from exobench.data.source import open_data
from exobench.method import Limits, Progress
from exobench.problem import InferenceProblem
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench_baselines.exogan.inpainting import PublishedMisfit, Search
from exobench_baselines.exogan.layout import Layout
from exobench_baselines.exogan.losses import energy_score
from exobench_baselines.exogan.method import ExoGAN
from exobench_baselines.exogan.networks import Discriminator, Generator, initialise
from exobench_baselines.exogan.pictures import Pictures
from exobench_baselines.exogan.posterior import ExoGANPosterior

Array = NDArray[np.float64]
PUBLISHED_RESTARTS, PUBLISHED_EVALUATIONS = 64, 1001


def build_problem(n_train: int, n_validation: int, root: Path) -> InferenceProblem:
    """The task itself, on spectra of another data seed: a posterior from a run has seen none of them."""
    task = build_task({"name": "hotjupiter", "data_seed": 1}, TaskRequest())
    data = open_data(task, root, n_train=n_train, n_validation=n_validation, n_test=1)
    return task.problem(data.source, ExoGAN.capabilities)


def published_seconds(problem: InferenceProblem, evaluations: int) -> float:
    """Seconds a spectrum at the published settings, from a few evaluations, scaled."""
    layout = Layout.build(problem.wavelength_um, problem.parameters)
    pair = Generator(layout.base), Discriminator(layout.side, mix_images=True)
    for network in pair:
        initialise(network, torch.Generator().manual_seed(0))
        network.eval().requires_grad_(False)
    x = torch.as_tensor(problem.spectra.read("validation", 1)[1], dtype=torch.float32)
    pictures = Pictures(layout)
    misfit = PublishedMisfit.of(pictures, x, torch.ones_like(x, dtype=torch.bool), PUBLISHED_RESTARTS)
    z = torch.rand(1, PUBLISHED_RESTARTS, 100) * 2 - 1
    Search(*pair, pictures, 2, 0.01, 0.1)(z, misfit)
    started = time.perf_counter()
    Search(*pair, pictures, evaluations, 0.01, 0.1)(z, misfit)
    return (time.perf_counter() - started) / evaluations * PUBLISHED_EVALUATIONS


def sampling(posterior: ExoGANPosterior, x: Array, sigma: Array, theta: Array, repetitions: int) -> dict[str, float]:
    """Best seconds a spectrum of some repetitions, and the energy score with its standard error."""
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        samples = posterior.sample(x, sigma, 1000, rng=np.random.default_rng(1))
        seconds.append((time.perf_counter() - started) / len(x))
    space = posterior.space
    draws = torch.as_tensor(space.to_unit_cube(samples.theta[:, ::4]))
    scores = torch.stack(
        [
            energy_score(draws[row : row + 1], torch.as_tensor(space.to_unit_cube(theta[row : row + 1])))[0]
            for row in range(len(x))
        ]
    )
    return {
        "seconds_a_spectrum": min(seconds),
        "energy_score": float(scores.mean()),
        "energy_score_se": float(scores.std() / len(x) ** 0.5),
        "loss": float(np.mean(samples.diagnostics["inpainting_loss"])),
        "evaluations": float(np.mean(samples.diagnostics["evaluations"])),
    }


def measure(settings: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """All figures of one run; spectra and training state go to the scratch folder."""
    problem = build_problem(settings.train, 2048, scratch / "data")
    if settings.posterior is None:
        posterior = ExoGAN().fit(
            problem,
            limits=Limits(steps=settings.steps),
            rng=np.random.default_rng(0),
            device="cpu",
            workdir=scratch,
            stop=lambda: False,
            progress=Progress.silent(),
        )
    else:
        posterior = ExoGAN.load_posterior(settings.posterior, problem, "cpu")
    theta, depth = problem.spectra.read("validation", 2048)
    # The last rows: the calibrator was fitted on the first.
    theta, depth = theta[-settings.spectra :], depth[-settings.spectra :]
    x, sigma = problem.noise.sample(depth, seed=1)
    recipe = posterior.recipe
    published = published_seconds(problem, settings.published_evaluations)
    many = sampling(posterior, x, sigma, theta, settings.repetitions)
    posterior.recipe = replace(recipe, batch_pictures=recipe.restarts)
    one = sampling(posterior, x, sigma, theta, settings.repetitions)
    steps: dict[str, dict[str, float]] = {}
    for evaluations in (1, 10, 30):
        posterior.recipe = replace(recipe, evaluations=evaluations, tolerance=0.0)
        steps[str(evaluations)] = sampling(posterior, x, sigma, theta, 1)
    return {
        "machine": {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()},
        "torch": torch.__version__,
        "spectra": settings.spectra,
        "published_seconds_a_spectrum": published,
        "published_note": f"{settings.published_evaluations} evaluations, scaled to {PUBLISHED_EVALUATIONS}",
        "corrected_many_at_once": many,
        "corrected_one_at_a_time": one,
        "times_fewer_seconds_than_published": published / many["seconds_a_spectrum"],
        "many_over_one": one["seconds_a_spectrum"] / many["seconds_a_spectrum"],
        "by_evaluations": steps,
    }


def main() -> None:
    """Reads the command line, measures, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train", type=int, default=20_000, help="training spectra")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of all stages together")
    parser.add_argument("--spectra", type=int, default=32, help="validation spectra that are in-painted")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--published-evaluations", type=int, default=5)
    parser.add_argument("--posterior", type=Path, default=None, help="folder of a fitted posterior")
    parser.add_argument("--out", type=Path, default=None)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    with tempfile.TemporaryDirectory() as scratch:
        text = json.dumps(measure(settings, Path(scratch)), indent=1)
    print(text)
    if settings.out is not None:
        settings.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
