"""Spectrum files in every format, with every fault a person may make: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.retrieve.read import read_spectrum
from exobench.retrieve.request import REFINEMENTS, parse

WAVELENGTH = np.array([1.0, 1.1, 1.3])
DEPTH = np.array([0.010, 0.012, 0.011])
SIGMA = np.array([2e-5, 3e-5, 4e-5])
WIDTH = np.array([0.05, 0.1, 0.2])


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(*columns, separator=" ", order=slice(None)):
    table = np.stack(columns, axis=1)[order]
    return "\n".join(separator.join(f"{value:.10g}" for value in row) for row in table) + "\n"


def check(spectrum, *, widths):
    assert spectrum.wavelength_um == pytest.approx(WAVELENGTH, rel=1e-9)
    assert spectrum.depth == pytest.approx(DEPTH, rel=1e-9)
    assert spectrum.sigma == pytest.approx(SIGMA, rel=1e-9)
    assert spectrum.has_widths is widths
    if widths:
        assert spectrum.high_um - spectrum.low_um == pytest.approx(WIDTH, rel=1e-9)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_taurex_columns_in_either_direction(tmp_path, order):
    text = "# wavelength depth error width\n" + rows(WAVELENGTH, DEPTH, SIGMA, WIDTH, order=order)
    check(read_spectrum(write(tmp_path, "a.dat", text)), widths=True)


@pytest.mark.parametrize(
    ("unit", "depth", "sigma"),
    [
        ("percent", DEPTH * 100, SIGMA * 100),
        ("ppm", DEPTH * 1e6, SIGMA * 1e6),
        ("radius_ratio", np.sqrt(DEPTH), SIGMA / (2 * np.sqrt(DEPTH))),
    ],
)
def test_depths_in_other_units(tmp_path, unit, depth, sigma):
    path = write(tmp_path, "a.dat", rows(WAVELENGTH, depth, sigma, WIDTH))
    check(read_spectrum(path, depth_unit=unit), widths=True)


def test_csv_with_units_in_its_titles(tmp_path):
    head = "wavelength (nm),bin width (nm),transit depth [ppm],transit depth err [ppm]\n"
    text = head + rows(WAVELENGTH * 1e3, WIDTH * 1e3, DEPTH * 1e6, SIGMA * 1e6, separator=",")
    check(read_spectrum(write(tmp_path, "a.csv", text)), widths=True)


def test_csv_with_edges_and_the_ratio_of_radii(tmp_path):
    ratio = np.sqrt(DEPTH)
    low, high = WAVELENGTH - WIDTH / 2, WAVELENGTH + WIDTH / 2
    text = "wave_low,wave_high,rprs,rprs_err\n" + rows(low, high, ratio, SIGMA / (2 * ratio), separator=",")
    check(read_spectrum(write(tmp_path, "a.csv", text)), widths=True)


def test_ecsv_written_by_astropy_with_masked_rows_and_wavenumbers(tmp_path):
    units = pytest.importorskip("astropy.units", reason="astropy is not installed")
    from astropy.table import MaskedColumn, Table

    table = Table()
    table["wavenumber"] = [*(1e4 / WAVELENGTH), 5000.0] * units.Unit("cm-1")
    table["depth"] = MaskedColumn([*(DEPTH * 100), 1.0], mask=[False] * 3 + [True], unit="%")
    table["depth_err"] = MaskedColumn([*(SIGMA * 1e2), 1.0], unit="%")
    path = tmp_path / "a.ecsv"
    table.write(path, format="ascii.ecsv")
    spectrum = read_spectrum(path)
    check(spectrum, widths=False)
    assert "1 of 4 rows" in spectrum.notes[0]


ARCHIVE = r"""\SPEC_TYPE='{kind}'
\PL_NAME='WASP-0 b'
\INSTRUMENT='Wide Field Camera 3'
|CENTRALWAVELNG|BANDWIDTH|PL_TRANDEP|PL_TRANDEPERR1|PL_TRANDEPERR2|
|        double|   double|    double|        double|        double|
|       microns|  microns|         %|             %|             %|
|          null|     null|      null|          null|          null|
        1.0000     0.0500     1.0000         0.0025        -0.0015
        1.1000     0.1000     1.2000         0.0030        -0.0030
        1.2000     0.1000       null         0.0030        -0.0030
        1.3000     0.2000     1.1000         0.0040        -0.0040
