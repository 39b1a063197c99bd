"""Scores against closed forms and second implementations."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from exobench.metrics import ScoringInputs, aggregate, energy_score_of_constant, energy_score_of_prior, per_spectrum
from exobench.metrics.energy import energy_score

RNG_SEED = 20


def one_parameter(theta, theta_true, low=-10.0, high=10.0, log_weight=None):
    """Inputs of one parameter from draws (obs, draw) and truths (obs,)."""
    return ScoringInputs(
        ("a",), ("",), np.array([low]), np.array([high]), theta_true[:, None], theta[:, :, None], log_weight
    )


def arrays_of(inputs):
    return per_spectrum(inputs, np.random.default_rng(0))


def values_of(inputs):
    scores = aggregate(arrays_of(inputs), inputs.names, inputs.low, inputs.high, n_bootstrap=20)
    return {(score.metric, score.parameter): score.value for score in scores}


def even_draws(distribution, n):
    """Draws at the middle of n slices of equal probability: a sample without noise."""
    return distribution.ppf((np.arange(n) + 0.5) / n)


def gaussian_crps(mu, sigma, y):
    z = (y - mu) / sigma
    return sigma * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_of_a_gaussian_is_the_closed_form():
    y = np.linspace(-4, 4, 9)
    theta = np.broadcast_to(even_draws(stats.norm(0.5, 1.5), 4000), (9, 4000))
    np.testing.assert_allclose(arrays_of(one_parameter(theta, y))["crps"][:, 0], gaussian_crps(0.5, 1.5, y), atol=1e-3)


def test_crps_of_a_uniform_is_the_closed_form():
    y = np.linspace(0, 1, 5)
    theta = np.broadcast_to(even_draws(stats.uniform(), 4000), (5, 4000))
    np.testing.assert_allclose(arrays_of(one_parameter(theta, y))["crps"][:, 0], (y**3 + (1 - y) ** 3) / 3, atol=3e-4)


def test_crps_is_the_integral_of_the_squared_distance_of_distribution_functions():
    """The definition, integrated numerically, against the sum over sorted draws with all pairs (i = j included)."""
    rng = np.random.default_rng(RNG_SEED)
    draws, y = rng.gamma(2.0, size=40), 1.3
    grid = np.linspace(-1, 15, 400_001)
    step = (np.searchsorted(np.sort(draws), grid, side="right") / 40 - (grid >= y)) ** 2
    fair = arrays_of(one_parameter(draws[None], np.array([y])))["crps"][0, 0]
    pairs = np.abs(draws[:, None] - draws).mean()
    all_pairs = fair + 0.5 * pairs * (40 / 39 - 1)
    assert all_pairs == pytest.approx(integrate.trapezoid(step, grid), abs=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_energy_score_of_one_parameter_is_its_crps_over_the_range(weighted):
    rng = np.random.default_rng(RNG_SEED)
    inputs = one_parameter(
        rng.normal(size=(6, 333)), rng.normal(size=6), log_weight=rng.normal(size=(6, 333)) if weighted else None
    )
    arrays = arrays_of(inputs)
    np.testing.assert_allclose(arrays["energy_score"], arrays["crps"][:, 0] / 20.0, atol=1e-12)


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_energy_score_of_a_gaussian_at_its_centre_is_the_closed_form(dimension):
    """E|X| = sigma sqrt(2) Gamma((d+1)/2)/Gamma(d/2), and X - X' is wider by sqrt(2)."""
    rng = np.random.default_rng(RNG_SEED)
    u = rng.normal(0.5, 0.05, size=(20, 2000, dimension))
    score = energy_score(u, np.full((20, 2000), 1 / 2000), np.full((20, dimension), 0.5))
    length = 0.05 * np.sqrt(2) * np.exp(gammaln((dimension + 1) / 2) - gammaln(dimension / 2))
    assert abs(score.mean() - length * (1 - np.sqrt(0.5))) < 4 * score.std() / np.sqrt(20)
    assert score.std() < 0.02 * length


def test_energy_score_equals_a_second_implementation_over_all_pairs():
    rng = np.random.default_rng(RNG_SEED)
    u, y, w = rng.random((3, 300, 7)), rng.random((3, 7)), rng.random((3, 300))
    w /= w.sum(axis=1, keepdims=True)
    for k, score in enumerate(energy_score(u, w, y)):
        pairs = np.outer(w[k], w[k])
        np.fill_diagonal(pairs, 0.0)
        second = (pairs * cdist(u[k], u[k])).sum() / pairs.sum()
        assert score == pytest.approx(w[k] @ cdist(u[k], y[k][None])[:, 0] - 0.5 * second, abs=1e-12)


