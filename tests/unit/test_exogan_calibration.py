"""The calibrator and the encoder's loss against what is known of them."""

import numpy as np
import torch

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
    masks = random_masks(4000, 100, 0.3, torch.Generator().manual_seed(0), torch.device("cpu"))
    cut = (~masks).any(dim=1).float().mean()
    assert 0.25 < float(cut) < 0.31
    assert int(masks.sum(dim=1).min()) >= 1
    assert bool(random_masks(10, 100, 0.0, torch.Generator().manual_seed(0), torch.device("cpu")).all())


def test_weights_start_from_the_published_distribution_and_one_generator():
    first, second = (torch.nn.Sequential(torch.nn.Linear(400, 400)) for _ in range(2))
    for network in (first, second):
        initialise(network, torch.Generator().manual_seed(7))
    assert torch.equal(first[0].weight, second[0].weight)
    assert abs(float(first[0].weight.detach().std()) - 0.02) < 5e-4
    assert float(first[0].bias.detach().abs().max()) == 0.0
