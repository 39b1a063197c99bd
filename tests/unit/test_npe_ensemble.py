"""Ensembles: the mixture's density and draws, shares of the limits, and members that are fitted once."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from exobench import registry
from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits, Progress
from exobench.seeds import rng_for
from exobench.task import TaskRequest
from exobench_baselines.npe_ensemble.members import share
from exobench_baselines.npe_ensemble.method import NPEEnsemble
from exobench_baselines.npe_ensemble.posterior import EnsemblePosterior, balanced_counts

STEPS = 20
MEMBER = {"name": "mdn", "components": 2, "hidden": 16, "embedding": {"size": 16, "blocks": 1, "n_context": 8}}
"""The cheapest trained method; npe itself is trained by the conformance suite."""


@pytest.fixture(scope="module")
def data(data_root):
    task = registry.build_task({"name": "linear_gaussian", "shard_rows": 500}, TaskRequest())
    found = open_data(task, data_root / "npe_ensemble", n_train=500, n_validation=50, n_test=6, workers=1)
    return task.problem(found.source, NPEEnsemble.capabilities), found.test


def fit(problem, workdir, stop=lambda: False, members=3, **settings):
    return NPEEnsemble(member=MEMBER, members=members, **settings).fit(
        problem,
        limits=Limits(None, members * STEPS, None),
        rng=rng_for("ensemble"),
        device="cpu",
        workdir=workdir,
        stop=stop,
        progress=Progress.silent(),
    )


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    return fit(data[0], tmp_path_factory.mktemp("ensemble"))


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"members": 0}, "method.members=0 must be a whole number of at least 1"),
            ({"epochs": -1}, "method.epochs=-1"),
            ({"member": 3}, "method.member=3 must be a method's name"),
            ({"member": {"flow": "maf"}}, "method.member="),
        ],
    )
    def test_wrong_values_are_refused_by_name(self, settings, named):
        with pytest.raises(ExobenchError, match=named):
            NPEEnsemble(**settings)

    @pytest.mark.parametrize(
        ("member", "named"),
        [("nep", "must name a method"), ("exogan", "LOG_PROB"), ({"name": "npe", "flow": "x"}, "method.flow=x")],
    )
    def test_members_that_cannot_serve_are_refused(self, member, named):
        with pytest.raises(ExobenchError, match=named):
            NPEEnsemble(member=member, epochs=None).member_method()

    def test_a_group_passes_the_check_of_config_values(self):
        group = {"name": "npe", "flow": "maf"}
        for name, key in (("npe_ensemble", "member"), ("importance", "proposal"), ("seeded_nested", "seed_method")):
            built = registry.build_method({"name": name, key: group})
            assert registry.settings_of(built)[key] == group
        with pytest.raises(ExobenchError, match=r"method\.flow=.* must be a name"):
            registry.build_method({"name": "npe", "flow": {"name": "maf"}})

    def test_epochs_reach_the_members_unless_they_have_their_own(self):
        assert NPEEnsemble(epochs=7).member_method().training_settings().epochs == 7
        own = {"name": "npe", "training": {"epochs": 3}}
        assert NPEEnsemble(member=own, epochs=7).member_method().training_settings().epochs == 3

    def test_the_shipped_config_has_the_defaults(self):
        file = Path(__file__).parents[2] / "conf" / "method" / "npe_ensemble.yaml"
        assert yaml.safe_load(file.read_text()) == registry.settings_of(NPEEnsemble())

    def test_limits_are_divided(self):
        assert share(Limits(1000, 10, 90.0), 4) == Limits(1000, 3, 22.5)
        assert share(Limits(), 4) == Limits()


class TestMixture:
    def test_density_is_the_mean_of_the_members_densities(self, data, fitted):
        _, test = data
        theta = fitted.sample(test.x, test.sigma, 8, rng=rng_for("density")).theta
        densities = [np.exp(member.posterior.log_prob(theta, test.x, test.sigma)) for member in fitted.members]
        assert len(densities) == 3
        assert np.allclose(np.exp(fitted.log_prob(theta, test.x, test.sigma)), np.mean(densities, axis=0))

    def test_density_far_out_does_not_underflow(self, data, fitted):
        _, test = data
        theta = np.tile(data[0].parameters.low + 1e-9, (len(test.x), 1, 1))
        assert np.isfinite(fitted.log_prob(theta, test.x, test.sigma)).all()

    def test_draws_have_the_mixtures_density(self, data, fitted):
        """E_q[prior / q] = 1 over draws of q, within 4 standard errors, for a density g narrower than q."""
        problem, test = data
        x, sigma = test.x[:1], test.sigma[:1]
        theta = fitted.sample(x, sigma, 20_000, rng=rng_for("draws")).theta
        from scipy import stats

        g = stats.multivariate_normal(theta[0].mean(0), 0.2 * np.cov(theta[0].T))
        ratio = np.exp(g.logpdf(theta[0]) - fitted.log_prob(theta, x, sigma)[0])
        inside = problem.parameters.inside(g.rvs(20_000, random_state=0)).mean()
        assert abs(ratio.mean() - inside) < 4.0 * ratio.std() / np.sqrt(20_000) + 0.01

    def test_members_differ(self, data, fitted):
        _, test = data
        means = [
            member.posterior.sample(test.x, test.sigma, 300, rng=rng_for("differ")).theta.mean(1)
            for member in fitted.members
        ]
        assert not np.allclose(means[0], means[1])
        assert not np.allclose(means[1], means[2])

    @pytest.mark.parametrize("n_draws", [1, 2, 3, 10])
    def test_gives_as_many_draws_as_asked(self, data, fitted, n_draws):
        _, test = data
        theta = fitted.sample(test.x, test.sigma, n_draws, rng=rng_for("count")).theta
        assert theta.shape == (6, n_draws, 4)

    def test_members_share_the_draws_equally(self):
        rng = np.random.default_rng(0)
        counts = np.array([balanced_counts(10, 4, rng) for _ in range(4000)])
        assert (counts.sum(1) == 10).all()
        assert set(np.unique(counts)) == {2, 3}
        assert np.allclose(counts.mean(0), 2.5, atol=0.04)

    def test_saved_and_loaded_is_the_same(self, data, fitted, tmp_path):
        problem, test = data
        fitted.save(tmp_path)
        loaded = NPEEnsemble.load_posterior(tmp_path, problem, "cpu")
        draws = [q.sample(test.x, test.sigma, 7, rng=rng_for("same")).theta for q in (fitted, loaded)]
        assert np.array_equal(*draws)
        assert loaded.n_parameters_trained == fitted.n_parameters_trained > 0

    def test_a_damaged_folder_is_named(self, data, tmp_path):
        (tmp_path / "ensemble.json").write_text("{")
        with pytest.raises(ExobenchError, match=r"ensemble\.json cannot be read"):
            EnsemblePosterior.load(tmp_path, data[0], "cpu")


class TestResume:
    def test_finished_members_stay_finished_and_the_end_is_the_same(self, data, fitted, tmp_path):
        problem, test = data
        asked = iter(range(10**6))
        with pytest.raises(FitInterrupted):
            fit(problem, tmp_path, stop=lambda: next(asked) >= STEPS + STEPS // 2)
        note = tmp_path / "member_0" / "note.json"
        written = note.stat().st_mtime_ns
        assert not (tmp_path / "member_1" / "note.json").exists()
        resumed = fit(problem, tmp_path)
        assert note.stat().st_mtime_ns == written
        draws = [q.sample(test.x, test.sigma, 7, rng=rng_for("same")).theta for q in (fitted, resumed)]
        assert np.array_equal(*draws)

    def test_finished_fits_of_other_runs_do_not_make_all_members_one(self, data, fitted, tmp_path):
        """A library that offers one and the same fit must not be asked: the members would be copies."""
        from dataclasses import replace

        problem, test = data
        fitted.members[0].posterior.save(tmp_path / "library")
        offering = replace(problem, finished_fits=lambda settings, limits: tmp_path / "library")
        again = fit(offering, tmp_path / "work")
        draws = [q.sample(test.x, test.sigma, 7, rng=rng_for("same")).theta for q in (fitted, again)]
        assert np.array_equal(*draws)


class TestSurprise:
    def test_far_spectra_surprise_more_than_the_tests(self, data, fitted, tmp_path):
        problem, test = data
        usual = fitted.surprise(test.x, test.sigma)
        comb = test.x + 100.0 * test.sigma * (-1.0) ** np.arange(test.x.shape[1])
        assert usual.shape == (len(test.x),)
        assert (fitted.surprise(comb, test.sigma) > usual.max()).all()
        fitted.save(tmp_path)
        loaded = EnsemblePosterior.load(tmp_path, problem, "cpu")
        np.testing.assert_allclose(loaded.surprise(test.x, test.sigma), usual, rtol=1e-4)

    def test_discord_is_the_spread_of_means_over_that_of_draws(self, data, fitted):
        _, test = data
        same = EnsemblePosterior([fitted.members[0]] * 3)
        apart = fitted._discord(test.x, test.sigma)
        # Equal members differ by the scatter of 32 draws alone: four parameters, 4/32 each way.
        assert np.mean(same._discord(test.x, test.sigma) ** 2) == pytest.approx(4 / 32, rel=0.6)
        assert (apart > 0).all()
        alone = EnsemblePosterior([fitted.members[0]])
        assert (alone._discord(test.x, test.sigma) == 0).all()
