"""Shards and manifest on disk: what is written, what is refused, what is mended."""

import errno
import json
import os
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from exobench.data import DataRecipe, ShardedSource, ShardStore, ensure_split, resolve_workers, verify
from exobench.data.manifest import MANIFEST_NAME
from exobench.errors import ExobenchError
from exobench.files import write_atomically
from exobench.parameters import Parameter, ParameterSpace
from exobench.prior import UniformPrior
from exobench.simulators.linear_gaussian import LinearGaussianSimulator

N_PARAM, N_BIN = 3, 11


class WrongShape(LinearGaussianSimulator):
    def __call__(self, theta):
        return super().__call__(theta)[:, 1:]


class SometimesNaN(LinearGaussianSimulator):
    def __call__(self, theta):
        depth = super().__call__(theta)
        depth[5, 2] = torch.nan
        return depth


def make_recipe(*, simulator=LinearGaussianSimulator, shard_rows=100, data_seed=0, storage="float32", **describe):
    space = ParameterSpace(tuple(Parameter(f"theta_{j + 1}", "1", f"{j}", -1.0, 1.0 + j) for j in range(N_PARAM)))
    edges = np.linspace(1.0, 2.0, N_BIN + 1)
    return DataRecipe(
        task_name="linear",
        prior=UniformPrior(space),
        build_simulator=partial(simulator, N_PARAM, N_BIN),
        describe={"kind": "linear", **describe},
        wavelength_um=0.5 * (edges[1:] + edges[:-1]),
        bin_edges_um=edges,
        data_seed=data_seed,
        shard_rows=shard_rows,
        storage=storage,
    )


@pytest.fixture
def recipe():
    return make_recipe()


def ensure(recipe, root, split, n):
    ensure_split(recipe, root, split, n, workers=1, progress=False)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stored_rows_are_the_simulator_at_draws_of_the_prior(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 250)
    theta, stored = ShardStore(tmp_path, recipe).reader("train", 250).read(0, 250)
    depth = stored.decoded()
    assert theta.dtype == np.float64
    assert depth.dtype == np.float32
    assert recipe.prior.space.inside(theta).all()
    expected = recipe.build_simulator()(torch.from_numpy(theta)).numpy()
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


def test_more_rows_append_and_leave_the_first_alone(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 150)
    before = contents(tmp_path)
    ensure(recipe, tmp_path, "train", 420)
    after = contents(tmp_path)
    assert {name for name in after if name.endswith(".h5")} - set(before) == {
        f"linear/{recipe.key}/train/shard_{index:05d}.h5" for index in (2, 3, 4)
    }
    assert all(after[name] == content for name, content in before.items() if name.endswith(".h5"))


def test_grown_set_equals_one_made_at_once(recipe, tmp_path):
    for n in (100, 300, 500):
        ensure(recipe, tmp_path / "grown", "train", n)
    ensure(recipe, tmp_path / "at_once", "train", 500)
    assert contents(tmp_path / "grown") == contents(tmp_path / "at_once")


def test_second_call_makes_nothing(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 300)
    broken = make_recipe(simulator=WrongShape)
    ensure(broken, tmp_path, "train", 300)


def test_splits_and_shards_share_no_theta(recipe, tmp_path):
    for split in ("train", "validation", "test"):
        ensure(recipe, tmp_path, split, 300)
    store = ShardStore(tmp_path, recipe)
    theta = np.concatenate([store.reader(split, 300).read(0, 300)[0] for split in ("train", "validation", "test")])
    for column in theta.T:
        assert len(np.unique(column)) == 900


@pytest.mark.parametrize(
    "other",
    [
        make_recipe(shard_rows=50),
        make_recipe(storage="uint16"),
        make_recipe(data_seed=1),
        make_recipe(flavour="taurex2"),
    ],
    ids=["shard_rows", "storage", "data_seed", "description"],
)
def test_key_follows_the_configuration(recipe, other):
    assert other.key != recipe.key
    assert make_recipe().key == recipe.key


