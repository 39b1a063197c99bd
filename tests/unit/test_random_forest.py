"""The forest of plain arrays against scikit-learn's own, its posterior against its definition, and whole fits."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits, Progress
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.problem import InferenceProblem
from exobench.registry import build_method
from exobench_baselines.random_forest.features import Features
from exobench_baselines.random_forest.method import RandomForest
from exobench_baselines.random_forest.posterior import ForestPosterior
from exobench_baselines.random_forest.surprise import departure, disagreement
from exobench_baselines.random_forest.trees import Trees

NAMES = ("a", "b")
SPACE = ParameterSpace(tuple(Parameter(name, "1", name, -1.0, 3.0) for name in NAMES))
N_BIN = 12
SMALL = {"trees": 6, "trees_per_batch": 2, "n_components": 4, "noise_copies": 2}


class ToySource:
    """A line whose level and slope are the parameters."""

    def __init__(self, n_train):
        self._n = {"train": n_train, "validation": 50}

    def n(self, split):
        return self._n[split]

    def read(self, split, n):
        theta = SPACE.from_unit_cube(np.random.default_rng(len(split)).random((self._n[split], 2)))[:n]
        return theta, 0.01 + 1e-4 * (theta[:, :1] + theta[:, 1:] * np.linspace(-1, 1, N_BIN))


def problem_of(n_train=300):
    edges = np.linspace(1.0, 2.0, N_BIN + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return InferenceProblem("toy", SPACE, UniformPrior(SPACE), centres, edges, ConstantNoise(30.0), ToySource(n_train))


def fit(folder, *, problem=None, stop=lambda: False, seed=0, limits=None, progress=None, **settings):
    return RandomForest(**{**SMALL, **settings}).fit(
        problem or problem_of(),
        limits=limits or Limits(),
        rng=np.random.default_rng(seed),
        device="cpu",
        workdir=folder,
        stop=stop,
        progress=progress or Progress.silent(),
    )


@pytest.fixture(scope="module")
def grown():
    """scikit-learn's forest, its columns and targets, and the same forest as plain arrays."""
    rng = np.random.default_rng(0)
    # Few distinct values put many columns on a threshold's midpoint or beside it.
    columns = np.round(rng.normal(size=(400, 5)), 2).astype(np.float32)
    target = np.stack([columns[:, 0] + columns[:, 1] ** 2, columns[:, 2] * columns[:, 3]], axis=1)
    forest = RandomForestRegressor(7, min_samples_leaf=3, max_features=0.6, random_state=1).fit(columns, target)
    pairs = zip(forest.estimators_, forest.estimators_samples_, strict=True)
    return forest, columns, target, Trees.joined([Trees.of_tree(tree, columns, rows) for tree, rows in pairs])


def posterior_of(trees, target):
    n_column = int(trees.feature.max()) + 1
    return ForestPosterior(Features(np.zeros(n_column), np.empty((0, 0)), False), trees, target, NAMES)


def test_leaves_are_those_of_scikit_learn(grown):
    forest, columns, _, trees = grown
    thresholds = np.concatenate([tree.tree_.threshold for tree in forest.estimators_]).astype(np.float32)
    fresh = np.random.default_rng(2).choice(np.concatenate([thresholds, columns.ravel()]), (2000, 5))
    first = np.concatenate([[0], np.cumsum(trees.n_node)[:-1]])
    for rows in (columns, fresh):
        np.testing.assert_array_equal(trees.leaves(rows) - first, forest.apply(rows))


def test_a_threshold_between_two_float32_numbers_divides_them_as_scikit_learn_does():
    low = np.float32(1.0)
    columns = np.array([[low], [np.nextafter(low, np.float32(2))]], dtype=np.float32)
    forest = RandomForestRegressor(3, bootstrap=False, random_state=0).fit(columns, [0.0, 1.0])
    trees = Trees.joined([Trees.of_tree(tree, columns, np.arange(2)) for tree in forest.estimators_])
    first = np.concatenate([[0], np.cumsum(trees.n_node)[:-1]])
    np.testing.assert_array_equal(trees.leaves(columns) - first, forest.apply(columns))


