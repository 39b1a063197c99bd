"""The last stage of training: the embedding stands still, and the posterior does not get worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exobench.data.source import open_data
from exobench.method import FitInterrupted, Limits, Progress
from exobench.neural.settling import settle, shared_limits
from exobench.registry import build_method, build_task
from exobench.task import TaskRequest

LIMITS = Limits(n_train=500, steps=60)


@pytest.fixture(scope="module")
def problem(data_root):
    task = build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    data = open_data(task, data_root, n_train=500, n_validation=100, n_test=2, workers=1)
    return task.problem(data.source, build_method({"name": "mdn"}).capabilities)


def loss_of(model, problem):
    arrays = problem.arrays("validation")
    with torch.no_grad():
        return float(model(*(torch.as_tensor(values, dtype=torch.float32) for values in arrays)).mean())


def test_the_embedding_stands_still_and_the_estimator_moves(problem, tmp_path):
    method = build_method({"name": "mdn", "training": {"settle_share": 0.0}})
    keywords = {"device": "cpu", "workdir": tmp_path, "stop": lambda: False, "progress": Progress.silent()}
    model = method.fit(problem, limits=LIMITS, rng=np.random.default_rng(0), **keywords).model
    before, loss_before = {name: value.clone() for name, value in model.state_dict().items()}, loss_of(model, problem)
    settle(model, problem, method.training_settings(), steps=100, limits=Limits(500), seed=1, **keywords)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("estimator.") for name in moved)
    assert loss_of(model, problem) < loss_before


def test_a_fit_that_was_stopped_while_settling_ends_with_the_same_weights(problem, tmp_path):
    small = {"size": 16, "blocks": 1, "n_context": 8}
    method = build_method({"name": "mdn", "components": 2, "hidden": 16, "embedding": small})
    keywords = {"device": "cpu", "progress": Progress.silent(), "limits": LIMITS}
    n_first = shared_limits(LIMITS, method.training_settings().settle_share)[0].steps
    folders = {name: tmp_path / name for name in ("whole", "stopped")}
    for folder in folders.values():
        folder.mkdir()

    def fit(name, stop=lambda: False):
        return method.fit(problem, rng=np.random.default_rng(0), workdir=folders[name], stop=stop, **keywords).model

    asked = iter(range(1000))
    with pytest.raises(FitInterrupted):
        fit("stopped", stop=lambda: next(asked) >= n_first + 4)
    assert (folders["stopped"] / "settling").is_dir()
    whole, resumed = fit("whole").state_dict(), fit("stopped").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_limits_are_shared_and_add_up():
    first, last = shared_limits(Limits(n_train=10, steps=100, seconds=60.0), 0.15)
    assert (first.steps, last.steps) == (85, 15)
    assert (first.seconds, last.seconds) == (51.0, 9.0)
    assert first.n_train == last.n_train == 10
    assert shared_limits(Limits(), 0.15) == (Limits(), Limits())
    only = shared_limits(Limits(steps=1), 0.15)
    assert (only[0].steps, only[1].steps) == (1, 0)
    assert shared_limits(replace(Limits(), seconds=10.0), 0.0)[0].seconds == 10.0
