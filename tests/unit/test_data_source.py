"""From a task to its spectra: what a run opens."""

import numpy as np
import pytest

from exobench.data.choice import DataChoice
from exobench.data.source import open_data, recipe_of
from exobench.errors import ExobenchError
from exobench.task import TaskRequest
from exobench_tasks.linear_gaussian.task import build


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


CHOICES = {
    "shards": DataChoice(),
    "uint16": DataChoice(storage="uint16"),
    "online": DataChoice("online"),
    "uncached": DataChoice(cache_gib=0),
}


@pytest.fixture(params=list(CHOICES))
def choice(request):
    return CHOICES[request.param]


def test_test_spectra_do_not_depend_on_where_training_spectra_come_from(task, tmp_path, choice):
    sizes = {"n_train": 300, "n_validation": 50, "n_test": 30}
    reference = open_quietly(task, tmp_path / "reference", **sizes)
    data = open_quietly(task, tmp_path / "chosen", choice=choice, **sizes)
    for found, expected in zip(data.test.head(30), reference.test.head(30), strict=True):
        np.testing.assert_array_equal(found, expected)
    for split in ("train", "validation"):
        found, expected = (each.source.read(split, each.source.n(split)) for each in (data, reference))
        np.testing.assert_array_equal(found[0], expected[0])
        span = np.ptp(expected[1], axis=1, keepdims=True) if choice.storage == "uint16" else 0.0
        assert (
            np.abs(found[1] - expected[1]) <= 0.51 * span / 65535 + (1e-7 if choice.storage == "uint16" else 0)
        ).all()


def test_online_training_leaves_no_training_spectra_on_disk(task, tmp_path):
    data = open_quietly(task, tmp_path, n_train=10**7, n_validation=50, n_test=30, choice=DataChoice("online"))
    assert {path.parent.name for path in tmp_path.rglob("*.h5")} == {"validation", "test"}
    assert data.source.n("train") == 10**7
    assert next(data.source.stream("train", 64, noise=task.noise)).x.shape == (64, 12)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"name": "shrads"}, r"no data 'shrads'. Did you mean 'shards'"),
        ({"name": "shards", "storage": "half"}, r"no storage 'half'"),
        ({"name": "shards", "cache_gb": 1}, r"data\.cache_gb.*data\.cache_gib"),
        ({"name": "shards", "cache_gib": "large"}, r"data\.cache_gib=large"),
        ({"name": "shards", "cache_gib": -1}, r"data\.cache_gib=-1"),
    ],
)
def test_wrong_choices_are_named(group, message):
    with pytest.raises(ExobenchError, match=message):
        DataChoice.from_group(group)
