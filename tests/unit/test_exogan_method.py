"""A whole fit on synthetic spectra: limits, resume, saving, draws, missing bins, both variants."""

import numpy as np
import pytest
import torch

from exobench.data.first_rows import FirstRows
from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits, Progress
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.problem import InferenceProblem
from exobench_baselines.exogan.method import ExoGAN
from exobench_baselines.exogan.sections import published_wavelength_um

GASES = ("log10_h2o", "log10_co2", "log10_co", "log10_ch4")
SPACE = ParameterSpace(
    (
        *(Parameter(name, "dex", name, -8.0, -1.0, "log10") for name in GASES),
        Parameter("mass_mjup", "M_Jup", "M", 0.8, 2.0),
        Parameter("radius_rjup", "R_Jup", "R", 0.8, 1.5),
        Parameter("temperature_k", "K", "T", 1000.0, 2000.0),
    )
)
SMALL = {
    "width": 0.04,
    "batch_size": 16,
    "encoder_batch_size": 32,
    "encoder_size": 32,
    "calibration_spectra": 32,
    "calibration_restarts": 4,
    "calibration_steps": 20,
    "restarts": 16,
}


def toy_depths(theta, wavelength_um):
    """A level from the radius and a bump for each gas, its height growing with T/M: enough to learn from."""
    u = SPACE.to_unit_cube(theta)
    position = np.linspace(0.0, 1.0, len(wavelength_um))
    height = 1e-3 * (1.0 + u[:, 6:7]) / (1.0 + u[:, 4:5])
    bumps = sum(
        u[:, j : j + 1] * np.exp(-0.5 * ((position - 0.2 * (j + 1)) / 0.06) ** 2 + 0.0 * position) for j in range(4)
    )
    return 0.008 + 0.012 * u[:, 5:6] ** 2 + height * bumps


class ToySource:
    """Splits made on the spot; streams come from FirstRows."""

    def __init__(self, wavelength_um, n_train, n_validation=64):
        self._n = {"train": n_train, "validation": n_validation}
        self._wavelength_um = wavelength_um

    def n(self, split):
        return self._n[split]

    def read(self, split, n):
        rng = np.random.default_rng(len(split))
        theta = SPACE.from_unit_cube(rng.random((self._n[split], 7)))[:n]
        return theta, toy_depths(theta, self._wavelength_um)

    def stream(self, split, batch_size, **settings):
        raise AssertionError("served by FirstRows")


def problem_of(n_bin=515, n_train=256):
    grid = published_wavelength_um() if n_bin == 515 else np.geomspace(0.6, 12.0, n_bin)
    edges = np.concatenate([[grid[0] * 0.99], np.sqrt(grid[1:] * grid[:-1]), [grid[-1] * 1.01]])
    source = FirstRows(ToySource(grid, n_train), n_train)
    return InferenceProblem("toy", SPACE, UniformPrior(SPACE), grid, edges, ConstantNoise(20.0), source)


def fit(method, problem, folder, steps=12, stop=lambda: False, seed=0, **limits):
    return method.fit(
        problem,
        limits=Limits(steps=steps, **limits),
        rng=np.random.default_rng(seed),
        device="cpu",
        workdir=folder,
        stop=stop,
        progress=Progress.silent(),
    )


def observations(problem, n=3):
    theta, depth = problem.spectra.read("validation", n)
    x, sigma = problem.noise.sample(depth, seed=5)
    return theta, x, sigma


def weights(posterior):
    return {
        f"{name}.{key}": value
        for name, module in posterior.networks.modules().items()
        for key, value in module.state_dict().items()
    }


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    problem = problem_of()
    return problem, fit(ExoGAN(**SMALL), problem, tmp_path_factory.mktemp("fit"))


def test_draws_lie_in_the_box_and_are_as_many_as_asked(fitted):
    problem, posterior = fitted
    _, x, sigma = observations(problem)
    samples = posterior.sample(x, sigma, 50, rng=np.random.default_rng(0))
    assert samples.theta.shape == (3, 50, 7)
    assert SPACE.inside(samples.theta).all()
    assert samples.log_weight is None
    assert samples.diagnostics["misfit"].shape == (3,)


