"""The calibrator and the encoder's loss against what is known of them."""

import numpy as np
import pytest
import torch

from exobench.errors import ExobenchError
from exobench_baselines.exogan.calibration import Calibrator, fit_calibrator
from exobench_baselines.exogan.encoder import random_masks
from exobench_baselines.exogan.losses import energy_score, mean_crps
from exobench_baselines.exogan.networks import initialise


def completions(n, restarts, seed, shift=0.5, stretch=1.5):
    """Completions that are too narrow and shifted: the truth is drawn about another centre with a wider spread."""
    random = torch.Generator().manual_seed(seed)
    centre = torch.randn(n, 1, 7, generator=random)
    spread = 0.05 + 0.3 * torch.rand(n, 1, 7, generator=random)
    made = centre + spread * torch.randn(n, restarts, 7, generator=random)
    truth = centre + shift * spread + stretch * spread * torch.randn(n, 1, 7, generator=random)
    return torch.sigmoid(made), torch.ones(n, restarts), torch.sigmoid(truth)[:, 0]


def coverage(draws, truth, level):
    low, high = torch.quantile(draws, torch.tensor([0.5 - level / 2, 0.5 + level / 2]), dim=1)
    return float(((truth > low) & (truth < high)).float().mean())


def test_fitted_draws_cover_as_they_say_where_completions_do_not():
    calibrator = fit_calibrator(*completions(400, 16, 0), steps=200, generator=torch.Generator().manual_seed(0))
    u, misfit, truth = completions(400, 64, 1)
    with torch.no_grad():
        draws = calibrator.draw(u, misfit, 300, torch.Generator().manual_seed(1))
    assert coverage(u, truth, 0.68) < 0.55
    assert abs(coverage(draws, truth, 0.68) - 0.68) < 0.06
    assert abs(coverage(draws, truth, 0.95) - 0.95) < 0.03
    assert float(energy_score(draws, truth).mean()) < float(energy_score(u, truth).mean())


def test_a_calibrator_as_made_keeps_centre_and_spread():
    calibrator = Calibrator(7)
    u, misfit, _ = completions(50, 64, 2)
    with torch.no_grad():
        draws = calibrator.draw(u, misfit, 4096, torch.Generator().manual_seed(0))
    assert draws.min() > 0
    assert draws.max() < 1
    before, after = torch.logit(u), torch.logit(draws)
    spread = before.std(dim=1)
    assert float(((after.mean(dim=1) - before.mean(dim=1)) / spread).abs().max()) < 0.1
    assert float((after.std(dim=1) / spread - 1).abs().mean()) < 0.05


def test_scores_equal_their_definitions():
    random = torch.Generator().manual_seed(3)
    draws, truth = torch.rand(4, 6, 3, generator=random), torch.rand(4, 3, generator=random)
    for row in range(4):
        d, t = draws[row].double().numpy(), truth[row].double().numpy()
        near = np.mean([np.linalg.norm(x - t) for x in d])
        apart = [np.linalg.norm(d[i] - d[j]) for i in range(6) for j in range(6) if i != j]
        np.testing.assert_allclose(float(energy_score(draws, truth)[row]), near - 0.5 * np.mean(apart), rtol=1e-4)
        margins = [
            np.mean(abs(d[:, k] - t[k]))
            - 0.5 * np.mean([abs(d[i, k] - d[j, k]) for i in range(6) for j in range(6) if i != j])
            for k in range(3)
        ]
        np.testing.assert_allclose(float(mean_crps(draws, truth)[row]), sum(margins), rtol=1e-4)


def test_random_masks_hit_the_share_and_always_leave_bins():
    masks = random_masks(0.3, torch.ones(4000, 100, dtype=torch.bool), torch.Generator().manual_seed(0))
    cut = (~masks).any(dim=1).float().mean()
    assert 0.25 < float(cut) < 0.31
    assert int(masks.sum(dim=1).min()) >= 1
    whole = torch.ones(10, 100, dtype=torch.bool)
    assert bool(random_masks(0.0, whole, torch.Generator().manual_seed(0)).all())


@pytest.mark.parametrize("n_bin", [1, 2, 17, 52])
@pytest.mark.parametrize("own", ["all", "three", "by row"])
def test_random_masks_leave_a_bin_of_those_that_there_are_on_small_grids(n_bin, own):
    random = torch.Generator().manual_seed(1)
    seen = torch.ones(5000, n_bin, dtype=torch.bool)
    if own == "three":
        seen[:, 3:] = False
    elif own == "by row":
        seen = torch.rand(5000, n_bin, generator=random) < 0.2
    masks = random_masks(1.0, seen, random)
    assert not bool((masks & ~seen).any())
    assert torch.equal(masks.any(dim=1), seen.any(dim=1))
    # Whichever bin is kept for want of another, no bin is favoured beyond what windows and chance do.
    if own == "all":
        kept = masks.float().mean(dim=0)
        assert float(kept.min()) > 0.3


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("n", [5, 50])
def test_completions_that_are_not_finite_end_the_fit(wrong, n):
    u, misfit, truth = completions(n, 8, 4)
    misfit[3, 2] = wrong
    with pytest.raises(ExobenchError, match=f"1 of {n} validation spectra"):
        fit_calibrator(u, misfit, truth, steps=5, generator=torch.Generator().manual_seed(0))


def test_one_completion_has_no_spread_and_ends_the_fit():
    with pytest.raises(ExobenchError, match="not finite"):
        fit_calibrator(*completions(20, 1, 5), steps=5, generator=torch.Generator().manual_seed(0))


def test_weights_start_from_the_published_distribution_and_one_generator():
    first, second = (torch.nn.Sequential(torch.nn.Linear(400, 400)) for _ in range(2))
    for network in (first, second):
        initialise(network, torch.Generator().manual_seed(7))
    assert torch.equal(first[0].weight, second[0].weight)
    assert abs(float(first[0].weight.detach().std()) - 0.02) < 5e-4
    assert float(first[0].bias.detach().abs().max()) == 0.0
