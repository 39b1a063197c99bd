"""Turns the completions of a spectrum into posterior draws, by a model fitted on validation spectra."""

from __future__ import annotations

import torch
from torch import nn

from exobench.errors import ExobenchError
from exobench_baselines.exogan.losses import energy_score, mean_crps

_EDGE = 1e-4
_SMALLEST_SPREAD = 1e-3
_HIDDEN = 32
_OUTPUTS = 4
_GRAIN, _NOISE = 0.2, 0.05
_STRETCH = (1.0 + _GRAIN**2 + _NOISE**2) ** -0.5
"""Kernels widen the draws; this keeps their variance as it was."""
_TAIL = 0.05
_TAIL_WEIGHT = 0.1
_JOINT_DRAWS = 32
_FIT_DRAWS = 64


class Calibrator(nn.Module):
    """Moves, stretches and smooths completions in logit coordinates of the prior box, so that draws stay inside it.

    A small network sees the centre and spread of a spectrum's completions and their misfit. For each parameter it
    gives a shift in units of the spread, a stretch, and the sizes of two kernels: one with the covariance of the
    completions (differences of two of them), one independent. As made, it changes little.

    Args:
        n_param: number of parameters.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, n_param: int) -> None:
        super().__init__()
        self.n_param = n_param
        self.register_buffer("feature_mean", torch.zeros(2 * n_param + 1))
        self.register_buffer("feature_scale", torch.ones(2 * n_param + 1))
        self.net = nn.Sequential(nn.Linear(2 * n_param + 1, _HIDDEN), nn.SiLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU())
        self.last = nn.Linear(_HIDDEN, _OUTPUTS * n_param)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def features(self, u: torch.Tensor, misfit: torch.Tensor) -> torch.Tensor:
        """Summary (obs, 2 param + 1) of completions u (obs, restart, param) in the unit cube and their misfit."""
        logits = to_logit(u)
        spread = logits.std(dim=1).clamp_min(_SMALLEST_SPREAD)
        return torch.cat([logits.mean(dim=1), spread.log(), misfit.mean(dim=1, keepdim=True).clamp_min(1e-12).log()], 1)

    def standardise_by(self, features: torch.Tensor) -> None:
        """Takes the features' own mean and spread as zero and one."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0).nan_to_num(1.0).clamp_min(1e-3))

    def draw(self, u: torch.Tensor, misfit: torch.Tensor, n_draws: int, generator: torch.Generator) -> torch.Tensor:
        """Draws in the unit cube, (obs, n_draws, param); each completion is used equally often, up to one."""
        n_obs, restarts, _ = u.shape
        logits = to_logit(u)
        centre, spread = logits.mean(dim=1, keepdim=True), logits.std(dim=1, keepdim=True).clamp_min(_SMALLEST_SPREAD)
        features = (self.features(u, misfit) - self.feature_mean) / self.feature_scale
        outputs = self.last(self.net(features.clamp(-5, 5))).unflatten(1, (_OUTPUTS, 1, -1))
        shift, stretch, grain, noise = outputs.unbind(1)
        rounds = -(-n_draws // restarts)
        places = torch.rand(n_obs, rounds, restarts, generator=generator, device=u.device).argsort(dim=2)
        first = places.flatten(1)[:, :n_draws]
        second, third = (torch.randint(restarts, first.shape, generator=generator, device=u.device) for _ in range(2))
        pick = lambda index: torch.gather(logits, 1, index[..., None].expand(-1, -1, logits.shape[2]))  # noqa: E731
        normal = torch.randn(n_obs, n_draws, logits.shape[2], generator=generator, device=u.device)
        moved = (
            centre
            + spread * shift
            + _STRETCH * stretch.exp() * (pick(first) - centre)
            + _GRAIN * grain.exp() * (pick(second) - pick(third)) * 0.5**0.5
            + _NOISE * noise.exp() * spread * normal
        )
        return torch.sigmoid(moved)


def to_logit(u: torch.Tensor) -> torch.Tensor:
    """Log odds of u, held a little inside the unit cube."""
    return torch.logit(u, eps=_EDGE)


def fit_calibrator(
    u: torch.Tensor, misfit: torch.Tensor, truth: torch.Tensor, *, steps: int, generator: torch.Generator
) -> Calibrator:
    """Fits a calibrator on validation spectra.

    Args:
        u: completions in the unit cube, (obs, restart, param).
        misfit: (obs, restart).
        truth: (obs, param), in the unit cube.
        steps: optimiser steps; the best state on a fifth of the spectra, held out, is kept.
        generator: the only source of randomness, on the CPU.

    Returns:
        The calibrator, on the device of u.

    Raises:
        ExobenchError: a feature of the completions is not finite.
    """
    n_obs, _, n_param = u.shape
    calibrator = Calibrator(n_param).to(u.device)
    _initialise(calibrator, generator)
    features = calibrator.features(u, misfit)
    _require_finite(features)
    if n_obs < 10 or steps < 1:
        calibrator.standardise_by(features)
        return calibrator
    held = max(2, n_obs // 5)
    calibrator.standardise_by(calibrator.features(u[held:], misfit[held:]))
    # What holds for all spectra is learnt fast, what depends on the spectrum slowly.
    shared = [calibrator.last.bias]
    own = [*calibrator.net.parameters(), calibrator.last.weight]
    groups = [{"params": shared, "lr": 5e-3, "weight_decay": 0.0}, {"params": own, "lr": 1e-4, "weight_decay": 0.1}]
    optimiser = torch.optim.AdamW(groups)
    device_generator = torch.Generator(device=u.device).manual_seed(
        int(torch.randint(2**60, (1,), generator=generator))
    )
    best, best_state = torch.inf, {k: v.clone() for k, v in calibrator.state_dict().items()}
    for step in range(steps + 1):
        if step % 25 == 0 or step == steps:
            score = _held_out_score(calibrator, u[:held], misfit[:held], truth[:held])
            if score < best:
                best, best_state = score, {k: v.clone() for k, v in calibrator.state_dict().items()}
        rows = torch.randint(held, n_obs, (min(128, n_obs - held),), generator=generator).to(u.device)
        draws = calibrator.draw(u[rows], misfit[rows], _FIT_DRAWS, device_generator)
        loss = _score(draws, truth[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    calibrator.load_state_dict(best_state)
    return calibrator.eval()


def _require_finite(features: torch.Tensor) -> None:
    finite = torch.isfinite(features).all(dim=1)
    if not bool(finite.all()):
        raise ExobenchError(
            f"exogan: the completions of {int((~finite).sum())} of {len(finite)} validation spectra have a calibration "
            "feature that is not finite; lower method.learning_rate or method.encoder_learning_rate."
        )


def _score(draws: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    joint = energy_score(draws[:, :_JOINT_DRAWS], truth).mean()
    return joint + 0.3 * mean_crps(draws, truth).mean() + _TAIL_WEIGHT * _interval_score(draws, truth).mean()


def _interval_score(draws: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Score of the central 95 % interval, summed over parameters (Gneiting & Raftery 2007): it feels the tails."""
    ends = torch.tensor([0.5 * _TAIL, 1.0 - 0.5 * _TAIL], device=draws.device, dtype=draws.dtype)
    low, high = torch.quantile(draws, ends, dim=1)
    beyond = (low - truth).clamp_min(0.0) + (truth - high).clamp_min(0.0)
    return (high - low + 2.0 / _TAIL * beyond).sum(dim=1)


def _held_out_score(calibrator: Calibrator, u: torch.Tensor, misfit: torch.Tensor, truth: torch.Tensor) -> float:
    # The same random numbers each time, so that states are compared and not draws.
    generator = torch.Generator(device=u.device).manual_seed(0)
    with torch.no_grad():
        return float(_score(calibrator.draw(u, misfit, 2 * _FIT_DRAWS, generator), truth))


def _initialise(calibrator: Calibrator, generator: torch.Generator) -> None:
    for layer in calibrator.net:
        if isinstance(layer, nn.Linear):
            with torch.no_grad():
                fan_in = layer.weight.shape[1]
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * fan_in**-0.5)
                layer.bias.zero_()