def test_a_spectrums_draws_depend_on_neither_neighbours_nor_batches(fitted):
    problem, posterior = fitted
    _, x, sigma = observations(problem)
    together = posterior.sample(x, sigma, 40, rng=np.random.default_rng(1)).theta
    alone = posterior.sample(x[:1], sigma[:1], 40, rng=np.random.default_rng(1)).theta
    np.testing.assert_allclose(together[:1], alone, rtol=1e-3)


def test_what_no_latent_gives_is_a_surprise(fitted):
    problem, posterior = fitted
    _, x, sigma = observations(problem, 6)
    usual = posterior.surprise(x, sigma)
    assert usual.shape == (6,)
    # Within what six steps of training make of spectra, only a comb far beyond them stands out.
    comb = x + 0.5 * x.mean() * (-1.0) ** np.arange(x.shape[1])
    assert (posterior.surprise(comb, sigma) > usual.max()).all()
    np.testing.assert_allclose(posterior.surprise(x[4:], sigma[4:]), usual[4:], rtol=1e-3)


def test_saved_and_loaded_posteriors_draw_the_same(fitted, tmp_path):
    problem, posterior = fitted
    _, x, sigma = observations(problem)
    posterior.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["posterior.json", "weights.safetensors"]
    loaded = ExoGAN.load_posterior(tmp_path, problem, "cpu")
    for key, value in weights(posterior).items():
        assert torch.equal(value, weights(loaded)[key])
    first = posterior.sample(x, sigma, 20, rng=np.random.default_rng(2)).theta
    np.testing.assert_array_equal(first, loaded.sample(x, sigma, 20, rng=np.random.default_rng(2)).theta)


def test_missing_bins_are_accepted_and_a_blank_spectrum_is_not(fitted):
    problem, posterior = fitted
    _, x, sigma = observations(problem)
    x, sigma = x.copy(), sigma.copy()
    x[0, 100:300], sigma[0, 100:300] = np.nan, np.inf
    assert np.isfinite(posterior.sample(x, sigma, 10, rng=np.random.default_rng(3)).theta).all()
    x[1], sigma[1] = np.nan, np.inf
    with pytest.raises(ExobenchError, match="spectrum 1"):
        posterior.sample(x, sigma, 10, rng=np.random.default_rng(3))


def test_hidden_values_of_a_missing_bin_do_not_matter(fitted):
    """sigma = inf alone hides a bin: what x says there changes nothing."""
    problem, posterior = fitted
    _, x, sigma = observations(problem, 1)
    sigma = sigma.copy()
    sigma[0, 40:60] = np.inf
    other = x.copy()
    other[0, 40:60] = np.nan
    draws = [posterior.sample(values, sigma, 10, rng=np.random.default_rng(4)).theta for values in (x, other)]
    np.testing.assert_array_equal(*draws)


def test_figures_are_drawn(fitted, tmp_path):
    problem, posterior = fitted
    theta, x, sigma = observations(problem, 2)
    files = posterior.draw_figures(x, sigma, theta, tmp_path)
    assert [file.suffix for file in files] == [".png", ".png"]
    assert all(file.stat().st_size > 10_000 for file in files)


@pytest.mark.parametrize("variant", ["corrected", "published"])
@pytest.mark.parametrize("stop_after", [3, 7])
def test_an_interrupted_fit_resumes_to_identical_weights(variant, stop_after, tmp_path):
    settings = SMALL | ({"variant": "published", "evaluations": 2} if variant == "published" else {})
    method, problem = ExoGAN(**settings), problem_of(n_bin=17)
    straight = weights(fit(method, problem, tmp_path / "straight"))
    asked = iter(range(1000))
    with pytest.raises(FitInterrupted):
        fit(method, problem, tmp_path / "cut", stop=lambda: next(asked) >= stop_after)
    resumed = weights(fit(method, problem, tmp_path / "cut"))
    assert straight.keys() == resumed.keys()
    for key, value in straight.items():
        assert torch.equal(value, resumed[key]), key


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    problem = problem_of(n_bin=17)
    fit(ExoGAN(**SMALL), problem, tmp_path)
    with pytest.raises(ExobenchError, match="other settings"):
        fit(ExoGAN(**(SMALL | {"mask_share": 0.5})), problem, tmp_path)


