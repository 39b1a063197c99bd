"""Parameter files and spectra of TauREx 2 and 3: what is read, and what is refused by file and line."""

import numpy as np
import pytest

from exobench.data.taurex_parfile import read_dat, read_pairs, read_par
from exobench.errors import ExobenchError
from exobench.registry import build_task
from exobench.task import TaskRequest

TAUREX2 = """
[General]
manual_waverange = False   # a comment
[Star]
radius = 1
[Planet]
radius = 0.88
mass = 0.8
[Atmosphere]
nlayers = 100
tp_type = isothermal
tp_iso_temp = 1117
active_gases = H2O, CO, CO2, CH4
active_gases_mixratios = 1e-1, 2.15e-06, 1.29e-05, 0.0028
clouds = False
"""

TAUREX3 = """
[Chemistry]
chemistry_type = taurex
fill_gases = H2,He
ratio = 0.17647
    [[H2O]]
    gas_type = constant
    mix_ratio=1e-1
    [[CO]]
    gas_type = constant
    mix_ratio = 2.15e-06
    [[CO2]]
    mix_ratio = 1.29e-05
[Temperature]
profile_type = "isothermal"
T = 1117
[Planet]
planet_type = Simple
planet_mass = 0.8
planet_radius = 0.88
[Star]
star_type = blackbody
radius = 1.0
[Model]
model_type = transmission
    [[Absorption]]
    [[Rayleigh]]
"""

EXPECTED = np.array([-1.0, np.log10(1.29e-5), np.log10(2.15e-6), np.log10(0.0028), 0.8, 0.88, 1117.0])


@pytest.fixture(scope="module")
def task():
    return build_task({"name": "hotjupiter"}, TaskRequest())


def write(path, text):
    path.write_text(text)
    return path


def write_dat(path, *columns):
    np.savetxt(path, np.stack(columns, axis=1))
    return path


def test_both_generations_say_the_same(tmp_path, task):
    second = read_par(write(tmp_path / "a.par", TAUREX2))
    third = read_par(write(tmp_path / "b.par", TAUREX3))
    np.testing.assert_allclose(second.theta(task.parameters), EXPECTED)
    np.testing.assert_allclose(third.theta(task.parameters, absent_gas=EXPECTED[3]), EXPECTED)
    assert (second.flavour, third.flavour) == ("taurex2", "taurex3")
    assert second.star_radius_rsun == third.star_radius_rsun == 1.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mass = 0.8", "", r"\[Planet\] mass is missing"),
        ("mass = 0.8", "mass = heavy", r"\[Planet\] mass is 'heavy'; expected a positive number"),
        ("tp_iso_temp = 1117", "tp_iso_temp = -3", r"\[Atmosphere\] tp_iso_temp is '-3'"),
        ("isothermal", "guillot", r"\[Atmosphere\] tp_type is 'guillot'; expected isothermal"),
        ("clouds = False", "clouds = True", r"\[Atmosphere\] clouds is 'true'; expected false"),
        (", 0.0028", "", r"\[Atmosphere\] has 4 active_gases and 3 active_gases_mixratios"),
        ("0.0028", "0", r"\[Atmosphere\] active_gases_mixratios of CH4 is '0'"),
        ("[Star]", "radius", "line 4: expected .Section. or key = value"),
    ],
)
def test_wrong_parameter_files_are_refused(tmp_path, old, new, message):
    with pytest.raises(ExobenchError, match=rf"a\.par: {message}"):
        read_par(write(tmp_path / "a.par", TAUREX2.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[Rayleigh]]", "[[SimpleClouds]]", "expected a cloud-free atmosphere"),
        ("taurex\n", "ace\n", r"\[Chemistry\] chemistry_type is 'ace'"),
        ("gas_type = constant\n    mix_ratio=1e-1", "gas_type = twolayer", r"\[\[H2O\]\] gas_type is 'twolayer'"),
        ("T = 1117", "", r"\[Temperature\] T is missing"),
    ],
)
def test_other_atmospheres_of_taurex_3_are_refused(tmp_path, old, new, message):
    with pytest.raises(ExobenchError, match=message):
        read_par(write(tmp_path / "a.par", TAUREX3.replace(old, new, 1)))


def test_theta_outside_the_task_is_refused(tmp_path, task):
    with pytest.raises(ExobenchError, match=r"a\.par: temperature_k is 2500; expected 1000 to 2000 K"):
        read_par(write(tmp_path / "a.par", TAUREX2.replace("1117", "2500"))).theta(task.parameters)
    with pytest.raises(ExobenchError, match=r"b\.par: has no CH4, which the task needs for log10_ch4"):
        read_par(write(tmp_path / "b.par", TAUREX3)).theta(task.parameters)


