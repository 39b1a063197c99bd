"""The parts of the nested samplers: settings, draws from weighted points, the mixture's map from the unit cube."""

import builtins

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.sampling.gaussian_mixture import GaussianMixture
from exobench.sampling.nested_run import NestedRun, load_sampler, run_nested, systematic_rows
from exobench.sampling.nested_settings import NestedSettings
from exobench.sampling.seeded_cube import SeededCube
from exobench_baselines.nested.method import Nested


def small_settings(**values):
    """Settings of a run of a second."""
    return NestedSettings.of(
        Nested(**{"n_live": 100, "batch_size": 100, "n_networks": 0, "n_effective": 500, **values})
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sampler", "nautilius"),
        ("n_live", 3),
        ("n_live", 100.5),
        ("batch_size", 0),
        ("n_networks", -1),
        ("n_effective", True),
        ("effective_per_draw", 0.0),
        ("max_calls", 10),
        ("max_seconds", float("inf")),
    ],
)
def test_a_wrong_setting_is_named(key, value):
    with pytest.raises(ExobenchError, match=rf"method\.{key}"):
        Nested(**{key: value})


def test_settings_survive_a_folder_and_a_damaged_file_is_named(tmp_path):
    settings = small_settings()
    settings.save(tmp_path / "deep")
    assert NestedSettings.load(tmp_path / "deep") == settings
    (tmp_path / "deep" / "nested.json").write_text("{}")
    with pytest.raises(ExobenchError, match=r"nested\.json"):
        NestedSettings.load(tmp_path / "deep")


def test_a_missing_sampler_names_its_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "ultranest":
            raise ImportError("not here")
        return real(name, *rest, **more)

    monkeypatch.setitem(__import__("sys").modules, "ultranest", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"exobench\[ultranest\]"):
        load_sampler("ultranest")


