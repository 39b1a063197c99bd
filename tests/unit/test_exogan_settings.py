"""Settings of ExoGAN: what is refused before any data are made, masks as lists, starts."""

import inspect

import numpy as np
import pytest
import torch
from test_exogan_method import SMALL, SPACE, fit, observations, problem_of, weights

from exobench.errors import ExobenchError
from exobench.registry import build_method
from exobench_baselines.exogan.method import ExoGAN
from exobench_baselines.exogan.posterior import ExoGANPosterior
from exobench_baselines.exogan.ranges import CORRECTED_RANGES, RANGES
from exobench_baselines.exogan.recipe import Recipe

NUMBERS = [name for name, p in inspect.signature(ExoGAN).parameters.items() if isinstance(p.default, int | float)]


def test_every_setting_that_is_a_number_has_a_range():
    others = {"variant", "normalisation", "mask", "starts"}
    assert set(RANGES) == set(inspect.signature(ExoGAN).parameters) - others
    assert set(NUMBERS) <= set(RANGES)
    assert set(CORRECTED_RANGES) <= set(RANGES)


@pytest.mark.parametrize("name", sorted(RANGES))
@pytest.mark.parametrize("value", ["x", True, float("nan"), float("inf"), -1, [1]])
def test_numbers_of_the_wrong_kind_are_refused_when_the_method_is_made(name, value):
    with pytest.raises(ExobenchError, match=rf"^method\.{name}=.* must be a (whole )?number"):
        ExoGAN(**{name: value})


@pytest.mark.parametrize("name", sorted(RANGES))
def test_only_settings_with_a_value_for_each_variant_may_be_null(name):
    default = inspect.signature(ExoGAN).parameters[name].default
    if default is None:
        assert ExoGAN(**{name: None}).recipe(problem_of(17)) == ExoGAN().recipe(problem_of(17))
    else:
        with pytest.raises(ExobenchError, match=rf"method\.{name}=None"):
            ExoGAN(**{name: None})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "best"}, r"method\.variant=best must be 'published' or 'corrected'"),
        ({"variant": ["corrected"]}, r"method\.variant="),
        ({"normalisation": "none"}, r"method\.normalisation=none"),
        ({"width": 0.0}, r"method\.width=0.0 must be a number in \(0, 4\]"),
        ({"width": 5}, r"method\.width=5"),
        ({"learning_rate": 0.0}, r"method\.learning_rate=0.0 must be a number above 0"),
        ({"encoder_learning_rate": 0.0}, r"method\.encoder_learning_rate"),
        ({"restarts": 0}, r"method\.restarts=0 must be a whole number of at least 1"),
        ({"restarts": 1}, r"method\.restarts=1 must be a whole number of at least 2 where method\.variant=corrected"),
        ({"calibration_restarts": 1}, r"method\.calibration_restarts=1 must be .* at least 2"),
        ({"z_dim": 6}, r"method\.z_dim=6 must be a whole number of at least 7 where method\.variant=corrected"),
        ({"restarts": 2.5}, r"method\.restarts=2.5 must be a whole number"),
        ({"encoder_draws": 1}, r"method\.encoder_draws=1 must be a whole number of at least 2"),
        ({"mask_share": 1.1}, r"method\.mask_share=1.1 must be a number in \[0, 1\]"),
        ({"gan_steps": "x"}, r"method\.gan_steps=x must be a whole number"),
        ({"variant": "published", "restarts": 20}, r"method\.restarts=20 must be a multiple of 16"),
        ({"variant": "published", "batch_size": 8}, r"method\.batch_size=8 must be a multiple of 16"),
        ({"variant": "published", "starts": "encoder"}, r"method\.starts=encoder"),
        ({"starts": "zero"}, r"method\.starts=zero"),
        ({"mask": "jwst"}, r"method\.mask=jwst must be 'parameters', 'wfc3' or a list"),
        ({"mask": []}, r"method\.mask=\[\]"),
        ({"mask": [1, "x"]}, r"method\.mask="),
        ({"mask": [-1]}, r"method\.mask="),
        ({"mask": 3}, r"method\.mask=3"),
    ],
)
def test_a_value_that_no_fit_can_use_is_named_when_the_method_is_made(settings, message):
    with pytest.raises(ExobenchError, match=message):
        ExoGAN(**settings)


