"""k-table and collision files of every format that is read: round trips, other packages' readers, and refusals."""

from __future__ import annotations

import builtins
import logging
import pickle
import struct

import h5py
import numpy as np
import pytest
from opacity_files import (
    CENTRES_UM,
    EDGES_UM,
    PRESSURE_PA,
    TEMPERATURE_K,
    WEIGHTS,
    WRITERS,
    k_values,
    taurex_content,
    write_clima,
    write_hdf5,
    write_kta,
    write_pickle,
)

from exobench.errors import ExobenchError, MissingDependencyError
from exobench.opacities.band_model import LOSCHMIDT_M3, band_model_cia, mean_cross_section_m2
from exobench.opacities.binning import bin_means, transmission_means
from exobench.opacities.grids import bin_bounds, bin_centres, check_bin_edges
from exobench.opacities.k_distributions import SourceKTable, merge, on_bins
from exobench.opacities.load import load_opacities
from exobench.opacities.load_cia import load_pair
from exobench.opacities.load_ktables import gas_of_k_table, is_k_table, load_k_table


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_table(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    assert is_k_table(path)
    assert gas_of_k_table(path) == "H2O"
    table = load_k_table(path, "H2O", EDGES_UM)
    np.testing.assert_allclose(table.temperature_k, TEMPERATURE_K)
    np.testing.assert_allclose(table.pressure_pa, PRESSURE_PA, rtol=1e-6)
    np.testing.assert_allclose(table.g_weights, WEIGHTS, rtol=1e-6)
    np.testing.assert_allclose(table.coefficient_m2, k_values(), rtol=2e-6)


@pytest.mark.parametrize("unit", ["cm^2/molecule", "m^2/molecule"])
@pytest.mark.parametrize(("p_unit", "factor"), [("bar", 1.0), ("Pa", 1e5)])
def test_units_in_the_file_are_followed(tmp_path, unit, p_unit, factor):
    path = write_hdf5(tmp_path / "a.h5", unit=unit, p_unit=p_unit, p=PRESSURE_PA / 1e5 * factor)
    table = load_k_table(path, "H2O", EDGES_UM)
    np.testing.assert_allclose(table.coefficient_m2, k_values(), rtol=1e-6)
    np.testing.assert_allclose(table.pressure_pa, PRESSURE_PA)


def test_taurex_reads_the_same_numbers(tmp_path):
    pytest.importorskip("taurex", reason="the taurex package (extra 'forward') is not installed")
    from taurex.opacity.ktables.picklektable import PickleKTable

    path = write_pickle(tmp_path / "H2O.b.pickle")
    ours = load_k_table(path, "H2O", EDGES_UM).coefficient_m2
    theirs = PickleKTable(path).opacity(TEMPERATURE_K[1], PRESSURE_PA[2])  # m2; an interior node of the grid
    np.testing.assert_allclose(theirs[::-1], ours[2, 1], rtol=1e-6)


def test_exo_k_writes_what_is_read_here(tmp_path):
    exo_k = pytest.importorskip("exo_k", reason="the optional package exo_k (extra 'exok') is not installed")
    table = exo_k.Ktable(filename=str(write_hdf5(tmp_path / "H2O.h5")), mol="H2O")
    table.write_hdf5(str(tmp_path / "out.h5"))
    table.write_nemesis(str(tmp_path / "H2O_out.kta"))
    for name in ("out.h5", "H2O_out.kta"):
        read = load_k_table(tmp_path / name, "H2O", EDGES_UM)
        np.testing.assert_allclose(read.mean_m2, k_values() @ WEIGHTS, rtol=1e-5)


def test_merging_keeps_the_mean_and_the_order():
    rng = np.random.default_rng(0)
    values, shares = 10.0 ** rng.uniform(-30, -22, (3, 2, 24)), rng.dirichlet(np.ones(24))
    merged = merge(values, shares, WEIGHTS)
    np.testing.assert_allclose(merged @ WEIGHTS, values @ shares, rtol=1e-12)
    assert np.all(np.diff(merged, axis=-1) >= 0)


def test_merging_equals_the_distribution_of_all_samples():
    # A wide bin of two halves, one ten times as strong: its k is that of the pooled samples.
    n = 4000
    fine = np.sort(np.concatenate([np.linspace(1, 2, n), np.linspace(10, 20, n)]))
    expected = [part.mean() for part in np.split(fine, np.round(np.cumsum(WEIGHTS)[:-1] * 2 * n).astype(int))]
    many = np.full(200, 1 / 200)
    halves = np.concatenate(
        [np.linspace(1, 2, n).reshape(200, -1).mean(1), np.linspace(10, 20, n).reshape(200, -1).mean(1)]
    )
    merged = merge(halves[None], np.concatenate([many, many]) / 2, WEIGHTS)[0]
    np.testing.assert_allclose(merged, expected, rtol=2e-3)


def test_narrow_bins_are_merged_into_wide_ones(tmp_path):
    narrow = np.geomspace(1.0, 5.0, 33)
    content = taurex_content(k=k_values(edges=narrow), edges=narrow)
    table = load_k_table(write_pickle(tmp_path / "H2O.a.pickle", **content), "H2O", EDGES_UM)
    assert table.coefficient_m2.shape == (4, 4, 8, 6)
    assert np.all(np.diff(table.coefficient_m2, axis=-1) >= 0)
    np.testing.assert_allclose(table.mean_m2, k_values() @ WEIGHTS, rtol=1e-6)


def test_bins_that_do_not_line_up_are_merged_with_a_warning(tmp_path, caplog):
    narrow = np.geomspace(1.0, 5.0, 30)
    path = write_pickle(tmp_path / "H2O.a.pickle", **taurex_content(k=k_values(edges=narrow), edges=narrow))
    with caplog.at_level(logging.WARNING):
        load_k_table(path, "H2O", EDGES_UM)
    assert "do not line up" in caplog.text


@pytest.mark.parametrize("name", WRITERS)
def test_wider_bins_than_the_task_are_refused(tmp_path, name):
    path = WRITERS[name](tmp_path / name)
    with pytest.raises(ExobenchError, match=r"times as wide as the task's bin.*merged into wider bins, not split"):
        load_k_table(path, "H2O", np.geomspace(1.0, 5.0, 60))


def test_channels_with_gaps_are_taken_by_their_centres(tmp_path):
    channels = np.array([[1.0, 1.1], [1.1, 1.2], [3.2, 4.0]])
    k = k_values(edges=channels)
    table = load_k_table(write_kta(tmp_path / "a.kta", k=k, channels=bin_centres(channels)), "H2O", channels)
    np.testing.assert_allclose(table.coefficient_m2, k, rtol=1e-6)


def test_centres_may_be_the_middle_in_wavenumber(tmp_path):
    low, high = bin_bounds(EDGES_UM)
    path = write_kta(tmp_path / "a.kta", channels=2 * low * high / (low + high))
    np.testing.assert_allclose(load_k_table(path, "H2O", EDGES_UM).coefficient_m2, k_values(), rtol=1e-6)


def test_a_gap_in_wavelength_is_zero_and_warned_of(tmp_path, caplog):
    wide = np.geomspace(2.0, 20.0, 4)
    with caplog.at_level(logging.WARNING):
        table = load_k_table(write_hdf5(tmp_path / "a.h5"), "H2O", wide)
    assert "a.h5: its bins cover 1-5 um; k is zero in the rest of 2 bins" in caplog.text
    assert np.all(table.coefficient_m2[:, :, 2] == 0)
    with pytest.raises(ExobenchError, match="none of the task's 6-9 um"):
        load_k_table(tmp_path / "a.h5", "H2O", np.array([6.0, 9.0]))


def load(folder, gases=("H2O",), edges=EDGES_UM, **settings):
    return load_opacities(folder, bin_centres(edges), edges, gases, **settings)


def test_a_folder_of_k_tables_is_a_set_of_k_tables(tmp_path):
    write_kta(tmp_path / "h2o.kta")
    (tmp_path / "more").mkdir()
    write_hdf5(tmp_path / "more" / "12C-16O2__x.h5", "CO2")
    opacities = load(tmp_path, ("H2O", "CO2"), temperature_range_k=(1000.0, 2000.0))
    assert list(opacities.k_tables) == ["H2O", "CO2"]
    assert not opacities.gases
    assert "k-tables" in opacities.source
    with pytest.raises(ExobenchError, match=r"no cross-sections of CH4 in .* and no k-table.*\.kta file of CH4"):
        load(tmp_path, ("CH4",))
    with pytest.raises(ExobenchError, match=r"h2o\.kta covers 500-2500 K.*400-2000 K"):
        load(tmp_path, temperature_range_k=(400.0, 2000.0))


def test_copies_of_a_file_count_once_and_others_are_refused(tmp_path):
    write_kta(tmp_path / "h2o.kta")
    write_kta(tmp_path / "h2o_copy.kta")
    assert list(load(tmp_path).k_tables) == ["H2O"]
    write_kta(tmp_path / "h2o_other.kta", k=2 * k_values())
    with pytest.raises(ExobenchError, match="two files for H2O"):
        load(tmp_path)


@pytest.mark.parametrize("factor", [1e4, 1e-4])
@pytest.mark.parametrize("name", WRITERS)
def test_a_confusion_of_area_units_is_refused_by_file(tmp_path, name, factor):
    path = tmp_path / name
    if name == "x.kta":
        write_kta(path, k=factor * k_values())
    elif name == "c.hdf5":
        write_clima(path)
        with h5py.File(path, "a") as handle:
            handle["log10k"][...] += np.log10(factor)
    else:
        WRITERS[name](path, kcoeff=factor * taurex_content()["kcoeff"])
    with pytest.raises(ExobenchError, match=rf"{path.name}: H2O absorbs .* another unit"):
        load(tmp_path)


def test_a_wrong_pressure_unit_is_refused_by_file(tmp_path):
    write_hdf5(tmp_path / "a.h5", p_unit="Pa")
    with pytest.raises(ExobenchError, match=r"a\.h5: pressures of H2O reach 100 Pa"):
        load(tmp_path)
    write_hdf5(tmp_path / "a.h5", p_unit="psi")
    with pytest.raises(ExobenchError, match=r"a\.h5: pressure unit 'psi'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kcoeff": np.ones((4, 4, 8))}, "k has shape"),
        ({"kcoeff": np.full((4, 4, 8, 6), np.nan)}, "finite"),
        ({"kcoeff": np.full((4, 4, 8, 6), -1e-20)}, "not negative"),
        ({"bin_centers": np.ones(8)}, "ascending wavenumbers"),
        ({"bin_edges": np.ones(9)}, "bin_edges must be 9 ascending"),
        ({"weights": None}, "no 'weights'"),
    ],
)
def test_broken_content_is_named(tmp_path, change, message):
    write_hdf5(tmp_path / "a.h5", **change)
    with pytest.raises(ExobenchError, match=message):
        load(tmp_path)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"not an HDF5 file")
    with pytest.raises(ExobenchError, match=r"a\.h5: cannot be read"):
        load(tmp_path)
    (tmp_path / "a.h5").unlink()
    write_kta(tmp_path / "b.kta", channels=1e4 / CENTRES_UM[::-1])
    with pytest.raises(ExobenchError, match=r"b\.kta: channels run from .* wavelengths in um"):
        load(tmp_path)
    write_kta(tmp_path / "b.kta")
    (tmp_path / "b.kta").write_bytes((tmp_path / "b.kta").read_bytes()[:2000])
    with pytest.raises(ExobenchError, match=r"b\.kta: header announces"):
        load(tmp_path)