def test_energy_score_above_the_cap_keeps_within_a_thousandth():
    rng = np.random.default_rng(RNG_SEED)
    u, y = rng.normal(0.5, 0.1, size=(2, 6000, 7)), np.full((2, 7), 0.5)
    weight = np.full((2, 6000), 1 / 6000)
    for k, score in enumerate(energy_score(u, weight, y)):
        distance = cdist(u[k], u[k]).sum() / (6000 * 5999)
        exact = np.linalg.norm(u[k] - y[k], axis=1).mean() - 0.5 * distance
        assert abs(score - exact) < 1e-3 * distance


@pytest.mark.parametrize("n_draws", [2, 5, 64])
def test_few_draws_score_as_many_draws_on_average(n_draws):
    """Without bias: a method is not punished for giving 64 draws in place of thousands."""
    rng = np.random.default_rng(RNG_SEED)
    n_obs = 20_000
    arrays = arrays_of(one_parameter(rng.normal(size=(n_obs, n_draws)), np.full(n_obs, 0.7)))
    for key, scale in (("crps", 1.0), ("energy_score", 20.0)):
        score = scale * arrays[key].ravel()
        assert abs(score.mean() - gaussian_crps(0, 1, 0.7)) < 4 * score.std() / np.sqrt(n_obs)


def test_point_mass_scores_its_distance():
    arrays = arrays_of(one_parameter(np.full((1, 50), 3.0), np.array([1.0])))
    assert arrays["crps"][0, 0] == pytest.approx(2.0, abs=1e-12)
    assert arrays["energy_score"][0] == pytest.approx(0.1, abs=1e-9)
    assert arrays["interval_score_95"][0, 0] == pytest.approx(2.0 / 0.05 * 2.0)


def test_interval_score_of_a_gaussian():
    y = np.array([0.0, 3.0, -3.0])
    theta = np.broadcast_to(even_draws(stats.norm(), 20_000), (3, 20_000))
    half = stats.norm.ppf(0.84)
    expected = 2 * half + 2 / 0.32 * np.maximum(np.abs(y) - half, 0)
    np.testing.assert_allclose(arrays_of(one_parameter(theta, y))["interval_score_68"][:, 0], expected, rtol=1e-3)


def test_energy_scores_of_constant_and_of_prior():
    low, high = np.array([-8.0, 1000.0]), np.array([-1.0, 2000.0])
    truth = np.array([[-8.0, 1000.0], [-4.5, 1500.0]])
    np.testing.assert_allclose(energy_score_of_constant(truth, low, high), [np.sqrt(0.5), 0.0])
    np.testing.assert_allclose(energy_score_of_constant(truth, low, high, truth[0])[0], 0.0)
    y = np.linspace(0, 1, 5)
    prior = energy_score_of_prior(1 + 2 * y[:, None], np.array([1.0]), np.array([3.0]), n_draws=4096)
    np.testing.assert_allclose(prior, (y**3 + (1 - y) ** 3) / 3, atol=0.02)


def test_weights_give_what_repeated_draws_give():
    """A draw of weight n counts as n equal draws: exactly so for moments and quantiles."""
    rng = np.random.default_rng(RNG_SEED)
    draws, times, truth = rng.normal(size=200), rng.integers(0, 5, size=200), np.array([0.3])
    with np.errstate(divide="ignore"):
        weighted = arrays_of(one_parameter(draws[None], truth, log_weight=np.log(times)[None].astype(float) + 7.0))
    repeated = arrays_of(one_parameter(np.repeat(draws, times)[None], truth))
    exact = ("mean", "median", "sd", "q025", "q16", "q84", "q975", "interval_score_68", "interval_score_95", "z")
    for key in exact:
        np.testing.assert_allclose(weighted[key], repeated[key], rtol=1e-12, err_msg=key)
    for key in ("crps", "energy_score"):
        np.testing.assert_allclose(weighted[key], repeated[key], rtol=0.02, err_msg=key)


def test_importance_weights_recover_the_target():
    """Draws of N(0, 2) weighted to N(1, 1) score as N(1, 1)."""
    rng = np.random.default_rng(RNG_SEED)
    draws = rng.normal(0, 2, size=(40, 4000))
    log_weight = stats.norm.logpdf(draws, 1, 1) - stats.norm.logpdf(draws, 0, 2)
    arrays = arrays_of(one_parameter(draws, np.full(40, 0.2), log_weight=log_weight))
    target = {"mean": 1.0, "median": 1.0, "sd": 1.0, "q16": stats.norm.ppf(0.16, 1), "crps": gaussian_crps(1, 1, 0.2)}
    for key, expected in target.items():
        assert abs(arrays[key].mean() - expected) < 4 * arrays[key].std() / np.sqrt(40), key
    assert (arrays["ess"] < 4000).all()
    assert (arrays["ess"] > 500).all()


@pytest.mark.parametrize("percent", [10, 5, 2, 1])
def test_hit_rate_of_the_middle_of_a_uniform_prior(percent):
    """The middle lies within w of the truth for 2 w of the range."""
    truth = np.linspace(0, 1, 20_001)
    inputs = one_parameter(np.full((20_001, 1), 0.5), truth, low=0.0, high=1.0)
    assert values_of(inputs)["hit_rate_" + str(percent), "a"] == pytest.approx(0.02 * percent, abs=1e-4)