def test_ends_of_ranges_are_taken():
    ExoGAN(adversarial_weight=0.0, prior_weight=0, tolerance=0, encoder_blocks=0, mask_share=1, calibration_spectra=0)
    ExoGAN(variant="published", calibration_restarts=1, z_dim=1, width=4)


def test_whole_numbers_may_be_written_with_an_exponent():
    recipe = ExoGAN(gan_steps=1e3, width=1, restarts=32.0).recipe(problem_of(17))
    assert (recipe.gan_steps, recipe.width, recipe.restarts) == (1000, 1.0, 32)
    assert [type(value) for value in (recipe.gan_steps, recipe.width, recipe.restarts)] == [int, float, int]


def test_a_list_of_bins_is_all_that_a_fit_sees(tmp_path):
    problem = problem_of()
    method = build_method({"name": "exogan", "mask": [100, 101, 102], **SMALL})
    posterior = fit(method, problem, tmp_path / "fit", steps=4)
    assert posterior.seen_bins.nonzero()[:, 0].tolist() == [100, 101, 102]
    _, x, sigma = observations(problem)
    other = x.copy()
    other[:, :100], other[:, 103:] = np.nan, 0.5
    draws = [posterior.sample(v, sigma, 8, rng=np.random.default_rng(0)).theta for v in (x, other)]
    assert SPACE.inside(draws[0]).all()
    np.testing.assert_array_equal(*draws)
    posterior.save(tmp_path / "saved")
    loaded = ExoGAN.load_posterior(tmp_path / "saved", problem, "cpu")
    assert loaded.recipe == posterior.recipe


def test_bins_beyond_the_grid_end_a_fit_before_it_trains(tmp_path):
    with pytest.raises(ExobenchError, match=r"method\.mask=\[3, 17\] must hold bin indices in 0\.\.16"):
        fit(ExoGAN(**SMALL, mask=[3, 17]), problem_of(n_bin=17), tmp_path)
    assert not list(tmp_path.iterdir())


def test_validation_spectra_that_the_mask_leaves_blank_are_named(tmp_path):
    posterior = fit(ExoGAN(**SMALL, mask=[3, 4]), problem_of(n_bin=17), tmp_path, steps=2)
    x, sigma = np.full((2, 17), 0.01), np.full((2, 17), 1e-5)
    sigma[1, 3:5] = np.inf
    with pytest.raises(ExobenchError, match="validation spectrum 1 shows no bin that the mask leaves"):
        posterior.require_visible(x, sigma, "validation spectrum")


def test_two_restarts_give_finite_draws(tmp_path):
    problem = problem_of(n_bin=17)
    method = ExoGAN(**(SMALL | {"restarts": 2, "calibration_restarts": 2}))
    posterior = fit(method, problem, tmp_path)
    _, x, sigma = observations(problem)
    assert np.isfinite(posterior.sample(x, sigma, 30, rng=np.random.default_rng(0)).theta).all()


def test_random_starts_train_no_encoder(tmp_path):
    problem = problem_of(n_bin=17)
    posterior = fit(ExoGAN(**SMALL, starts="random"), problem, tmp_path / "fit")
    assert posterior.networks.encoder is None
    assert [file.name for file in (tmp_path / "fit").iterdir()] == ["adversarial.pt"]
    x = torch.full((2, 17), 0.01)
    z, scale = posterior.starts(x, x * 1e-3, np.arange(2), 500)
    assert scale is None
    # Uniform in [-1, 1]: variance 1/3.
    assert abs(float(z.var()) - 1 / 3) < 0.02
    posterior.save(tmp_path / "saved")
    loaded = ExoGANPosterior.load(tmp_path / "saved", SPACE, "cpu")
    assert weights(loaded).keys() == weights(posterior).keys()
    _, x, sigma = observations(problem)
    assert SPACE.inside(loaded.sample(x, sigma, 8, rng=np.random.default_rng(0)).theta).all()


def test_starts_are_the_variants_own_where_null():
    problem = problem_of(n_bin=17)
    assert ExoGAN().recipe(problem) == ExoGAN(starts="encoder").recipe(problem)
    published = ExoGAN(variant="published", starts="random").recipe(problem)
    assert ExoGAN(variant="published").recipe(problem) == published


def test_descriptions_that_name_no_starts_are_read():
    described = ExoGAN().recipe(problem_of(17)).describe()
    del described["starts"]
    assert Recipe.from_description(described).has_encoder
