"""Scores by region: the parts make up the whole, a fault in a corner is found there, and warnings are true."""

import numpy as np
import pytest
from scipy import stats

from exobench.errors import ExobenchError
from exobench.metrics import aggregate, find_metric
from exobench.metrics.regions import (
    ALL,
    DETECTABLE_FROM,
    N_QUANTILES,
    NOISE,
    find_regions,
    noise_level_ppm,
    scores_by_region,
)

NAMES = ("gas", "mass")
LOW, HIGH = np.array([-8.0, 0.8]), np.array([-1.0, 2.0])
MEAN_SCORES = [find_metric(name) for name in ("energy_score", "hit_rate_10", "mae")]


def corner_arrays(n_obs=5000, seed=0):
    """Errors are normal with sd 5 % of the range, but 20 % for the gas in the lowest fifth of its prior."""
    rng = np.random.default_rng(seed)
    u = rng.random((n_obs, 2))
    scale = np.full((n_obs, 2), 0.05)
    scale[u[:, 0] < 0.2, 0] = 0.2
    error = scale * rng.normal(size=(n_obs, 2))
    return {
        "theta_true": LOW + u * (HIGH - LOW),
        "range_error": np.abs(error),
        "absolute_error": np.abs(error) * (HIGH - LOW),
        "energy_score": np.linalg.norm(error, axis=1),
        "rank": stats.norm.cdf(error / scale),
    }


def of(rows, metric, parameter=None):
    """Scores of one metric by group and region."""
    found = {}
    for row in rows:
        if (row.score.metric, row.score.parameter) == (metric, parameter):
            found.setdefault(row.group, []).append(row.score)
    return found


def test_fifths_part_the_spectra_at_the_quantiles():
    truth = corner_arrays(n_obs=1000)["theta_true"]
    regions = find_regions(truth, NAMES)
    assert [region.group for region in regions] == [ALL, *["gas"] * N_QUANTILES, *["mass"] * N_QUANTILES]
    for name, value in zip(NAMES, truth.T, strict=True):
        parts = [region for region in regions if region.group == name]
        np.testing.assert_array_equal(sum(part.members.astype(int) for part in parts), 1)
        assert {part.members.sum() for part in parts} == {200}
        inner = np.quantile(value, [0.2, 0.4, 0.6, 0.8])
        np.testing.assert_array_equal([part.members for part in parts], _between(value, inner))
        assert [(part.low, part.high) for part in parts] == [
            (value[part.members].min(), value[part.members].max()) for part in parts
        ]


def test_a_number_of_spectra_that_five_does_not_divide_leaves_none_out():
    parts = find_regions(corner_arrays(n_obs=1003)["theta_true"], NAMES)[1 : 1 + N_QUANTILES]
    assert sorted(part.members.sum() for part in parts) == [200, 200, 201, 201, 201]
    np.testing.assert_array_equal(sum(part.members.astype(int) for part in parts), 1)


def _between(value, inner):
    return np.searchsorted(inner, value)[None] == np.arange(N_QUANTILES)[:, None]


def test_the_parts_average_to_the_whole_and_the_whole_is_the_tables_own():
    arrays = corner_arrays()
    rows = scores_by_region(arrays, NAMES, LOW, HIGH, metrics=MEAN_SCORES, n_bootstrap=1000)
    whole = aggregate(arrays, NAMES, LOW, HIGH, metrics=MEAN_SCORES, n_bootstrap=1000)
    assert [row.score for row in rows if row.group == ALL] == whole
    for score in whole:
        by_group = of(rows, score.metric, score.parameter)
        for group in NAMES:
            values, sizes = zip(*((part.value, part.n_obs) for part in by_group[group]), strict=True)
            assert np.average(values, weights=sizes) == pytest.approx(score.value, rel=1e-12)


