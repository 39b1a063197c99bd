"""Import of ExoGAN's files: what is stored, what is refused, what a failed or repeated import leaves behind."""

import argparse
import json
import os
import re

import numpy as np
import pytest
import torch
from python2_pickles import chunk_of, write_pkgz

from exobench.data import exogan_osf
from exobench.data.exogan_import import import_exogan
from exobench.data.exogan_osf import list_chunks, read_chunk
from exobench.data.import_command import add_import_arguments
from exobench.data.imported import find_imported, open_imported, place_of
from exobench.data.source import recipe_of
from exobench.data.store import ShardStore
from exobench.errors import ExobenchError
from exobench.method import Capability
from exobench.registry import build_task
from exobench.task import TaskRequest

N_FILE, N_ENTRY, SHARD_ROWS = 3, 40, 30


@pytest.fixture(scope="module")
def task():
    return build_task({"name": "hotjupiter", "flavour": "taurex2"}, TaskRequest())


@pytest.fixture(scope="module")
def spectra(task):
    """theta and depth of all files, float64, in the order of the files."""
    theta = task.prior.sample(N_FILE * N_ENTRY, np.random.default_rng(0))
    theta[0], theta[1] = task.parameters.low, task.parameters.high
    return theta, task.simulator.build()(torch.from_numpy(theta)).double().numpy()


@pytest.fixture
def source(tmp_path, spectra):
    return write_files(tmp_path / "files", *spectra)


def write_files(folder, theta, depth):
    folder.mkdir()
    for number in range(N_FILE):
        rows = slice(number * N_ENTRY, (number + 1) * N_ENTRY)
        write_pkgz(folder / f"chunck_{number * 9}.pkgz", chunk_of(theta[rows], depth[rows]))
    return folder


def run_import(source, root, **settings):
    settings = {"shard_rows": SHARD_ROWS, "workers": 1, "progress": False} | settings
    return import_exogan(source, root, task_name="hotjupiter", **settings)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_theta_and_depth_come_back_ascending_and_in_the_task_s_units(task, spectra, source):
    theta, depth = read_chunk(source / "chunck_0.pkgz", task.parameters, task.wavelength_um)
    np.testing.assert_allclose(theta, spectra[0][:N_ENTRY], rtol=1e-12)
    np.testing.assert_array_equal(depth, spectra[1][:N_ENTRY].astype(np.float32))
    assert task.parameters.inside(theta).all()


def nested_in_a_list(chunk):
    return list(chunk.values())


def joined_keys(chunk):
    return {
        f"spectrum {index}": {"data/spectrum": entry["data"]["spectrum"]}
        | {f"param/{key}": value for key, value in entry["param"].items()}
        for index, entry in chunk.items()
    }


def lists_of_numbers(chunk):
    return {
        str(index): {
            "data": {"spectrum": entry["data"]["spectrum"].tolist()},
            "param": {key: float(value) for key, value in entry["param"].items()},
        }
        for index, entry in chunk.items()
    }


def with_profile_and_grid(chunk):
    wavelength_um = build_task({"name": "hotjupiter"}, TaskRequest()).wavelength_um
    for entry in chunk.values():
        entry["param"]["temperature_profile"] = np.full(100, entry["param"]["temperature_profile"])
        entry["data"]["wavelength"] = np.round(wavelength_um[::-1], 4)
    return chunk


@pytest.mark.parametrize("form", [nested_in_a_list, joined_keys, lists_of_numbers, with_profile_and_grid])
@pytest.mark.parametrize("protocol", [0, 2])
def test_other_forms_of_the_same_entries_read_the_same(tmp_path, task, spectra, form, protocol):
    chunk = chunk_of(spectra[0][:12], spectra[1][:12])
    path = write_pkgz(tmp_path / "chunck_1.pkgz", form(chunk), protocol)
    theta, depth = read_chunk(path, task.parameters, task.wavelength_um)
    np.testing.assert_allclose(theta, spectra[0][:12], rtol=1e-12)
    np.testing.assert_array_equal(depth, spectra[1][:12].astype(np.float32))


def put(group, key, value):
    def harm(entry):
        entry[group][key] = value(entry[group][key]) if callable(value) else value

    return harm


