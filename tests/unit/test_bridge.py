"""Sequential Monte Carlo between two densities whose integrals and moments are known."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import kstest, multivariate_normal, norm

import exobench.conf
from exobench.errors import ExobenchError
from exobench.sampling.bridge import BridgeSettings, cross
from exobench_baselines.smc.method import SMC

SETTINGS = BridgeSettings(n_populations=8, n_particles=300, n_moves=10, effective_share=0.7)
LOG_INTEGRAL = 3.0
NEAR = multivariate_normal(np.zeros(3), np.eye(3))
FAR = multivariate_normal([1.5, -1.0, 0.5], [[0.3, 0.2, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.2]])


def to_gaussian(u):
    return NEAR.logpdf(u), FAR.logpdf(u) + LOG_INTEGRAL


def crossing(seed, densities=to_gaussian, settings=SETTINGS, dim=3):
    rng = np.random.default_rng(seed)
    return cross(rng.standard_normal((settings.n_populations * settings.n_particles, dim)), densities, settings, rng)


@pytest.fixture(scope="module")
def many():
    """Sixty crossings to a Gaussian that the start covers badly."""
    return [crossing(seed) for seed in range(60)]


def test_the_evidence_and_its_error(many):
    z = np.array([(c.log_evidence - LOG_INTEGRAL) / c.log_evidence_error for c in many])
    # Errors from 8 populations: Student t with 7 degrees of freedom, standard deviation 1.18.
    assert abs(z.mean()) < 4.0 * 1.18 / np.sqrt(len(z))
    assert 0.8 < z.std() < 1.6


def test_the_far_density_is_followed(many):
    u = np.concatenate([c.u[:, ::10].reshape(-1, 3) for c in many])
    np.testing.assert_allclose(u.mean(axis=0), FAR.mean, atol=0.02)
    np.testing.assert_allclose(np.cov(u.T), FAR.cov, atol=0.02)
    first = (u[:, 0] - FAR.mean[0]) / np.sqrt(FAR.cov[0, 0])
    assert kstest(first, norm.cdf).statistic < 0.02


def test_equal_densities_are_one_stage_without_error():
    same = crossing(0, lambda u: (NEAR.logpdf(u), NEAR.logpdf(u) + LOG_INTEGRAL))
    assert (same.n_stages, same.arrived) == (1, True)
    assert same.log_evidence == pytest.approx(LOG_INTEGRAL, abs=1e-9)
    assert same.log_evidence_error == pytest.approx(0.0, abs=1e-9)


def test_two_modes_keep_their_shares():
    def densities(u):
        modes = np.logaddexp(
            np.log(0.8) + norm.logpdf(u[:, 0], -2.0, 0.3), np.log(0.2) + norm.logpdf(u[:, 0], 2.0, 0.3)
        )
        return norm.logpdf(u[:, 0]), modes

    found = [crossing(seed, densities, dim=1) for seed in range(10)]
    share = np.mean([(c.u > 0).mean() for c in found])
    assert share == pytest.approx(0.2, abs=0.03)
    assert np.mean([c.log_evidence for c in found]) == pytest.approx(0.0, abs=0.05)


def test_a_far_density_with_edges_is_not_left():
    def densities(u):
        inside = np.all((u > 0.0) & (u < 1.0), axis=1)
        return norm.logpdf(u).sum(axis=1), np.where(inside, 0.0, -np.inf)

    box = crossing(1, densities, dim=2)
    assert box.arrived
    assert ((box.u > 0.0) & (box.u < 1.0)).all()
    assert abs(box.log_evidence) < 4.0 * box.log_evidence_error
    assert kstest(box.u[..., 0].ravel()[::20], "uniform").pvalue > 1e-3


def two_unlike_modes(u):
    """Half of the mass in a narrow mode that a population easily misses."""
    wide, narrow = (multivariate_normal(np.full(3, mean), sd**2 * np.eye(3)) for mean, sd in ((-1.5, 0.8), (2.0, 0.12)))
    near = multivariate_normal(np.zeros(3), 4.0 * np.eye(3))
    return near.logpdf(u), np.logaddexp(wide.logpdf(u), narrow.logpdf(u)) - np.log(2.0)


def test_a_population_counts_by_its_evidence():
    """Those that missed a mode are worth less: only so do the modes get their shares."""
    evidence, share = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = cross(2.0 * rng.standard_normal((8 * 300, 3)), two_unlike_modes, SETTINGS, rng)
        evidence.append(np.exp(found.log_weight))
        share.append((found.u[..., 0] > 1.4).mean(axis=1))
    assert np.average(share, weights=evidence) == pytest.approx(0.5, abs=0.1)
    assert np.mean(share) < 0.35


def test_draws_that_do_not_count_have_no_weight():
    """A tenth of the start is not of the near density: left out, the evidence is that of the rest."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((8 * 300, 3))
    alive = rng.random(len(start)) > 0.1
    start[~alive] = FAR.mean
    found = cross(start, to_gaussian, SETTINGS, rng, alive=alive)
    # The near density's draws that count are nine tenths of it.
    assert found.log_evidence - LOG_INTEGRAL == pytest.approx(np.log(0.9), abs=5.0 * found.log_evidence_error + 0.02)


def test_a_far_density_that_is_nowhere_ends_at_once():
    found = crossing(0, lambda u: (NEAR.logpdf(u), np.full(len(u), -np.inf)))
    assert (found.n_stages, found.arrived) == (0, False)
    assert (found.log_evidence, found.log_evidence_error) == (-np.inf, np.inf)


def test_config_holds_the_constructors_defaults():
    config = yaml.safe_load((Path(exobench.conf.__file__).parent / "method" / "smc.yaml").read_text())
    assert config.pop("name") == "smc"
    assert {name: parameter.default for name, parameter in inspect.signature(SMC).parameters.items()} == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_populations", 1),
        ("n_particles", 2.5),
        ("n_steps", 0),
        ("effective_share", 1.0),
        ("defensive_share", "some"),
        ("proposal", {"flow": "nsf"}),
    ],
)
def test_wrong_settings_are_named(key, value):
    with pytest.raises(ExobenchError, match=rf"method\.{key}="):
        SMC(**{key: value})
