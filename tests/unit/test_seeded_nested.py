"""seeded_nested as a method: settings, the seed's method, saving and loading."""

import numpy as np
import pytest

from exobench import registry
from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.method import Limits, Progress
from exobench.task import TaskRequest
from exobench_baselines.seeded_nested.method import SeededNested

SMALL = {"n_live": 100, "batch_size": 100, "n_networks": 0, "n_effective": 200, "effective_per_draw": 1.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed_method", 3),
        ("defensive_share", 0.0),
        ("defensive_share", 1.5),
        ("seed_draws", 20),
        ("seed_draws", 1000.5),
        ("seed_components", 0),
        ("broaden", 0.5),
        ("seed_shift", float("nan")),
        ("n_live", 1),
        ("sampler", "multinest"),
    ],
)
def test_a_wrong_setting_is_named(key, value):
    with pytest.raises(ExobenchError, match=rf"method\.{key}"):
        SeededNested(**{key: value})


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    task = registry.build_task({"name": "linear_gaussian", "shard_rows": 100, "n_param": 2, "n_bin": 8}, TaskRequest())
    data = open_data(task, tmp_path_factory.mktemp("linear"), n_train=100, n_validation=50, n_test=1, workers=1)
    return task.problem(data.source, SeededNested.capabilities)


def fit(method, problem, workdir):
    return method.fit(
        problem,
        limits=Limits(100, 5, None),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=workdir,
        stop=lambda: False,
        progress=Progress.silent(),
    )


def test_an_unknown_or_unfit_seed_method_is_an_error_that_names_the_key(problem):
    with pytest.raises(ExobenchError, match=r"method\.seed_method=psychic"):
        SeededNested(seed_method="psychic").skip(problem)
    with pytest.raises(ExobenchError, match="AMORTISED"):
        SeededNested(seed_method="nested").skip(problem)


def test_a_saved_posterior_draws_the_same(problem, tmp_path):
    # The prior as seed is the least that a seed can say.
    posterior = fit(SeededNested(seed_method="prior", **SMALL), problem, tmp_path / "work")
    spectra = problem.arrays("validation", 1)
    drawn = posterior.sample(spectra.x, spectra.sigma, 60, rng=np.random.default_rng(1))
    assert drawn.theta.shape == (1, 60, 2)
    assert problem.parameters.inside(drawn.theta).all()
    assert drawn.diagnostics["converged"][0] == 1.0
    posterior.save(tmp_path / "saved")
    loaded = SeededNested.load_posterior(tmp_path / "saved", problem, "cpu")
    again = loaded.sample(spectra.x, spectra.sigma, 60, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again.theta, drawn.theta)
