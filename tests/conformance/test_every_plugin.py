"""Every registered method, task and metric keeps the promises of its interface: a new one is covered by its name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from exobench import registry
from exobench.metrics.catalogue import METRICS
from exobench.metrics.inputs import ScoringInputs
from exobench.testing import check_method, check_metric, check_task

NEEDS_OPACITIES = {"ariel": "ariel52"}
"""Tasks that run on the user's tables only, and where tests find such tables."""

NETWORK = {"embedding": {"size": 32, "blocks": 1, "n_context": 16}}
INNER = {"name": "mdn", "components": 2, "hidden": 16, **NETWORK}
NESTED = {
    "n_live": 50,
    "batch_size": 200,
    "n_networks": 0,
    "n_effective": 50,
    "effective_per_draw": 1.0,
    "max_calls": 200,
}

SMALL = {
    "exogan": {"width": 0.125},
    "fmpe": NETWORK,
    "hmc": {
        "n_chains": 4,
        "n_search": 128,
        "n_particles": 32,
        "n_moves": 2,
        "n_jumps": 2,
        "components": 1,
        "warm_up": 2,
        "max_leapfrog": 1,
        "max_states": 1.0,
    },
    "importance": {"proposal": INNER, "n_proposal": 200, "refinements": 0},
    "smc": {"proposal": INNER, "n_populations": 2, "n_particles": 50, "n_steps": 1, "refinements": 0},
    "mc_dropout": {"filters": (8, 8)},
    "mdn": NETWORK,
    "nested": NESTED,
    "normflow": NETWORK,
    "npe": NETWORK,
    "npe_ensemble": {"member": INNER, "members": 2},
    "npse": NETWORK,
    "random_forest": {"trees": 8, "trees_per_batch": 1},
    "seeded_nested": {"seed_method": INNER, "seed_draws": 100, **NESTED},
}
"""Settings that make a method's fit fast enough for every test run."""

SLOW_ON_EACH_SPECTRUM = ("hmc", "nested", "seeded_nested")


def n_test(name):
    return 2 if name in SLOW_ON_EACH_SPECTRUM else 8


@pytest.mark.parametrize("name", registry.names(registry.METHODS))
def test_method_on_hot_jupiters(name, data_root):
    report = check_method(name, settings=SMALL.get(name), data_root=data_root, n_test=n_test(name))
    assert "everything else" not in report.skipped, f"{name} must run on hotjupiter: {report.skipped}"
    assert len(report.passed) >= 7


@pytest.mark.parametrize("name", registry.names(registry.METHODS))
def test_method_on_linear_gaussian_runs_or_says_why_not(name, data_root):
    report = check_method(
        name, task="linear_gaussian", settings=SMALL.get(name), data_root=data_root, n_test=n_test(name)
    )
    assert report.passed


@pytest.mark.parametrize("name", registry.names(registry.TASKS))
def test_task(name):
    folder = None
    if name in NEEDS_OPACITIES:
        root = os.environ.get("EXOBENCH_TEST_OPACITIES")
        if not root:
            pytest.skip(f"task {name} needs opacity files and EXOBENCH_TEST_OPACITIES is not set")
        folder = str(Path(root) / NEEDS_OPACITIES[name])
    assert len(check_task(name, opacities_path=folder).passed) >= 8


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric(metric):
    rng = np.random.default_rng(0)
    theta_true = rng.uniform(1, 2, (40, 2))
    inputs = ScoringInputs(
        names=("a", "b"),
        units=("1", "1"),
        low=np.ones(2),
        high=np.full(2, 2.0),
        theta_true=theta_true,
        theta=np.clip(theta_true[:, None] + 0.05 * rng.normal(size=(40, 300, 2)), 1, 2),
        log_prob_true=np.zeros(40),
        prior_log_prob=np.zeros(40),
    )
    assert check_metric(metric, inputs).passed
