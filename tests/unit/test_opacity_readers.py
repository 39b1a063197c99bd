"""Readers of opacity files: round trips, agreement with the taurex package, and refusals."""

import logging
import pickle
import struct
import tracemalloc
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.opacities.binning import AVERAGES
from exobench.opacities.load import load_opacities
from exobench.opacities.load_nemesis import load_kta
from exobench.opacities.load_taurex import load_cia, load_hdf5, load_pickle
from exobench.opacities.numpy_pickle import load_arrays
from exobench.registry import build_task
from exobench.simulators.recipe import TransmissionRecipe
from exobench.task import TaskRequest

EDGES_UM = np.geomspace(1.0, 5.0, 21)
CENTRES_UM = 0.5 * (EDGES_UM[1:] + EDGES_UM[:-1])


def make_table(seed: int = 0):
    rng = np.random.default_rng(seed)
    wavenumber = np.linspace(1900.0, 10100.0, 4000)
    temperature, pressure_bar = np.array([900.0, 1500.0, 2100.0]), np.array([1e-5, 1e-2, 10.0])
    return wavenumber, temperature, pressure_bar, 10.0 ** rng.uniform(-25, -20, (3, 3, 4000))


def write_hdf5(path: Path, gas: str, table) -> Path:
    wavenumber, temperature, pressure, values = table
    with h5py.File(path, "w") as handle:
        handle["bin_edges"], handle["t"], handle["p"], handle["xsecarr"] = wavenumber, temperature, pressure, values
        handle["p"].attrs["units"] = "bar"
        handle.create_dataset("mol_name", data=np.array([gas.encode()], dtype=object), dtype=h5py.string_dtype())
    return path


def write_pickle(path: Path, table, protocol: int = 2) -> Path:
    wavenumber, temperature, pressure, values = table
    content = {"wno": wavenumber, "t": temperature, "p": pressure, "xsecarr": values, "name": path.name}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def test_hdf5_is_averaged_over_bins_in_si_units(tmp_path):
    table = make_table()
    read = load_hdf5(write_hdf5(tmp_path / "a.h5", "H2O", table), "H2O", EDGES_UM)
    wavenumber, temperature, pressure, values = table
    np.testing.assert_array_equal(read.temperature_k, temperature)
    np.testing.assert_allclose(read.pressure_pa, pressure * 1e5)
    low, high = 1e4 / EDGES_UM[8], 1e4 / EDGES_UM[7]
    fine = np.linspace(low, high, 200_001)
    expected = np.trapezoid(np.interp(fine, wavenumber, values[1, 2]), fine) / (high - low) * 1e-4
    assert read.cross_section_m2[1, 2, 7] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickle_and_hdf5_of_the_same_table_agree(tmp_path, protocol):
    table = make_table(1)
    one = load_hdf5(write_hdf5(tmp_path / "a.h5", "CO", table), "CO", EDGES_UM)
    two = load_pickle(write_pickle(tmp_path / "CO.R15000.TauREx.pickle", table, protocol), "CO", EDGES_UM)
    np.testing.assert_allclose(two.cross_section_m2, one.cross_section_m2, rtol=1e-12)