def with_nan(spectrum):
    return np.where(np.arange(515) == 100, np.nan, spectrum)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (put("data", "spectrum", with_nan), r"data/spectrum is nan at point 100; expected a positive number"),
        (put("data", "spectrum", lambda s: -s), r"data/spectrum is -0\.\d+ at point 514"),
        (put("data", "spectrum", lambda s: s * 1e6), r"data/spectrum runs from .* at least \(R_planet/R_Sun\)\^2"),
        (put("data", "spectrum", np.sqrt), r"data/spectrum runs from .* expected transit depths as fractions"),
        (put("data", "spectrum", lambda s: s[1:]), r"data/spectrum has shape \(514,\); expected \(515,\)"),
        (put("data", "spectrum", lambda s: s.reshape(5, 103)), r"data/spectrum has shape \(5, 103\)"),
        (put("data", "spectrum", "x"), r"data/spectrum is not numbers"),
        (
            put("param", "planet_mass", lambda m: m / 1.898e27),
            r"param/planet_mass is \S+; expected kg, 1\.5184e\+27 to",
        ),
        (put("param", "planet_mass", lambda m: m * 1e3), r"param/planet_mass is \S+; expected kg"),
        (
            put("param", "planet_radius", lambda r: r / 6.9911e7),
            r"param/planet_radius is \S+; expected m, 5\.59288e\+07",
        ),
        (put("param", "temperature_profile", 900.0), r"temperature_profile is 900; expected K, 1000 to 2000"),
        (put("param", "temperature_profile", np.array([1200.0, 1300.0])), r"has 2 different numbers; expected one"),
        (put("param", "temperature_profile", np.zeros(0)), r"temperature_profile is empty"),
        (put("param", "co_mixratio", np.log10), r"param/co_mixratio is -\S+; expected a positive finite number"),
        (put("param", "h2o_mixratio", float("nan")), r"param/h2o_mixratio is nan; expected a positive"),
        (put("param", "ch4_mixratio", 0.5), r"ch4_mixratio is 0\.5; expected a volume mixing ratio, 1e-08 to 0\.1"),
        (lambda entry: entry["param"].pop("co2_mixratio"), r"param/co2_mixratio is missing"),
        (lambda entry: entry.pop("data"), r"data/spectrum is missing"),
        (
            put("data", "wavelength", np.linspace(0.3, 50, 515)),
            r"data/wavelength runs from 0\.3 to 50; expected um in des",
        ),
    ],
)
def test_wrong_entries_are_refused_by_file_entry_and_key(tmp_path, task, spectra, harm, message):
    chunk = chunk_of(spectra[0][:12], spectra[1][:12])
    chunk[7]["data"].setdefault("wavelength", task.wavelength_um[::-1])
    harm(chunk[7])
    path = write_pkgz(tmp_path / "chunck_1.pkgz", chunk)
    with pytest.raises(ExobenchError, match=rf"chunck_1\.pkgz: entry 7: .*{message}"):
        read_chunk(path, task.parameters, task.wavelength_um)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no entry"),
        ("spectra", "holds a str"),
        ({0: [1, 2]}, "entry 0: is a list"),
        ({"data": {"spectrum": [1.0]}, "param": {}}, "holds a dict; expected"),
    ],
)
def test_other_pickles_are_refused(tmp_path, task, content, message):
    path = write_pkgz(tmp_path / "chunck_1.pkgz", content)
    with pytest.raises(ExobenchError, match=message):
        read_chunk(path, task.parameters, task.wavelength_um)


def test_rounding_at_the_edge_of_the_box_is_no_reason_to_refuse(tmp_path, task, spectra):
    chunk = chunk_of(spectra[0][:2], spectra[1][:2])
    chunk[1]["param"] = {key: np.float64(np.float32(value)) for key, value in chunk[1]["param"].items()}
    theta, _ = read_chunk(write_pkgz(tmp_path / "a.pkgz", chunk), task.parameters, task.wavelength_um)
    assert task.parameters.inside(theta).all()


