"""Measures the training engine against sbi's own ``train``, with one network, on one machine, in one run.

    python bench/training.py --threads 2 --out training.json

Both train sbi's neural spline flow with a fully connected embedding on hotjupiter spectra, theta in the unbounded
coordinates in which the prior is a standard normal.

* Samples a second, at equal network, batch and data: a few epochs each, in turn, the best of some repetitions. Both
  sides include their own validation after each epoch.
* Seconds to a loss: sbi's ``train`` with its defaults (Adam 5e-4, batches of 200, an end after 20 epochs without
  improvement) on spectra with fixed noise; the engine with its own settings on the same spectra with fresh noise, with
  the network of the method npe and, where asked for, with sbi's. The loss of all is measured on spectra that none has
  seen, -log q(u | x) in nats; the engine's at each of its validations, outside of its clock.

Seconds of wall and of processor time are both given: on a busy machine the second say more.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from exobench.data.source import open_data
from exobench.method import Capability, Limits, Progress
from exobench.networks.box import BoxTransform, standard_normal_log_prob
from exobench.neural.model import NeuralModel
from exobench.problem import InferenceProblem
from exobench.registry import build_task
from exobench.task import TaskRequest
from exobench.training.engine import train
from exobench.training.settings import TrainingSettings
from exobench_baselines.npe.method import NPE

N_HELD_OUT = 4000
EQUAL = {"ema_decay": 0.0, "weight_decay": 0.0, "warmup_share": 0.0, "learning_rate": 5e-4, "patience": None}
OWN = {"batch_size": 256, "learning_rate": 1e-3, "epochs": 30}
OWN_SAME = {"batch_size": 256, "learning_rate": 2e-3, "epochs": 80}


@dataclass(frozen=True)
class Spectra:
    """Noisy spectra and their parameters in unbounded coordinates, float32."""

    u: torch.Tensor
    x: torch.Tensor


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        """Both kinds."""
        return {"wall_s": time.perf_counter() - self._wall, "processor_s": time.process_time() - self._processor}


class SilentTracker:
    """Keeps sbi from writing TensorBoard files."""

    log_dir = None

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


class Watched(nn.Module):
    """A model in the engine's hands that remembers its weights at each validation.

    Args:
        inner: gives a loss per row.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.snapshots: list[tuple[dict[str, float], dict[str, torch.Tensor]]] = []
        self.clock = Clock()

    def forward(
        self, theta: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """The inner loss, (n,)."""
        if not self.training:
            weights = {name: value.clone() for name, value in self.inner.state_dict().items()}
            self.snapshots.append((self.clock.seconds(), weights))
        return self.inner(theta, x, sigma, generator)


class Flow(nn.Module):
    """sbi's estimator as the engine takes it: -log q(u | x).

    Args:
        estimator: of sbi.
        box: theta to u.
    """

    def __init__(self, estimator: nn.Module, box: BoxTransform) -> None:
        super().__init__()
        self.estimator, self.box = estimator, box

    def forward(
        self, theta: torch.Tensor, x: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """-log q(u | x), (n,)."""
        return cast(Any, self.estimator).loss(self.box.to_unbounded(theta).float(), condition=x)


def build_problem(n_train: int, n_validation: int, root: Path) -> InferenceProblem:
    """hotjupiter; validation spectra beyond the first ``n_validation`` are held out."""
    task = build_task({"name": "hotjupiter"}, TaskRequest())
    data = open_data(task, root, n_train=n_train, n_validation=n_validation + N_HELD_OUT, n_test=1)
    return task.problem(data.source, Capability.NONE)


def box_of(problem: InferenceProblem) -> BoxTransform:
    """Theta to u."""
    return BoxTransform(problem.parameters.low, problem.parameters.high)


def spectra(problem: InferenceProblem, n_train: int, n_validation: int) -> Spectra:
    """What sbi learns from: the training rows, then the rows on which the engine validates."""
    held = problem.arrays("validation", n_validation, seed=7)
    learned = problem.arrays("train", n_train, seed=8)
    u = box_of(problem).to_unbounded(torch.as_tensor(np.concatenate([learned.theta, held.theta])))
    return Spectra(u.float(), torch.as_tensor(np.concatenate([learned.x, held.x]), dtype=torch.float32))


def build_estimator(learned: Spectra) -> nn.Module:
    """Sbi's neural spline flow with a fully connected embedding; the same weights each time."""
    return _builder(learned)(learned.u[:10_000], learned.x[:10_000])


def _builder(learned: Spectra) -> Any:
    from sbi.neural_nets import posterior_nn
    from sbi.neural_nets.embedding_nets import FCEmbedding

    torch.manual_seed(1)
    n_bin = learned.x.shape[1]
    embedding = FCEmbedding(n_bin, output_dim=32, num_layers=3, num_hiddens=256)
    return posterior_nn("nsf", hidden_features=64, num_transforms=5, num_bins=8, embedding_net=embedding)


def train_with_sbi(learned: Spectra, **settings: Any) -> tuple[nn.Module, dict[str, float], int]:
    """Sbi's own loop: the estimator, seconds and epochs."""
    from sbi.inference import NPE

    n_param = learned.u.shape[1]
    prior = torch.distributions.MultivariateNormal(torch.zeros(n_param), torch.eye(n_param))
    inference = NPE(prior, density_estimator=_builder(learned), tracker=SilentTracker(), show_progress_bars=False)
    inference.append_simulations(learned.u, learned.x)
    clock = Clock()
    estimator = inference.train(**settings)
    return estimator, clock.seconds(), int(inference.summary["epochs_trained"][-1])


def train_with_engine(
    problem: InferenceProblem, inner: nn.Module, n_validation: int, **settings: Any
) -> tuple[Watched, dict[str, float], int]:
    """The engine: the model, seconds and steps."""
    model = Watched(inner)
    with tempfile.TemporaryDirectory() as folder:
        model.clock = clock = Clock()
        summary = train(
            model,
            problem,
            TrainingSettings.of({"validation_rows": n_validation} | settings),
            limits=Limits(),
            seed=1,
            device="cpu",
            workdir=Path(folder),
            stop=lambda: False,
            progress=Progress.silent(),
        )
    return model, clock.seconds(), summary.step


def build_flow(problem: InferenceProblem, learned: Spectra) -> Flow:
    """The network that both train."""
    return Flow(build_estimator(learned), box_of(problem))


def held_out_loss(problem: InferenceProblem, n_validation: int, model: nn.Module) -> float:
    """Mean -log q(u | x) in nats over validation spectra beyond the first ``n_validation``."""
    held = problem.arrays("validation", seed=7)
    theta = torch.as_tensor(held.theta[n_validation:])
    x, sigma = (torch.as_tensor(part[n_validation:], dtype=torch.float32) for part in (held.x, held.sigma))
    with torch.no_grad():
        loss = float(model.eval()(theta, x, sigma).double().mean())
    if isinstance(model, NeuralModel):  # its loss is relative to the prior
        loss -= float(standard_normal_log_prob(box_of(problem).to_unbounded(theta)).double().mean())
    return loss


def compare_rates(problem: InferenceProblem, n_train: int, n_validation: int, batch: int, repetitions: int) -> dict:
    """Training samples a second of both, in turn; the best and all."""
    learned = spectra(problem, n_train, n_validation)
    epochs = 2
    rates: dict[str, list[dict[str, float]]] = {"sbi": [], "engine": []}
    share = n_validation / len(learned.u)
    for _ in range(repetitions):
        # sbi trains for one epoch more than it is told.
        settings = {"max_num_epochs": epochs - 1, "training_batch_size": batch, "validation_fraction": share}
        _, seconds, trained = train_with_sbi(learned, **settings)
        rows = trained * (len(learned.u) - n_validation) // batch * batch
        rates["sbi"].append(_per_second(rows, seconds))
        per_epoch = n_train // batch
        fixed = EQUAL | {"batch_size": batch, "steps": epochs * per_epoch, "validate_every": per_epoch}
        _, seconds, steps = train_with_engine(problem, build_flow(problem, learned), n_validation, **fixed)
        rates["engine"].append(_per_second(steps * batch, seconds))
    best = {name: {kind: max(rate[kind] for rate in found) for kind in found[0]} for name, found in rates.items()}
    return {"batch": batch, "samples_a_second": best, "all": rates}


def _per_second(rows: int, seconds: dict[str, float]) -> dict[str, float]:
    return {kind.removesuffix("_s"): rows / value for kind, value in seconds.items()}


def engine_curve(problem: InferenceProblem, inner: nn.Module, n_validation: int, settings: dict) -> dict:
    """One run of the engine: its seconds, and the held-out loss at each of its validations."""
    model, seconds, steps = train_with_engine(problem, inner, n_validation, **settings)
    curve: list[dict[str, float]] = []
    for then, weights in model.snapshots:
        inner.load_state_dict(weights)
        # Several pieces of the validation spectra share one set of weights.
        if not curve or then["wall_s"] - curve[-1]["wall_s"] > 1e-3:
            curve.append(then | {"held_out_loss": held_out_loss(problem, n_validation, inner)})
    return {"settings": settings, "steps": steps, **seconds, "curve": curve}


def compare_seconds(problem: InferenceProblem, n_train: int, n_validation: int, same: bool) -> dict:
    """Seconds of sbi's ``train`` with its defaults, and of the engine to the same held-out loss; one run each."""
    learned = spectra(problem, n_train, n_validation)
    runs = {"npe": engine_curve(problem, NPE().untrained(problem, Limits(), 1), n_validation, OWN)}
    if same:
        runs["same network"] = engine_curve(problem, build_flow(problem, learned), n_validation, OWN_SAME)
    print(json.dumps(runs, indent=1), flush=True)
    estimator, of_sbi, epochs = train_with_sbi(learned)
    target = held_out_loss(problem, n_validation, Flow(estimator, box_of(problem)))
    found: dict[str, Any] = {"sbi": of_sbi | {"epochs": epochs, "held_out_loss": target}}
    for name, run in runs.items():
        reached = next((point for point in run["curve"] if point["held_out_loss"] <= target), None)
        fewer = {kind: seconds / reached[kind] for kind, seconds in of_sbi.items()} if reached else None
        found[name] = run | {"reached": reached, "times_fewer": fewer}
    return found


def main() -> None:
    """Runs both and writes a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="*", default=[200, 1024])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--skip-seconds", action="store_true", help="leave out the comparison that takes minutes")
    parser.add_argument("--same-network", action="store_true", help="seconds to the loss with sbi's network as well")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    n_validation = given.budget // 10
    n_train = given.budget - n_validation
    if any(10 * batch > n_train for batch in given.batches):
        parser.error("the engine lowers batches to a tenth of the training spectra: raise --budget")
    problem = build_problem(n_train, n_validation, given.data)
    found: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "threads": given.threads},
        "budget": given.budget,
        "rates": [compare_rates(problem, n_train, n_validation, b, given.repetitions) for b in given.batches],
    }
    print(json.dumps(found["rates"], indent=1), flush=True)
    if not given.skip_seconds:
        found["seconds_to_loss"] = compare_seconds(problem, n_train, n_validation, given.same_network)
        print(json.dumps(found["seconds_to_loss"], indent=1), flush=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
