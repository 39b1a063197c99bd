"""Settings, schedule and limits of training."""

from __future__ import annotations

import itertools
import math

import pytest

from exobench.errors import ExobenchError
from exobench.method import Limits
from exobench.training.schedule import Plan, fraction_done, learning_rate_factor, plan_steps
from exobench.training.settings import TrainingSettings


def test_nothing_given_is_all_defaults():
    assert TrainingSettings.of(None) == TrainingSettings() == TrainingSettings.of({})


def test_every_default_passes_its_own_check():
    defaults = TrainingSettings()
    assert TrainingSettings.of(vars(defaults)) == defaults


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_sise": 3}, "batch_size"),
        ({"batch_size": 0}, "m.training.batch_size=0"),
        ({"batch_size": 2.5}, "m.training.batch_size=2.5"),
        ({"learning_rate": 0}, "m.training.learning_rate=0 must be a positive number"),
        ({"learning_rate": "fast"}, "m.training.learning_rate=fast"),
        ({"ema_decay": 1.0}, "m.training.ema_decay=1.0 must be a number of at least 0 and below 1"),
        ({"precision": "half"}, "m.training.precision=half must be one of auto, float32, tf32, bfloat16"),
        ({"compile": 1}, "m.training.compile=1 must be true or false"),
        ({"clip_norm": -1}, "or null"),
        ({"non_finite": "ignore"}, "skip, raise"),
        ({"weight_decay": math.nan}, "weight_decay=nan"),
        ({"patience": 0}, "patience=0"),
    ],
)
def test_wrong_settings_are_named(given, said):
    with pytest.raises(ExobenchError, match=said.replace(".", r"\.")):
        TrainingSettings.of(given, key="m.training")


def test_numbers_may_be_written_as_powers_of_ten_and_null():
    settings = TrainingSettings.of({"steps": 1e3, "clip_norm": None, "patience": None})
    assert (settings.steps, settings.clip_norm, settings.patience) == (1000, None, None)


def test_what_does_not_move_the_weights_is_no_part_of_the_description():
    plain, other = TrainingSettings(), TrainingSettings(checkpoint_seconds=1.0, tensorboard=True, report_every=7)
    assert plain.describe() == other.describe()
    assert plain.describe() != TrainingSettings(batch_size=100).describe()


def test_steps_follow_epochs_and_the_first_limit_ends():
    settings = TrainingSettings(batch_size=500, epochs=10, min_steps=1)
    assert plan_steps(settings, Limits(), 100_000).steps == 2000
    assert plan_steps(settings, Limits(steps=7), 100_000).steps == 7
    assert plan_steps(TrainingSettings(steps=50), Limits(steps=70), 100_000).steps == 50
    assert plan_steps(TrainingSettings(batch_size=500, epochs=1, min_steps=900), Limits(), 100_000).steps == 900


@pytest.mark.parametrize(
    ("n_train", "world_size"), [(n, ranks) for n in (1, 5, 90, 1000, 10**6) for ranks in (1, 2, 3) if n >= ranks]
)
def test_a_batch_fits_the_split_and_the_ranks(n_train, world_size):
    plan = plan_steps(TrainingSettings(), Limits(), n_train, world_size)
    assert 0 < plan.batch_size <= n_train
    assert plan.batch_size % world_size == 0
    assert plan.per_epoch == n_train // plan.batch_size


def test_learning_rate_rises_linearly_then_follows_half_a_cosine():
    factor = [learning_rate_factor(step / 1000, 1000, 0.1, 0.01) for step in range(1001)]
    assert factor[0] == pytest.approx(0.01)
    assert factor[49] == pytest.approx(0.5)
    assert factor[100] == pytest.approx(1.0)
    assert factor[550] == pytest.approx(0.5 * (1 + 0.01))
    assert factor[1000] == pytest.approx(0.01)
    assert all(later <= earlier for earlier, later in itertools.pairwise(factor[100:]))


def test_training_is_as_far_as_the_limit_that_is_nearest():
    plan = Plan(batch_size=1, per_epoch=1, steps=100, validate_every=1, seconds=10.0)
    assert fraction_done(10, plan, 5.0) == 0.5
    assert fraction_done(80, plan, 5.0) == 0.8
    assert fraction_done(1, plan, 30.0) == 1.0