def test_a_corner_that_the_average_hides_is_found():
    rows = scores_by_region(corner_arrays(), NAMES, LOW, HIGH, metrics=MEAN_SCORES)
    by_group = of(rows, "hit_rate_10", "gas")
    # |error| <= 0.1 of the range, at a standard deviation of 0.2 and of 0.05.
    poor, good = 2 * stats.norm.cdf(0.5) - 1, 2 * stats.norm.cdf(2.0) - 1
    for score, expected in zip(by_group["gas"], [poor] + [good] * 4, strict=True):
        # The fifth of the spectra ends beside the fifth of the prior, by 0.6 % of the spectra (1 sd).
        assert score.value == pytest.approx(expected, abs=4 * score.standard_error + 0.01)
    for score in by_group["mass"]:
        assert score.value == pytest.approx((poor + 4 * good) / 5, abs=4 * score.standard_error)


def test_standard_errors_are_those_of_a_mean():
    arrays = corner_arrays(n_obs=2000)
    rows = scores_by_region(arrays, NAMES, LOW, HIGH, metrics=MEAN_SCORES, n_bootstrap=2000)
    parts = [region for region in find_regions(arrays["theta_true"], NAMES) if region.group == "mass"]
    for score, part in zip(of(rows, "energy_score")["mass"], parts, strict=True):
        values = arrays["energy_score"][part.members]
        assert score.standard_error == pytest.approx(values.std() / np.sqrt(len(values)), rel=0.08)


def conjugate(n_obs=20_000, seed=1):
    """A gas at theta ~ N(0, 1), seen as x ~ N(theta, sigma^2) with sigma differing, and its exact posterior's ranks.

    The Bayes factor is that of theta ~ N(0, 1) over theta = 0, a closed form.
    """
    rng = np.random.default_rng(seed)
    truth, sigma = rng.normal(size=n_obs), 10.0 ** rng.uniform(-1.0, 0.5, size=n_obs)
    x = truth + sigma * rng.normal(size=n_obs)
    shrink = 1.0 / (1.0 + sigma**2)
    rank = stats.norm.cdf((truth - shrink * x) / (sigma * np.sqrt(shrink)))
    factor = stats.norm.logpdf(x, scale=np.sqrt(1.0 + sigma**2)) - stats.norm.logpdf(x, scale=sigma)
    return {
        "theta_true": truth[:, None],
        "rank": rank[:, None],
        "noise_ppm": 1e6 * sigma,
        "log_bayes_factor": factor[:, None],
    }


def test_exact_posteriors_cover_by_noise_and_by_detectability_but_not_by_truth():
    arrays = conjugate()
    coverage = [find_metric("coverage_68")]
    rows = scores_by_region(arrays, ["gas"], np.array([-9.0]), np.array([9.0]), metrics=coverage)
    by_group = of(rows, "coverage_68", "gas")
    assert [len(by_group[group]) for group in (ALL, "gas", NOISE, "detectable gas")] == [1, 5, 5, 2]
    for group in (ALL, NOISE, "detectable gas"):
        for score in by_group[group]:
            assert score.value == pytest.approx(0.68, abs=4 * np.sqrt(0.68 * 0.32 / score.n_obs)), group
    by_truth = by_group["gas"]
    assert by_truth[0].value < 0.6
    assert by_truth[2].value > 0.75


def test_detectability_is_the_bayes_factor_and_unknown_ones_are_named():
    arrays = conjugate(n_obs=500)
    factor = np.concatenate([arrays["log_bayes_factor"], np.full((500, 1), np.nan)], axis=1)
    factor[:100, 0] = np.nan
    truth = np.repeat(arrays["theta_true"], 2, axis=1)
    regions = [r for r in find_regions(truth, NAMES, log_bayes_factor=factor) if r.group.startswith("detectable")]
    assert {region.group for region in regions} == {"detectable gas"}
    assert [region.label for region in regions] == ["yes", "no", "not known for these spectra"]
    np.testing.assert_array_equal(np.flatnonzero(regions[2].members), np.arange(100))
    np.testing.assert_array_equal(regions[0].members, factor[:, 0] > DETECTABLE_FROM)
    assert regions[0].members.sum() + regions[1].members.sum() == 400


