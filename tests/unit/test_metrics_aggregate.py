"""Every score of the list, on a good case and under changes that must not matter."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import exobench.metrics
from exobench.errors import ExobenchError
from exobench.metrics import (
    METRICS,
    Cost,
    ScoringInputs,
    aggregate,
    paired_difference,
    peak_rss_bytes,
    per_spectrum,
    skill_against_constant,
)

NAMES = ("log10_h2o", "mass_mjup", "temperature_k")
LOW, HIGH = np.array([-8.0, 0.8, 1000.0]), np.array([-1.0, 2.0, 2000.0])
PER_SPECTRUM = (
    "log_prob_true", "prior_log_prob", "log_likelihood_true", "log_likelihood_peak", "n_bin", "reference_point",
)  # fmt: skip
PER_DRAW = ("theta", "log_prob", "log_likelihood")
CARD = Path(exobench.metrics.__file__).with_name("README.md")


def good_inputs(n_obs=200, n_draws=300, seed=0):
    """An exact posterior well inside the box: truth and draws share a Gaussian about the same centre."""
    rng = np.random.default_rng(seed)
    width = HIGH - LOW
    centre = LOW + width * rng.uniform(0.35, 0.65, size=(n_obs, 3))
    truth = centre + 0.03 * width * rng.normal(size=(n_obs, 3))
    theta = centre[:, None] + 0.03 * width * rng.normal(size=(n_obs, n_draws, 3))
    log_norm = -0.5 * np.sum(np.log(2 * np.pi * (0.03 * width) ** 2))

    def log_prob(values, about):
        return log_norm - 0.5 * np.sum(((values - about) / (0.03 * width)) ** 2, axis=-1)

    # The centre is the spectrum: three bins whose noise is the posterior's width.
    return ScoringInputs(
        NAMES,
        ("dex", "MJup", "K"),
        LOW,
        HIGH,
        truth,
        theta,
        log_prob_true=log_prob(truth, centre),
        prior_log_prob=np.full(n_obs, -np.log(width).sum()),
        log_prob=log_prob(theta, centre[:, None]),
        log_likelihood_true=log_prob(truth, centre),
        log_likelihood=log_prob(theta, centre[:, None]),
        log_likelihood_peak=np.full(n_obs, log_norm),
        n_bin=np.full(n_obs, 3.0),
        reference_point=centre + 0.02 * width,
    )


def part_of(inputs, rows=slice(None), draws=slice(None)):
    """Inputs of some spectra and draws."""
    changes = {key: getattr(inputs, key)[rows] for key in (*PER_SPECTRUM, "theta_true")}
    changes |= {key: getattr(inputs, key)[rows][:, draws] for key in PER_DRAW}
    return replace(inputs, **changes)


@pytest.fixture(scope="module")
def arrays():
    return per_spectrum(good_inputs(), np.random.default_rng(0))


@pytest.fixture(scope="module")
def scores(arrays):
    return aggregate(arrays, NAMES, LOW, HIGH)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_value_on_a_good_case(metric, scores):
    mine = [score for score in scores if score.metric == metric.name]
    assert [score.parameter for score in mine] == (list(NAMES) if metric.per_parameter else [None])
    for score in mine:
        assert (score.status, score.n_obs, score.reason) == ("ok", 200, None)
        assert np.isfinite(score.value)
        assert (score.standard_error is not None) == metric.resampled
        scale = (HIGH - LOW)[NAMES.index(score.parameter)] if metric.unit == "parameter" else 1.0
        assert metric.ideal is None or abs(score.value - metric.ideal) < 1.0 * scale


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_says_what_it_cannot_see_and_stands_in_the_card(metric):
    assert "It cannot" in metric.doc
    assert f"`{metric.name}`" in CARD.read_text(encoding="utf-8")


def test_names_are_distinct():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_order_of_draws_does_not_matter(arrays):
    inputs = good_inputs()
    order = np.random.default_rng(4).permutation(300)
    other = per_spectrum(part_of(inputs, draws=order), np.random.default_rng(0))
    for key, value in arrays.items():
        np.testing.assert_allclose(other[key], value, rtol=1e-9, atol=1e-12, err_msg=key)


def test_order_of_spectra_does_not_matter(arrays, scores):
    order = np.random.default_rng(4).permutation(200)
    others = aggregate({key: value[order] for key, value in arrays.items()}, NAMES, LOW, HIGH)
    for score, other in zip(scores, others, strict=True):
        assert other.value == pytest.approx(score.value, rel=1e-9, abs=1e-12)
        if score.metric.startswith("predictive_misfit"):
            continue  # one or two spectra in 200: the resamples' own noise is as large
        if score.standard_error is not None:
            assert other.standard_error == pytest.approx(score.standard_error, rel=0.2, abs=1e-12)


def test_results_do_not_depend_on_the_block_size(arrays, monkeypatch):
    # The functions of the same names hide these modules from attribute access.
    monkeypatch.setattr(sys.modules["exobench.metrics.per_spectrum"], "_BLOCK_NUMBERS", 5000)
    monkeypatch.setattr(sys.modules["exobench.metrics.aggregate"], "_BLOCK_COUNTS", 900)
    other = per_spectrum(good_inputs(), np.random.default_rng(0))
    for key, value in arrays.items():
        np.testing.assert_allclose(other[key], value, rtol=1e-10, atol=1e-13, err_msg=key)
    assert aggregate(other, NAMES, LOW, HIGH, n_bootstrap=10)[0].standard_error > 0


def test_first_spectra_are_scored_as_on_their_own(arrays):
    """Test sets are nested: a table of the first 50 from stored arrays equals a run on 50."""
    inputs = good_inputs()
    own = per_spectrum(part_of(inputs, rows=slice(50)), np.random.default_rng(0))
    part, whole = aggregate(arrays, NAMES, LOW, HIGH, n_obs=50), aggregate(own, NAMES, LOW, HIGH)
    for score, other in zip(part, whole, strict=True):
        assert score.n_obs == 50
        assert other.value == pytest.approx(score.value, rel=1e-9, abs=1e-12)
        if score.metric.startswith("predictive_misfit"):
            continue  # one or two spectra in 200: the resamples' own noise is as large
        if score.standard_error is not None:
            assert other.standard_error == pytest.approx(score.standard_error, rel=1e-6, abs=1e-12)


def test_float32_draws_score_as_float64_ones(arrays):
    inputs = good_inputs()
    single = ScoringInputs(NAMES, inputs.units, LOW, HIGH, inputs.theta_true, inputs.theta.astype(np.float32))
    np.testing.assert_allclose(
        per_spectrum(single, np.random.default_rng(0))["energy_score"], arrays["energy_score"], rtol=1e-4
    )


def standard_error(scores, name, parameter="mass_mjup"):
    return next(s.standard_error for s in scores if s.metric == name and s.parameter in (parameter, None))


def test_standard_errors_of_means_and_shares_are_the_textbook_ones(arrays, scores):
    """Standard deviation over sqrt(n), and sqrt(p (1 - p)/n); 1000 resamples know them to about 2 %."""
    column = NAMES.index("mass_mjup")
    expected = {
        "mae": arrays["absolute_error"][:, column].std() / np.sqrt(200),
        "crps": arrays["crps"][:, column].std() / np.sqrt(200),
        "energy_score": arrays["energy_score"].std() / np.sqrt(200),
        "nltp": arrays["nltp"].std() / np.sqrt(200),
    }
    share = np.mean(np.abs(arrays["rank"][:, column] - 0.5) <= 0.34)
    expected["coverage_68"] = np.sqrt(share * (1 - share) / 200)
    squared = arrays["squared_error"][:, column]
    expected["rmse"] = squared.std() / np.sqrt(200) / (2 * np.sqrt(squared.mean()))
    for name, value in expected.items():
        assert standard_error(scores, name) == pytest.approx(value, rel=0.1), name


def test_standard_error_of_a_median_and_of_r2_over_repeated_data_sets():
    """The spread over independent data sets is what the bootstrap must predict."""
    values, errors = {"median_bias": [], "r2": [], "skill": []}, {"median_bias": [], "r2": [], "skill": []}
    wanted = [metric for metric in METRICS if metric.name in values]
    for seed in range(120):
        table = per_spectrum(good_inputs(n_obs=150, n_draws=20, seed=seed), np.random.default_rng(0))
        for score in aggregate(table, NAMES, LOW, HIGH, n_bootstrap=200, metrics=wanted):
            if score.parameter == "mass_mjup":
                values[score.metric].append(score.value)
                errors[score.metric].append(score.standard_error)
    for name, value in values.items():
        assert np.mean(errors[name]) == pytest.approx(np.std(value, ddof=1), rel=0.25), name


def test_one_spectrum_has_no_standard_error(arrays):
    scores = aggregate(arrays, NAMES, LOW, HIGH, n_obs=1)
    assert all(score.standard_error is None for score in scores)
    assert {s.metric for s in scores if s.status == "undefined"} == {"skill", "r2", "sbc_chi2_p"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_obs": 201}, "there are 200"),
        ({"n_obs": 0}, "n_obs=0"),
        ({"n_bootstrap": 1}, "n_bootstrap=1"),
        ({"names": NAMES[:2]}, "3 entries"),
    ],
)
def test_bad_requests_are_named(arrays, change, words):
    with pytest.raises(ExobenchError, match=words):
        aggregate(**{"per_spectrum": arrays, "names": NAMES, "low": LOW, "high": HIGH, **change})


def test_unequal_arrays_are_named(arrays):
    with pytest.raises(ExobenchError, match="'crps' has shape"):
        aggregate({**arrays, "crps": arrays["crps"][:9]}, NAMES, LOW, HIGH)


def test_records_of_an_older_version_lack_a_score_explicitly(arrays):
    scores = aggregate({k: v for k, v in arrays.items() if k != "crps"}, NAMES, LOW, HIGH, n_bootstrap=5)
    assert {s.status for s in scores if s.metric == "crps"} == {"not available"}


def test_paired_difference_knows_the_shared_noise():
    """Two methods that share most of their error differ with a far smaller error than either has."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=400), 0.1 * rng.normal(size=400)
    difference, error = paired_difference(shared + own + 0.05, shared)
    assert difference == pytest.approx(0.05 + own.mean())
    assert error == pytest.approx(own.std() / 20, rel=0.1)
    assert paired_difference(shared, shared + own) == paired_difference(shared, shared + own)