def test_weights_average_to_the_prediction_of_scikit_learn(grown):
    forest, columns, target, trees = grown
    weights = posterior_of(trees, target).weights(columns[:50].astype(float), np.ones((50, 5)))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights @ target, forest.predict(columns[:50]), atol=1e-12)


def test_weights_follow_their_definition(grown):
    forest, columns, target, trees = grown
    one = columns[:1]
    expected = np.zeros(len(target))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        counts = np.bincount(drawn, minlength=len(target)) * (tree.apply(columns) == tree.apply(one)[0])
        expected += counts / counts.sum() / len(forest.estimators_)
    found = posterior_of(trees, target).weights(one.astype(float), np.ones((1, 5)))[0]
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_draws_come_with_their_weights(grown):
    _, columns, target, trees = grown
    posterior = posterior_of(trees, target)
    x, sigma = columns[:3].astype(float), np.ones((3, 5))
    theta = posterior.sample(x, sigma, 40_000, rng=np.random.default_rng(3)).theta
    for weight, draws in zip(posterior.weights(x, sigma), theta, strict=True):
        values, first = np.unique(target, axis=0, return_inverse=True)
        expected = np.bincount(first.ravel(), weight, minlength=len(values)) * len(draws)
        _, place = np.unique(np.concatenate([values, draws]), axis=0, return_inverse=True)
        found = np.bincount(place.ravel()[len(values) :], minlength=len(values))
        assert not found[expected == 0].any()
        kept = expected > 0
        chi_square = ((found[kept] - expected[kept]) ** 2 / expected[kept]).sum()
        freedom = kept.sum() - 1
        assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_components_hold_all_of_a_spectrum_and_whiten_its_noise():
    rng = np.random.default_rng(0)
    sigma = np.tile(np.geomspace(1e-5, 1e-3, N_BIN), (500, 1))
    x = 0.01 + rng.normal(size=(500, N_BIN)) * 5e-4
    features = Features.fitted(x, sigma, "components", N_BIN)
    back = features(x, sigma).astype(float) @ np.linalg.inv(features.projection) + features.mean
    np.testing.assert_allclose(back, x, atol=1e-7)
    noise = features.projection.T @ np.diag(sigma[0] ** 2) @ features.projection
    np.testing.assert_allclose(noise, np.eye(N_BIN), atol=1e-10)


@pytest.mark.parametrize(("kind", "n_column"), [("components", 4), ("bins", N_BIN)])
def test_a_noise_level_that_varies_becomes_a_column(kind, n_column):
    x = np.random.default_rng(0).normal(0.01, 1e-4, (50, N_BIN))
    same, other = np.full_like(x, 1e-5), np.geomspace(1e-5, 1e-4, 50)[:, None] * np.ones(N_BIN)
    assert Features.fitted(x, same, kind, 4)(x, same).shape == (50, n_column)
    columns = Features.fitted(x, other, kind, 4)(x, other)
    np.testing.assert_allclose(columns[:, n_column], np.log(other[:, 0]), rtol=1e-6)


@pytest.mark.parametrize("features", ["components", "bins"])
def test_it_learns(tmp_path, features):
    problem = problem_of(3000)
    posterior = fit(tmp_path, problem=problem, features=features, trees=16, trees_per_batch=16)
    theta_true, x, sigma = problem.arrays("validation")
    samples = posterior.sample(x, sigma, 200, rng=np.random.default_rng(1))
    assert samples.theta.shape == (50, 200, 2)
    assert SPACE.inside(samples.theta).all()
    assert (samples.diagnostics["distinct_draws"] > 10).all()
    error = np.abs(np.median(samples.theta, axis=1) - theta_true)
    assert (np.median(error, axis=0) < 0.1 * 4.0).all()
    low, high = np.quantile(samples.theta, [0.025, 0.975], axis=1)
    assert ((theta_true >= low) & (theta_true <= high)).mean() > 0.85


