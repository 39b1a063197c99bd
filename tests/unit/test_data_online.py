"""Online spectra are those of float32 shards without the disk, so a budget of distinct spectra holds."""

import itertools
from functools import partial

import numpy as np
import pytest

from exobench.data import DataRecipe, OnlineSource, ShardedSource, ShardStore, ensure_split
from exobench.data.worker import ROWS_A_CALL
from exobench.errors import ExobenchError
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.simulators.linear_gaussian import LinearGaussianSimulator

N_PARAM, N_BIN, SHARD_ROWS, N_TRAIN = 2, 5, 6_000, 9_000


class ShowsItsBatch(LinearGaussianSimulator):
    """Its numbers depend on how many draws it is given, as those of matrix products do in their last bits."""

    n_simulated = 0

    def __call__(self, theta):
        type(self).n_simulated += len(theta)
        return super().__call__(theta) + len(theta)


def make_recipe():
    space = ParameterSpace(tuple(Parameter(f"theta_{j + 1}", "1", f"{j}", -1.0, 1.0) for j in range(N_PARAM)))
    edges = np.linspace(1.0, 2.0, N_BIN + 1)
    return DataRecipe(
        "linear",
        UniformPrior(space),
        partial(ShowsItsBatch, N_PARAM, N_BIN),
        {"kind": "linear"},
        0.5 * (edges[1:] + edges[:-1]),
        edges,
        shard_rows=SHARD_ROWS,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for split, n in (("train", N_TRAIN), ("validation", 100)):
        ensure_split(make_recipe(), root, split, n, workers=1, progress=False)
    return ShardStore(root, make_recipe())


def online(store, n_train=N_TRAIN, **settings):
    return OnlineSource(make_recipe(), n_train, store.reader("validation", 100), **({"cache_bytes": 0} | settings))


def seen(source, n_batch, batch_size=1_000):
    stream = source.stream("train", batch_size, noise=None)
    batches = list(itertools.islice(stream, n_batch))
    stream.close()
    return tuple(np.concatenate([batch[part].numpy() for batch in batches]) for part in (0, 1))


def sorted_rows(theta, depth):
    order = np.lexsort(theta.T)
    return theta[order], depth[order]


@pytest.mark.parametrize("n", [1, 300, ROWS_A_CALL, 7_777, N_TRAIN])
def test_rows_are_those_of_shards_to_the_last_bit(store, n):
    for found, expected in zip(online(store).read("train", n), store.reader("train", n).read(0, n), strict=True):
        expected = expected if isinstance(expected, np.ndarray) else expected.decoded()
        np.testing.assert_array_equal(found, expected)


def test_an_epoch_holds_each_spectrum_once_and_the_next_the_same_ones(store):
    theta, depth = seen(online(store), 18)
    assert len(np.unique(theta, axis=0)) == N_TRAIN
    first, second = (sorted_rows(theta[part], depth[part]) for part in (slice(N_TRAIN), slice(N_TRAIN, None)))
    stored, stored_depth = store.reader("train", N_TRAIN).read(0, N_TRAIN)
    expected = sorted_rows(stored.astype(np.float32), stored_depth.decoded())
    for epoch in (first, second):
        for found, wanted in zip(epoch, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert not np.array_equal(theta[:N_TRAIN], theta[N_TRAIN:])


def test_no_more_than_the_budget_can_be_seen(store):
    source = online(store, 2_000)
    assert len(np.unique(seen(source, 9)[0], axis=0)) == 2_000
    with pytest.raises(ExobenchError, match="it has 2000"):
        source.read("train", 2_001)


def test_a_large_budget_takes_neither_disk_nor_work_beforehand(store):
    ShowsItsBatch.n_simulated = 0
    theta, _ = seen(online(store, 10_000_000), 3)
    assert len(np.unique(theta, axis=0)) == 3_000
    assert ShowsItsBatch.n_simulated <= 8 * SHARD_ROWS


def test_a_cache_simulates_each_spectrum_once(store):
    ShowsItsBatch.n_simulated = 0
    cached = seen(online(store, cache_bytes=1 << 20), 27)
    assert ShowsItsBatch.n_simulated == 2 * SHARD_ROWS - 1_000  # whole calls: 2500 + 2500 + 1000, 2500 + 2500
    for found, expected in zip(cached, seen(online(store), 27), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_validation_comes_from_shards(store):
    theta, _ = online(store).read("validation", 100)
    np.testing.assert_array_equal(theta, store.reader("validation", 100).read(0, 100)[0])


def test_noise_belongs_to_the_row_not_to_the_way_it_came(store):
    noise = ConstantNoise(20.0)
    rows = {}
    for name, source in (("online", online(store)), ("shards", ShardedSource(store, N_TRAIN, 100))):
        stream = source.stream("train", 3_000, noise=noise, seed=4)
        batches = list(itertools.islice(stream, 3))
        stream.close()
        rows[name] = sorted_rows(*(np.concatenate([batch[part] for batch in batches]) for part in (0, 1)))
    for one, other in zip(rows["online"], rows["shards"], strict=True):
        np.testing.assert_array_equal(one, other)
