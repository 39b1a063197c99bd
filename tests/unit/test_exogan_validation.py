"""The encoder's validation loss: how often it is asked, that it falls, and that training is the same without it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_exogan_method import SMALL, ToySource, problem_of

from exobench.data.first_rows import FirstRows
from exobench.method import Limits, Progress
from exobench_baselines.exogan.method import ExoGAN

SETTINGS = {**SMALL, "gan_steps": 20, "encoder_steps": 400}


def fit(problem, workdir, steps=420, **settings):
    """Posterior, and (step, validation loss, how far training said it was)."""
    seen: list[tuple[int, float, float]] = []
    done = [0.0]

    def update(place, total, text):
        done[0] = place / total

    def scalar(name, step, value):
        if name == "loss/validation":
            seen.append((step, value, done[0]))

    workdir.mkdir()
    posterior = ExoGAN(**SETTINGS, **settings).fit(
        problem,
        limits=Limits(steps=steps),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=workdir,
        stop=lambda: False,
        progress=Progress(update=update, scalar=scalar),
    )
    return posterior, seen


def without_validation(problem):
    source = FirstRows(ToySource(problem.wavelength_um, 256, n_validation=0), 256)
    return replace(problem, spectra=source)


def test_each_twentieth_of_the_encoders_training_gives_one_loss_and_it_falls(tmp_path):
    seen = fit(problem_of(60), tmp_path / "one")[1]
    steps, losses, fractions = map(np.array, zip(*seen, strict=True))
    np.testing.assert_array_equal(steps, np.arange(20, 401, 20))
    # The encoder's share of a fit: a search files losses by how far the whole is.
    np.testing.assert_allclose(fractions, 0.3 + 0.58 * steps / 400, atol=2e-3)
    assert losses[-3:].mean() < 0.8 * losses[:3].mean()
    again = fit(problem_of(60), tmp_path / "two")[1]
    assert again == seen


def test_the_bar_goes_from_end_to_end_once(tmp_path):
    places = []
    (tmp_path / "work").mkdir()
    ExoGAN(**SETTINGS).fit(
        problem_of(60),
        limits=Limits(steps=60),
        rng=np.random.default_rng(0),
        device="cpu",
        workdir=tmp_path / "work",
        stop=lambda: False,
        progress=Progress(update=lambda done, total, text: places.append(done / total), scalar=lambda *_: None),
    )
    assert places == sorted(places)
    assert places[-1] == 1.0


def test_training_does_not_notice_it(tmp_path):
    problem = problem_of(60)
    with_it, seen = fit(problem, tmp_path / "with")
    without, unseen = fit(without_validation(problem), tmp_path / "without")
    assert len(seen) == 20
    assert unseen == []
    weights, others = with_it.networks.encoder.state_dict(), without.networks.encoder.state_dict()
    assert weights
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name


@pytest.mark.parametrize("settings", [{"variant": "published"}, {"starts": "random"}])
def test_without_an_encoder_there_is_none(settings, tmp_path):
    assert fit(problem_of(), tmp_path / "work", steps=6, evaluations=2, **settings)[1] == []
