"""What methods on conditional estimators share, shown with the simplest estimator: one conditional normal."""

import numpy as np
import pytest
import torch

from exobench import registry
from exobench.data.source import open_data
from exobench.errors import ExobenchError
from exobench.method import Capability, Limits, Progress
from exobench.networks.box import standard_normal_log_prob
from exobench.neural import posterior as posterior_module
from exobench.neural.estimator import ConditionalEstimator
from exobench.neural.gaussian_whitening import GaussianWhitening
from exobench.neural.method import NeuralMethod
from exobench.seeds import rng_for
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.exact import LinearGaussianPosterior


class Normal(ConditionalEstimator):
    """One normal distribution; its weights start at the prior."""

    def __init__(self, n_param, n_context):
        super().__init__()
        self.whitening = GaussianWhitening(n_param, n_context, 64)

    def loss(self, u, context, generator):
        return -self.log_prob(u[:, None], context)[:, 0]

    def log_prob(self, u, context):
        z, log_det = self.whitening.whiten(u, context)
        return standard_normal_log_prob(z) + log_det

    def sample(self, context, n_draws, generator):
        z = torch.randn(len(context), n_draws, self.whitening.n_param, generator=generator)
        return self.whitening.colour(z, context)


class NormalMethod(NeuralMethod):
    def __init__(self, embedding=None, training=None):
        super().__init__(embedding, training)

    def build_estimator(self, n_param, n_context):
        return Normal(n_param, n_context)


SMALL = {"size": 64, "blocks": 2, "n_context": 32}


def problem_of(data_root, **leaves):
    task = registry.build_task({"name": "linear_gaussian", "n_param": 3, "n_bin": 20, **leaves}, TaskRequest())
    data = open_data(task, data_root, n_train=3000, n_validation=500, n_test=8, workers=1)
    return task, task.problem(data.source, Capability.LOG_PROB)


@pytest.fixture(scope="module")
def problem(data_root):
    return problem_of(data_root)[1]


def fit(method, problem, folder, steps):
    return method.fit(
        problem,
        limits=Limits(steps=steps),
        rng=rng_for("fit"),
        device="cpu",
        workdir=folder,
        stop=lambda: False,
        progress=Progress.silent(),
    )


@pytest.fixture(scope="module")
def fitted(problem, tmp_path_factory):
    return fit(NormalMethod(embedding=SMALL), problem, tmp_path_factory.mktemp("fit"), 30)


@pytest.fixture(scope="module")
def seen(problem):
    return problem.arrays("validation", 12, seed=3)


def test_a_posterior_that_is_the_prior_has_loss_zero(problem, seen):
    without_guess = SMALL | {"n_component": 0}
    model = NormalMethod(embedding=without_guess).untrained(problem, Limits(), 1).eval()
    theta, x, sigma = (torch.as_tensor(array) for array in seen)
    with torch.no_grad():
        assert model(theta, x, sigma).abs().max() < 1e-5
        log_prob = model.log_prob(theta[:, None], model.encoder(x, sigma))[:, 0]
    assert np.allclose(log_prob.numpy(), problem.prior.log_prob(seen.theta), atol=1e-4)


def test_untrained_is_a_function_of_its_seed_and_leaves_the_global_generator_alone(problem):
    method = NormalMethod(embedding=SMALL)
    torch.manual_seed(0)
    first = method.untrained(problem, Limits(), 1).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)
    again, other = (
        method.untrained(problem, Limits(), 1).state_dict(),
        method.untrained(problem, Limits(), 2).state_dict(),
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_training_comes_close_to_the_exact_posterior(data_root, tmp_path):
    """The mean of -log(q / prior) exceeds the exact posterior's by the Kullback-Leibler divergence."""
    task, problem = problem_of(data_root)
    posterior = fit(NormalMethod(embedding=SMALL, training={"batch_size": 256}), problem, tmp_path, 500)
    theta, x, sigma = problem.arrays("validation", 20, seed=9)
    exact = LinearGaussianPosterior(*task.simulator.matrix_and_offset(), problem.parameters)
    gap = exact.log_prob(theta[:, None], x, sigma) - posterior.log_prob(theta[:, None], x, sigma)
    error = gap.std() / len(gap) ** 0.5
    assert gap.mean() + 3 * error > 0.0
    assert gap.mean() < 0.3 + 3 * error


def test_draws_lie_inside_the_box_and_follow_rng_alone(fitted, seen, problem):
    first = fitted.sample(seen.x, seen.sigma, 50, rng=rng_for("draw")).theta
    torch.manual_seed(77)
    again = fitted.sample(seen.x, seen.sigma, 50, rng=rng_for("draw")).theta
    assert first.shape == (12, 50, 3)
    assert problem.parameters.inside(first).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, fitted.sample(seen.x, seen.sigma, 50, rng=rng_for("other")).theta)


