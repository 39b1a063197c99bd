"""What a run refuses to be asked about: another kind of task, numbers in other units than they are said to be in."""

from __future__ import annotations

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.retrieve.admission import check_units, why_not_for_science
from exobench.retrieve.read import read_spectrum
from exobench.retrieve.simulate import main as simulate
from exobench.task import TaskRequest
from exobench_tasks.hotjupiter_varied.task import build as build_varied
from exobench_tasks.linear_gaussian.task import build as build_linear

KNOWN = np.full((10, 3), 0.01) * np.linspace(0.8, 1.2, 10)[:, None]
"""Depths of training spectra, 0.008 to 0.012."""
DEPTH, SIGMA = np.array([0.0099, 0.01, 0.0101]), np.full(3, 2e-5)


def spectrum(folder, *, depth=DEPTH, sigma=SIGMA, titles="wavelength,depth,error", comment="", **settings):
    rows = "\n".join(f"{um},{d:.8g},{s:.8g}" for um, d, s in zip((1.0, 1.1, 1.2), depth, sigma, strict=True))
    (folder / "a.csv").write_text(f"{comment}{titles}\n{rows}\n")
    return read_spectrum(folder / "a.csv", **settings)


def check(read):
    check_units(read, read.depth, KNOWN)


@pytest.mark.parametrize("depth", [DEPTH, 1.9 * DEPTH, 0.45 * DEPTH, 30 * DEPTH, 1e-6 * DEPTH * 40])
def test_depths_near_those_known_or_near_them_in_no_unit_pass(tmp_path, depth):
    check(spectrum(tmp_path, depth=depth, sigma=depth / 500))


@pytest.mark.parametrize(
    ("titles", "said"),
    [
        ("wavelength,depth_ppm,error_ppm", "is 0.01 and the file says that it is in ppm, 1e-08 as a fraction"),
        ("wavelength,depth_percent,error_percent", "is in percent, 0.0001 as a fraction"),
        ("wavelength,rprs,rprs_error", "is in radius_ratio, 0.0001 as a fraction"),
    ],
)
def test_a_unit_of_the_file_that_cannot_be_is_named(tmp_path, titles, said):
    with pytest.raises(ExobenchError) as caught:
        check(spectrum(tmp_path, titles=titles))
    assert said in str(caught.value)
    assert "correct the file if it is in " in str(caught.value)


def test_whoever_repeats_the_unit_is_believed(tmp_path):
    check(spectrum(tmp_path, titles="wavelength,depth_ppm,error_ppm", depth_unit="ppm"))


def test_errors_larger_than_depths_are_in_another_unit(tmp_path):
    with pytest.raises(ExobenchError, match=r"the median error, 20, is larger than the median depth, 0\.01 "):
        check(spectrum(tmp_path, sigma=1e6 * SIGMA))
    check(spectrum(tmp_path, sigma=1e6 * SIGMA, depth_unit="fraction"))


def test_a_planet_is_no_spectrum_of_a_task_without_an_atmosphere(tmp_path):
    linear, varied = build_linear(TaskRequest()), build_varied(TaskRequest())
    planet = spectrum(tmp_path, comment="# simulated: exobench, task hotjupiter (0), test spectrum 0\n")
    with pytest.raises(ExobenchError, match=r"simulated for task hotjupiter, .* which is no atmosphere: name a run on"):
        why_not_for_science(linear, planet, simulated=False, demo=True)
    assert why_not_for_science(linear, planet, simulated=True, demo=False) is None
    assert why_not_for_science(varied, planet, simulated=False, demo=False) is None


@pytest.mark.parametrize("name", ["planet.dat", "planet.par"])
def test_a_file_of_ones_own_is_not_written_over(tmp_path, capsys, name):
    (tmp_path / name).write_text("1 0.01 2e-5\n")
    with pytest.raises(SystemExit):
        simulate([f"run={tmp_path}", f"out={tmp_path / 'planet.dat'}"])
    assert f"{name} is there and was not written by this command" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "1 0.01 2e-5\n"


def test_a_file_that_is_no_text_is_called_so(tmp_path):
    (tmp_path / "a.dat").write_bytes(bytes([0xFF, 0xFE, 0x80]) * 10)
    with pytest.raises(ExobenchError, match="is no text file; expected one spectrum as text"):
        read_spectrum(tmp_path / "a.dat")
