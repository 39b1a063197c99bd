"""Bad inputs end in one clear line or in an explicit gap, never in a number."""

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.metrics import METRICS, ScoringInputs, aggregate, find_metric, per_spectrum
from exobench.metrics.score import Score

LOW, HIGH = np.array([0.5, 1000.0]), np.array([2.0, 2000.0])


def fields(n_obs=30, n_draws=20, seed=0):
    rng = np.random.default_rng(seed)
    width = HIGH - LOW
    truth = LOW + width * rng.uniform(0.1, 0.9, size=(n_obs, 2))
    theta = truth[:, None] + 0.05 * width * rng.normal(size=(n_obs, n_draws, 2))
    return {
        "names": ("mass_mjup", "temperature_k"),
        "units": ("MJup", "K"),
        "low": LOW,
        "high": HIGH,
        "theta_true": truth,
        "theta": theta,
        "log_prob_true": np.full(n_obs, -1.0),
        "prior_log_prob": np.full(n_obs, -np.log(1500.0)),
    }


def scores_of(values):
    inputs = ScoringInputs(**values)
    arrays = per_spectrum(inputs, np.random.default_rng(0))
    scores = aggregate(arrays, inputs.names, inputs.low, inputs.high, n_bootstrap=50)
    return {(score.metric, score.parameter): score for score in scores}


def changed(row, column, value, key="theta_true"):
    array = fields()[key].copy()
    array[row, column] = value
    return array


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("theta", np.zeros((30, 2)), "(obs, draw, param)"),
        ("theta", np.zeros((30, 0, 2)), "none of them zero"),
        ("theta_true", np.ones((29, 2)), "theta_true has shape (29, 2)"),
        ("low", np.zeros(3), "low has shape (3,)"),
        ("high", LOW, "mass_mjup is [0.5, 0.5]"),
        ("high", np.array([2.0, np.inf]), "temperature_k"),
        ("names", ("mass_mjup",), "names has 1 entries"),
        ("log_weight", np.zeros((30, 19)), "log_weight has shape"),
        ("log_weight", np.full((30, 20), np.nan), "spectrum 0, draw 0, is nan"),
        ("log_weight", np.full((30, 20), np.inf), "must be finite"),
        ("log_prob_true", np.zeros(31), "log_prob_true has shape"),
        ("theta_true", changed(3, 1, 2500.0), "temperature_k, spectrum 3, is 2500"),
        ("theta_true", changed(4, 0, np.nan), "mass_mjup, spectrum 4, is nan"),
    ],
)
def test_malformed_inputs_are_named(key, value, words):
    with pytest.raises(ExobenchError) as caught:
        ScoringInputs(**{**fields(), key: value})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truth_rounded_to_float32_at_the_edge_is_inside():
    truth = fields()["theta_true"]
    truth[0, 0] = np.float32(0.5) - 1e-8
    assert ScoringInputs(**{**fields(), "theta_true": truth}).n_obs == 30


def test_nan_draws_are_counted_left_out_and_named():
    values = fields()
    values["theta"][0, :5, 1] = np.nan
    values["theta"][1, 0, 0] = np.inf
    scores = scores_of(values)
    assert scores["nan_draw_share", None].value == pytest.approx(6 / 600)
    assert scores["rmse", "mass_mjup"].status == "ok"
    assert "not finite were left out: 1 %, in 2 spectra" in scores["rmse", "mass_mjup"].reason
    clean = per_spectrum(ScoringInputs(**{**values, "theta": values["theta"][:1, 5:], **first_row(values)}), rng())
    dirty = per_spectrum(ScoringInputs(**{**values, "theta": values["theta"][:1], **first_row(values)}), rng())
    for key in clean:
        if key != "nan_draw_share":
            np.testing.assert_allclose(dirty[key], clean[key], rtol=1e-9, err_msg=key)


def first_row(values):
    return {key: values[key][:1] for key in ("theta_true", "log_prob_true", "prior_log_prob")}


def rng():
    return np.random.default_rng(0)


def test_a_spectrum_without_draws_leaves_every_draw_score_undefined():
    values = fields()
    values["theta"][7] = np.nan
    scores = scores_of(values)
    density = {"nltp", "nltp_trimmed", "nltp_below_prior", "nan_draw_share", "ess"}
    for (metric, _), score in scores.items():
        if score.status == "not available":
            assert "not given" in score.reason
            continue
        assert (score.status == "ok") == (metric in density), metric
        assert score.status == "ok" or "1 of 30" in score.reason
    assert scores["nan_draw_share", None].value == pytest.approx(1 / 30)