def test_a_hostile_pickled_k_table_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    (tmp_path / "H2O.k.pickle").write_bytes(pickle.dumps({"kcoeff": Hostile()}))
    with pytest.raises(ExobenchError, match="refused"):
        load(tmp_path)
    assert not (tmp_path / "executed").exists()


def write_nemesis_cia(path, values):
    """values: (temperature, wavenumber) in cm-1 amagat-2 of pair 1, H2-He; the other pairs are zero."""
    table = np.zeros((values.shape[1], len(TEMPERATURE_K), 9), dtype="<f4")
    table[:, :, 1] = values.T
    records = [TEMPERATURE_K.astype("<f8").tobytes(), table.tobytes()]
    path.write_bytes(b"".join(struct.pack("<i", len(r)) + r + struct.pack("<i", len(r)) for r in records))
    return path


def test_cia_of_nemesis_and_clima_files_agree(tmp_path):
    wavenumber = 10.0 * np.arange(1501)
    per_amagat2 = 1e-6 * (1 + TEMPERATURE_K[:, None] / 1000) * np.exp(-(((wavenumber - 4160) / 700) ** 2))
    write_nemesis_cia(tmp_path / "exocia.tab", per_amagat2)
    cm5 = np.maximum(per_amagat2 / (LOSCHMIDT_M3 * 1e-6) ** 2, 1e-80)
    with h5py.File(tmp_path / "c_H2-He.h5", "w") as handle:
        handle["wavelengths"], handle["T"] = 1e4 / wavenumber[:0:-1], TEMPERATURE_K
        handle["log10xs"] = np.log10(cm5[:, :0:-1].T)
    one, two = (load_pair(tmp_path / name, ("H2", "He"), EDGES_UM) for name in ("exocia.tab", "c_H2-He.h5"))
    np.testing.assert_allclose(one.coefficient_m5, two.coefficient_m5, rtol=1e-5, atol=1e-70)
    assert one.coefficient_m5.max() > 1e-57
    with pytest.raises(ExobenchError, match="pair N2-N2 is not read"):
        load_pair(tmp_path / "exocia.tab", ("N2", "N2"), EDGES_UM)


