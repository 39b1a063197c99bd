"""Intervals of spectra that went through files: the truth lies inside at the nominal rate, by the exact posterior."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.method import Capability
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.registry import build_method
from exobench.retrieve.admission import check_missing_bins
from exobench.retrieve.answer import Retrieval
from exobench.retrieve.familiar import Known
from exobench.retrieve.read import read_spectrum
from exobench.retrieve.rebin import rebin
from exobench.retrieve.simulate import write_spectrum
from exobench.retrieve.taurex_file import search_bounds, why_no_file
from exobench.retrieve.write import older_answer, write_answer
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.task import build

N_SPECTRA = 300


class Exact(AbstractPosterior):
    """The closed form of the linear task."""

    def __init__(self, task):
        self.task = task

    def sample(self, x, sigma, n_draws, *, rng):
        return PosteriorSamples(self.task.exact.sample(x, sigma, n_draws, rng=rng))

    def save(self, path):
        """Leaves an empty folder: the task knows its posterior."""
        path.mkdir()


@pytest.fixture(scope="module")
def retrieval():
    task = build(TaskRequest())
    matrix, offset = task.simulator.matrix_and_offset()
    method = SimpleNamespace(capabilities=Capability.MISSING_BINS, registered_name="exact")
    run = SimpleNamespace(task=task, method=method, posterior=Exact(task), identity=(0,), name="exact/0/0")
    depth = task.prior.sample(200, np.random.default_rng(0)) @ matrix.T + offset
    known = Known(depth, *task.noise.sample(depth, seed=1))
    return Retrieval(run, known, "cpu", None, lambda theta: theta @ matrix.T + offset)


def test_truths_lie_in_the_intervals_at_the_nominal_rate(retrieval, tmp_path):
    task = retrieval.run.task
    theta = task.prior.sample(N_SPECTRA, np.random.default_rng(2))
    x, sigma = task.noise.sample(retrieval.simulate(theta), seed=3)
    gone = np.random.default_rng(4).random(x.shape) < 0.2
    x, sigma = np.where(gone, np.nan, x), np.where(gone, np.inf, sigma)
    inside_95, inside_68 = [], []
    for row in range(N_SPECTRA):
        (path,) = write_spectrum(tmp_path / f"{row}.dat", task, row, theta[row], x[row], sigma[row])
        answer = retrieval.answer(read_spectrum(path), n_draws=400, compared=False, seed=row)
        assert np.array_equal(np.isnan(answer.x), gone[row])
        ends = answer.intervals()
        inside_95.append((ends["low_95"] <= theta[row]) & (theta[row] <= ends["high_95"]))
        inside_68.append((ends["low_68"] <= theta[row]) & (theta[row] <= ends["high_68"]))
    for inside, level in ((inside_95, 0.95), (inside_68, 0.68)):
        counts = np.sum(inside, axis=0)
        low, high = stats.binom.ppf([1e-4, 1 - 1e-4], N_SPECTRA, level)
        assert ((counts >= low) & (counts <= high)).all(), (level, counts)


def test_half_width_points_give_the_posterior_of_the_same_information(retrieval, tmp_path):
    """Each bin measured twice, in halves of sqrt(2) times the noise: the same posterior as in whole bins."""
    task = retrieval.run.task
    theta = task.prior.sample(1, np.random.default_rng(5))
    x, sigma = task.noise.sample(retrieval.simulate(theta), seed=6)
    edges = np.asarray(task.bin_edges_um)
    half = 0.5 * np.diff(edges)
    centres = np.stack([edges[:-1] + 0.5 * half, edges[:-1] + 1.5 * half], axis=1).ravel()
    twice = [np.repeat(values, 2) for values in (x[0], np.sqrt(2) * sigma[0], half)]
    path = tmp_path / "halves.dat"
    np.savetxt(path, np.stack([centres, *twice], axis=1), header="simulated: here", fmt="%.12g")
    (whole,) = write_spectrum(tmp_path / "whole.dat", task, 0, theta[0], x[0], sigma[0])
    answers = [retrieval.answer(read_spectrum(each), compared=False) for each in (path, whole)]
    assert answers[0].x == pytest.approx(answers[1].x, abs=1e-9)
    assert answers[0].sigma == pytest.approx(answers[1].sigma, rel=1e-6)


def test_what_a_method_cannot_do_is_refused_with_a_reason(retrieval, tmp_path):
    task = retrieval.run.task
    theta = task.prior.sample(1, np.random.default_rng(7))
    x, sigma = task.noise.sample(retrieval.simulate(theta), seed=8)
    x[0, :2] = np.nan
    (path,) = write_spectrum(tmp_path / "gap.dat", task, 0, theta[0], x[0], sigma[0])
    spectrum = read_spectrum(path)
    rebinned = rebin(spectrum, task.bin_edges_um)
    with pytest.raises(ExobenchError, match="2 of the task's 40 bins were not observed, and random_forest takes no"):
        check_missing_bins(build_method({"name": "random_forest"}), rebinned)
    with pytest.raises(ExobenchError, match="needs a method with LOG_PROB, and exact has none; use refine=nested"):
        retrieval.answer(spectrum, compared=False, refine="importance")
    with pytest.raises(ExobenchError, match="task linear_gaussian has no star"):
        retrieval.answer(spectrum, compared=False, star_radius_rsun=1.0)
    assert "no isothermal atmosphere" in str(why_no_file(task))


def test_no_taurex_file_of_an_older_answer_stays_where_there_is_none(retrieval, tmp_path):
    task = retrieval.run.task
    theta = task.prior.sample(1, np.random.default_rng(9))
    x, sigma = task.noise.sample(retrieval.simulate(theta), seed=10)
    (path,) = write_spectrum(tmp_path / "a.dat", task, 0, theta[0], x[0], sigma[0])
    out = tmp_path / "out"
    out.mkdir()
    (out / "taurex3.par").write_text("of another spectrum")
    assert older_answer(out) is None
    write_answer(retrieval, retrieval.answer(read_spectrum(path), compared=False, n_draws=200), out)
    assert not (out / "taurex3.par").exists()
    assert older_answer(out) == "a.dat retrieved by linear_gaussian/exact/0/0"


def test_bounds_are_cut_to_the_prior_and_say_where_the_posterior_touches_it(retrieval, tmp_path):
    """A narrow posterior keeps 8 standard deviations; a truth at the edge of the prior is named."""
    task = retrieval.run.task
    theta = np.array([[0.0, 0.999, 0.1, -0.2]])
    x, sigma = retrieval.simulate(theta), np.full((1, 40), 1e-6)
    (path,) = write_spectrum(tmp_path / "edge.dat", task, 0, theta[0], x[0], sigma[0])
    answer = retrieval.answer(read_spectrum(path), compared=False, n_draws=2000)
    bounds = search_bounds(answer)
    assert bounds.touched == ("theta_2 upper",)
    assert bounds.high[1] == 1.0
    spread = answer.theta.std(axis=0)
    inside = [0, 2, 3]
    assert (bounds.high - bounds.low)[inside] == pytest.approx(16 * spread[inside], rel=1e-6)
    assert bounds.log_volume_ratio == pytest.approx(np.log((bounds.high - bounds.low) / 2.0).sum())