def test_key_ignores_the_last_bits_of_the_grid(recipe):
    nudged = DataRecipe(
        **{
            **{name: getattr(recipe, name) for name in DataRecipe.__dataclass_fields__},
            "wavelength_um": np.nextafter(recipe.wavelength_um, 9.0),
        }
    )
    assert nudged.key == recipe.key


def test_manifest_says_what_the_set_is_and_no_path(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 200)
    text = (recipe.folder(tmp_path) / MANIFEST_NAME).read_text()
    assert str(tmp_path) not in text
    manifest = json.loads(text)
    assert manifest["key"] == recipe.key
    assert manifest["task"] == "linear"
    assert manifest["prior"]["kind"] == "uniform"
    assert [entry["rows"] for entry in manifest["splits"]["train"]] == [100, 100]
    assert manifest["splits"]["train"][1]["file"] == "train/shard_00001.h5"


@pytest.mark.parametrize("offset", [3000, -600])
def test_a_flipped_byte_is_found_and_mended(recipe, tmp_path, offset):
    ensure(recipe, tmp_path, "train", 300)
    sound = contents(tmp_path)
    shard = recipe.folder(tmp_path) / "train/shard_00001.h5"
    damaged = bytearray(shard.read_bytes())
    damaged[offset] ^= 0xFF
    shard.write_bytes(damaged)
    assert verify(recipe, tmp_path, progress=False) == ["train/shard_00001.h5"]
    assert verify(recipe, tmp_path, repair=True, workers=1, progress=False) == ["train/shard_00001.h5"]
    assert verify(recipe, tmp_path, progress=False) == []
    assert contents(tmp_path) == sound


def test_damaged_rows_are_never_read_in_silence(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 300)
    shard = recipe.folder(tmp_path) / "train/shard_00001.h5"
    depth = ShardStore(tmp_path, recipe).reader("train", 300).read(100, 200)[1].values
    content = shard.read_bytes()
    place = content.index(depth[50].tobytes())
    shard.write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    with pytest.raises(ExobenchError, match=r"shard_00001\.h5 cannot be read"):
        ShardStore(tmp_path, recipe).reader("train", 300).read(0, 300)


@pytest.mark.parametrize("harm", ["delete", "truncate"])
def test_missing_and_short_shards_are_made_again(recipe, tmp_path, harm):
    ensure(recipe, tmp_path, "train", 300)
    sound = contents(tmp_path)
    shard = recipe.folder(tmp_path) / "train/shard_00002.h5"
    if harm == "delete":
        shard.unlink()
    else:
        os.truncate(shard, 100)
    ensure(recipe, tmp_path, "train", 300)
    assert contents(tmp_path) == sound


def test_manifest_is_rebuilt_from_sound_shards_without_simulating(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 300)
    sound = contents(tmp_path)
    (recipe.folder(tmp_path) / MANIFEST_NAME).unlink()
    ensure(make_recipe(simulator=WrongShape), tmp_path, "train", 300)
    assert contents(tmp_path) == sound


def test_unlisted_shard_of_another_set_is_not_adopted(recipe, tmp_path):
    other = make_recipe(data_seed=1)
    ensure(other, tmp_path, "train", 100)
    place = recipe.folder(tmp_path) / "train"
    place.mkdir(parents=True)
    shutil.copy(other.folder(tmp_path) / "train/shard_00000.h5", place)
    ensure(recipe, tmp_path, "train", 100)
    theta, _ = ShardStore(tmp_path, recipe).reader("train", 100).read(0, 100)
    np.testing.assert_array_equal(theta, recipe.theta("train", 0))


def test_leftovers_of_dead_processes_are_removed(recipe, tmp_path):
    ensure(recipe, tmp_path, "train", 100)
    leftover = recipe.folder(tmp_path) / "train/.shard_00001.h5.99999.tmp"
    leftover.write_bytes(b"half")
    ensure(recipe, tmp_path, "train", 200)
    assert not leftover.exists()