def test_paired_difference_refuses_gaps_and_unequal_lengths():
    with pytest.raises(ExobenchError, match="1 of 3"):
        paired_difference(np.array([1.0, np.nan, 2.0]), np.zeros(3))
    with pytest.raises(ExobenchError, match="equal lengths"):
        paired_difference(np.zeros(3), np.zeros(4))


def test_a_good_method_beats_the_constant_and_the_constant_does_not(arrays):
    result = skill_against_constant(arrays)
    assert result.better.all()
    variance = arrays["theta_true"].var(axis=0)
    np.testing.assert_allclose(result.difference, variance - arrays["squared_error"].mean(axis=0))
    centred = (arrays["theta_true"] - arrays["theta_true"].mean(axis=0)) ** 2
    simple = (centred - arrays["squared_error"]).std(axis=0) / np.sqrt(200)
    np.testing.assert_allclose(result.standard_error, simple, rtol=0.1)
    middle = {**arrays, "squared_error": (arrays["theta_true"] - 0.5 * (LOW + HIGH)) ** 2}
    assert not skill_against_constant(middle).better.any()


def test_peak_memory_and_cost():
    block = np.ones(4_000_000)
    assert 1.05 * block.nbytes < peak_rss_bytes() < 2**40
    cost = Cost(100, 0, 1.5, 0.01, 10, peak_rss_bytes())
    assert cost.to_dict()["simulations"] == 100
