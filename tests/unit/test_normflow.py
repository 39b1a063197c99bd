"""The spline flow: a density that integrates to one, exact inverses, and spectra far from training."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import exobench.conf
from exobench.errors import ExobenchError, MissingDependencyError
from exobench_baselines.normflow.method import NormFlow

pytest.importorskip("normflows", reason="normflows is not installed (extra normflow)")


def flow(n_param: int = 2, n_context: int = 3, *, whiten: bool = True, seed: int = 0) -> torch.nn.Module:
    """Random weights, large enough that no part is the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        estimator = NormFlow(transforms=2, hidden=16, whiten=whiten).build_estimator(n_param, n_context)
        with torch.no_grad():
            for p in estimator.parameters():
                p.add_(0.15 * torch.randn_like(p))
    return estimator.eval()


def contexts(n: int, n_context: int = 3) -> torch.Tensor:
    return torch.randn(n, n_context, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("whiten", [True, False])
def test_density_integrates_to_one(whiten):
    estimator = flow(whiten=whiten)
    axis = torch.linspace(-12, 12, 201)
    grid = torch.cartesian_prod(axis, axis)[None]
    with torch.no_grad():
        total = [float(estimator.log_prob(grid, context[None]).exp().sum() * 0.12**2) for context in contexts(2)]
    assert total == pytest.approx([1.0] * 2, abs=0.02)


@pytest.mark.parametrize("whiten", [True, False])
def test_draws_follow_the_density(whiten):
    """Means of draws against integrals of the density over a grid."""
    estimator = flow(whiten=whiten)
    context = contexts(1)
    axis = torch.linspace(-12, 12, 201)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        weight = estimator.log_prob(grid[None], context)[0].double().exp() * 0.12**2
        draws = estimator.sample(context, 20_000, torch.Generator().manual_seed(1))[0].double()
    for power in (1, 2):
        expected = (weight[:, None] * grid.double() ** power).sum(dim=0)
        error = (draws**power).std(dim=0) / 141.0
        assert ((draws**power).mean(dim=0) - expected).abs().lt(4.5 * error + 0.01).all()


def test_log_prob_of_each_draw_uses_its_own_context():
    estimator, context = flow(), contexts(4)
    u = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = estimator.log_prob(u, context)
        apart = torch.cat([estimator.log_prob(u[i : i + 1], context[i : i + 1]) for i in range(4)])
        loss = estimator.loss(u[:, 0], context, None)
    assert together.shape == (4, 6)
    assert torch.allclose(together, apart, atol=1e-4)
    assert torch.allclose(loss, -together[:, 0], atol=1e-5)


def test_draws_are_a_function_of_the_generator_alone():
    estimator, context = flow(), contexts(4)
    with torch.no_grad():
        first = estimator.sample(context, 5, torch.Generator().manual_seed(1))
        torch.manual_seed(99)
        again = estimator.sample(context, 5, torch.Generator().manual_seed(1))
    assert first.shape == (4, 5, 2)
    assert torch.equal(first, again)


@pytest.mark.parametrize("value", [1e4, -1e30, float("nan"), float("inf")])
def test_wild_contexts_and_wild_u_stay_finite(value):
    estimator = flow()
    context = torch.full((2, 3), value)
    with torch.no_grad():
        assert torch.isfinite(estimator.sample(context, 2000, torch.Generator().manual_seed(1))).all()
        assert torch.isfinite(estimator.log_prob(torch.full((2, 1, 2), 5.2), contexts(2))).all()
        assert torch.isfinite(estimator.log_prob(torch.full((2, 1, 2), -5.2), contexts(2))).all()


def test_a_spline_that_rounding_makes_unsolvable_is_solved_in_float64(monkeypatch):
    estimator, context = flow(), contexts(4)
    inner = type(estimator.flow).forward

    def fails_in_float32(self, z, context=None):
        assert z.dtype == torch.float64
        return inner(self, z, context=context)

    with torch.no_grad():
        expected = estimator.sample(context, 50, torch.Generator().manual_seed(1))
        monkeypatch.setattr(type(estimator.flow), "forward", fails_in_float32)
        got = estimator.sample(context, 50, torch.Generator().manual_seed(1))
    assert torch.allclose(got, expected, atol=1e-3)


def test_bfloat16_autocast_leaves_the_splines_alone():
    estimator, context = flow(), contexts(50)
    u = torch.randn(50, 2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        plain = estimator.loss(u, context, None)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(estimator.loss(u, context, None), plain)


def test_config_and_constructor_agree():
    content = yaml.safe_load((Path(exobench.conf.__path__[0]) / "method" / "normflow.yaml").read_text())
    defaults = {name: p.default for name, p in inspect.signature(NormFlow).parameters.items()}
    assert content == {"name": "normflow", **defaults}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"transforms": 0}, "method.transforms=0"),
        ({"hidden": 2.5}, "method.hidden=2.5"),
        ({"bins": 1}, "method.bins=1"),
        ({"bins": 501}, "method.bins=501"),
        ({"tail_bound": 0}, "method.tail_bound=0"),
        ({"whiten": 1}, "method.whiten=1"),
        ({"embedding": {"size": 1}}, "method.embedding.size=1"),
        ({"training": {"batch_size": 0}}, "method.training.batch_size=0"),
    ],
)
def test_wrong_values_are_named(settings, words):
    with pytest.raises(ExobenchError, match=words):
        NormFlow(**settings)


def test_one_parameter_is_refused():
    with pytest.raises(ExobenchError, match="at least two"):
        NormFlow().build_estimator(1, 3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "normflows", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .normflows>=1.7.3"):
        NormFlow().build_estimator(3, 4)


def test_float32_round_trip():
    estimator, context = flow(), contexts(20)
    with torch.no_grad():
        u = estimator.sample(context, 100, torch.Generator().manual_seed(3))
        w, _ = estimator.whitening.whiten(u, context)
        z, _ = estimator.flow.inverse_and_log_det(w.flatten(0, 1), context=context.repeat_interleave(100, 0))
    expected = torch.randn(2000, 2, generator=torch.Generator().manual_seed(3))
    assert np.percentile((z - expected).abs().numpy(), 99) < 1e-3