def test_import_stores_every_spectrum_once(tmp_path, task, spectra, source):
    report = run_import(source, tmp_path / "data")
    assert report.rows == {"train": 60, "validation": 30, "test": 30}
    assert report.left_out == 0
    imported = find_imported(task, tmp_path / "data", "exogan_osf")
    assert imported.task_id == report.task_id
    store = ShardStore(tmp_path / "data", recipe_of(imported))
    parts = [store.reader(split, n).read(0, n) for split, n in (("test", 30), ("validation", 30), ("train", 60))]
    np.testing.assert_allclose(np.concatenate([theta for theta, _ in parts]), spectra[0], rtol=1e-12)
    depth = np.concatenate([depth.decoded() for _, depth in parts])
    np.testing.assert_array_equal(depth, spectra[1].astype(np.float32))


def test_a_method_streams_and_the_runner_scores_imported_spectra(tmp_path, task, source):
    run_import(source, tmp_path / "data")
    imported = find_imported(task, tmp_path / "data", "exogan_osf")
    data = open_imported(imported, tmp_path / "data", n_train=60, n_validation=30, n_test=25)
    assert data.test.x.shape == (25, 515)
    batch = next(imported.problem(data.source, Capability(0)).stream("train", 16))
    assert batch.theta.shape == (16, 7)
    assert batch.x.shape == batch.sigma.shape == (16, 515)


def test_imported_spectra_have_a_task_id_of_their_own(tmp_path, task, source):
    report = run_import(source, tmp_path / "data")
    default = build_task({"name": "hotjupiter"}, TaskRequest())
    assert len({report.task_id, task.task_id, default.task_id}) == 3
    imported = find_imported(default, tmp_path / "data", "exogan_osf")
    assert imported.describe()["simulator"]["source"] == "exogan_osf"
    assert re.fullmatch("[0-9a-f]{64}", imported.describe()["simulator"]["content_sha256"])
    with pytest.raises(ExobenchError, match="was imported and has no simulator"):
        imported.problem(None, Capability.NEEDS_LIKELIHOOD)


def test_other_shards_are_another_test_set_and_another_task_id(tmp_path, source):
    reports = [run_import(source, tmp_path / "data", shard_rows=rows) for rows in (30, 20)]
    assert reports[0].task_id != reports[1].task_id