def test_systematic_draws_keep_the_weights_and_repeat_no_point_that_need_not_be():
    rng = np.random.default_rng(0)
    weight = rng.random(5000)
    weight /= weight.sum()
    n_draws = int(1.0 / weight.max())
    rows = systematic_rows(np.log(weight), n_draws, rng)
    assert len(np.unique(rows)) == n_draws
    # Each decile of points holds as many draws as its weight says, up to the spread of a random order.
    shares = np.bincount(rows // 500, minlength=10) / n_draws
    np.testing.assert_allclose(shares, weight.reshape(10, 500).sum(axis=1), atol=0.02)


def test_systematic_draws_of_one_heavy_point_repeat_it_by_its_weight():
    log_weight = np.log([0.5, 0.25, 0.25, 1e-300])
    counts = np.bincount(systematic_rows(log_weight, 8, np.random.default_rng(1)), minlength=4)
    np.testing.assert_array_equal(counts, [4, 2, 2, 0])
    run = NestedRun(np.zeros((4, 1)), log_weight, 0.0, 0.1, True)
    assert run.duplicate_share(8) == pytest.approx(3 / 8 + 2 * 1 / 8)
    assert run.effective_sample_size == pytest.approx(1 / 0.375)


def mixture():
    """Two components of different shape, far from alike."""
    cholesky = np.array([[[0.3, 0.0], [0.2, 0.1]], [[1.0, 0.0], [-0.5, 0.8]]])
    return GaussianMixture(np.log([0.7, 0.3]), np.array([[-1.0, 0.5], [1.0, 0.0]]), cholesky)


def test_mixture_density_is_that_of_scipy():
    u = np.random.default_rng(0).normal(size=(50, 2))
    given = mixture()
    parts = [
        share * stats.multivariate_normal(mean, cholesky @ cholesky.T).pdf(u)
        for share, mean, cholesky in zip([0.7, 0.3], given.mean, given.cholesky, strict=True)
    ]
    np.testing.assert_allclose(given.log_prob(u), np.log(np.sum(parts, axis=0)), rtol=1e-12)


def test_the_map_from_the_cube_has_the_density_as_its_jacobian():
    given = mixture()
    cube = np.random.default_rng(1).uniform(0.02, 0.98, size=(200, 2))
    step = 1e-6
    columns = [
        (given.from_unit_cube(cube + step * axis) - given.from_unit_cube(cube - step * axis)) / (2 * step)
        for axis in np.eye(2)
    ]
    np.testing.assert_allclose(given.to_unit_cube(given.from_unit_cube(cube)), cube, atol=1e-9)
    log_det = np.linalg.slogdet(np.stack(columns, axis=-1))[1]
    np.testing.assert_allclose(log_det, -given.log_prob(given.from_unit_cube(cube)), atol=1e-4)


def test_the_map_is_finite_at_the_cube_s_corners_and_far_from_a_narrow_seed():
    narrow = GaussianMixture(np.zeros(1), np.full((1, 3), 3.0), 1e-4 * np.eye(3)[None])
    mixed = narrow.mixed_with(GaussianMixture.standard(3), 0.1)
    corners = np.array(np.meshgrid([0.0, 0.5, 1.0], [0.0, 1e-9, 1.0], [0.0, 1.0])).reshape(3, -1).T
    u = mixed.from_unit_cube(corners)
    assert np.isfinite(u).all()
    assert np.isfinite(mixed.log_prob(u)).all()


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_the_narrowed_prior_keeps_every_volume(shift):
    rng = np.random.default_rng(2)
    seed = ndtr(rng.multivariate_normal([0.5, -0.2], [[0.04, 0.03], [0.03, 0.09]], size=1000))
    narrowed = SeededCube.around(seed, share=0.1, most_components=4, broaden=1.2, shift=shift)
    cube, log_ratio = narrowed.to_prior_cube(rng.random((40_000, 3)))
    ratio = np.exp(log_ratio)
    assert ratio.max() <= 10.0 * (1 + 1e-9)
    for inside, volume in ((cube[:, 0] < 2.0, 1.0), (cube[:, 0] < 0.3, 0.3), ((cube > 0.6).all(axis=1), 0.16)):
        each = ratio * inside
        assert abs(each.mean() - volume) < 5 * each.std() / np.sqrt(len(each))


def test_most_of_the_cube_falls_on_the_seed():
    rng = np.random.default_rng(3)
    seed = ndtr(0.4 + 0.01 * rng.normal(size=(1000, 5)))
    narrowed = SeededCube.around(seed, share=0.1, most_components=2, broaden=1.2)
    cube, _ = narrowed.to_prior_cube(rng.random((5000, 6)))
    near = np.all(np.abs(ndtri(cube) - 0.4) < 0.1, axis=1)
    assert near.mean() == pytest.approx(0.9, abs=0.02)


def test_a_seed_without_enough_draws_is_an_error_and_a_full_share_needs_none():
    broken = np.full((100, 3), np.nan)
    with pytest.raises(ExobenchError, match="0 draws"):
        SeededCube.around(broken, share=0.1, most_components=2, broaden=1.2)
    plain = SeededCube.around(broken, share=1.0, most_components=2, broaden=1.2)
    cube = np.random.default_rng(0).random((100, 4))
    same, log_ratio = plain.to_prior_cube(cube)
    np.testing.assert_array_equal(same, cube[:, 1:])
    np.testing.assert_allclose(log_ratio, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("limit", "value"),
    [("max_calls", 300), ("max_seconds", 0.2)],
)
def test_a_run_that_meets_a_limit_ends_and_says_so(limit, value):
    def likelihood(cube):
        return -0.5 * np.sum(((cube - 0.5) / 0.001) ** 2, axis=1)

    run = run_nested(likelihood, 4, small_settings(**{limit: value}), 100, rng=np.random.default_rng(0))
    assert not run.converged
    assert np.isfinite(run.log_weight).any()


def test_a_likelihood_of_zero_in_half_the_cube_is_no_obstacle():
    def likelihood(cube):
        return np.where(cube[:, 0] > 0.5, -0.5 * np.sum(((cube - 0.5) / 0.1) ** 2, axis=1), -np.inf)

    run = run_nested(likelihood, 2, small_settings(), 100, rng=np.random.default_rng(0))
    assert run.converged
    # Half of a Gaussian that lies inside the cube but for 6e-7 of its mass.
    exact = np.log(0.5 * 2.0 * np.pi * 0.1**2)
    assert run.log_evidence == pytest.approx(exact, abs=4 * run.log_evidence_error)
    rows = systematic_rows(run.log_weight, 100, np.random.default_rng(0))
    assert (run.cube[rows, 0] > 0.5).all()