def test_a_saved_forest_draws_the_same_without_scikit_learn(tmp_path):
    posterior = fit(tmp_path / "work")
    posterior.save(tmp_path / "saved")
    _, x, sigma = problem_of().arrays("validation")
    np.savez(tmp_path / "spectra.npz", x=x, sigma=sigma)
    code = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from exobench_baselines.random_forest.posterior import ForestPosterior\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "loaded = ForestPosterior.load(folder / 'saved', ('a', 'b'))\n"
        "spectra = np.load(folder / 'spectra.npz')\n"
        "theta = loaded.sample(spectra['x'], spectra['sigma'], 20, rng=np.random.default_rng(5)).theta\n"
        "assert 'sklearn' not in sys.modules\n"
        "np.save(folder / 'theta.npy', theta)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = posterior.sample(x, sigma, 20, rng=np.random.default_rng(5)).theta
    np.testing.assert_array_equal(np.load(tmp_path / "theta.npy"), expected)


def test_a_forest_of_other_parameters_is_refused(tmp_path):
    fit(tmp_path / "work").save(tmp_path / "saved")
    with pytest.raises(ExobenchError, match="is of parameters"):
        ForestPosterior.load(tmp_path / "saved", ("c", "d"))


def test_a_stopped_fit_goes_on_to_the_same_trees(tmp_path):
    whole = fit(tmp_path / "whole")
    asked = iter(range(10))
    with pytest.raises(FitInterrupted, match="4 of 6 trees"):
        fit(tmp_path / "stopped", stop=lambda: next(asked) >= 2)
    kept = sorted((tmp_path / "stopped").iterdir())
    assert len(kept) == 2
    resumed = fit(tmp_path / "stopped")
    for name, array in whole.trees.arrays().items():
        np.testing.assert_array_equal(resumed.trees.arrays()[name], array)