@pytest.mark.parametrize(
    ("low", "high", "middle", "expected"),
    [(-8.0, -1.0, False, 0.706), (0.8, 2.0, True, 0.913), (0.8, 1.5, True, 0.963), (1000.0, 2000.0, True, 0.954)],
)
def test_accuracy_exogan_flatters_a_constant(low, high, middle, expected):
    """A constant c gets 2 c E[1/t] - c^2 E[1/t^2]; the best one is c = E[1/t]/E[1/t^2]."""
    inverse, inverse_square = np.log(high / low) / (high - low), 1 / (low * high)
    constant = 0.5 * (low + high) if middle else inverse / inverse_square
    closed_form = 2 * constant * inverse - constant**2 * inverse_square
    truth = low + (high - low) * (np.arange(4000) + 0.5) / 4000
    values = values_of(one_parameter(np.full((4000, 2), constant), truth, low=low, high=high))
    assert values["accuracy_exogan_0", "a"] == pytest.approx(closed_form, abs=1e-4)
    assert closed_form == pytest.approx(expected, abs=1e-3)


def test_accuracy_exogan_by_hand_and_raised_by_width():
    """true 2, draws 2 and 4: median 3, s 1, so 1 - 1/(4 + k^2)."""
    values = values_of(one_parameter(np.array([[2.0, 4.0]]), np.array([2.0]), low=1.0, high=9.0))
    for k in (0, 1, 2):
        assert values[f"accuracy_exogan_{k}", "a"] == pytest.approx(1 - 1 / (4 + k**2))


def test_skill_and_r2_against_scikit_learn_and_numpy():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(RNG_SEED)
    truth = rng.uniform(-5, 5, size=500)
    draws = 0.7 * truth[:, None] + 1.0 + rng.normal(size=(500, 1))
    values = values_of(one_parameter(draws, truth))
    assert values["skill", "a"] == pytest.approx(metrics.r2_score(truth, draws[:, 0]))
    assert values["r2", "a"] == pytest.approx(np.corrcoef(truth, draws[:, 0])[0, 1] ** 2)
    assert values["rmse", "a"] == pytest.approx(metrics.mean_squared_error(truth, draws[:, 0]) ** 0.5)
    assert values["mae", "a"] == pytest.approx(metrics.mean_absolute_error(truth, draws[:, 0]))
    assert values["median_bias", "a"] == pytest.approx(np.median(draws[:, 0] - truth))


def test_best_constant_has_no_skill():
    truth = np.random.default_rng(RNG_SEED).uniform(-5, 5, size=300)
    values = values_of(one_parameter(np.full((300, 3), truth.mean()), truth))
    assert values["skill", "a"] == pytest.approx(0.0, abs=1e-12)
    assert values["r2", "a"] is None


def test_density_scores_of_a_gaussian():
    """nltp is the entropy for the exact density; the trimmed mean is SciPy's; the prior wins where |z| is large."""
    rng = np.random.default_rng(RNG_SEED)
    truth = rng.normal(size=4000)
    log_prob, prior = stats.norm.logpdf(truth), np.full(4000, -np.log(20.0))
    box = np.array([-10.0]), np.array([10.0])
    inputs = ScoringInputs(
        ("a",), ("",), *box, truth[:, None], np.zeros((4000, 2, 1)), log_prob_true=log_prob, prior_log_prob=prior
    )
    scores = {score.metric: score for score in aggregate(arrays_of(inputs), ("a",), *box)}
    assert abs(scores["nltp"].value - 0.5 * np.log(2 * np.pi * np.e)) < 4 * scores["nltp"].standard_error
    assert scores["nltp_trimmed"].value == pytest.approx(stats.trim_mean(-log_prob, 0.05))
    assert scores["nltp_below_prior"].value == np.sum(log_prob < prior)


def test_z_and_contraction_of_an_exact_posterior():
    """Gaussian prior and noise of equal width: half the variance is left, and z is standard normal."""
    rng = np.random.default_rng(RNG_SEED)
    truth = rng.normal(size=2000)
    x = truth + rng.normal(size=2000)
    draws = 0.5 * x[:, None] + np.sqrt(0.5) * rng.normal(size=(2000, 400))
    inputs = one_parameter(draws, truth)
    scores = {s.metric: s for s in aggregate(arrays_of(inputs), ("a",), inputs.low, inputs.high) if s.parameter}
    for name, expected in (("z_score_mean", 0.0), ("z_score_rms", 1.0), ("median_bias", 0.0)):
        assert abs(scores[name].value - expected) < 4 * scores[name].standard_error + 0.005, name
    assert scores["contraction"].value == pytest.approx(1 - 0.5 / (20**2 / 12), abs=1e-4)
