"""Training on a GPU: mixed precision learns as much, bad steps are left out without looking, resume goes on."""

from __future__ import annotations

import pytest
import torch
from training_cases import SETTINGS, Regression, build_problem, weights

from exobench.method import FitInterrupted, Limits, Progress
from exobench.training.engine import train
from exobench.training.settings import TrainingSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


class _Poisoned(Regression):
    calls = 0

    def forward(self, theta, x, sigma, generator=None):
        loss = super().forward(theta, x, sigma, generator)
        self.calls += self.training
        return loss * torch.nan if self.training and self.calls in (5, 6) else loss


def _fit(problem, workdir, device, model=None, stop=lambda: False, **settings):
    model = model or Regression(problem, dropout=0.0, jitter=0.0)
    summary = train(
        model,
        problem,
        TrainingSettings.of(SETTINGS | settings),
        limits=Limits(),
        seed=3,
        device=device,
        workdir=workdir,
        stop=stop,
        progress=Progress.silent(),
    )
    return model, summary


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_every_precision_ends_near_the_cpu(data_root, tmp_path, precision):
    problem = build_problem(data_root)
    _, expected = _fit(problem, tmp_path / "cpu", "cpu")
    _, found = _fit(problem, tmp_path / "gpu", "cuda:0", precision=precision)
    assert found.best_loss == pytest.approx(expected.best_loss, rel=0.05)


def test_bad_steps_are_left_out(data_root, tmp_path):
    problem = build_problem(data_root)
    model, summary = _fit(problem, tmp_path, "cuda:0", model=_Poisoned(problem, dropout=0.0, jitter=0.0))
    assert summary.n_skipped == 2
    assert torch.isfinite(weights(model)).all()


def test_an_interrupted_fit_goes_on(data_root, tmp_path):
    problem = build_problem(data_root)
    asked = iter(range(10**6))
    with pytest.raises(FitInterrupted):
        _fit(problem, tmp_path, "cuda:0", stop=lambda: next(asked) == 70)
    _, summary = _fit(problem, tmp_path, "cuda:0")
    assert summary.step == 120