def test_noise_gives_regions_only_where_it_varies():
    truth = corner_arrays(n_obs=60)["theta_true"]
    levels = lambda noise: [r for r in find_regions(truth, NAMES, noise_ppm=noise) if r.group == NOISE]  # noqa: E731
    assert levels(20.0 * (1 + 1e-9 * np.arange(60))) == []
    assert [(r.label, r.members.sum()) for r in levels(np.tile([5.0, 20.0, 100.0], 20))] == [
        ("5", 20),
        ("20", 20),
        ("100", 20),
    ]
    assert [r.members.sum() for r in levels(np.arange(1.0, 61.0))] == [12] * 5


def test_the_noise_level_is_that_of_equal_information():
    sigma = np.array([[20e-6] * 4, [10e-6, 10e-6, np.inf, np.inf], [30e-6, 10e-6, 30e-6, 10e-6], [np.inf] * 4])
    # Half of the bins: sqrt(2). Two levels: mean of 1/900 and 1/100 is 1/180.
    expected = [20.0, 10.0 * np.sqrt(2.0), np.sqrt(180.0), np.inf]
    np.testing.assert_allclose(noise_level_ppm(sigma), expected, rtol=1e-12)


def test_the_first_spectra_alone_are_used():
    arrays = corner_arrays(n_obs=900)
    first = {key: values[:400] for key, values in arrays.items()}
    rows = scores_by_region(arrays, NAMES, LOW, HIGH, n_obs=400, metrics=MEAN_SCORES)
    assert rows == scores_by_region(first, NAMES, LOW, HIGH, metrics=MEAN_SCORES)
    assert rows[0].score.n_obs == 400


def test_the_table_is_tidy():
    rows = scores_by_region(corner_arrays(n_obs=100), NAMES, LOW, HIGH, metrics=MEAN_SCORES)
    table = [row.to_dict() for row in rows]
    assert len(table) == (1 + 2 * N_QUANTILES) * (1 + 2 + 2)
    assert set(table[0]) == {
        *("group", "region", "low", "high", "metric", "parameter"),
        *("value", "standard_error", "n_obs", "status", "reason"),
    }
    keys = {(row["group"], row["region"], row["metric"], row["parameter"]) for row in table}
    assert len(keys) == len(table)


def test_a_score_that_a_record_lacks_says_so_in_every_region():
    rows = scores_by_region(corner_arrays(n_obs=100), NAMES, LOW, HIGH, metrics=[find_metric("nltp")])
    assert {row.score.status for row in rows} == {"not available"}


def test_equal_truths_stay_together():
    truth = np.stack([np.repeat([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 10), np.ones(60)], axis=1)
    regions = find_regions(truth, NAMES)[1:]
    assert {region.group for region in regions} == {"gas"}
    assert sum(region.members.sum() for region in regions) == 60
    for value in range(1, 7):
        assert sum(region.members[truth[:, 0] == value].any() for region in regions) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"theta_true": None}, "lack 'theta_true'"),
        ({"noise_ppm": np.ones(3)}, r"noise_ppm has shape \(3,\)"),
        ({"noise_ppm": np.full(50, np.nan)}, "noise_ppm is NaN for 50 of 50"),
        ({"log_bayes_factor": np.ones((50, 3))}, r"log_bayes_factor has shape \(50, 3\)"),
        ({"theta_true": np.full((50, 2), np.nan)}, "gas is NaN"),
    ],
)
def test_wrong_arrays_are_errors(change, words):
    arrays = {key: value for key, value in {**corner_arrays(n_obs=50), **change}.items() if value is not None}
    with pytest.raises(ExobenchError, match=words):
        scores_by_region(arrays, NAMES, LOW, HIGH, metrics=MEAN_SCORES)


def test_wrong_options_are_errors():
    arrays = corner_arrays(n_obs=50)
    with pytest.raises(ExobenchError, match="n_obs=51"):
        scores_by_region(arrays, NAMES, LOW, HIGH, n_obs=51)
    with pytest.raises(ExobenchError, match="1 names for 2"):
        find_regions(arrays["theta_true"], ["gas"])
    with pytest.raises(ExobenchError, match="sigma must be positive"):
        noise_level_ppm(np.zeros((2, 3)))
