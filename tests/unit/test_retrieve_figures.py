"""The corner plot: shaded regions hold the share of the draws that they claim, however narrow the posterior is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exobench.parameters import Parameter, ParameterSpace
from exobench.retrieve.answer import Answer
from exobench.retrieve.figures import corner_figure, draws_view
from exobench.retrieve.observed import Observed

SPACE = ParameterSpace((Parameter("a", "", "a", 0.0, 1.0), Parameter("b", "K", "b", 1000.0, 2000.0)))
N = 4000
NARROW = np.array([0.0002, 2.0])
"""Standard deviations: a five-thousandth of the prior's range, and less."""


def answer_of(theta, log_weight=None, *, given=None, refine=None):
    one = np.ones(1)
    spectrum = Observed(Path("planet.dat"), one, 0.5 * one, 1.5 * one, 0.01 * one, 1e-5 * one, True, "fraction", True)
    return Answer(
        spectrum=spectrum, x=0.01 * one, sigma=1e-5 * one, space=SPACE, theta=theta, log_weight=log_weight,
        predicted=np.full((3, 1), 0.01), star=None, given=given, findings=[], notes=(), mark=None, seconds=1.0,
        refine=refine,
    )  # fmt: skip


def gaussian(rng, width=1.0):
    return [0.3, 1500.0] + width * NARROW * rng.standard_normal((N, 2))


def at_an_edge(rng):
    """Half a Gaussian at the upper end of the second parameter's prior."""
    theta = gaussian(rng)
    return np.stack([theta[:, 0], 2000.0 - np.abs(theta[:, 1] - 1500.0)], axis=1)


def pair_axes(answer):
    """The one cell below the diagonal."""
    return corner_figure(answer).axes[1]


def shares(axes, theta):
    """Of some draws inside the regions of 68 and 95 % as they are drawn."""
    wide, narrow = (patch.get_path() for patch in axes.patches)
    return [path.contains_points(theta).mean() for path in (narrow, wide)]


@pytest.mark.parametrize("draw", [gaussian, at_an_edge])
def test_regions_hold_68_and_95_per_cent(draw):
    """Of the draws that they are made from, and of others of the same posterior."""
    rng = np.random.default_rng(1)
    theta = draw(rng)
    axes = pair_axes(answer_of(theta))
    assert shares(axes, theta) == pytest.approx([0.68, 0.95], abs=0.02)
    assert shares(axes, draw(rng)) == pytest.approx([0.68, 0.95], abs=0.03)


def test_regions_of_weighted_draws_are_those_of_the_weighted_posterior():
    """Draws twice as wide as the posterior, with the weights that undo it, and some without weight far away."""
    rng = np.random.default_rng(2)
    theta = gaussian(rng, width=2.0)
    pull = (theta - [0.3, 1500.0]) / NARROW
    log_weight = np.sum(-0.5 * pull**2 + 0.125 * pull**2, axis=1)
    log_weight[:50], theta[:50] = -np.inf, [0.9, 1100.0]
    axes = pair_axes(answer_of(theta, log_weight))
    assert shares(axes, gaussian(rng)) == pytest.approx([0.68, 0.95], abs=0.04)
    assert np.ptp(axes.get_xlim()) < 12 * NARROW[0]


def test_a_ring_has_a_hole():
    rng = np.random.default_rng(3)
    angle, radius = rng.uniform(0, 2 * np.pi, N), 1.0 + 0.05 * rng.standard_normal(N)
    ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    figure = corner_figure(answer_of([0.3, 1500.0] + NARROW * ring))
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())
    axes = figure.axes[1]

    def colour(point):
        column, row = axes.transData.transform([0.3, 1500.0] + NARROW * point).astype(int)
        return tuple(image[len(image) - row, column, :3])

    assert colour([0.0, 0.0]) == (255, 255, 255)
    assert colour([0.0, 1.0]) != (255, 255, 255)


def test_axes_span_the_draws_and_stop_at_the_prior():
    answer = answer_of(at_an_edge(np.random.default_rng(4)))
    low, high = draws_view(answer)
    assert high[1] == 2000.0
    assert [0.3 - low[0], high[0] - 0.3] == pytest.approx([3.7 * NARROW[0]] * 2, rel=0.2)
    limits = pair_axes(answer)
    assert [limits.get_xlim(), limits.get_ylim()] == [tuple(ends) for ends in zip(low, high, strict=True)]


def test_axes_reach_to_the_values_of_a_par_file_and_the_regions_stay():
    theta = gaussian(np.random.default_rng(5))
    axes = pair_axes(answer_of(theta, given=np.array([0.35, 1500.0])))
    assert axes.get_xlim()[0] < 0.3 < 0.35 < axes.get_xlim()[1]
    assert shares(axes, theta) == pytest.approx([0.68, 0.95], abs=0.02)


def words(answer):
    return " ".join(text.get_text().replace("\n", " ") for text in corner_figure(answer).texts)


def test_the_caption_says_what_is_shown():
    rng = np.random.default_rng(6)
    narrow, wide = gaussian(rng), rng.uniform(SPACE.low, SPACE.high, (N, 2))
    assert "Axes: narrower than the prior." in words(answer_of(narrow))
    assert "Axes: as wide as the prior." in words(answer_of(wide))
    half = np.stack([narrow[:, 0], wide[:, 1]], axis=1)
    assert "Axes: narrower than the prior for 1 of 2 parameters." in words(answer_of(half))
    assert "planet.dat. Shaded" in words(answer_of(narrow))
    assert "planet.dat, refined by nested sampling." in words(answer_of(narrow, refine="nested"))


def test_draws_that_are_all_the_same_still_give_a_figure():
    figure = corner_figure(answer_of(np.tile([0.3, 1500.0], (100, 1))))
    figure.canvas.draw()
    low, high = figure.axes[1].get_xlim()
    assert low < 0.3 < high