def test_cia_of_the_folder_is_used_and_its_unit_checked(tmp_path, caplog):
    write_kta(tmp_path / "h2o.kta")
    values = np.full((4, 1000), band_model_cia(np.array([2.0, 2.8]))[1].coefficient_m5[5, 0])
    grid = np.linspace(1500.0, 11000.0, 1000)
    write_nemesis_cia(tmp_path / "cia.tab", np.full((4, 1501), values[0, 0] * LOSCHMIDT_M3**2 / 100))
    opacities = load(tmp_path)
    assert "H2-H2 of cia.tab, H2-He of cia.tab" in opacities.source
    assert "cia.tab: H2-H2 does not absorb in any bin" in caplog.text
    np.testing.assert_allclose(opacities.cia[1].coefficient_m5, values[0, 0], rtol=1e-6)
    (tmp_path / "H2-He.db").write_bytes(pickle.dumps({"wno": grid, "t": TEMPERATURE_K, "xsecarr": values * 1e10}))
    assert "H2-He of H2-He.db" in load(tmp_path).source
    (tmp_path / "H2-He.db").write_bytes(pickle.dumps({"wno": grid, "t": TEMPERATURE_K, "xsecarr": values}))
    with pytest.raises(ExobenchError, match=r"H2-He\.db: H2-He absorbs .*e-11 times"):
        load(tmp_path)


