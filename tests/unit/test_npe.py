"""The method npe: its settings, what is stored, and the view that sbi's own tools get."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from exobench import registry
from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.method import Limits, Progress
from exobench.seeds import rng_for
from exobench.task import TaskRequest
from exobench_baselines.npe.method import NPE

pytest.importorskip("sbi", reason="the package sbi is not installed")

SMALL = {
    "transforms": 2,
    "hidden": 24,
    "embedding": {"size": 32, "blocks": 1, "n_context": 16},
    "training": {"steps": 80, "batch_size": 128, "learning_rate": 3e-3},
}


@pytest.fixture(scope="module")
def data(data_root):
    task = registry.build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    found = open_data(task, data_root / "npe", n_train=2000, n_validation=200, n_test=40, workers=1)
    return task.problem(found.source, NPE.capabilities), found.test


@pytest.fixture(scope="module")
def _one_thread():
    """Networks as small as these wait for a second thread more than they gain by it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted(_one_thread, data, tmp_path_factory):
    problem, _ = data
    return NPE(**SMALL).fit(
        problem,
        limits=Limits(),
        rng=rng_for("npe"),
        device="cpu",
        workdir=tmp_path_factory.mktemp("npe"),
        stop=lambda: False,
        progress=Progress.silent(),
    )


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"flow": "real_nvp"}, "method.flow=real_nvp must be one of maf"),
            ({"transforms": 0}, "method.transforms=0 must be a whole number of at least 1"),
            ({"hidden": 2.5}, "method.hidden=2.5"),
            ({"bins": 1}, "method.bins=1"),
            ({"bins": 2000}, "method.bins=2000 must be at most 500"),
            ({"tail_bound": 0.1}, "method.tail_bound=0.1"),
            ({"whiten": "yes"}, "method.whiten=yes must be true or false"),
            ({"embedding": {"depth": 3}}, "depth"),
            ({"training": {"epochs": 0}}, "method.training.epochs=0"),
        ],
    )
    def test_wrong_values_are_refused_by_name(self, settings, named):
        with pytest.raises(ExobenchError, match=named):
            NPE(**settings)

    def test_the_shipped_config_has_the_defaults(self):
        file = Path(__file__).parents[2] / "conf" / "method" / "npe.yaml"
        assert yaml.safe_load(file.read_text()) == registry.settings_of(NPE())


class TestPosterior:
    def test_learns(self, data, fitted):
        """The exact posterior is 4.8 nats above the prior; 80 steps must get more than 2 of them."""
        problem, test = data
        log_prob = fitted.log_prob(test.theta_true[:, None], test.x, test.sigma)[:, 0]
        assert np.mean(log_prob - problem.prior.log_prob(test.theta_true)) > 2.0

    def test_saved_and_loaded_is_the_same(self, data, fitted, tmp_path):
        problem, test = data
        fitted.save(tmp_path)
        loaded = NPE.load_posterior(tmp_path, problem, "cpu")
        draws = [q.sample(test.x, test.sigma, 9, rng=rng_for("same")).theta for q in (fitted, loaded)]
        assert np.array_equal(*draws)
        log_probs = [q.log_prob(draws[0], test.x, test.sigma) for q in (fitted, loaded)]
        assert np.array_equal(*log_probs)
        assert np.array_equal(
            loaded.sbi_posterior(test.sigma[0]).posterior_estimator.sigma,
            fitted.sbi_posterior(test.sigma[0]).posterior_estimator.sigma,
        )

    @pytest.mark.parametrize("change", [lambda x: 100.0 * x, lambda x: -x, lambda x: np.full_like(x, 1e6)])
    def test_spectra_far_outside_training_give_finite_draws_in_the_box(self, data, fitted, change):
        problem, test = data
        theta = fitted.sample(change(test.x), test.sigma, 50, rng=rng_for("far")).theta
        assert np.isfinite(theta).all()
        assert problem.parameters.inside(theta.reshape(-1, theta.shape[-1])).all()
        assert np.isfinite(fitted.log_prob(theta, change(test.x), test.sigma)).all()


class TestViewForSbi:
    def test_has_the_same_density(self, data, fitted):
        _, test = data
        theta = fitted.sample(test.x, test.sigma, 5, rng=rng_for("view")).theta
        view = fitted.sbi_posterior(test.sigma[0])
        own = fitted.log_prob(theta, test.x, test.sigma)
        x = torch.as_tensor(test.x).float()
        seen = view.log_prob_batched(torch.as_tensor(theta).float().transpose(0, 1), x, norm_posterior=False).T
        # theta is float32 there, and a density as narrow as this one sees the rounding.
        assert np.allclose(seen.numpy(), own, atol=2e-3)

    def test_nothing_leaks_so_that_sbi_rejects_nothing(self, data, fitted):
        _, test = data
        view = fitted.sbi_posterior(test.sigma[0])
        x = torch.as_tensor(test.x[:1]).float()
        assert float(view.leakage_correction(x, num_rejection_samples=2000)) == 1.0
        torch.manual_seed(0)
        theta = view.sample((4000,), x=x, show_progress_bars=False)
        ours = fitted.sample(test.x[:1], test.sigma[:1], 4000, rng=rng_for("leak")).theta[0]
        error = np.hypot(ours.std(0), ours.std(0)) / np.sqrt(4000)
        assert (np.abs(theta.double().numpy().mean(0) - ours.mean(0)) < 4.5 * error).all()

    def test_serves_the_rank_statistics_of_sbi(self, data, fitted):
        from sbi.diagnostics import run_sbc

        _, test = data
        theta, x = torch.as_tensor(test.theta_true).float(), torch.as_tensor(test.x).float()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ranks, _ = run_sbc(
                theta, x, fitted.sbi_posterior(test.sigma[0]), num_posterior_samples=64, show_progress_bar=False
            )
        assert ranks.shape == theta.shape
        assert 16 < float(ranks.float().mean()) < 48

    def test_another_grid_is_refused(self, data, fitted):
        with pytest.raises(ExobenchError, match="sigma has shape"):
            fitted.sbi_posterior(data[1].sigma[0, :-1])
