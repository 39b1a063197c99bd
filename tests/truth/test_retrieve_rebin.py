"""Rebinning against closed forms: means conserve flux, errors are those of independent photon counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.retrieve.observed import Columns, observed
from exobench.retrieve.rebin import rebin


def spectrum(low, high, depth, sigma):
    low, high, depth, sigma = (np.asarray(values, dtype=float) for values in (low, high, depth, sigma))
    return observed(Path("a.dat"), Columns(0.5 * (low + high), low, high, depth, sigma, "fraction", True))


def test_fine_points_give_their_mean_and_the_error_of_a_mean():
    edges = np.linspace(1.0, 2.0, 101)
    rng = np.random.default_rng(0)
    depth, sigma = rng.uniform(0.01, 0.02, 100), rng.uniform(1e-5, 3e-5, 100)
    found = rebin(spectrum(edges[:-1], edges[1:], depth, sigma), edges[::10])
    assert found.x == pytest.approx(depth.reshape(10, 10).mean(axis=1), rel=1e-9)
    assert found.sigma == pytest.approx(np.sqrt((sigma**2).reshape(10, 10).sum(axis=1)) / 10, rel=1e-9)


def test_bins_in_other_places_conserve_the_integral():
    """Sum of depth times width is the same before and after, for bins that share no edge."""
    edges = np.sort(np.random.default_rng(1).uniform(1.0, 2.0, 61))
    edges[[0, -1]] = 1.0, 2.0
    depth = np.random.default_rng(2).uniform(0.01, 0.02, 60)
    target = np.linspace(1.0, 2.0, 18)
    found = rebin(spectrum(edges[:-1], edges[1:], depth, np.full(60, 1e-5)), target)
    assert found.x @ np.diff(target) == pytest.approx(depth @ np.diff(edges), rel=1e-12)


def test_a_coarse_point_is_not_counted_more_than_once():
    """One point over 5 bins: errors sqrt(5) times its own, so their mean has its own again."""
    found = rebin(spectrum([1.0, 1.5], [1.5, 2.0], [0.01, 0.02], [1e-5, 3e-5]), np.linspace(1.0, 2.0, 11))
    assert found.x == pytest.approx(np.repeat([0.01, 0.02], 5))
    assert found.sigma == pytest.approx(np.repeat([1e-5, 3e-5], 5) * np.sqrt(5))
    assert found.sigma[:5] @ found.sigma[:5] / 25 == pytest.approx(1e-10)


def test_errors_are_those_that_repeated_photon_counts_scatter_by():
    """Photon noise simulated on pixels far finer than both grids."""
    pixel_edges = np.linspace(1.0, 2.0, 2401)
    points = np.array([1.0, 1.13, 1.3, 1.31, 1.62, 1.8, 2.0])
    target = np.array([1.0, 1.2, 1.4, 1.7, 2.0])
    rng = np.random.default_rng(3)
    pixels = 0.01 + 1e-3 * rng.standard_normal((500, 2400))
    owner = np.searchsorted(points, 0.5 * (pixel_edges[1:] + pixel_edges[:-1])) - 1
    means = np.stack([pixels[:, owner == k].mean(axis=1) for k in range(6)], axis=1)
    sigma = 1e-3 / np.sqrt([np.sum(owner == k) for k in range(6)])
    found = [rebin(spectrum(points[:-1], points[1:], row, sigma), target) for row in means]
    scatter = np.std([each.x for each in found], axis=0)
    # Parts of a point share its noise: no bin is more certain than is said, and whole points are exact.
    assert (found[0].sigma > 0.9 * scatter).all()
    whole = rebin(spectrum(points[:-1], points[1:], means[0], sigma), points[[0, 2, 4, 6]])
    exact = np.std(
        [rebin(spectrum(points[:-1], points[1:], row, sigma), points[[0, 2, 4, 6]]).x for row in means], axis=0
    )
    assert whole.sigma == pytest.approx(exact, rel=0.15)


def test_points_that_overlap_are_joined_by_inverse_variances():
    low, high = [1.0, 1.5, 1.0, 1.5], [1.5, 2.0, 1.5, 2.0]
    found = rebin(spectrum(low, high, [0.01, 0.02, 0.012, 0.022], [1e-5, 1e-5, 2e-5, 2e-5]), np.array([1.0, 1.5, 2.0]))
    weight = np.array([1e10, 0.25e10])
    assert found.x == pytest.approx([(weight @ [0.01, 0.012]) / weight.sum(), (weight @ [0.02, 0.022]) / weight.sum()])
    assert found.sigma == pytest.approx(np.full(2, weight.sum() ** -0.5))


def test_bins_that_are_hardly_covered_are_missing():
    found = rebin(spectrum([1.0, 1.55], [1.26, 1.7], [0.01, 0.02], [1e-5, 1e-5]), np.linspace(1.0, 2.0, 5))
    assert np.isfinite(found.x).tolist() == [True, False, True, False]
    assert np.isinf(found.sigma).tolist() == [False, True, False, True]


def test_the_tasks_own_bins_are_taken_as_they_are():
    edges = 0.3 * 1.01 ** np.arange(516)
    keep = np.sort(np.random.default_rng(4).choice(515, 300, replace=False))
    depth, sigma = np.random.default_rng(5).uniform(0.01, 0.02, (2, 300))
    found = rebin(spectrum(edges[keep], edges[keep + 1], depth, sigma), edges)
    assert (found.x[keep] == depth).all()
    assert (found.sigma[keep] == sigma).all()
    assert np.isnan(np.delete(found.x, keep)).all()


def test_bins_with_gaps_between_them():
    target = np.array([[1.0, 1.2], [1.5, 1.6]])
    found = rebin(spectrum([1.0, 1.1, 1.5], [1.1, 1.2, 1.6], [0.01, 0.03, 0.02], [1e-5] * 3), target)
    assert found.x == pytest.approx([0.02, 0.02])


def test_another_wavelength_range_is_refused_with_both_ranges():
    with pytest.raises(ExobenchError, match=r"covers 1000 to 2000 um .* 0.3 to 2 um; give wavelength_unit=nm"):
        rebin(spectrum([1000, 1500], [1500, 2000], [0.01, 0.01], [1e-5] * 2), np.array([0.3, 1.0, 2.0]))