def test_a_fit_killed_while_it_grows_goes_on_to_the_same_trees(tmp_path):
    code = (
        f"import os, signal\n"
        "from pathlib import Path\n"
        "import test_random_forest as here\n"
        "asked = iter(range(10))\n"
        "kill = lambda: next(asked) >= 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"here.fit(Path({str(tmp_path / 'killed')!r}), stop=kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=__file__.rpartition("/")[0])
    assert done.returncode == -9, done.stderr
    assert len(list((tmp_path / "killed").iterdir())) == 2
    whole, resumed = fit(tmp_path / "whole"), fit(tmp_path / "killed")
    for name, array in whole.trees.arrays().items():
        np.testing.assert_array_equal(resumed.trees.arrays()[name], array)


@pytest.mark.parametrize("change", [{"min_samples_leaf": 9}, {"seed": 1}, {"problem": problem_of(200)}])
def test_trees_of_another_fit_are_refused(tmp_path, change):
    fit(tmp_path)
    with pytest.raises(ExobenchError, match="belongs to a fit with other settings or data"):
        fit(tmp_path, **change)


def test_a_damaged_checkpoint_is_named(tmp_path):
    fit(tmp_path)
    path = sorted(tmp_path.iterdir())[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ExobenchError, match=path.name):
        fit(tmp_path)


def test_steps_count_trees(tmp_path):
    assert len(fit(tmp_path / "five", limits=Limits(steps=5)).trees) == 5
    assert len(fit(tmp_path / "many", limits=Limits(steps=500)).trees) == 6


def test_seconds_end_growing_after_a_batch(tmp_path):
    assert len(fit(tmp_path, limits=Limits(seconds=1e-6)).trees) == 2


def test_n_train_and_max_spectra_bound_the_rows(tmp_path):
    assert fit(tmp_path / "n_train", limits=Limits(n_train=100)).theta.shape == (100, 2)
    few = fit(tmp_path / "max_spectra", max_spectra=50)
    assert few.theta.shape == (50, 2)
    assert few.trees.member.max() < 50


def test_progress_counts_trees(tmp_path):
    seen = []
    progress = Progress(update=lambda done, total, text: seen.append((done, total)), scalar=lambda *scalar: None)
    fit(tmp_path, progress=progress)
    assert seen == [(2, 6), (4, 6), (6, 6)]


def test_missing_bins_are_refused(tmp_path):
    posterior = fit(tmp_path)
    x, sigma = np.full((2, N_BIN), 0.01), np.full((2, N_BIN), 3e-5)
    x[1, 4], sigma[1, 4] = np.nan, np.inf
    with pytest.raises(ExobenchError, match="spectrum 1 misses 1"):
        posterior.sample(x, sigma, 5, rng=np.random.default_rng(0))
    with pytest.raises(ExobenchError, match="must both have shape"):
        posterior.sample(x[:, 1:], sigma[:, 1:], 5, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [("trees", 0), ("max_features", 2.0), ("max_features", "log"), ("features", "pixels"),
     ("min_impurity_decrease", -1.0), ("noise_copies", 0), ("trees_per_batch", 1.5)],
)  # fmt: skip
def test_wrong_values_are_named(name, value):
    with pytest.raises(ExobenchError, match=rf"{name}"):
        RandomForest(**{name: value})


def test_the_share_of_columns_is_given_as_a_number_or_as_sqrt():
    def share(value):
        return build_method({"name": "random_forest", "max_features": value}).max_features

    assert share("sqrt") == "sqrt"
    assert isinstance(share(1), float)
    with pytest.raises(ExobenchError, match="max_features=log must be a share above 0 and up to 1, or sqrt"):
        share("log")


def test_a_forest_is_surprised_by_what_it_never_saw(tmp_path):
    posterior, problem = fit(tmp_path, trees=16), problem_of()
    usual = problem.arrays("validation", 50)
    comb = usual.x + 100.0 * usual.sigma * (-1.0) ** np.arange(usual.x.shape[1])
    rest = posterior.surprise(usual.x, usual.sigma)
    assert rest.shape == (50,)
    assert (posterior.surprise(comb, usual.sigma) > rest.max()).all()
    # One scale of noise for all: too small a residual is as untypical as too large a one.
    assert np.median(departure(posterior.features, usual.x, usual.sigma)) < 2.0
    posterior.save(tmp_path / "saved")
    loaded = ForestPosterior.load(tmp_path / "saved", problem.parameters.names)
    np.testing.assert_allclose(loaded.surprise(usual.x, usual.sigma), rest)


def test_trees_that_part_are_a_surprise():
    """Two stumps over four rows: they agree on the left and differ on the right by more than their leaves are wide."""
    member = np.array([0, 1, 2, 3, 0, 1, 4, 5], dtype=np.uint32)
    trees = Trees(
        n_node=np.array([3, 3], dtype=np.int32),
        feature=np.array([0, -1, -1, 0, -1, -1], dtype=np.int32),
        threshold=np.zeros(6, dtype=np.float32),
        right=np.array([2, -1, -1, 2, -1, -1], dtype=np.int32),
        n_member=np.array([0, 2, 2, 0, 2, 2], dtype=np.int32),
        member=member,
    )
    unit = np.array([[0.0], [0.2], [0.4], [0.6], [0.8], [1.0]])
    leaf = trees.leaves(np.array([[-1.0], [1.0]], dtype=np.float32))
    # Right: means 0.5 and 0.9, variance 0.04 between and 0.01 within.
    np.testing.assert_allclose(disagreement(trees, unit, leaf), [0.0, 2.0], atol=1e-6)
