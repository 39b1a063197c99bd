"""Which gases exact posteriors show: Bayes factors against evidences by brute force, and where runs find them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from exobench.metrics import log_bayes_factor_savage_dickey
from exobench.reference import detectable
from exobench.reference.detectable import Detectable, aligned, detectable_gases, gases_of
from exobench.reference.published import load_published
from exobench.registry import build_task
from exobench.task import TaskRequest

ROW, GAS = 8, "log10_co2"
"""A spectrum of hotjupiter that does not show this gas: a third of the draws lie in the lowest tenth of its range."""


@pytest.fixture(scope="module")
def task():
    return build_task({"name": "hotjupiter"}, TaskRequest())


@pytest.fixture(scope="module")
def of_task(task):
    return load_published("hotjupiter", task.task_id)


def log_evidence_at_floor(task, theta, column, x, sigma, n=6000):
    """ln Z with a parameter at its low end, by importance sampling over the others, and its standard error.

    The proposal is a kernel density of posterior draws near that end.
    """
    space, rng = task.parameters, np.random.default_rng(0)
    near = theta[(theta[:, column] - space.low[column]) < 0.1 * (space.high[column] - space.low[column])]
    rest = np.arange(theta.shape[1]) != column
    centres = ((near - space.low) / (space.high - space.low))[:, rest]
    dimension = centres.shape[1]
    covariance = np.cov(centres.T) * len(centres) ** (-2.0 / (dimension + 4))
    root = np.linalg.cholesky(covariance)
    u = centres[rng.integers(len(centres), size=n)] + rng.standard_normal((n, dimension)) @ root.T
    u = u[((u > 0) & (u < 1)).all(axis=1)]
    scaled = np.linalg.solve(root, (u[:, None] - centres[None]).reshape(-1, dimension).T)
    log_kernel = -0.5 * np.square(scaled).sum(axis=0).reshape(len(u), -1)
    log_norm = np.log(np.diag(root)).sum() + 0.5 * dimension * np.log(2 * np.pi) + np.log(len(centres))
    log_proposal = logsumexp(log_kernel, axis=1) - log_norm
    cube = np.insert(u, column, 0.0, axis=1)
    simulator = task.simulator.build("cpu")
    depth = simulator(torch.as_tensor(space.from_unit_cube(cube))).double().numpy()
    log_weight = task.noise.log_likelihood(depth, x, sigma) - log_proposal
    ess = np.exp(2 * logsumexp(log_weight) - logsumexp(2 * log_weight))
    # Points outside the cube have no prior: they count in n and weigh nothing.
    return logsumexp(log_weight) - np.log(n), np.sqrt(1 / ess - 1 / n), ess


def test_the_ratio_of_two_evidences_of_a_hot_jupiter(task, of_task):
    column = of_task.names.index(GAS)
    theta, x, sigma = of_task.theta[ROW], of_task.x[ROW], of_task.sigma[ROW]
    without, error, ess = log_evidence_at_floor(task, theta, column, x, sigma)
    assert ess > 100
    truth = of_task.columns["log_evidence"][ROW] - without
    found = log_bayes_factor_savage_dickey(theta[:, column], of_task.low[column], of_task.high[column])
    assert not found.is_bound
    spread = np.hypot(np.hypot(error, of_task.columns["log_evidence_error"][ROW]), found.standard_error)
    assert abs(found.value - truth) < 3 * spread < 0.6
    assert truth < 0


def test_published_posteriors_say_which_gases_the_first_spectra_show(task, of_task, tmp_path):
    sources = detectable_gases("hotjupiter", task.task_id, of_task.names, tmp_path)
    truths = np.concatenate([of_task.theta_true, task.prior.sample(10, np.random.default_rng(0))])
    columns = aligned(sources, truths)
    assert set(columns) == {f"log_bayes_factor.{gas}" for gas in ("log10_h2o", "log10_co2", "log10_co", "log10_ch4")}
    assert all(np.isnan(values[25:]).all() for values in columns.values())
    # A gas of a thousandth or more shows; the one that brute force finds absent does not.
    water = columns["log_bayes_factor.log10_h2o"][:25]
    plenty = (of_task.theta_true[:, 0] > -3) & np.isfinite(water)
    assert plenty.sum() >= 4
    assert (water[plenty] > 3).all()
    assert columns[f"log_bayes_factor.{GAS}"][ROW] < 3
    assert aligned(sources, truths[::-1]) == {}
    assert detectable_gases("hotjupiter", "0123", of_task.names, tmp_path) == ()


def test_what_two_samplers_do_not_agree_on_is_not_known(task, of_task, tmp_path, monkeypatch):
    doubted = replace(of_task, status=("unresolved", *of_task.status[1:]))
    monkeypatch.setattr(detectable, "load_published", lambda name, task_id: doubted)
    detectable._read.cache_clear()
    columns = aligned(detectable_gases("hotjupiter", task.task_id, of_task.names, tmp_path), of_task.theta_true)
    detectable._read.cache_clear()
    assert all(np.isnan(values[0]) for values in columns.values())


def test_the_first_source_that_decides_counts():
    truths = np.arange(6.0).reshape(3, 2)
    key = "log_bayes_factor.log10_a"
    first = Detectable(truths[:2], {key: np.array([4.0, np.nan])})
    second = Detectable(truths, {key: np.array([-1.0, 5.0, np.nan])})
    other = Detectable(truths + 1.0, {key: np.full(3, 9.0)})
    np.testing.assert_array_equal(aligned([other, first, second], truths)[key], [4.0, 5.0, np.nan])
    assert aligned([other], truths) == {}


def test_a_task_without_gases_asks_for_nothing(tmp_path):
    assert gases_of(("theta_0", "mass_mjup")) == []
    assert detectable_gases("linear_gaussian", "any", ("theta_0",), tmp_path) == ()