@pytest.mark.parametrize("n_bin", [100, 52, 17])
def test_other_grids_fit_and_sample(n_bin, tmp_path):
    problem = problem_of(n_bin)
    posterior = fit(ExoGAN(**SMALL), problem, tmp_path, steps=4)
    _, x, sigma = observations(problem)
    assert SPACE.inside(posterior.sample(x, sigma, 8, rng=np.random.default_rng(0)).theta).all()


def test_published_returns_its_completions_as_they_are(tmp_path):
    problem = problem_of()
    method = ExoGAN(**(SMALL | {"variant": "published", "evaluations": 3}))
    posterior = fit(method, problem, tmp_path, steps=3)
    _, x, sigma = observations(problem)
    samples = posterior.sample(x, sigma, 1000, rng=np.random.default_rng(0))
    assert samples.theta.shape == (3, 16, 7)
    assert posterior.networks.calibrator is None
    assert (posterior.layout.depth_max, posterior.layout.depth_min) == (0.0301803471629, 0.00650370296635)


def test_published_settings_are_those_of_the_public_code():
    recipe = ExoGAN(variant="published").recipe(problem_of(n_train=6400 // 25))
    values = (recipe.width, recipe.z_dim, recipe.batch_size, recipe.learning_rate, recipe.restarts, recipe.evaluations)
    assert values == (1.0, 100, 64, 2e-4, 64, 1001)
    assert (recipe.inpainting_learning_rate, recipe.prior_weight, recipe.tolerance) == (0.01, 0.1, 0.0)
    assert recipe.gan_steps == 4  # one epoch of 256 spectra


def test_fewer_training_spectra_change_what_is_learnt_from(tmp_path):
    method, problem = ExoGAN(**SMALL), problem_of(n_bin=17)
    few = weights(fit(method, problem, tmp_path / "few", n_train=64))
    same = weights(fit(method, problem_of(n_bin=17, n_train=64), tmp_path / "same"))
    for key, value in few.items():
        assert torch.equal(value, same[key]), key


def test_seconds_end_training(tmp_path):
    posterior = fit(ExoGAN(**SMALL), problem_of(n_bin=17), tmp_path, steps=None, seconds=2.0)
    assert posterior.n_parameters_trained > 0


def test_a_diverging_fit_says_what_to_change(tmp_path):
    with pytest.raises(ExobenchError, match=r"method\.(learning_rate|encoder_learning_rate)"):
        fit(ExoGAN(**(SMALL | {"learning_rate": 1e30})), problem_of(n_bin=17), tmp_path, steps=60)


def test_skip_names_the_reason():
    problem = problem_of(n_bin=17)
    assert ExoGAN().skip(problem) is None
    assert "wfc3" in (ExoGAN(mask="wfc3").skip(problem) or "")


def test_the_shipped_config_is_the_constructor():
    import inspect
    from importlib import resources

    yaml = pytest.importorskip("yaml")
    shipped = yaml.safe_load(resources.files("exobench.conf").joinpath("method/exogan.yaml").read_text())
    assert shipped.pop("name") == "exogan"
    defaults = {name: p.default for name, p in inspect.signature(ExoGAN.__init__).parameters.items() if name != "self"}
    assert shipped == defaults


@pytest.mark.gpu
def test_gpu_draws_agree_with_the_cpus(fitted, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    problem, posterior = fitted
    _, x, sigma = observations(problem)
    posterior.save(tmp_path)
    on_gpu = ExoGAN.load_posterior(tmp_path, problem, "cuda")
    seeds = np.arange(3)
    here, there = posterior.complete(x, sigma, seeds), on_gpu.complete(x, sigma, seeds)
    torch.testing.assert_close(here.theta, there.theta.cpu(), rtol=1e-2, atol=1e-2)
