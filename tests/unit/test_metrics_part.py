"""Quantities given for a part of the spectra and of their draws: the same numbers there, and a stated n elsewhere."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.metrics import ScoringInputs, aggregate, find_metric, per_spectrum, scores_by_region, spread_draws
from exobench.metrics.calibration import ks_uniform

NAMES, LOW, HIGH = ("a", "b"), np.full(2, -10.0), np.full(2, 10.0)
PART = ("log_prob_rank", "log_likelihood_rank", "predictive_p")


def square(theta, about):
    return -0.5 * np.sum((theta - about) ** 2, axis=-1)


def case(n_obs=60, n_draws=50, seed=0):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-5, 5, size=(n_obs, 2))
    truth = centre + rng.normal(size=(n_obs, 2))
    theta = centre[:, None] + rng.normal(size=(n_obs, n_draws, 2))
    return ScoringInputs(
        NAMES,
        ("", ""),
        LOW,
        HIGH,
        truth,
        theta,
        log_prob_true=square(truth, centre),
        log_prob=square(theta, centre[:, None]),
        log_likelihood_true=square(truth, centre),
        log_likelihood=square(theta, centre[:, None]),
        log_likelihood_peak=np.zeros(n_obs),
        n_bin=np.full(n_obs, 2.0),
    )


def leading(inputs, n_part, draw):
    """The same with densities and likelihoods of the named draws of the first spectra alone."""
    take = {
        name: np.take_along_axis(getattr(inputs, name)[:n_part], draw, axis=1)
        for name in ("log_prob", "log_likelihood")
    }
    take |= {name: getattr(inputs, name)[:n_part] for name in ("log_likelihood_true", "log_likelihood_peak", "n_bin")}
    return replace(inputs, **take, part_draw=draw)


def arrays_of(inputs):
    return per_spectrum(inputs, np.random.default_rng(1))


def test_all_draws_of_all_spectra_are_no_part():
    inputs = case()
    whole, part = arrays_of(inputs), arrays_of(leading(inputs, 60, np.tile(np.arange(50), (60, 1))))
    assert whole.keys() == part.keys()
    for key, values in whole.items():
        np.testing.assert_array_equal(part[key], values, err_msg=key)


def test_a_leading_part_scores_as_those_spectra_alone_and_says_so(monkeypatch):
    inputs = case()
    whole = arrays_of(inputs)
    part = leading(inputs, 25, np.tile(np.arange(50), (25, 1)))
    monkeypatch.setattr(import_module("exobench.metrics.per_spectrum"), "_BLOCK_NUMBERS", 1000)
    arrays = arrays_of(part)
    for key in PART:
        np.testing.assert_allclose(arrays[key][:25], whole[key][:25])
        assert np.isnan(arrays[key][25:]).all()
    scores = {s.metric: s for s in aggregate(arrays, NAMES, LOW, HIGH) if s.parameter is None}
    first = {s.metric: s for s in aggregate(whole, NAMES, LOW, HIGH, n_obs=25) if s.parameter is None}
    for name in ("hpd_coverage_68", "sbc_log_likelihood_p", "sbc_log_prob_p", "predictive_p"):
        assert scores[name].value == pytest.approx(first[name].value)
        assert (
            scores[name].standard_error == pytest.approx(first[name].standard_error) or not first[name].standard_error
        )
        assert (scores[name].n_obs, scores[name].reason) == (25, "computed for 25 of 60 spectra")
    assert (scores["energy_score"].n_obs, scores["energy_score"].reason) == (60, None)
    assert scores["nltp"].n_obs == 60


def test_fewer_spectra_than_the_part_need_no_remark_and_a_region_outside_has_no_value():
    arrays = arrays_of(leading(case(), 25, np.tile(np.arange(50), (25, 1))))
    few = aggregate(arrays, NAMES, LOW, HIGH, n_obs=20, metrics=[find_metric("predictive_p")])[0]
    assert (few.n_obs, few.reason, few.status) == (20, None, "ok")
    arrays["noise_ppm"] = np.where(np.arange(60) < 25, 20.0, 50.0)
    rows = scores_by_region(arrays, NAMES, LOW, HIGH, metrics=[find_metric("predictive_p")])
    by_label = {row.label: row.score for row in rows if row.group == "noise_ppm"}
    assert by_label["20"].status == "ok"
    assert by_label["50"].status == "not available"
    assert "none of these spectra" in by_label["50"].reason


def test_a_gap_within_the_part_counts_against_the_part():
    inputs = leading(case(), 25, np.tile(np.arange(50), (25, 1)))
    truth = inputs.log_likelihood_true.copy()
    truth[3] = np.nan
    score = aggregate(arrays_of(replace(inputs, log_likelihood_true=truth)), NAMES, LOW, HIGH)
    score = next(s for s in score if s.metric == "sbc_log_likelihood_p")
    assert score.status == "undefined"
    assert score.reason.startswith("undefined for 1 of 25 spectra")


def test_some_draws_of_an_exact_posterior_keep_ranks_uniform():
    """Equal draws, and draws of a wider density chosen by their importance weights."""
    rng = np.random.default_rng(3)
    centre = rng.uniform(-5, 5, size=(2000, 2))
    truth = centre + rng.normal(size=(2000, 2))
    for width in (1.0, 1.4):
        theta = centre[:, None] + width * rng.normal(size=(2000, 800, 2))
        log_weight = None if width == 1.0 else square(theta, centre[:, None]) * (1 - width**-2)
        draw = spread_draws(theta, log_weight, 50)
        chosen = np.take_along_axis(theta, draw[..., None], axis=1)
        inputs = ScoringInputs(
            NAMES,
            ("", ""),
            LOW,
            HIGH,
            truth,
            theta,
            log_weight,
            log_likelihood_true=square(truth, centre),
            log_likelihood=square(chosen, centre[:, None]),
            part_draw=draw,
        )
        ranks = arrays_of(inputs)["log_likelihood_rank"]
        assert ks_uniform(ranks[:, None])[1][0] > 1e-3


def test_draws_are_spread_over_those_that_count():
    theta = np.arange(20.0)[None, :, None] * np.ones((3, 1, 2))
    theta[1, 10:] = np.nan
    log_weight = np.zeros((3, 20))
    log_weight[2, 3:] = -np.inf
    np.testing.assert_array_equal(spread_draws(theta, None, 5)[0], [2, 6, 10, 14, 18])
    chosen = spread_draws(theta, log_weight, 5)
    np.testing.assert_array_equal(chosen[1], [1, 3, 5, 7, 9])
    np.testing.assert_array_equal(chosen[2], [0, 1, 2, -1, -1])
    assert spread_draws(theta, None, 100).shape == (3, 20)
    np.testing.assert_array_equal(spread_draws(theta, None, 100)[0], np.arange(20))


def test_draws_are_chosen_as_often_as_they_weigh():
    weight = np.array([[0.5, 0.25, 0.15, 0.1]])
    chosen = spread_draws(np.zeros((1, 4, 1)), np.log(weight), 4)
    np.testing.assert_array_equal(chosen, [[0, 0, 1, 2]])
    many = np.random.default_rng(0).random((1, 1000))
    counts = np.bincount(spread_draws(np.zeros((1, 1000, 1)), np.log(many), 1000)[0], minlength=1000)
    assert np.abs(counts - 1000 * many[0] / many.sum()).max() <= 1.0 + 1e-9


def test_a_spectrum_without_draws_has_no_rank():
    theta = np.zeros((2, 5, 1))
    theta[0] = np.nan
    assert (spread_draws(theta, None, 3)[0] == -1).all()
    inputs = case(30, 20)
    draw = np.tile(np.arange(20), (30, 1))
    part = leading(inputs, 30, draw)
    draw = draw.copy()
    draw[4] = -1
    arrays = arrays_of(replace(part, part_draw=draw))
    assert all(np.isnan(arrays[key][4]) and np.isfinite(arrays[key][5]) for key in PART)


@pytest.mark.parametrize(
    ("part_draw", "words"),
    [
        (np.zeros((60, 50)), "whole numbers"),
        (np.zeros((61, 50), dtype=int), "at most 60 rows"),
        (np.full((60, 50), 50), "0 to 49"),
        (np.full((60, 50), -2), "0 to 49"),
        (np.zeros((60, 20), dtype=int), "log_prob has shape"),
        (np.zeros((30, 50), dtype=int), "log_prob has shape"),
        (np.zeros(60, dtype=int), "part, some"),
    ],
)
def test_wrong_parts_are_named(part_draw, words):
    with pytest.raises(ExobenchError, match=words):
        replace(case(), part_draw=part_draw)
