"""AUROC on known cases, and what makes a trained model or a best draw surprised."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from exobench.data.source import PromisedSpectra, TestSpectra
from exobench.drawing import Drawn
from exobench.errors import ExobenchError
from exobench.method import Capability
from exobench.posterior import AbstractPosterior
from exobench.shifts.catalogue import find_shift, find_shifts, shipped_names
from exobench.shifts.detection import detection, misfit_of_best_draw, surprise_of
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.task import build


def test_equal_surprises_are_worth_a_half():
    values = np.random.default_rng(0).normal(size=300)
    assert detection(values, values).auroc == pytest.approx(0.5, abs=1e-12)


def test_separate_surprises_are_told_apart_without_error():
    values = np.random.default_rng(0).normal(size=300)
    found = detection(values, values + 100.0)
    assert (found.auroc, found.standard_error) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_the_auroc_of_two_normals_is_known():
    """Phi(d / sqrt 2) for a shift of d standard deviations; Hanley and McNeil 1982 give its standard error."""
    rng, n, d = np.random.default_rng(1), 4000, 0.8
    found = detection(rng.normal(size=n), rng.normal(d, size=n))
    area = stats.norm.cdf(d / np.sqrt(2.0))
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    hanley = np.sqrt((area * (1 - area) + (n - 1) * (q1 + q2 - 2 * area**2)) / n**2)
    assert abs(found.auroc - area) < 4 * hanley
    assert found.standard_error == pytest.approx(hanley, rel=0.25)


@pytest.mark.parametrize(
    ("before", "after"), [(np.zeros(3), np.zeros(4)), (np.zeros(1), np.zeros(1)), (np.zeros(3), np.full(3, np.nan))]
)
def test_surprises_that_cannot_be_compared_are_refused(before, after):
    with pytest.raises(ExobenchError, match="AUROC needs"):
        detection(before, after)


def test_the_best_draw_of_the_exact_posterior_fits_and_outliers_do_not():
    task = build(TaskRequest())
    problem = task.problem(PromisedSpectra(0, 0), Capability.NEEDS_LIKELIHOOD)
    rng = np.random.default_rng(2)
    theta = task.prior.sample(40, rng)
    x, sigma = task.noise.sample(problem._depth(theta), seed=5)
    usual, struck = TestSpectra(theta, x, sigma), TestSpectra(theta, x.copy(), sigma)
    struck.x[:, 7] += 9 * sigma[:, 7]

    def misfit(test):
        draws = task.exact.sample(test.x, test.sigma, 300, rng=np.random.default_rng(3))
        return misfit_of_best_draw(problem, test, Drawn(draws, None, None, 0.0, 300, 0, 0, {}))

    before, after = misfit(usual), misfit(struck)
    assert np.median(before) < 1.5
    assert detection(before, after).auroc > 0.97
    assert problem.likelihood_calls.n == 2 * 40 * 200


def test_a_method_without_a_measure_has_no_surprise():
    run = SimpleNamespace(method=SimpleNamespace(capabilities=Capability.AMORTISED))
    assert surprise_of(run, None, None) is None


def test_the_default_posterior_must_not_be_asked():
    class Silent(AbstractPosterior):
        def sample(self, x, sigma, n_draws, *, rng): ...
        def save(self, path): ...

    with pytest.raises(TypeError, match="Silent has no surprise"):
        Silent().surprise(np.zeros((1, 2)), np.ones((1, 2)))


def test_shifts_are_found_by_name_by_list_and_by_file(tmp_path):
    assert [named.name for named in find_shifts("all")] == shipped_names()
    assert [named.name for named in find_shifts("cloud_1e3pa,noise_5ppm,cloud_1e3pa")] == ["cloud_1e3pa", "noise_5ppm"]
    own = tmp_path / "mine.yaml"
    own.write_text("kind: outliers\nsummary: a few\nshare: 0.02\n")
    assert find_shift(str(own)).describe() == {
        "name": "mine",
        "kind": "outliers",
        "share": 0.02,
        "smallest_sigma": 5.0,
        "largest_sigma": 10.0,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind: outlier\nshare: 0.02\n", "Did you mean 'outliers'"),
        ("kind: outliers\nshare: 0.02\nsizes: 3\n", "no setting of outliers"),
        ("kind: outliers\nshare: 2.0\n", "share=2.0 must lie between 0 and 1"),
        ("kind: known_noise\n", "noise_ppm"),
        ("kind: known_noise\nnoise_ppm: -1\n", "must be a positive number of ppm"),
        ("kind: missing_block\n", "wavelength_um or grid_share"),
        ("kind: missing_block\ngrid_share: [0.6, 0.4]\n", "the lower one first"),
        ("kind: unseen_absorber\ngas: HCN\nlog10_abundance: -4\nbands: [[1, 2]]\n", "rows of 6 numbers"),
        ("share: 0.1\n", "must be a mapping with a kind"),
        ("kind: [\n", "is no YAML"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path, text, why):
    own = tmp_path / "mine.yaml"
    own.write_text(text)
    with pytest.raises(ExobenchError, match=r"mine\.yaml") as caught:
        find_shift(str(own))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_those_that_are_there():
    with pytest.raises(ExobenchError, match=r"Did you mean 'cloud_1e3pa'"):
        find_shift("cloud_1e3")
    with pytest.raises(ExobenchError, match="there is no such file"):
        find_shift("nowhere/mine.yaml")
