"""From a task to its spectra: what a run opens."""

import numpy as np
import pytest
from exobench_tasks.linear_gaussian.task import build

from exobench.data.source import open_data, recipe_of
from exobench.task import TaskRequest


@pytest.fixture
def task():
    return build(TaskRequest(), n_param=3, n_bin=12, shard_rows=200)


def open_quietly(task, root, **sizes):
    return open_data(task, root, workers=1, **sizes)


def test_sizes_are_those_asked_for(task, tmp_path):
    data = open_quietly(task, tmp_path, n_train=350, n_validation=50, n_test=25)
    assert (data.source.n("train"), data.source.n("validation")) == (350, 50)
    assert data.test.x.shape == data.test.sigma.shape == (25, 12)
    assert data.test.theta_true.shape == (25, 3)


def test_no_training_spectra_are_made_where_none_are_asked_for(task, tmp_path):
    open_quietly(task, tmp_path, n_train=0, n_validation=0, n_test=25)
    assert [path.name for path in recipe_of(task).folder(tmp_path).iterdir() if path.is_dir()] == ["test"]


def test_noisy_test_sets_are_nested_and_fixed_by_the_task(task, tmp_path):
    few = open_quietly(task, tmp_path, n_train=0, n_validation=0, n_test=25).test
    many = open_quietly(task, tmp_path, n_train=200, n_validation=0, n_test=300).test
    for one, other in zip(few.head(25), many.head(25), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_sees_no_test_spectrum(task, tmp_path):
    data = open_quietly(task, tmp_path, n_train=400, n_validation=200, n_test=200)
    seen = np.concatenate([data.source.read("train", 400)[0], data.source.read("validation", 200)[0]])
    assert not np.isin(data.test.theta_true[:, 0], seen[:, 0]).any()


def test_noise_changes_the_task_but_not_its_spectra(task, tmp_path):
    noisier = build(TaskRequest(), n_param=3, n_bin=12, shard_rows=200, noise_ppm=300.0)
    assert noisier.task_id != task.task_id
    assert recipe_of(noisier).key == recipe_of(task).key