"""


def test_a_table_of_the_nasa_exoplanet_archive(tmp_path):
    spectrum = read_spectrum(write(tmp_path, "a.tbl", ARCHIVE.format(kind="Transit")))
    check(spectrum, widths=True)
    assert "WASP-0 b, Wide Field Camera 3" in spectrum.notes[0]


def test_the_archive_as_csv_is_in_percent_without_saying_so(tmp_path):
    head = "CENTRALWAVELNG,BANDWIDTH,PL_TRANDEP,PL_TRANDEPERR1,PL_TRANDEPERR2\n"
    text = head + rows(WAVELENGTH, WIDTH, DEPTH * 100, SIGMA * 100, -SIGMA * 100, separator=",")
    check(read_spectrum(write(tmp_path, "a.csv", text)), widths=True)


def test_an_eclipse_is_no_transmission_spectrum(tmp_path):
    with pytest.raises(ExobenchError, match="expected a transmission spectrum"):
        read_spectrum(write(tmp_path, "a.tbl", ARCHIVE.format(kind="Eclipse")))


def test_rows_with_nan_and_exact_copies_are_left_out_and_named(tmp_path):
    text = rows(WAVELENGTH, DEPTH, SIGMA, WIDTH) + "1.2 nan 2e-5 0.1\n" + rows(WAVELENGTH, DEPTH, SIGMA, WIDTH)[:22]
    spectrum = read_spectrum(write(tmp_path, "a.dat", "1.4 0.01 null 0.1\n" + text.rsplit("\n", 1)[0] + "\n"))
    check(spectrum, widths=True)
    assert any("without a finite depth" in note for note in spectrum.notes)


def test_two_measurements_at_one_wavelength_both_count(tmp_path):
    text = rows(WAVELENGTH, DEPTH, SIGMA, WIDTH) + "1.1 0.013 3e-5 0.1\n1.3 0.011 4e-5 0.2\n"
    spectrum = read_spectrum(write(tmp_path, "a.dat", text))
    assert len(spectrum.depth) == 4
    assert any("repeats another exactly" in note for note in spectrum.notes)
    assert any("two measurements" in note for note in spectrum.notes)


def test_widths_stop_at_a_gap(tmp_path):
    """Without widths a point reaches half way to its neighbours, but not into a gap between instruments."""
    place = np.array([1.0, 1.1, 1.2, 3.0, 3.1])
    spectrum = read_spectrum(write(tmp_path, "a.dat", rows(place, *(np.full(5, value) for value in (0.01, 1e-5)))))
    assert spectrum.high_um[2] == pytest.approx(1.25)
    assert spectrum.low_um[3] == pytest.approx(2.95)


def test_the_header_says_that_a_spectrum_is_simulated(tmp_path):
    text = "# simulated: exobench, task a\n" + rows(WAVELENGTH, DEPTH, SIGMA)
    assert read_spectrum(write(tmp_path, "a.dat", text)).simulated == "exobench, task a"
    assert read_spectrum(write(tmp_path, "b.dat", rows(WAVELENGTH, DEPTH, SIGMA))).simulated is None


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.dat", "", "is empty"),
        ("a.dat", "# only a header\n", "is empty"),
        ("a.csv", "", "is empty"),
        ("a.csv", "wavelength,depth,error\n", "holds no row"),
        ("a.dat", "1.0 0.01\n", "line 1 has 2 columns"),
        ("a.dat", "wavelength depth error\n1 0.01 1e-5\n", "line 1: expected 3 numbers"),
        ("a.dat", "1.0 0.01 1e-5\n1.1 0.01\n", "line 2 has 2 columns where the first row has 3"),
        ("a.dat", "1.0 nan 1e-5\n1.1 0.01 nan\n", "none of its 2 rows"),
        ("a.dat", "1.0 0.01 0\n1.1 0.01 1e-5\n", "row 1 has the error 0; every error must be positive"),
        ("a.dat", "-1.0 0.01 1e-5\n1.1 0.01 1e-5\n", "zero or negative"),
        ("a.dat", "1.0 0.01 1e-5\n", "add a fourth column with the width"),
        ("a.dat", "1.0 0.01 1e-5 0\n1.1 0.01 1e-5 0.1\n", "has no width"),
        ("a.csv", "x,y,z\n1,2,3\n", "no column of the wavelength among x, y, z"),
        ("a.csv", "wavelength,depth\n1,0.01\n2,0.01\n", "no column of the error"),
        ("a.csv", "wavelength,flux,error\n1,0.01,1e-5\n", "no column of the transit depth"),
        ("a.csv", "wavelength (s),depth,error\n1,0.01,1e-5\n2,0.01,1e-5\n", "unit 's' is none of a wavelength"),
        ("a.csv", "wavelength,depth (K),error\n1,0.01,1e-5\n2,0.01,1e-5\n", "unit 'K' is none of a depth"),
        ("a.csv", "wavelength,depth,error\n1,deep,1e-5\n2,0.01,1e-5\n", "holds text that is no number"),
        ("a.fits", "", "unknown kind of file '.fits'"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(tmp_path, name, text, why):
    with pytest.raises(ExobenchError) as caught:
        read_spectrum(write(tmp_path, name, text))
    assert why in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name one spectrum file"),
        (["nowhere.dat"], "there is no such file"),
        ([".", "run=."], ". is a folder; name one spectrum file"),
        (["SPECTRUM"], "name a finished run"),
        (["SPECTRUM", "run=nowhere"], "run=nowhere: there is no such folder"),
        (["SPECTRUM", "rum=."], "Did you mean 'run'"),
        (["SPECTRUM", "run=.", "n_draws=many"], "n_draws=many must be a whole number"),
        (["SPECTRUM", "run=.", "demo=yes"], "demo=yes must be true or false"),
        (["SPECTRUM", "run=.", "refine=exact"], "Valid: importance, nested, smc"),
        (["SPECTRUM", "run=.", "depth_unit=ppb"], "Did you mean 'ppm'"),
        (["SPECTRUM", "run=.", "star_radius_rsun=-1"], "must be a positive number of solar radii"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, why):
    spectrum = write(tmp_path, "a.dat", rows(WAVELENGTH, DEPTH, SIGMA))
    with pytest.raises(ExobenchError) as caught:
        parse([str(spectrum) if word == "SPECTRUM" else word for word in arguments])
    assert why in str(caught.value)


def test_answers_of_one_spectrum_do_not_overwrite_each_other(tmp_path):
    """Refined and not, each has a folder of its own unless one is named."""
    spectrum = write(tmp_path, "planet.dat", rows(WAVELENGTH, DEPTH, SIGMA))
    (tmp_path / "run.json").touch()
    given = [str(spectrum), f"run={tmp_path}"]
    folders = {refine: parse([*given, f"refine={refine}"]).out for refine in ("", *REFINEMENTS)}
    assert folders == {
        "": Path("retrieved-planet"),
        "importance": Path("retrieved-planet-importance"),
        "smc": Path("retrieved-planet-smc"),
        "nested": Path("retrieved-planet-nested"),
    }
    assert parse([*given, "refine=smc", "out=mine"]).out == Path("mine")
