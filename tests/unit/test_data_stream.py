"""The stream: a pure function of (seed, epoch, step), whoever reads it and from wherever."""

import gc
import itertools
import threading
import time
import tracemalloc
from functools import partial

import numpy as np
import pytest
import torch

import exobench.data.reader as reader_module
from exobench.counter_random import standard_normal
from exobench.data import DataRecipe, OnlineSource, ShardedSource, ShardStore, ensure_split
from exobench.data.prefetch import Prefetcher
from exobench.errors import ExobenchError
from exobench.noise import ConstantNoise
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.simulators.linear_gaussian import LinearGaussianSimulator

N_PARAM, N_BIN, N_TRAIN = 2, 9, 5_300
NOISE = ConstantNoise(20.0)


def make_recipe(storage="float32", n_bin=N_BIN, shard_rows=1_100):
    space = ParameterSpace(tuple(Parameter(f"theta_{j + 1}", "1", f"{j}", -1.0, 1.0) for j in range(N_PARAM)))
    edges = np.linspace(1.0, 2.0, n_bin + 1)
    return DataRecipe(
        "linear",
        UniformPrior(space),
        partial(LinearGaussianSimulator, N_PARAM, n_bin),
        {"kind": "linear"},
        0.5 * (edges[1:] + edges[:-1]),
        edges,
        shard_rows=shard_rows,
        storage=storage,
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    recipes = {storage: make_recipe(storage) for storage in ("float32", "uint16")}
    for recipe in recipes.values():
        ensure_split(recipe, root, "train", N_TRAIN, workers=1, progress=False)
        ensure_split(recipe, root, "validation", 1_000, workers=1, progress=False)
    return {storage: ShardStore(root, recipe) for storage, recipe in recipes.items()}


@pytest.fixture(scope="module")
def store(stores):
    return stores["float32"]


@pytest.fixture(scope="module", params=["memory", "disk", "uint16 memory", "uint16 disk", "online"])
def source(request, stores):
    if request.param == "online":
        recipe = make_recipe()
        return OnlineSource(recipe, N_TRAIN, stores["float32"].reader("validation", 700), cache_bytes=0)
    store = stores["uint16" if "uint16" in request.param else "float32"]
    return ShardedSource(store, N_TRAIN, 700, cache_bytes=2**31 if "memory" in request.param else 0)


def take(source, n, batch_size=400, **settings):
    stream = source.stream("train", batch_size, **({"seed": 5, "noise": NOISE} | settings))
    taken = list(itertools.islice(stream, n))
    stream.close()
    return taken


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b) for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True)
    )


def by_theta(batches):
    """Each row's noise, found by its theta."""
    theta, x = (torch.cat([batch[part] for batch in batches]).numpy() for part in (0, 1))
    return {tuple(row): spectrum for row, spectrum in zip(theta, x, strict=True)}


def test_same_settings_give_the_same_batches(source):
    assert same(take(source, 30), take(source, 30))
    assert same(take(source, 5), take(source, 5, prefetch=0))
    assert not same(take(source, 1), take(source, 1, seed=6))


@pytest.mark.parametrize("storage", ["float32", "uint16"])
def test_memory_and_disk_give_the_same_batches(stores, storage):
    sources = [ShardedSource(stores[storage], N_TRAIN, 0, cache_bytes=size) for size in (0, 2**31)]
    assert same(*(take(source, 30) for source in sources))


def test_storage_moves_depths_by_its_rounding_and_nothing_else(stores):
    one, other = (take(ShardedSource(stores[storage], N_TRAIN, 0), 13, noise=None) for storage in stores)
    for exact, rounded in zip(one, other, strict=True):
        assert torch.equal(exact.theta, rounded.theta)
        span = exact.x.max(dim=1, keepdim=True).values - exact.x.min(dim=1, keepdim=True).values
        assert ((exact.x - rounded.x).abs() <= span / 65535 * 0.51 + 1e-7 * exact.x.abs().max()).all()