def test_weights_that_are_all_zero_leave_the_spectrum_undefined():
    log_weight = np.zeros((30, 20))
    log_weight[2] = -np.inf
    scores = scores_of({**fields(), "log_weight": log_weight})
    assert scores["energy_score", None].status == "undefined"
    assert scores["nan_draw_share", None].status == "undefined"
    assert scores["ess", None].value == 20


def test_padding_stands_for_fewer_draws():
    """Draws of weight -inf do not exist: neither counted as NaN nor scored, and the others stay equal."""
    values = fields()
    plain = per_spectrum(ScoringInputs(**values), rng())
    padded = np.concatenate([values["theta"], np.full((30, 4, 2), np.nan)], axis=1)
    log_weight = np.concatenate([np.zeros((30, 20)), np.full((30, 4), -np.inf)], axis=1)
    arrays = per_spectrum(ScoringInputs(**{**values, "theta": padded, "log_weight": log_weight}), rng())
    for key, value in plain.items():
        np.testing.assert_allclose(arrays[key], value, rtol=1e-9, atol=1e-12, err_msg=key)


def test_one_draw_is_a_point_without_spread():
    scores = scores_of(fields(n_draws=1))
    for name in ("rmse", "mae", "hit_rate_10", "skill", "accuracy_exogan_0", "coverage_68"):
        assert scores[name, "mass_mjup"].status == "ok", name
    for name in ("crps", "z_score_rms", "contraction", "accuracy_exogan_1"):
        assert scores[name, "mass_mjup"].status == "undefined", name
    assert scores["energy_score", None].status == "undefined"


def test_constant_draws_have_no_z_score():
    values = fields()
    values["theta"] = np.broadcast_to(np.array([1.2, 1500.3]), (30, 20, 2))
    scores = scores_of(values)
    for name in ("z_score_mean", "z_score_rms", "r2"):
        assert scores[name, "temperature_k"].status == "undefined", name
    assert scores["contraction", "temperature_k"].value == pytest.approx(1.0)
    assert scores["crps", "temperature_k"].value == pytest.approx(scores["mae", "temperature_k"].value)


def test_draws_outside_the_box_are_counted_and_kept():
    values = fields()
    values["theta"][:, 0, 0] = 2.5
    scores = scores_of(values)
    assert scores["outside_prior_share", None].value == pytest.approx(1 / 20, abs=0.01)


def test_missing_density_is_not_available_rather_than_zero():
    scores = scores_of({**fields(), "log_prob_true": None})
    for name in ("nltp", "nltp_trimmed", "nltp_below_prior"):
        assert (scores[name, None].status, scores[name, None].value) == ("not available", None)
        assert "no density" in scores[name, None].reason
    scores = scores_of({**fields(), "prior_log_prob": None})
    assert scores["nltp", None].status == "ok"
    assert scores["nltp_below_prior", None].status == "not available"


@pytest.mark.parametrize("bad", [-np.inf, np.nan])
def test_density_of_zero_or_nan_is_undefined(bad):
    log_prob = np.full(30, -1.0)
    log_prob[0] = bad
    scores = scores_of({**fields(), "log_prob_true": log_prob})
    assert scores["nltp", None].status == "undefined"
    # One of thirty is within the 5 % that trimming may leave out only if it leaves out at least one at each end.
    assert (scores["nltp_trimmed", None].status == "ok") == bool(np.isneginf(bad))


def test_range_with_zero_has_no_accuracy_exogan():
    values = fields()
    values["low"] = np.array([-0.5, 1000.0])
    scores = scores_of(values)
    assert scores["accuracy_exogan_0", "mass_mjup"].status == "undefined"
    assert "includes zero" in scores["accuracy_exogan_0", "mass_mjup"].reason
    assert scores["accuracy_exogan_0", "temperature_k"].status == "ok"


def test_score_refuses_a_gap_without_reason_and_a_number_that_is_none():
    with pytest.raises(ValueError, match="needs a reason"):
        Score("rmse", "a", None, None, 3, "undefined")
    with pytest.raises(ValueError, match="does not go with"):
        Score("rmse", "a", float("nan"), None, 3, "ok")


def test_unknown_metric_names_the_nearest():
    with pytest.raises(ExobenchError, match="Did you mean 'rmse'"):
        find_metric("rsme")
    assert find_metric("rmse") in METRICS