def test_the_same_files_give_the_same_bytes_whoever_reads_them(tmp_path, source):
    run_import(source, tmp_path / "one")
    run_import(source, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_other_content_is_another_set(tmp_path, task, spectra, source):
    first = run_import(source, tmp_path / "data")
    (tmp_path / "fewer").mkdir()
    for name in ("chunck_0.pkgz", "chunck_9.pkgz"):
        os.link(source / name, tmp_path / "fewer" / name)
    second = run_import(tmp_path / "fewer", tmp_path / "data", shard_rows=20)
    assert second.key != first.key
    with pytest.raises(ExobenchError, match=r"data\.key must say which"):
        find_imported(task, tmp_path / "data", "exogan_osf")
    assert find_imported(task, tmp_path / "data", "exogan_osf", first.key).task_id == first.task_id
    with pytest.raises(ExobenchError, match=r"data\.key=nothing is no imported set"):
        find_imported(task, tmp_path / "data", "exogan_osf", "nothing")


def test_a_refused_file_leaves_whole_shards_and_no_part_of_one(tmp_path, task, spectra, source):
    sound = (source / "chunck_18.pkgz").read_bytes()
    (source / "chunck_18.pkgz").write_bytes(sound[:-1000])
    with pytest.raises(ExobenchError, match=r"chunck_18\.pkgz: the gzip file is cut off"):
        run_import(source, tmp_path / "data")
    left = contents(tmp_path / "data" / "hotjupiter")
    assert sorted(name.partition("/")[2] for name in left if name.endswith(".h5")) == [
        "test/shard_00000.h5",
        "validation/shard_00000.h5",
    ]
    assert not [name for name in left if name.endswith(".tmp")]
    with pytest.raises(ExobenchError, match="there is no finished import 'exogan_osf'"):
        find_imported(task, tmp_path / "data", "exogan_osf")
    (source / "chunck_18.pkgz").write_bytes(sound)
    assert run_import(source, tmp_path / "data").rows["train"] == 60


def test_a_second_import_reads_only_what_is_missing(tmp_path, source, monkeypatch):
    report = run_import(source, tmp_path / "data")
    before = contents(tmp_path / "data")
    (report.folder / "train/shard_00001.h5").unlink()
    read = []

    def reading(path, *arguments):
        read.append(path.name)
        return exogan_osf.read_chunk(path, *arguments)

    monkeypatch.setattr("exobench.data.exogan_import.read_chunk", reading)
    again = run_import(source, tmp_path / "data")
    assert read == ["chunck_18.pkgz"]
    assert contents(tmp_path / "data") == before
    assert again.rows == report.rows
    assert run_import(source, tmp_path / "data").comparison is None
    assert read == ["chunck_18.pkgz"]


def test_spectra_in_ascending_order_are_noticed(tmp_path, spectra):
    source = write_files(tmp_path / "files", spectra[0], spectra[1][:, ::-1])
    with pytest.raises(ExobenchError, match=r"chunck_0\.pkgz: data/spectrum fits the simulator better turned round"):
        run_import(source, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.h5"))


def test_the_report_compares_with_the_simulator(tmp_path, source):
    report = run_import(source, tmp_path / "data", shard_rows=35)
    assert report.left_out == 15
    assert report.comparison.n == N_FILE * N_ENTRY
    assert report.comparison.max_ppm < 0.01
    text = "\n".join(report.lines())
    assert "15 spectra at the end" in text
    assert "median difference" in text


def test_too_few_spectra_are_said(tmp_path, task, source):
    with pytest.raises(ExobenchError, match=r"120 spectra fill less than three shards of 10,000.*--shard-rows"):
        run_import(source, tmp_path / "data", shard_rows=10_000)
    run_import(source, tmp_path / "small")
    imported = find_imported(task, tmp_path / "small", "exogan_osf")
    with pytest.raises(ExobenchError, match=r"61 train spectra asked for; .* has 60: lower budget"):
        open_imported(imported, tmp_path / "small", n_train=61, n_validation=10, n_test=10)
    with pytest.raises(ExobenchError, match=r"31 test spectra asked for; .* lower n_test"):
        open_imported(imported, tmp_path / "small", n_train=6, n_validation=10, n_test=31)


def test_no_files_and_no_import_are_said(tmp_path, task):
    with pytest.raises(ExobenchError, match=r"there is no chunck_\*\.pkgz in .*osf\.io/6dxps"):
        list_chunks(tmp_path)
    with pytest.raises(ExobenchError, match="there is no imported set 'exogan_osf' of task hotjupiter"):
        find_imported(task, tmp_path, "exogan_osf")


def test_another_prior_does_not_take_up_the_set(tmp_path, task, source):
    report = run_import(source, tmp_path / "data")
    path = report.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["description"]["content_sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(ExobenchError, match="belongs to other settings of task hotjupiter"):
        find_imported(task, tmp_path / "data", "exogan_osf")


def test_files_are_ordered_by_their_numbers(tmp_path):
    for number in (10, 9, 100, 1):
        (tmp_path / f"chunck_{number}.pkgz").touch()
    assert [path.stem for path in list_chunks(tmp_path)] == ["chunck_1", "chunck_9", "chunck_10", "chunck_100"]


@pytest.mark.parametrize("shard_rows", [1000, 3000, 10_000, 20_000])
def test_splits_take_every_shard_once_and_hold_enough_out(shard_rows):
    places = [place_of(shard, shard_rows) for shard in range(1000)]
    assert len(set(places)) == 1000
    for split in ("train", "validation", "test"):
        numbers = [number for name, number in places if name == split]
        assert numbers == list(range(len(numbers)))
        if split != "train":
            assert 10_000 <= len(numbers) * shard_rows < 10_000 + shard_rows


def test_command_imports_and_says_so(tmp_path, source, capsys):
    parser = argparse.ArgumentParser()
    add_import_arguments(parser)
    arguments = parser.parse_args(
        ["exogan", str(source), "--shard-rows", "30", "--workers", "1", "--data", str(tmp_path / "data")]
    )
    assert arguments.run(arguments) == 0
    assert "60 train, 30 validation, 30 test" in capsys.readouterr().out
    arguments.workers = "none"
    with pytest.raises(ExobenchError, match="--workers none must be auto"):
        arguments.run(arguments)