def test_chunks_do_not_change_the_density(fitted, seen, monkeypatch):
    theta = fitted.sample(seen.x, seen.sigma, 40, rng=rng_for("draw")).theta
    whole = fitted.log_prob(theta, seen.x, seen.sigma)
    monkeypatch.setattr(posterior_module, "ROWS_A_CALL", 16)
    assert np.allclose(fitted.log_prob(theta, seen.x, seen.sigma), whole, atol=1e-5)
    drawn = fitted.sample(seen.x, seen.sigma, 40, rng=rng_for("draw")).theta
    assert np.isfinite(drawn).all()
    assert len(np.unique(drawn[..., 0])) == drawn[..., 0].size


def test_density_is_that_of_the_draws(fitted, seen, problem):
    """E_q[prior / q] = 1 over draws of q, and E_prior[q / prior] = 1 over draws of the prior."""
    x, sigma = seen.x[:1], seen.sigma[:1]
    drawn = fitted.sample(x, sigma, 20_000, rng=rng_for("draw")).theta
    theta = problem.prior.sample(20_000, rng_for("prior"))[None]
    ratio = np.exp(fitted.log_prob(theta, x, sigma)[0] - problem.prior.log_prob(theta[0]))
    assert ratio.mean() == pytest.approx(1.0, abs=5 * ratio.std() / 20_000**0.5)
    inverse = np.exp(problem.prior.log_prob(drawn[0]) - fitted.log_prob(drawn, x, sigma)[0])
    assert inverse.mean() == pytest.approx(1.0, abs=max(0.05, 5 * inverse.std() / 20_000**0.5))


def test_outside_the_box_the_density_is_zero(fitted, seen, problem):
    theta = np.repeat(seen.theta[:, None], 2, axis=1)
    theta[:, 1, 0] = problem.parameters.high[0] + 1e-3
    log_prob = fitted.log_prob(theta, seen.x, seen.sigma)
    assert np.isfinite(log_prob[:, 0]).all()
    assert (log_prob[:, 1] == -np.inf).all()


def test_saved_and_loaded_is_the_same(fitted, seen, problem, tmp_path):
    fitted.save(tmp_path)
    loaded = NormalMethod.load_posterior(tmp_path, problem, "cpu")
    one, other = (p.sample(seen.x, seen.sigma, 9, rng=rng_for("draw")).theta for p in (fitted, loaded))
    assert np.array_equal(one, other)
    assert loaded.n_parameters_trained == fitted.n_parameters_trained > 0
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_a_folder_of_another_task_is_refused(fitted, data_root, tmp_path):
    fitted.save(tmp_path)
    _, other = problem_of(data_root, n_param=2)
    with pytest.raises(ExobenchError, match="the task has"):
        NormalMethod.load_posterior(tmp_path, other, "cpu")
    with pytest.raises(ExobenchError, match=r"holds no posterior\.json"):
        NormalMethod.load_posterior(tmp_path / "nowhere", other, "cpu")


def test_wrong_shapes_and_unknown_gaps_are_refused(fitted, seen):
    with pytest.raises(ExobenchError, match=r"must both have shape \(obs, 20\)"):
        fitted.sample(seen.x[:, 1:], seen.sigma[:, 1:], 3, rng=rng_for("draw"))
    with pytest.raises(ExobenchError, match="theta"):
        fitted.log_prob(seen.theta, seen.x, seen.sigma)
    x, sigma = seen.x.copy(), seen.sigma.copy()
    x[4, :2], sigma[4, :2] = np.nan, np.inf
    with pytest.raises(ExobenchError, match="spectrum 4 has 2 missing bins"):
        fitted.sample(x, sigma, 3, rng=rng_for("draw"))


def test_wrong_settings_are_refused_when_the_method_is_made():
    with pytest.raises(ExobenchError, match=r"method\.embedding\.blocks=0"):
        NormalMethod(embedding={"blocks": 0})
    with pytest.raises(ExobenchError, match=r"method\.training\.learning_rate=-1"):
        NormalMethod(training={"learning_rate": -1})
    with pytest.raises(ExobenchError, match=r"method\.training=fast must be null or a group"):
        NormalMethod(training="fast")
