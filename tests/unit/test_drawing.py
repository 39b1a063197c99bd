"""Draws are kept call by call: what was drawn before a run was cut off is not drawn again."""

from __future__ import annotations

import types

import numpy as np
import pytest

from exobench import drawing
from exobench.data.source import TestSpectra
from exobench.draw_files import read_draws
from exobench.drawing import CALLS, draw_posteriors, forget_calls
from exobench.errors import ExobenchError
from exobench.method import Capability
from exobench.parameters import Parameter, ParameterSpace
from exobench.posterior import AbstractPosterior, PosteriorSamples
from exobench.problem import CallCounter
from exobench.results import DIAGNOSTICS, DRAWS, read_arrays

N_OBS, N_PARAM = 6, 2
FOREVER = 10**9
SPACE = ParameterSpace((Parameter("a", "K", "a", 0.0, 1.0), Parameter("b", "", "b", -1.0, 2.0)))


class Uniform(AbstractPosterior):
    """Uniform draws; fails from one call on, and counts the likelihood calls that it would make."""

    def __init__(self, counter, fails_at=FOREVER, n_returned=None):
        self.counter, self.fails_at, self.n_returned = counter, fails_at, n_returned
        self.asked = []

    def sample(self, x, sigma, n_draws, *, rng):
        if len(self.asked) == self.fails_at:
            raise KeyboardInterrupt
        self.asked.append(float(x[0, 0]))
        self.counter.add(10 * len(x))
        n = n_draws if self.n_returned is None else self.n_returned[len(self.asked) - 1]
        return PosteriorSamples(rng.uniform(size=(len(x), n, N_PARAM)), diagnostics={"log_evidence": x[:, 0]})

    def save(self, path):
        path.mkdir()


def draw(posterior, folder, *, spectra_per_call=2, fit_key="fit", n_draws=5):
    x = np.arange(N_OBS, dtype=float)[:, None] * np.ones(3)
    test = TestSpectra(np.full((N_OBS, N_PARAM), 0.5), x, np.ones_like(x))
    method = types.SimpleNamespace(
        registered_name="uniform", spectra_per_call=spectra_per_call, capabilities=Capability.NEEDS_LIKELIHOOD
    )
    problem = types.SimpleNamespace(name="task", likelihood_calls=posterior.counter, parameters=SPACE)
    folder.mkdir(exist_ok=True)
    return draw_posteriors(posterior, method, problem, test, n_draws, ("identity",), folder, fit_key)


@pytest.fixture
def counter():
    return CallCounter("likelihood calls")


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(counter, tmp_path):
    whole = draw(Uniform(CallCounter("likelihood calls")), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        draw(Uniform(counter, fails_at=2), tmp_path / "cut")
    second = Uniform(counter)
    resumed = draw(second, tmp_path / "cut")
    assert second.asked == [4.0]
    assert np.array_equal(resumed.theta, whole.theta)
    assert resumed.likelihood_calls == whole.likelihood_calls == 60
    assert resumed.seconds > 0


def test_answers_are_kept_until_the_record_is_written(counter, tmp_path):
    folder = tmp_path / "run"
    first = draw(Uniform(counter), folder)
    again = Uniform(counter)
    np.testing.assert_array_equal(draw(again, folder).theta, first.theta)
    assert again.asked == []
    forget_calls(folder)
    assert not (folder / CALLS).exists()


def test_answers_of_another_fit_are_not_used(counter, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        draw(Uniform(counter, fails_at=2), tmp_path / "cut", fit_key="one")
    second = Uniform(counter)
    draw(second, tmp_path / "cut", fit_key="other")
    assert second.asked == [0.0, 2.0, 4.0]


def test_what_a_method_notes_of_each_spectrum_is_on_disk(counter, tmp_path):
    drawn = draw(Uniform(counter), tmp_path)
    assert np.array_equal(read_arrays(tmp_path / DIAGNOSTICS)["log_evidence"], np.arange(N_OBS))
    assert drawn.mean_diagnostics() == {"log_evidence": 2.5}
    assert read_arrays(tmp_path / DRAWS)["theta"].shape == (N_OBS, 5, N_PARAM)


def test_stored_draws_name_their_parameters_and_are_read_by_the_scores(counter, tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "STORED_DRAW_NUMBERS", 4 * 5 * N_PARAM)
    drawn = draw(Uniform(counter, n_returned=[5, 3, 5]), tmp_path)
    found = read_draws([tmp_path / DRAWS], prior=None, truths=None)
    assert (found.inputs.names, found.inputs.units) == (("a", "b"), ("K", ""))
    assert np.array_equal([found.inputs.low, found.inputs.high], [[0.0, -1.0], [1.0, 2.0]])
    assert np.array_equal(found.inputs.theta, drawn.theta[:4])
    assert np.array_equal(found.inputs.log_weight, drawn.log_weight[:4])
    assert found.notes == ("draws.h5 holds the first 4 of the run's 6 test spectra",)


def test_fewer_draws_for_some_spectra_have_no_weight(counter, tmp_path):
    drawn = draw(Uniform(counter, n_returned=[5, 3, 5]), tmp_path)
    assert drawn.theta.shape == (N_OBS, 5, N_PARAM)
    assert np.isfinite(drawn.theta).all()
    assert np.array_equal(np.isfinite(drawn.log_weight).sum(axis=1), [5, 5, 3, 3, 5, 5])


def test_too_many_draws_are_refused(counter, tmp_path):
    with pytest.raises(ExobenchError, match=r"method uniform returned draws of shape .* expected \(2, 1 to 5, 2\)"):
        draw(Uniform(counter, n_returned=[6, 6, 6]), tmp_path)
