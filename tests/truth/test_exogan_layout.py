"""The picture against a plain loop that follows the description in the paper, pixel by pixel."""

from itertools import pairwise

import numpy as np
import pytest

from exobench.errors import ExobenchError
from exobench.parameters import Parameter, ParameterSpace
from exobench_baselines.exogan.layout import PUBLISHED_DEPTH_MAX, PUBLISHED_DEPTH_MIN, Layout
from exobench_baselines.exogan.pictures import decode, encode
from exobench_baselines.exogan.sections import published_wavelength_um

EDGES = [0, 162, 195, 208, 241, 255, 318, 334, 371, 384, 394, 406, 420, 440, 515]
SPACE = ParameterSpace(
    (
        Parameter("log10_h2o", "dex", "H2O", -8.0, -1.0, "log10"),
        Parameter("log10_co2", "dex", "CO2", -8.0, -1.0, "log10"),
        Parameter("log10_co", "dex", "CO", -8.0, -1.0, "log10"),
        Parameter("log10_ch4", "dex", "CH4", -8.0, -1.0, "log10"),
        Parameter("mass_mjup", "M_Jup", "M", 0.8, 2.0),
        Parameter("radius_rjup", "R_Jup", "R", 0.8, 1.5),
        Parameter("temperature_k", "K", "T", 1000.0, 2000.0),
    )
)


def plain_picture(theta, depth_ascending):
    """One picture by loops over the published description."""
    depth = depth_ascending[::-1]
    picture = np.zeros((33, 33))
    row = []
    for section in range(14):
        a, b = EDGES[section], EDGES[section + 1]
        used = depth[a:b] if section < 13 else depth[440:510]
        low, high = min(used), max(used)
        for index in range(a, b):
            if 510 <= index <= 513:
                row.append(0.0)
            elif index == 514:
                row.append(depth[514])
            else:
                row.append((depth[index] - low) / (high - low))
        for pixel in range(23):
            value = high / 0.0301803471629 if pixel < 12 else 0.00650370296635 / low
            if section < 7:
                picture[pixel, 23 + section] = value
            else:
                picture[23 + section - 7, pixel] = value
    row += [np.mean(depth) / 0.0301803471629] * 14
    for index, value in enumerate(row):
        picture[index // 23, index % 23] = value
    h2o, co2, co, ch4, mass, radius, temperature = theta
    for pixel in range(23):
        picture[pixel, 30], picture[pixel, 31], picture[pixel, 32] = -co2 / 8, -co / 8, -ch4 / 8
        picture[30, pixel], picture[31, pixel], picture[32, pixel] = mass / 2, radius / 1.5, temperature / 2000
    picture[23:, 23:] = -h2o / 8
    return picture


def spectra(n, n_bin=515, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.normal(size=(n, n_bin)), axis=1) * 1e-5
    return 0.015 + smooth


def theta_of(n, seed=1):
    return SPACE.from_unit_cube(np.random.default_rng(seed).random((n, 7)))


def test_the_published_grid_has_the_midpoints_of_edges_that_grow_by_a_hundredth():
    edges = [0.3 * 1.01**n for n in range(516)]
    midpoints = [0.5 * (a + b) for a, b in pairwise(edges)]
    np.testing.assert_allclose(published_wavelength_um(), midpoints, rtol=1e-12)


def test_picture_of_the_published_grid_is_that_of_the_description():
    layout = Layout.build(published_wavelength_um(), SPACE)
    theta, x = theta_of(5), spectra(5)
    pictures = encode(layout, theta, x)
    assert pictures.shape == (5, 33, 33)
    for row in range(5):
        np.testing.assert_allclose(pictures[row], plain_picture(theta[row], x[row]), rtol=1e-12, atol=1e-14)


def test_order_of_the_parameters_columns_does_not_matter():
    order = [6, 2, 0, 5, 1, 4, 3]
    shuffled = ParameterSpace(tuple(SPACE.parameters[index] for index in order))
    theta, x = theta_of(3), spectra(3)
    straight = encode(Layout.build(published_wavelength_um(), SPACE), theta, x)
    other = encode(Layout.build(published_wavelength_um(), shuffled), theta[:, order], x)
    np.testing.assert_array_equal(straight, other)


@pytest.mark.parametrize("n_bin", [515, 100, 52, 17, 5, 1, 1500])
def test_decode_undoes_encode_on_every_grid(n_bin):
    grid = published_wavelength_um() if n_bin == 515 else np.geomspace(0.6, 12.0, n_bin)
    layout = Layout.build(grid, SPACE)
    theta, x = theta_of(4), spectra(4, n_bin)
    theta_back, x_back = decode(layout, encode(layout, theta, x))
    np.testing.assert_allclose(theta_back, theta, rtol=1e-6)
    kept = np.ones(n_bin, dtype=bool)
    if n_bin == 515:
        kept[1:5] = False  # points 510-513 of the descending grid
        assert np.isnan(x_back[:, ~kept]).all()
    np.testing.assert_allclose(x_back[:, kept], x[:, kept], rtol=1e-6)
    assert (layout.side - 1) % 16 == 0
    assert layout.n_section <= 14


def test_another_grid_is_cut_at_the_published_wavelengths():
    layout = Layout.build(np.geomspace(0.3, 50.0, 800), SPACE)
    descending = np.geomspace(0.3, 50.0, 800)[::-1]
    cuts = descending[list(layout.edges[1:-1])]
    expected = 0.3 * 1.01 ** (515 - np.array(EDGES[1:-1]))
    np.testing.assert_allclose(cuts, expected, rtol=0.01)
    assert layout.n_section == 14


def test_constants_and_reading_of_water():
    assert (PUBLISHED_DEPTH_MAX, PUBLISHED_DEPTH_MIN) == (0.0301803471629, 0.00650370296635)
    layout = Layout.build(published_wavelength_um(), SPACE)
    pictures = encode(layout, theta_of(1), spectra(1))
    pictures[:, 23:30, 23:30] = 0.0  # outside the last 3 x 3, which alone is read
    theta, _ = decode(layout, pictures)
    np.testing.assert_allclose(theta, theta_of(1), rtol=1e-12)


def test_a_wider_prior_still_fits_into_pixels():
    hot = ParameterSpace((*SPACE.parameters[:6], Parameter("temperature_k", "K", "T", 500.0, 3000.0)))
    layout = Layout.build(published_wavelength_um(), hot)
    theta = hot.from_unit_cube(np.ones((1, 7)))
    picture = encode(layout, theta, spectra(1))
    assert picture[0, 32, 0] == 1.0


def test_other_parameters_are_refused_by_name():
    other = ParameterSpace((Parameter("slope", "", "slope", 0.0, 1.0),))
    with pytest.raises(ExobenchError, match="slope"):
        Layout.build(published_wavelength_um(), other)