def test_what_is_kept_in_memory_is_the_stored_form(stores):
    reader = stores["uint16"].reader("train", N_TRAIN)
    _, depth = reader.in_memory()
    assert depth.values.dtype == np.uint16
    assert depth.values.nbytes + depth.extremes.nbytes == N_TRAIN * (2 * N_BIN + 8)
    assert stores["uint16"].reader("train", N_TRAIN, cache_bytes=N_TRAIN * (2 * N_BIN + 8) - 1).in_memory() is None


@pytest.fixture(scope="module")
def large_store(tmp_path_factory):
    """400,000 spectra: enough for lanes."""
    root, recipe = tmp_path_factory.mktemp("large"), make_recipe("uint16", n_bin=100, shard_rows=10_000)
    ensure_split(recipe, root, "train", 400_000, workers=1, progress=False)
    return ShardStore(root, recipe)


def test_memory_does_not_grow_with_the_number_of_spectra(large_store):
    store, peaks = large_store, []
    for n in (200_000, 400_000):
        source = ShardedSource(store, n, 0, cache_bytes=1 << 20)
        tracemalloc.start()
        for _ in itertools.islice(source.stream("train", 1_000, noise=None, prefetch=0), 80):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 32_000 * 200, "a pool is not even held: the measure is wrong"
    assert abs(peaks[1] - peaks[0]) < 1 << 20


