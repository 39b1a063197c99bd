"""The training loop: it learns, stops where it should, and goes on exactly where it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import training_cases
from torch import nn
from training_cases import Regression, build_problem, fit, weights

from exobench.errors import ExobenchError
from exobench.method import FitInterrupted, Limits
from exobench.training.engine import CHECKPOINT_NAME, TrainingDiverged


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """The networks are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def problem(data_root):
    return build_problem(data_root)


def test_least_squares_solution_is_found(problem, tmp_path):
    network = _Linear(problem)
    fit(problem, tmp_path, model=network, steps=800, weight_decay=0.0, learning_rate=1e-2, validate_every=400)
    held = problem.arrays("validation")
    learned = problem.arrays("train", noise_copies=20)
    design = np.c_[network.inputs(torch.as_tensor(learned.x)).numpy(), np.ones(len(learned.x))]
    solution, *_ = np.linalg.lstsq(design, learned.theta, rcond=None)
    held_design = np.c_[network.inputs(torch.as_tensor(held.x)).numpy(), np.ones(len(held.x))]
    best = np.mean((held_design @ solution - held.theta) ** 2)
    with torch.no_grad():
        theta, x = (torch.as_tensor(part, dtype=torch.float32) for part in (held.theta, held.x))
        found = network(theta, x, x).mean().item()
    assert found == pytest.approx(best, rel=0.02)


class _Linear(nn.Module):
    def __init__(self, problem):
        super().__init__()
        arrays = problem.arrays("train", 500)
        self.centre, self.scale = arrays.x.mean(axis=0), arrays.x.std()
        self.layer = nn.Linear(problem.n_bin, arrays.theta.shape[1])

    def inputs(self, x):
        return (x - torch.as_tensor(self.centre, dtype=x.dtype)) / self.scale

    def forward(self, theta, x, sigma, generator=None):
        return (self.layer(self.inputs(x)) - theta).square().mean(dim=1)