def test_taurex_reads_the_same_numbers(tmp_path):
    pytest.importorskip("taurex", reason="the taurex package (extra 'forward') is not installed")
    from taurex.opacity.hdf5opacity import HDF5Opacity
    from taurex.opacity.pickleopacity import PickleOpacity

    table = make_table(2)
    hdf5 = write_hdf5(tmp_path / "H2O.h5", "H2O", table)
    pickled = write_pickle(tmp_path / "H2O.TauREx.pickle", table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [HDF5Opacity(hdf5, in_memory=True), PickleOpacity(pickled)]
    wavenumber = table[0]
    part = slice(1000, 1041)
    edges = 1e4 / wavenumber[[1040, 1000]]
    for opacity, ours in zip(theirs, [load_hdf5(hdf5, "H2O", edges), load_pickle(pickled, "H2O", edges)], strict=True):
        assert opacity.moleculeName == "H2O"
        np.testing.assert_allclose(ours.pressure_pa, opacity.pressureGrid)
        np.testing.assert_array_equal(ours.temperature_k, opacity.temperatureGrid)
        np.testing.assert_array_equal(wavenumber, opacity.wavenumberGrid)
        integral = np.trapezoid(np.asarray(opacity.xsecGrid)[:, :, part], wavenumber[part])
        expected = integral / (wavenumber[1040] - wavenumber[1000]) * 1e-4
        np.testing.assert_allclose(ours.cross_section_m2[:, :, 0], expected, rtol=1e-9)


class Hostile:
    """Creates a file when it is unpickled by a careless reader."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path):
    target = tmp_path / "executed"
    path = tmp_path / "H2O.pickle"
    path.write_bytes(pickle.dumps({"wno": Hostile(target)}))
    with pytest.raises(ExobenchError, match="not allowed"):
        load_arrays(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists()  # the file would indeed have run


@pytest.mark.parametrize(
    "payload", [b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR.", b"not a pickle", b""]
)
def test_other_pickles_are_refused(tmp_path, payload):
    path = tmp_path / "CO.pickle"
    path.write_bytes(payload)
    with pytest.raises(ExobenchError, match=r"CO\.pickle: refused"):
        load_arrays(path)


HEAD = pickle.PROTO + b"\x04"


def calling(name: bytes, *arguments: bytes) -> bytes:
    """A pickled dict whose entry is a call of a name, under protocol 4."""
    module, function = (pickle.SHORT_BINUNICODE + bytes([len(part)]) + part for part in name.split(b":"))
    call = module + function + b"\x93" + b"(" + b"".join(arguments) + b"tR"
    return HEAD + b"}\x8c\x03wno" + call + b"s."


DTYPE_O = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02O8\x85R"
DTYPE_F8 = b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02f8\x85R"
EIGHT = b"C\x08" + bytes(8)
HOSTILE = {
    "object array": (calling(b"numpy:ndarray", b"K\x01\x85", DTYPE_O, EIGHT), "array type is not one of"),
    "float array by call": (calling(b"numpy:ndarray", b"K\x01\x85", DTYPE_F8, EIGHT), "a call of something"),
    "object frombuffer": (
        calling(b"numpy._core.numeric:_frombuffer", EIGHT, DTYPE_O, b"K\x01\x85", b"\x8c\x01C"),
        "type",
    ),
    "object scalar": (calling(b"numpy._core.multiarray:scalar", DTYPE_O, EIGHT), "array type is not one of"),
    "long array": (
        calling(b"numpy._core.numeric:_frombuffer", EIGHT, DTYPE_F8, b"J\xff\xff\xff\x7f\x85", b"\x8c\x01C"),
        "does not fit its bytes",
    ),
    "new object": (HEAD + b"\x8c\x05numpy\x8c\x07ndarray\x93K\x01\x85\x85\x81.", "opcode 0x81"),
    "bytearray of terabytes": (pickle.PROTO + b"\x05\x96" + struct.pack("<Q", 1 << 42) + b".", "cut off"),
    "bytes of terabytes": (HEAD + b"\x8e" + struct.pack("<Q", 1 << 42) + b".", "cut off"),
    "frame of terabytes": (HEAD + b"\x95" + struct.pack("<Q", 1 << 42) + b"}", "cut off"),
    "protocol 6": (pickle.PROTO + b"\x06}.", "pickle protocol 6; expected 0 to 5"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_forged_objects_are_refused(tmp_path, name):
    payload, message = HOSTILE[name]
    path = tmp_path / "H2O.pickle"
    path.write_bytes(payload)
    tracemalloc.start()
    try:
        with pytest.raises(ExobenchError, match=rf"H2O\.pickle: refused: .*{message}"):
            load_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("index", [2**20, 2**32 - 1])
def test_a_memo_index_claims_no_memory(tmp_path, index):
    path = tmp_path / "H2O.pickle"
    path.write_bytes(HEAD + b"}r" + struct.pack("<I", index) + b".")
    tracemalloc.start()
    try:
        assert load_arrays(path) == {}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_one_array_under_many_names_is_refused(tmp_path):
    values = np.zeros(1000)
    path = tmp_path / "H2O.pickle"
    path.write_bytes(pickle.dumps({str(i): values for i in range(100)}))
    with pytest.raises(ExobenchError, match="more than twice the bytes"):
        load_arrays(path)


@pytest.mark.parametrize("protocol", range(6))
def test_types_byte_orders_and_layouts_come_back(tmp_path, protocol):
    content = {
        "big": np.arange(6, dtype=">f4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(12.0)[::3],
        "whole": np.arange(5, dtype="u2"),
        "number": np.float64(2.5),
        "list": [1.0, 2, 3],
        "name": "H2O",
        "other": {"nested": [[1.0], [2.0]]},
    }
    path = tmp_path / "H2O.pickle"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_arrays(path)
    assert set(read) == set(content) - {"other"}
    for key, value in read.items():
        np.testing.assert_array_equal(value, content[key])


def test_a_folder_is_chosen_by_gas(tmp_path):
    (tmp_path / "xsec").mkdir()
    tables = {gas: make_table(i) for i, gas in enumerate(("H2O", "CO2"))}
    write_hdf5(tmp_path / "xsec" / "1H2-16O__POKAZATEL.h5", "H2O", tables["H2O"])
    write_pickle(tmp_path / "CO2.R10000.TauREx.pickle", tables["CO2"])
    opacities = load_opacities(
        tmp_path, CENTRES_UM, EDGES_UM, ["H2O", "CO2"], temperature_range_k=(1000, 2000), average="mean"
    )
    assert list(opacities.gases) == ["H2O", "CO2"]
    assert "band model" in opacities.source
    expected = load_pickle(tmp_path / "CO2.R10000.TauREx.pickle", "CO2", EDGES_UM)
    np.testing.assert_array_equal(opacities.gases["CO2"].cross_section_m2, expected.cross_section_m2)


def test_the_average_of_a_task_is_that_of_its_request(tmp_path):
    wavenumber, temperature, pressure, _ = make_table()
    values = 10.0 ** np.random.default_rng(5).uniform(-22, -20, (3, 3, 4000))
    for gas in ("H2O", "CO2", "CO", "CH4"):
        write_hdf5(tmp_path / f"{gas}.h5", gas, (wavenumber, temperature, pressure, values))
    recipes = {
        average: TransmissionRecipe(tuple(EDGES_UM), (), opacities_path=str(tmp_path), opacities_average=average)
        for average in AVERAGES
    }
    for average, recipe in recipes.items():
        expected = load_hdf5(tmp_path / "CO.h5", "CO", EDGES_UM, average).cross_section_m2
        np.testing.assert_array_equal(recipe._opacities().gases["CO"].cross_section_m2, expected)
        asked = TaskRequest(opacities_path=str(tmp_path), opacities_average=average)
        assert build_task({"name": "hotjupiter"}, asked).simulator.opacities_average == average
    assert recipes["mean"].describe() != recipes["transmission"].describe()
    assert (
        TransmissionRecipe(tuple(EDGES_UM), ()).opacities_average == TaskRequest().opacities_average == "transmission"
    )
    with pytest.raises(ExobenchError, match=r"no opacities\.average 'median'.*mean, transmission"):
        TaskRequest(opacities_average="median")


def test_a_missing_gas_names_the_files_looked_for(tmp_path):
    write_hdf5(tmp_path / "a.h5", "H2O", make_table())
    with pytest.raises(ExobenchError, match=r"no cross-sections of CH4.*mol_name CH4.*CH4\.\*\.pickle"):
        load_opacities(tmp_path, CENTRES_UM, EDGES_UM, ["H2O", "CH4"])


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ExobenchError, match="nowhere"):
        load_opacities(tmp_path / "nowhere", CENTRES_UM, EDGES_UM, ["H2O"])


def test_two_files_for_a_gas_are_refused(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_hdf5(tmp_path / name, "H2O", make_table())
    with pytest.raises(ExobenchError, match=r"two files for H2O.*a\.h5 and b\.h5"):
        load_opacities(tmp_path, CENTRES_UM, EDGES_UM, ["H2O"])


def test_narrow_temperatures_are_refused_by_name(tmp_path):
    write_hdf5(tmp_path / "a.h5", "H2O", make_table())
    with pytest.raises(ExobenchError, match=r"H2O.*900-2100 K.*500-2000 K"):
        load_opacities(tmp_path, CENTRES_UM, EDGES_UM, ["H2O"], temperature_range_k=(500, 2000))


def test_a_gap_in_wavelength_is_zero_and_warned_of(tmp_path, caplog):
    path = write_hdf5(tmp_path / "a.h5", "H2O", make_table())
    edges = np.array([0.5, 0.6, 1.5, 2.0, 8.0, 10.0])
    with caplog.at_level(logging.WARNING):
        table = load_hdf5(path, "H2O", edges)
    assert "a.h5" in caplog.text
    assert "zero" in caplog.text
    assert np.all(table.cross_section_m2[..., [0, 4]] == 0)
    assert np.all(table.cross_section_m2[..., 2] > 0)


def test_missing_keys_and_wrong_shapes_are_named(tmp_path):
    wavenumber, temperature, pressure, values = make_table()
    path = write_hdf5(tmp_path / "a.h5", "H2O", (wavenumber, temperature, pressure[:2], values))
    with pytest.raises(ExobenchError, match=r"a\.h5: xsecarr has shape"):
        load_hdf5(path, "H2O", EDGES_UM)
    with h5py.File(path, "a") as handle:
        del handle["t"]
    with pytest.raises(ExobenchError, match=r"a\.h5: no 't'"):
        load_hdf5(path, "H2O", EDGES_UM)


def test_none_gives_the_band_model_and_its_gases_only():
    opacities = load_opacities(None, CENTRES_UM, EDGES_UM, ["CH4"])
    assert list(opacities.gases) == ["CH4"]
    with pytest.raises(ExobenchError, match="NH3"):
        load_opacities(None, CENTRES_UM, EDGES_UM, ["NH3"])


def test_cia_of_pickle_and_hitran_files_agree(tmp_path):
    wavenumber = np.linspace(1000.0, 11000.0, 2001)
    temperature = np.array([500.0, 1500.0, 2500.0])
    values = 1e-45 * (1 + temperature[:, None] / 1000.0) * np.exp(-(((wavenumber - 4160.0) / 700.0) ** 2))
    (tmp_path / "H2-H2.db").write_bytes(pickle.dumps({"wno": wavenumber, "t": temperature, "xsecarr": values}))
    with (tmp_path / "H2-He_2011.cia").open("w") as handle:
        for t, row in zip(temperature, values, strict=True):
            head = (
                f"{'H2-He':>20}{wavenumber[0]:10.3f}{wavenumber[-1]:10.3f}{len(wavenumber):7d}{t:7.1f}{row.max():10.3e}"
            )
            handle.write(head + "\n")
            handle.writelines(f" {w:10.3f} {v:12.6e}\n" for w, v in zip(wavenumber, row, strict=True))
        handle.write("\n  \n")
    one = load_cia(tmp_path / "H2-H2.db", ("H2", "H2"), EDGES_UM)
    two = load_cia(tmp_path / "H2-He_2011.cia", ("H2", "He"), EDGES_UM)
    np.testing.assert_array_equal(two.temperature_k, temperature)
    np.testing.assert_allclose(two.coefficient_m5, one.coefficient_m5, rtol=1e-5)
    peak = one.coefficient_m5[1].max()
    assert peak == pytest.approx(2.5e-55, rel=0.05)
    write_hdf5(tmp_path / "a.h5", "H2O", make_table())
    opacities = load_opacities(tmp_path, CENTRES_UM, EDGES_UM, ["H2O"])
    np.testing.assert_array_equal(opacities.cia[1].coefficient_m5, two.coefficient_m5)
    assert "H2-He_2011.cia" in opacities.source


def test_a_broken_cia_header_is_named(tmp_path):
    (tmp_path / "H2-H2.cia").write_text("not a header\n1 2\n")
    with pytest.raises(ExobenchError, match="line 1"):
        load_cia(tmp_path / "H2-H2.cia", ("H2", "H2"), EDGES_UM)
    (tmp_path / "H2-H2.cia").write_text("\n \n")
    with pytest.raises(ExobenchError, match=r"H2-H2\.cia: is empty"):
        load_cia(tmp_path / "H2-H2.cia", ("H2", "H2"), EDGES_UM)


def write_kta(path: Path, k: np.ndarray, pressure_atm, temperature_k, wavelength_um) -> Path:
    n_bin, n_pressure, n_temperature, n_g = k.shape
    g, weights = np.polynomial.legendre.leggauss(n_g)
    body = [(g + 1) / 2, weights / 2, [0.0, 0.0], pressure_atm, temperature_k, wavelength_um]
    floats = np.concatenate([np.asarray(part, dtype="<f4") for part in body])
    counts = (n_pressure, n_temperature, n_g, 1, 0)
    head = struct.pack("<2i3f5i", 11 + len(floats), n_bin, wavelength_um[0], -1.0, 0.0, *counts)
    path.write_bytes(head + floats.tobytes() + k.astype("<f4").tobytes())
    return path


def test_kta_round_trip(tmp_path):
    rng = np.random.default_rng(4)
    k = rng.uniform(0.1, 5.0, (4, 3, 2, 8))
    path = write_kta(tmp_path / "x.kta", k, [1e-3, 1.0, 10.0], [1000.0, 2000.0], [1.0, 2.0, 3.0, 4.0])
    table = load_kta(path)
    np.testing.assert_allclose(table.k_m2, k * 1e-24, rtol=1e-6)
    np.testing.assert_allclose(table.pressure_pa, np.array([1e-3, 1.0, 10.0]) * 101325, rtol=1e-6)
    np.testing.assert_allclose(table.wavelength_um, [1, 2, 3, 4])
    weights = np.polynomial.legendre.leggauss(8)[1] / 2
    np.testing.assert_allclose(table.mean_m2(), k @ weights * 1e-24, rtol=1e-6)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ExobenchError, match=r"x\.kta: header announces"):
        load_kta(path)