def test_foreign_manifest_is_refused(recipe, tmp_path):
    other = make_recipe(data_seed=1)
    ensure(other, tmp_path, "train", 100)
    shutil.copytree(other.folder(tmp_path), recipe.folder(tmp_path))
    for open_it in (partial(ensure, recipe, tmp_path, "train", 100), partial(ShardStore, tmp_path, recipe)):
        with pytest.raises(ExobenchError, match=r"another data set.*differs in: data_seed"):
            open_it()


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is damaged"), ("[]", "is not a manifest"), ('{"format": "exobench spectra"}', "is damaged")],
)
def test_damaged_manifest_is_refused(recipe, tmp_path, text, message):
    recipe.folder(tmp_path).mkdir(parents=True)
    (recipe.folder(tmp_path) / MANIFEST_NAME).write_text(text)
    with pytest.raises(ExobenchError, match=message):
        ensure(recipe, tmp_path, "train", 100)


@pytest.mark.parametrize(
    ("simulator", "message"), [(WrongShape, r"gave shape \(100, 10\)"), (SometimesNaN, "not finite at theta_1=")]
)
def test_wrong_simulators_write_nothing(tmp_path, simulator, message):
    with pytest.raises(ExobenchError, match=message):
        ensure(make_recipe(simulator=simulator), tmp_path, "train", 100)
    assert not list(tmp_path.rglob("*.h5*"))


def test_full_disk_names_the_file_and_leaves_no_part_of_it(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExobenchError, match=r"disk is full.*shard"):
        write_atomically(tmp_path / "shard", b"0" * 1000)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_keeps_what_was_finished(recipe, tmp_path, monkeypatch):
    synced = []

    def full_after_some(descriptor, _fsync=os.fsync):
        synced.append(descriptor)
        if len(synced) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        _fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_after_some)
    with pytest.raises(ExobenchError, match=r"disk is full: .*shard_00003\.h5"):
        ensure(recipe, tmp_path, "train", 1000)
    monkeypatch.undo()
    assert len(list(tmp_path.rglob("shard_*.h5"))) == 3
    assert not list(tmp_path.rglob("*.tmp"))
    ensure(make_recipe(simulator=WrongShape), tmp_path, "train", 300)
    ensure(recipe, tmp_path, "train", 1000)
    assert verify(recipe, tmp_path, progress=False) == []


def test_too_little_space_is_said_before_the_work(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20_000))
    ensure(recipe, tmp_path, "train", 200)
    with pytest.raises(ExobenchError, match="GB free"):
        ensure(recipe, tmp_path, "train", 2000)
    assert ShardStore(tmp_path, recipe).n("train") == 200


def test_wrong_arguments_are_named(recipe, tmp_path):
    with pytest.raises(ExobenchError, match=r"no split 'tset'.*Did you mean 'test'"):
        ensure(recipe, tmp_path, "tset", 10)
    with pytest.raises(ExobenchError, match=r"workers=0"):
        resolve_workers(0)
    with pytest.raises(ExobenchError, match=r"task\.shard_rows=0"):
        make_recipe(shard_rows=0)
    with pytest.raises(ExobenchError, match="nothing to verify"):
        verify(recipe, tmp_path)


def test_methods_reach_no_more_than_their_rows(recipe, tmp_path):
    for split in ("train", "validation", "test"):
        ensure(recipe, tmp_path, split, 100)
    source = ShardedSource(ShardStore(tmp_path, recipe), 80, 20)
    assert (source.n("train"), source.n("validation")) == (80, 20)
    theta, depth = source.read("train", 80)
    assert theta.shape == (80, N_PARAM)
    assert depth.dtype == np.float64
    with pytest.raises(ExobenchError, match="has 80"):
        source.read("train", 81)
    with pytest.raises(ExobenchError, match="no split 'test'"):
        source.read("test", 1)
    with pytest.raises(ExobenchError, match="101 rows of the train split"):
        ShardedSource(ShardStore(tmp_path, recipe), 101, 20)


def test_test_sets_are_nested(recipe, tmp_path):
    ensure(recipe, tmp_path, "test", 300)
    store = ShardStore(tmp_path, recipe)
    theta, depth = store.read_test(250)
    few_theta, few_depth = store.read_test(25)
    np.testing.assert_array_equal(few_theta, theta[:25])
    np.testing.assert_array_equal(few_depth, depth[:25])