def test_the_same_seed_gives_the_same_bits_and_torchs_own_stream_is_left_alone(problem, tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    one, summary = fit(problem, tmp_path / "one")
    torch.manual_seed(11)
    model = Regression(problem)
    torch.manual_seed(11)
    two, _ = fit(problem, tmp_path / "two", model=model)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(weights(one), weights(two))
    assert not one.training
    assert (summary.step, summary.ended_by, len(summary.history)) == (120, "steps", 3)


def test_stop_writes_a_checkpoint_and_the_next_fit_ends_with_the_same_bits(problem, tmp_path):
    whole, expected = fit(problem, tmp_path / "whole")
    asked = iter(range(1000))
    for stops_at in (13, 40, 41):
        with pytest.raises(FitInterrupted, match="stopped at step"):
            fit(problem, tmp_path / "parts", stop=lambda at=stops_at: next(asked) % 50 == at % 50)
    parts, summary = fit(problem, tmp_path / "parts")
    assert torch.equal(weights(whole), weights(parts))
    assert [row[::2] for row in summary.history] == [row[::2] for row in expected.history]


def test_a_killed_process_leaves_a_checkpoint_that_ends_with_the_same_bits(problem, data_root, tmp_path):
    whole, _ = fit(problem, tmp_path / "whole", checkpoint_seconds=0.0)
    killed = tmp_path / "killed"
    command = [sys.executable, training_cases.__file__, str(data_root), str(killed), "57"]
    done = subprocess.run(command, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert (killed / CHECKPOINT_NAME).exists()
    resumed, _ = fit(problem, killed, checkpoint_seconds=0.0)
    assert torch.equal(weights(whole), weights(resumed))


def test_a_finished_training_is_not_done_again(problem, tmp_path):
    one, _ = fit(problem, tmp_path)
    two, summary = fit(problem, tmp_path, stop=lambda: pytest.fail("asked"))
    assert torch.equal(weights(one), weights(two))
    assert summary.step == 120


def test_a_checkpoint_of_other_settings_is_refused(problem, tmp_path):
    fit(problem, tmp_path)
    with pytest.raises(ExobenchError, match="other settings"):
        fit(problem, tmp_path, learning_rate=1e-4)


def test_the_best_averaged_weights_are_kept_and_training_ends_when_patience_does(problem, tmp_path):
    seen = []

    def scalar(name, step, value):
        if name == "loss/validation":
            seen.append((value, step))

    # The learning rate is far too large: the loss soon goes nowhere.
    _, summary = fit(problem, tmp_path, scalar=scalar, learning_rate=0.3, steps=2000, validate_every=5, patience=3)
    assert summary.ended_by == "patience"
    assert summary.since_best == 3
    assert (summary.best_loss, summary.best_step) == min(seen)


def test_kept_weights_have_the_loss_that_was_reported(problem, tmp_path):
    model, summary = fit(problem, tmp_path, model=Regression(problem, dropout=0.0, jitter=0.0))
    resumed = Regression(problem, dropout=0.0, jitter=0.0)
    fit(problem, tmp_path, model=resumed)
    assert torch.equal(weights(model), weights(resumed))
    from exobench.seeds import derived_seed
    from exobench.training.distributed import Ranks
    from exobench.training.validation import ValidationLoss

    again = ValidationLoss(problem, 10_000, derived_seed("validation", 3), "cpu", Ranks())(model)
    assert again == summary.best_loss


def test_limits_are_honoured(problem, tmp_path):
    _, summary = fit(problem, tmp_path / "steps", limits=Limits(steps=9))
    assert (summary.step, summary.ended_by) == (9, "steps")
    rates = []

    def scalar(name, step, value):
        if name == "learning_rate":
            rates.append(value)

    _, summary = fit(problem, tmp_path / "time", limits=Limits(seconds=1.0), steps=10**6, scalar=scalar, report_every=1)
    assert summary.ended_by == "seconds"
    assert summary.seconds < 5.0
    assert rates[-1] < 0.1 * max(rates)


def test_seconds_of_an_earlier_process_count(problem, tmp_path):
    asked = iter(range(10**9))
    limits = Limits(seconds=2.0)
    with pytest.raises(FitInterrupted):
        fit(problem, tmp_path, limits=limits, steps=10**6, stop=lambda: next(asked) == 100)
    _, summary = fit(problem, tmp_path, limits=limits, steps=10**6)
    assert 2.0 <= summary.seconds < 6.0
    assert summary.step > 100


class _Poisoned(Regression):
    """Gives NaN at chosen calls in training."""

    def __init__(self, problem, poisoned):
        super().__init__(problem)
        self.poisoned, self.calls = poisoned, 0

    def forward(self, theta, x, sigma, generator=None):
        loss = super().forward(theta, x, sigma, generator)
        if self.training:
            self.calls += 1
            if self.calls - 1 in self.poisoned:
                return loss * torch.nan
        return loss


def test_single_bad_steps_are_left_out_and_counted(problem, tmp_path):
    model, summary = fit(problem, tmp_path, model=_Poisoned(problem, {0, 50, 51}))
    assert summary.n_skipped == 3
    assert torch.isfinite(weights(model)).all()
    _, good = fit(problem, tmp_path / "good")
    assert summary.best_loss == pytest.approx(good.best_loss, rel=0.2)


def test_endless_bad_steps_end_with_a_message_and_the_last_good_state(problem, tmp_path):
    good, _ = fit(problem, tmp_path / "good", limits=None, max_skipped=5)
    model = _Poisoned(problem, set(range(60, 1000)))
    with pytest.raises(TrainingDiverged) as caught:
        fit(problem, tmp_path / "bad", model=model, max_skipped=5)
    said = str(caught.value)
    for part in ("step 60", "loss nan", "layers.0.weight", "learning rate", "method.training.learning_rate"):
        assert part in said
    assert torch.isfinite(weights(model)).all()
    # What was kept goes on as if nothing had happened, once the cause is gone.
    mended, summary = fit(problem, tmp_path / "bad", max_skipped=5)
    assert summary.n_skipped >= 5
    assert torch.isfinite(weights(mended)).all()
    assert summary.best_loss == pytest.approx(fit(problem, tmp_path / "good", max_skipped=5)[1].best_loss, rel=0.1)
    del good


def test_the_first_bad_step_raises_where_asked(problem, tmp_path):
    with pytest.raises(TrainingDiverged, match="step 7 "):
        fit(problem, tmp_path, model=_Poisoned(problem, {7}), non_finite="raise")


def test_scalars_are_reported(problem, tmp_path):
    seen = {}
    fit(problem, tmp_path, scalar=lambda name, step, value: seen.setdefault(name, []).append((step, value)))
    assert [step for step, _ in seen["loss/train"]] == list(range(10, 121, 10))
    assert [step for step, _ in seen["loss/validation"]] == [40, 80, 120]
    assert all(np.isfinite(value) for values in seen.values() for _, value in values)
    assert {"learning_rate", "gradient_norm", "samples_per_second", "skipped_steps"} <= set(seen)


def test_tensorboard_files_are_written_where_asked(problem, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    fit(problem, tmp_path, tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/validation")] == [40, 80, 120]


def test_training_spectra_may_be_limited(problem, tmp_path):
    _, summary = fit(problem, tmp_path, limits=Limits(n_train=100, steps=30))
    assert summary.step == 30


def test_no_validation_spectra_keep_the_last_average(problem, tmp_path):
    import dataclasses

    from exobench.data.first_rows import FirstRows

    class NoValidation(FirstRows):
        def n(self, split):
            return 0 if split == "validation" else super().n(split)

    bare = dataclasses.replace(problem, spectra=NoValidation(problem.spectra, 500))
    model, summary = fit(bare, tmp_path)
    assert summary.best_loss is None
    assert not torch.equal(weights(model), weights(Regression(problem)))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_training_ends_near_the_plain_one(problem, tmp_path):
    plain, one = fit(problem, tmp_path / "plain", model=Regression(problem, dropout=0.0, jitter=0.0))
    compiled, two = fit(problem, tmp_path / "fast", model=Regression(problem, dropout=0.0, jitter=0.0), compile=True)
    assert two.best_loss == pytest.approx(one.best_loss, rel=1e-3)
    assert list(plain.state_dict()) == list(compiled.state_dict())


def test_two_processes_have_the_loss_curve_of_one(problem, data_root, tmp_path):
    script = Path(__file__).with_name("training_ranks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*command, str(script), str(data_root), str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    curve: dict[str, list[tuple[int, float]]] = {}
    one, _ = fit(
        problem,
        tmp_path / "one",
        model=Regression(problem, dropout=0.0, jitter=0.0),
        scalar=lambda name, step, value: curve.setdefault(name, []).append((step, value)),
    )
    read = dict(np.load(tmp_path / "two" / "rank0.npz"))
    for name in ("loss/train", "loss/validation"):
        np.testing.assert_allclose(read[name.replace("/", "_")], np.array(curve[name]), atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(read["weights"], weights(one).numpy(), atol=1e-4)
    np.testing.assert_array_equal(read["weights"], np.load(tmp_path / "two" / "rank1.npz")["weights"])
    assert not (tmp_path / "two" / "rank1.npz").samefile(tmp_path / "two" / "rank0.npz")
    assert np.load(tmp_path / "two" / "rank1.npz")["n_reported"] == 0
