"""The in-painting loss and search against plain loops, and what must not depend on what."""

import numpy as np
import pytest
import torch

from exobench.errors import ExobenchError
from exobench.parameters import Parameter, ParameterSpace
from exobench_baselines.exogan.inpainting import DepthMisfit, PublishedMisfit, Search
from exobench_baselines.exogan.layout import Layout
from exobench_baselines.exogan.masks import bins_of_mask, visible_pixels
from exobench_baselines.exogan.networks import Discriminator, Generator, initialise
from exobench_baselines.exogan.pictures import Pictures
from exobench_baselines.exogan.sections import published_wavelength_um

GASES = ("log10_h2o", "log10_co2", "log10_co", "log10_ch4")
SPACE = ParameterSpace(
    (
        *(Parameter(name, "dex", name, -8.0, -1.0, "log10") for name in GASES),
        Parameter("mass_mjup", "M_Jup", "M", 0.8, 2.0),
        Parameter("radius_rjup", "R_Jup", "R", 0.8, 1.5),
        Parameter("temperature_k", "K", "T", 1000.0, 2000.0),
    )
)
LAYOUT = Layout.build(published_wavelength_um(), SPACE)


def spectra(n, n_bin=515, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(0.015 + np.cumsum(rng.normal(size=(n, n_bin)), axis=1) * 1e-5, dtype=torch.float32)


def networks(width=0.05, mix_images=False, seed=0):
    random = torch.Generator().manual_seed(seed)
    pair = Generator(LAYOUT.base, width), Discriminator(LAYOUT.side, width, mix_images=mix_images)
    for network in pair:
        initialise(network, random)
        network.eval().requires_grad_(False)
    return pair


def test_parameters_mask_hides_exactly_the_parameter_pixels():
    visible = visible_pixels(LAYOUT, torch.ones(1, 515, dtype=torch.bool))[0].numpy()
    expected = np.ones((33, 33), dtype=bool)
    expected[30:], expected[:, 30:], expected[23:, 23:] = False, False, False
    np.testing.assert_array_equal(visible, expected)


def test_wfc3_mask_shows_its_points_and_their_own_extrema_only():
    seen = torch.as_tensor(bins_of_mask(LAYOUT, "wfc3"))
    wavelength = published_wavelength_um()[seen.numpy()]
    assert seen.sum() == 50
    assert 1.10 < wavelength.min() < 1.12
    assert 1.79 < wavelength.max() < 1.82
    visible = visible_pixels(LAYOUT, seen[None])[0].numpy()
    expected = np.zeros((33, 33), dtype=bool)
    for index in range(334, 384):
        expected[index // 23, index % 23] = True
    expected[23:25, :23] = True  # sections 8 and 9
    np.testing.assert_array_equal(visible, expected)


def test_a_missing_bin_hides_its_pixel_the_mean_and_its_sections_extrema():
    seen = torch.ones(1, 515, dtype=torch.bool)
    seen[0, 514 - 200] = False  # descending point 200, third section
    changed = visible_pixels(LAYOUT, torch.ones(1, 515, dtype=torch.bool)) != visible_pixels(LAYOUT, seen)
    pixels = {tuple(index) for index in changed[0].nonzero().tolist()}
    expected = {(200 // 23, 200 % 23)} | {(22, column) for column in range(9, 23)}
    expected |= {(row, 25) for row in range(23)}
    assert pixels == expected


def test_masks_that_make_no_sense_are_refused():
    for mask in ("hubble", [600], []):
        with pytest.raises(ExobenchError, match=r"method\.mask"):
            bins_of_mask(LAYOUT, mask)


def test_published_loss_is_the_sum_of_a_plain_loop():
    generator, discriminator = networks()
    pictures, x = Pictures(LAYOUT), spectra(2)
    z = torch.rand(2, 3, 100, generator=torch.Generator().manual_seed(1)) * 2 - 1
    misfit = PublishedMisfit.of(pictures, x, torch.ones(2, 515, dtype=torch.bool), 3)
    done = Search(generator, discriminator, pictures, 1, 0.01, 0.1)(z, misfit)
    target = pictures.encode(torch.zeros(2, 7), x)
    for spectrum in range(2):
        for restart in range(3):
            made = generator(z[spectrum, restart][None])
            total = 0.0
            for row in range(33):
                for column in range(33):
                    if row < 30 and column < 30 and not (row >= 23 and column >= 23):
                        total += abs(float(made[0, row, column]) - float(target[spectrum, row, column]))
            probability = 1.0 / (1.0 + np.exp(-float(discriminator(made)[0])))
            total -= 0.1 * np.log(probability)
            assert float(done.loss[spectrum, restart]) == pytest.approx(total, rel=1e-4)


def test_a_cut_section_is_compared_in_depths_and_vanishes_for_the_true_picture():
    """The true picture has no misfit whichever bins are missing, although its pixels were scaled by other extrema."""
    pictures, x = Pictures(LAYOUT, dtype=torch.float64), spectra(3).double()
    seen = torch.rand(3, 515, generator=torch.Generator().manual_seed(0)) > 0.3
    seen[:, 0] = True
    whole = pictures.encode(torch.full((3, 7), -2.0), x)
    misfit = PublishedMisfit.of(pictures, x, seen, 1)
    assert float(misfit(whole).max()) < 1e-6
    assert float(misfit(whole + 0.01).min()) > 0.1


def test_depth_misfit_is_half_the_reduced_chi_square():
    pictures = Pictures(LAYOUT, dtype=torch.float64)
    x, sigma = spectra(2).double(), torch.full((2, 515), 3e-5, dtype=torch.float64)
    seen = torch.ones(2, 515, dtype=torch.bool)
    seen[1, :100] = False
    made = pictures.encode(torch.full((2, 7), -2.0), x + 2e-5)
    error = torch.full((515,), 4e-5, dtype=torch.float64)
    value = DepthMisfit.of(pictures, x, sigma, seen, error, 1)(made)
    np.testing.assert_allclose(value.numpy(), 0.5 * (2e-5 / 5e-5) ** 2, rtol=1e-6)


def test_many_spectra_at_once_give_what_each_gives_alone():
    generator, discriminator = networks()
    pictures, x = Pictures(LAYOUT), spectra(3)
    z = torch.rand(3, 4, 100, generator=torch.Generator().manual_seed(2)) * 2 - 1
    search = Search(generator, discriminator, pictures, 6, 0.05, 0.1, tolerance=1e-4)
    seen = torch.ones(3, 515, dtype=torch.bool)
    together = search(z, PublishedMisfit.of(pictures, x, seen, 4))
    for row in range(3):
        rows = slice(row, row + 1)
        alone = search(z[rows], PublishedMisfit.of(pictures, x[rows], seen[rows], 4))
        torch.testing.assert_close(together.theta[rows], alone.theta, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.z[rows], alone.z, rtol=1e-3, atol=1e-3)


def test_the_search_lowers_the_loss_and_leaves_the_networks_alone():
    generator, discriminator = networks()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    pictures, x = Pictures(LAYOUT), spectra(1)
    z = torch.rand(1, 4, 100, generator=torch.Generator().manual_seed(3)) * 2 - 1
    misfit = PublishedMisfit.of(pictures, x, torch.ones(1, 515, dtype=torch.bool), 4)
    first = Search(generator, discriminator, pictures, 1, 0.01, 0.1)(z, misfit)
    last = Search(generator, discriminator, pictures, 40, 0.01, 0.1)(z, misfit)
    assert bool((last.loss < first.loss).all())
    assert float(last.z.abs().max()) <= 1.0
    for key, value in generator.state_dict().items():
        assert torch.equal(value, before[key])


def test_published_flattening_mixes_images_and_per_image_does_not():
    """64 images of 9 positions fill 36 rows of 16; changing one image moves one logit per image, or two mixed rows."""
    pictures = torch.rand(64, 33, 33, generator=torch.Generator().manual_seed(4))
    changed = pictures.clone()
    changed[1] += 0.5
    _, mixed = networks(mix_images=True)
    _, single = networks(mix_images=False)
    assert mixed(pictures).shape == (36,)
    assert single(pictures).shape == (64,)
    # Image 1 holds positions 9-17, which lie in rows 0 and 1.
    assert (mixed(pictures) != mixed(changed)).nonzero().flatten().tolist() == [0, 1]
    assert (single(pictures) - single(changed)).abs().gt(1e-6).nonzero().flatten().tolist() == [1]
    with pytest.raises(ExobenchError, match="multiples of 16"):
        mixed(pictures[:5])


def test_published_size_is_that_of_the_paper():
    generator, discriminator = Generator(3), Discriminator(33, mix_images=True)
    assert generator.dense.weight.shape == (4608, 100)
    assert [tuple(layer.weight.shape[:2]) for layer in generator.convolutions] == [
        (512, 256),
        (256, 128),
        (128, 64),
        (64, 1),
    ]
    assert discriminator.dense.in_features == 8192
    assert [norm.num_features for norm in discriminator.norms] == [128, 256, 512]
    assert generator(torch.zeros(2, 100)).shape == (2, 33, 33)