@pytest.mark.parametrize("n_column", [2, 3, 4])
@pytest.mark.parametrize("step", [1, -1], ids=["ascending", "descending"])
def test_spectra_of_either_direction_come_back_ascending(tmp_path, n_column, step):
    columns = np.array([[1.0, 2.0, 3.0], [0.01, 0.011, 0.012], [1e-5, 2e-5, 3e-5], [0.1, 0.1, 0.1]])[:, ::step]
    spectrum = read_dat(write_dat(tmp_path / "a.dat", *columns[:n_column]))
    np.testing.assert_array_equal(spectrum.wavelength_um, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(spectrum.depth, [0.01, 0.011, 0.012])
    np.testing.assert_array_equal(spectrum.sigma, [1e-5, 2e-5, 3e-5] if n_column > 2 else [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no spectrum"),
        ("1.0\n", "has 1 columns"),
        ("1 0.01\n2 nan\n", "line 2: expected 2 finite numbers"),
        ("1 0.01\n2 0.01 3\n", "line 2: expected 2 finite numbers"),
        ("# um\n1 0.01\nx 0.01\n", "line 3: expected 2 finite numbers"),
        ("1 0.01\n2 1.2\n", "line 2: 1.2; expected a depth as a fraction"),
        ("1 0.01\n2 -0.1\n", "line 2: -0.1; expected a depth as a fraction"),
        ("10000 0.01\n2000 0.01\n", "line 1: 10000; expected a wavelength in um"),
        ("1 0.01 20\n2 0.01 20\n", "line 1: 20; expected an error as a fraction"),
        ("1 0.01\n3 0.01\n2 0.01\n", "wavelengths neither ascend nor descend"),
    ],
)
def test_wrong_spectra_are_refused(tmp_path, text, message):
    with pytest.raises(ExobenchError, match=rf"a\.dat: {message}"):
        read_dat(write(tmp_path / "a.dat", text))


def test_pairs_become_the_arrays_of_a_task(tmp_path, task):
    wavelength_um = np.round(task.wavelength_um[::-1], 4)
    depth, sigma = np.linspace(0.008, 0.009, 515), np.full(515, 2e-5)
    for name, rows, star in (("whole", slice(None), "1"), ("part", slice(100, 200), "2")):
        write(tmp_path / f"{name}.par", TAUREX2.replace("[Star]\nradius = 1", f"[Star]\nradius = {star}"))
        write_dat(tmp_path / f"{name}.dat", wavelength_um[rows], depth[rows], sigma[rows])
    theta, x, sigmas = read_pairs(
        [tmp_path / "whole.par", tmp_path / "part.par"], task.parameters, task.wavelength_um, task.bin_edges_um
    )
    np.testing.assert_allclose(theta, [EXPECTED, EXPECTED])
    np.testing.assert_allclose(x[0], depth[::-1])
    np.testing.assert_allclose(sigmas[0], sigma)
    present = np.isfinite(x[1])
    assert present.sum() == 100
    assert np.isinf(sigmas[1][~present]).all()
    np.testing.assert_allclose(x[1][present], 4 * depth[100:200][::-1])
    np.testing.assert_allclose(sigmas[1][present], 8e-5)


def test_points_beside_the_grid_and_lost_files_are_refused(tmp_path, task):
    write(tmp_path / "a.par", TAUREX2)
    grid = (task.parameters, task.wavelength_um, task.bin_edges_um)
    with pytest.raises(ExobenchError, match=r"a\.dat: cannot be read"):
        read_pairs([tmp_path / "a.par"], *grid)
    write_dat(tmp_path / "a.dat", task.bin_edges_um[:3], np.full(3, 0.01))
    with pytest.raises(ExobenchError, match=r"a\.dat: 0\.3 um is not the centre of one of the task's 515 bins"):
        read_pairs([tmp_path / "a.par"], *grid)
    near = task.wavelength_um[0] + np.array([0.0, 1e-5])
    write_dat(tmp_path / "a.dat", near, np.full(2, 0.01))
    with pytest.raises(ExobenchError, match="two points lie in one"):
        read_pairs([tmp_path / "a.par"], *grid)
    with pytest.raises(ExobenchError, match=r"no \.par file was given"):
        read_pairs([], *grid)
