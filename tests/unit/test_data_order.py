"""The visiting order: a permutation, the same from any place on, different every epoch."""

from functools import cache

import numpy as np
import pytest

from exobench.data.order import EpochOrder
from exobench.data.shard import block_rows

POOL_BLOCKS = 32


def order_of(n, shard_rows, seed=0, split="train", epoch=0, pool_blocks=POOL_BLOCKS, batch_size=400):
    names = {"batch_size": batch_size, "seed": seed, "split": split, "epoch": epoch}
    return EpochOrder(n, shard_rows, block_rows(shard_rows), pool_blocks, **names)


def visited(order, start, stop):
    return np.concatenate([order.pool(number).rows[part] for number, part in order.slices(start, stop)])


@pytest.mark.parametrize(
    ("n", "shard_rows"), [(1, 10), (7, 10), (25, 10), (100_000, 10_000), (98_765, 10_000), (80_000, 1_500)]
)
@pytest.mark.parametrize("pool_blocks", [2, 8, POOL_BLOCKS])
def test_every_row_comes_once(n, shard_rows, pool_blocks):
    rows = visited(order_of(n, shard_rows, pool_blocks=pool_blocks), 0, n)
    np.testing.assert_array_equal(np.sort(rows), np.arange(n))


@pytest.mark.parametrize(
    ("n", "batch_size", "n_lanes"),
    [(98_765, 512, 1), (200_000, 333, 1), (200_000, 100, 4), (199_999, 512, 16), (250_003, 1_000, 8)],
)
def test_batches_of_an_epoch_hold_no_row_twice_and_leave_less_than_a_batch_out(n, batch_size, n_lanes):
    order = order_of(n, 10_000, batch_size=batch_size)
    assert order.n_lanes == n_lanes
    pool = cache(order.pool)
    seen = [
        pool(number).rows[part]
        for step in range(n // batch_size)
        for _, *ends in order.places(step, slice(0, batch_size))
        for number, part in order.slices(*ends)
    ]
    rows = np.concatenate(seen)
    assert len(rows) == n // batch_size * batch_size
    assert len(np.unique(rows)) == len(rows)


@pytest.mark.parametrize("world_size", [2, 3, 4, 5, 16, 32])
def test_shares_of_a_batch_lie_end_to_end(world_size):
    batch_size = 960
    order = order_of(400_000, 10_000, batch_size=batch_size)
    width = batch_size // world_size
    for step in (0, 7, 415):
        whole = [place for _, *ends in order.places(step, slice(0, batch_size)) for place in range(*ends)]
        shares = [
            place
            for rank in range(world_size)
            for _, *ends in order.places(step, slice(rank * width, (rank + 1) * width))
            for place in range(*ends)
        ]
        assert shares == whole


def test_no_pool_holds_rows_of_two_lanes():
    order = order_of(400_003, 10_000, batch_size=512)
    pools = [{number for number, _ in order.slices(lane * 25_000, (lane + 1) * 25_000)} for lane in range(16)]
    assert order.n_lanes == 16
    assert sum(map(len, pools)) == len(set.union(*pools))


def test_order_from_any_place_is_the_rest_of_the_order():
    order = order_of(98_765, 10_000, 3, "train", 2)
    whole = visited(order, 0, 98_765)
    for start, stop in [(0, 1), (12_345, 54_321), (31_999, 32_001), (98_000, 98_765)]:
        np.testing.assert_array_equal(visited(order, start, stop), whole[start:stop])


def test_order_depends_on_seed_split_and_epoch_only():
    first = visited(order_of(5000, 1000, 0, "train", 0), 0, 5000)
    np.testing.assert_array_equal(first, visited(order_of(5000, 1000, 0, "train", 0), 0, 5000))
    for names in [(1, "train", 0), (0, "validation", 0), (0, "train", 1)]:
        assert (first == visited(order_of(5000, 1000, *names), 0, 5000)).mean() < 0.01


def test_places_find_the_rows_in_the_blocks_laid_end_to_end():
    pool = order_of(98_765, 10_000, 3, "train", 2).pool(1)
    laid = np.concatenate([np.arange(start, stop) for start, stop in pool.blocks])
    np.testing.assert_array_equal(laid[pool.places], pool.rows)
    assert len(pool.blocks) == POOL_BLOCKS


@pytest.mark.parametrize("n", [100_000, 200_000])
def test_a_batch_mixes_shards(n):
    order = order_of(n, 10_000, batch_size=4096)
    rows = np.concatenate([visited(order, *ends) for _, *ends in order.places(3, slice(0, 4096))])
    assert len(np.unique(rows // 10_000)) > 0.8 * (n / 10_000)


@pytest.mark.parametrize("shard_rows", [1, 7, 1000, 1024, 1025, 10_000, 10_007])
def test_blocks_divide_a_shard_evenly(shard_rows):
    rows = block_rows(shard_rows)
    n_block = -(-shard_rows // rows)
    assert rows <= 1024
    assert n_block * rows - shard_rows < n_block