def test_other_formats_ask_for_the_extra(tmp_path, monkeypatch):
    (tmp_path / "opacH2O.dat").write_text("500 1000\n1 100\n")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "exo_k":
            raise ImportError("No module named 'exo_k'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"opacH2O\.dat.*pip install 'exobench\[exok\]'"):
        load(tmp_path)


def test_exo_transmit_files_are_read_by_exo_k(tmp_path):
    pytest.importorskip("exo_k", reason="the optional package exo_k (extra 'exok') is not installed")
    wavelength_m = np.geomspace(0.9e-6, 6e-6, 400)
    mean = mean_cross_section_m2("H2O", EDGES_UM, np.array([1500.0]))[0].max()
    lines = ["500 1000 1500 2500", "1e0 1e3 1e5 1e7"]
    for w in wavelength_m:
        lines.append(f"{w:.8e}")
        lines += [f"{p:.3e} " + " ".join(f"{mean * 1e-1:.6e}" for _ in TEMPERATURE_K) for p in PRESSURE_PA]
    (tmp_path / "opacH2O.dat").write_text("\n".join(lines) + "\n")
    table = load(tmp_path).gases["H2O"]
    np.testing.assert_allclose(table.cross_section_m2, mean * 0.1, rtol=1e-5)
    np.testing.assert_allclose(table.pressure_pa, PRESSURE_PA)


def test_transmission_average_is_that_of_the_resolved_spectrum():
    rng = np.random.default_rng(3)
    wavenumber = np.linspace(1900.0, 10100.0, 20_001)
    values = 10.0 ** rng.normal(-24.0, 1.0, (2, len(wavenumber)))
    effective, mean = (f(wavenumber, values, EDGES_UM) for f in (transmission_means, bin_means))
    assert np.all(effective < mean)
    low, high = 1e4 / EDGES_UM[4], 1e4 / EDGES_UM[3]
    inside = (wavenumber > low) & (wavenumber < high)
    passed = np.exp(-values[1, inside] * 0.56 / effective[1, 3]).mean()
    assert -np.log(passed) == pytest.approx(0.56, rel=5e-3)
    np.testing.assert_allclose(transmission_means(wavenumber, values, EDGES_UM, 1e-6), mean, rtol=1e-3)
    flat = np.full((1, len(wavenumber)), 3e-25)
    np.testing.assert_allclose(transmission_means(wavenumber, flat, EDGES_UM), 3e-25, rtol=1e-6)


def test_edges_come_in_two_forms():
    pairs = np.stack([EDGES_UM[:-1], EDGES_UM[1:]], axis=1)
    for a, b in zip(bin_bounds(EDGES_UM), bin_bounds(pairs), strict=True):
        np.testing.assert_array_equal(a, b)
    wavenumber = np.linspace(1900.0, 10100.0, 3000)
    values = np.sin(wavenumber / 300.0) + 2.0
    np.testing.assert_allclose(
        bin_means(wavenumber, values, pairs), bin_means(wavenumber, values, EDGES_UM), rtol=1e-12
    )
    for wrong in (EDGES_UM[::-1], EDGES_UM[:-1], pairs[:, ::-1], pairs[:-1]):
        with pytest.raises(ExobenchError, match="task x"):
            check_bin_edges("task x", wrong, len(pairs))


def test_a_table_in_any_order_of_nodes_is_put_in_order(tmp_path):
    k = k_values()
    source = SourceKTable.from_centres(
        tmp_path / "x", "H2O", TEMPERATURE_K[::-1], PRESSURE_PA[::-1], WEIGHTS, k[::-1, ::-1], CENTRES_UM
    )
    np.testing.assert_allclose(on_bins(source, EDGES_UM).coefficient_m2, k)