def test_other_threads_keep_their_number_of_torch_threads(source):
    before = torch.get_num_threads()
    take(source, 2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("step", [1, 12, 13, 14, 27])
def test_restart_at_a_step_goes_on_where_the_stream_was(source, step):
    assert same(take(source, 30)[step:], take(source, 30 - step, start_step=step))


def test_skipping_reads_nothing(store, monkeypatch):
    source = ShardedSource(store, N_TRAIN, 0, cache_bytes=0)
    read = []
    reader = source._readers["train"]
    monkeypatch.setattr(reader, "read", lambda start, stop, _read=reader.read: read.append(start) or _read(start, stop))
    take(source, 1, start_step=10**9, prefetch=0)
    assert len(read) <= 10


def test_each_row_comes_once_an_epoch_and_its_theta_with_it(source):
    theta, depth = source.read("train", N_TRAIN)
    batches = take(source, 13, noise=None)
    seen = by_theta(batches)
    assert len(seen) == 13 * 400
    stored = {tuple(row): spectrum for row, spectrum in zip(theta.astype(np.float32), depth, strict=True)}
    assert all(np.array_equal(stored[row], spectrum) for row, spectrum in seen.items())


def test_next_epoch_has_another_order_and_other_noise(source):
    first, second = take(source, 26)[:13], take(source, 26)[13:]
    assert not torch.equal(first[0].theta, second[0].theta)
    one, two = by_theta(first), by_theta(second)
    common = one.keys() & two.keys()
    assert len(common) > 5000
    assert not any(np.array_equal(one[row], two[row]) for row in common)


def test_noise_of_a_row_does_not_depend_on_the_batch(source):
    one, two = by_theta(take(source, 13)), by_theta(take(source, 53, batch_size=100))
    common = one.keys() & two.keys()
    assert len(common) == 5200
    assert all(np.array_equal(one[row], two[row]) for row in common)


def test_ranks_share_each_global_batch(source):
    whole = take(source, 20)
    shares = [take(source, 20, rank=rank, world_size=4) for rank in range(4)]
    joined = [
        tuple(torch.cat([share[step][part] for share in shares]) for part in range(3)) for step in range(len(whole))
    ]
    assert same(whole, joined)


@pytest.mark.parametrize("world_size", [2, 4, 6])
def test_ranks_read_their_own_rows_of_a_large_set(large_store, monkeypatch, world_size):
    n_step, batch_size, first = 12, 9_600, 35  # across the end of an epoch
    read = []

    def counted(folder, start, stop, _read=reader_module.read_rows):
        read[-1] += stop - start
        return _read(folder, start, stop)

    monkeypatch.setattr(reader_module, "read_rows", counted)

    def taken(rank, world_size):
        read.append(0)
        source = ShardedSource(large_store, 400_000, 0, cache_bytes=0)
        return take(source, n_step, batch_size, start_step=first, rank=rank, world_size=world_size, prefetch=0)

    whole = taken(0, 1)
    shares = [taken(rank, world_size) for rank in range(world_size)]
    joined = [tuple(torch.cat(parts) for parts in zip(*step, strict=True)) for step in zip(*shares, strict=True)]
    assert same(whole, joined)
    alone, shared = read[0], read[1:]
    assert alone >= n_step * batch_size
    # A lane that two processes share is read by both: one of 16 at either end of a share.
    lanes_that_split = 0 if 16 % world_size == 0 else 2
    assert max(shared) <= alone * (1 / world_size + lanes_that_split / 16) * 1.01
    assert sum(shared) <= alone * (1 + (world_size - 1) * lanes_that_split / 2 / 16) * 1.01


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_simulate_their_own_rows(store, world_size):
    recipe, n = make_recipe(shard_rows=2_500), 32 * 2_500
    simulated = []
    for rank, of in [(0, 1), *((rank, world_size) for rank in range(world_size))]:
        source = OnlineSource(recipe, n, store.reader("validation", 0), cache_bytes=0)
        reader = source._readers["train"]
        rows = []
        read = reader.read
        reader.read = lambda start, stop, read=read, rows=rows: rows.append(stop - start) or read(start, stop)
        take(source, n // 400, prefetch=0, rank=rank, world_size=of)
        simulated.append(sum(rows))
    assert simulated[0] == n
    assert simulated[1:] == [n // world_size] * world_size


def test_noise_has_the_declared_spread(source):
    noisy, clean = (torch.cat([batch.x for batch in take(source, 13, noise=noise)]) for noise in (NOISE, None))
    z = ((noisy - clean).double() / 20e-6).flatten()
    n = len(z)
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert all(torch.all(batch.sigma == torch.tensor(20e-6)) for batch in take(source, 2))


def test_splits_have_streams_of_their_own(source):
    stream = source.stream("validation", 700, seed=5, noise=NOISE)
    theta = next(stream).theta.numpy()
    stream.close()
    expected, _ = source.read("validation", 700)
    np.testing.assert_array_equal(np.sort(theta, axis=0), np.sort(expected.astype(np.float32), axis=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 5_301}, "batch_size=5301 is larger than the train split, which has 5300"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"start_step": -1}, "start_step=-1"),
        ({"world_size": 3}, "multiple of world_size=3"),
        ({"rank": 2, "world_size": 2}, "rank=2"),
    ],
)
def test_settings_that_cannot_be_served_are_refused_at_once(source, settings, message):
    with pytest.raises(ExobenchError, match=message):
        source.stream("train", **({"batch_size": 400, "noise": NOISE} | settings))


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name == "exobench-prefetch"]


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("end", ["close", "forget"])
def test_no_thread_outlives_its_stream(source, end):
    gc.collect()
    stream = source.stream("train", 400, noise=NOISE)
    next(stream)
    assert len(prefetch_threads()) == 1
    if end == "close":
        stream.close()
        with pytest.raises(StopIteration):
            next(stream)
    del stream
    gc.collect()
    assert wait_for(lambda: not prefetch_threads())


def test_prefetcher_passes_on_items_end_and_errors():
    assert list(Prefetcher(iter(range(100)), 3)) == list(range(100))

    def failing():
        yield 1
        raise OSError("disk gone")

    items = Prefetcher(failing())
    assert next(items) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="disk gone"):
            next(items)


def test_counter_noise_is_a_function_of_seed_row_and_column():
    rows = torch.tensor([5, 0, 10**7, 2**40, 5])
    whole = standard_normal(1, rows, 51)
    assert torch.equal(whole[0], whole[4])
    assert torch.equal(standard_normal(1, rows, 50), whole[:, :50])
    assert torch.equal(standard_normal(1, rows[2:3], 51)[0], whole[2])
    assert not torch.equal(standard_normal(2, rows, 51), whole)
    assert standard_normal(1, rows[:0], 51).shape == (0, 51)
