"""Everything that is computed from draws, spectrum by spectrum; tables are averages of these arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exobench.metrics.accuracy import crps, interval_score
from exobench.metrics.draws import DrawBlock, draw_block, quantile, randomised_rank, sort_draws, take_draws
from exobench.metrics.energy import energy_score
from exobench.metrics.inputs import BOX_TOLERANCE, ScoringInputs
from exobench.metrics.predictive import predictive_p_value
from exobench.metrics.quantities import pair_keys, pair_ranks, pairs_of, rank_of, tarp_rank

Array = NDArray[np.float64]

MIN_ESS = 200
"""Weighted draws give a rank only from this effective sample size on."""

WHY_NO_RANK = f"weighted draws with an effective sample size below {MIN_ESS}, or no finite draw"

JOINT_RANKS = ("log_prob_rank", "log_likelihood_rank", "tarp_rank")
"""Ranks of one quantity each, beside those of pairs of parameters."""

PART_KEY = "in_part"
"""One for the spectra whose draws have a density or likelihood, zero for others, (obs,); absent where all have."""

PART_KEYS = ("log_prob_rank", "log_likelihood_rank", "predictive_p")
"""What is known of these spectra alone."""

# The numbers held at a time: 32 MiB of float64, of which about ten copies live at once.
_BLOCK_NUMBERS = 4_000_000


def per_spectrum(inputs: ScoringInputs, rng: np.random.Generator) -> dict[str, Array]:
    """Computes all that the scores need, once for each spectrum.

    Args:
        inputs: truths and draws.
        rng: gives the ranks' U, row by row, so that the first spectra do not depend on later ones; nothing else.

    Returns:
        Arrays of shape (obs, param): ``theta_true``, ``mean``, ``median``, ``sd`` (population form), ``q025``,
        ``q16``, ``q84``, ``q975``, ``error`` (median - true), ``squared_error``, ``absolute_error``, ``range_error``
        (absolute error over the prior's range), ``z`` ((mean - true)/sd), ``contraction`` (1 - variance over the
        uniform prior's), ``crps``, ``interval_score_68``, ``interval_score_95``, ``rank``. Of shape (obs,):
        ``energy_score``, ``ess``, ``nan_draw_share``, ``outside_prior_share``, and, with a density, ``nltp``
        (-log q(theta_true | x)), ``nltp_prior``; ``log_prob_rank``, ``log_likelihood_rank``, ``tarp_rank`` and
        ``predictive_p`` where the inputs have what they need, and ``pair_rank_0_1`` and so on for each pair of
        parameters. Where `ScoringInputs.part_draw` names fewer spectra than there are, ``in_part`` is one for those
        that `PART_KEYS` were computed for. NaN marks what is undefined for a spectrum: everything where no draw counts,
        spreads from one draw, z of a posterior without spread, ranks of weighted draws below `MIN_ESS`.
    """
    n_param = inputs.theta_true.shape[1]
    n_uniform = len(JOINT_RANKS) + len(pairs_of(n_param))
    uniform = rng.random(inputs.theta_true.shape)
    joint_uniform = rng.spawn(1)[0].random((inputs.n_obs, n_uniform))
    rows_at_once = max(1, _BLOCK_NUMBERS // (inputs.theta.shape[1] * inputs.theta.shape[2]))
    blocks = []
    for start in range(0, inputs.n_obs, rows_at_once):
        rows = slice(start, start + rows_at_once)
        blocks.append(_score_block(inputs, rows, uniform[rows], joint_uniform[rows]))
    result = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
    result["theta_true"] = inputs.theta_true.copy()
    if inputs.n_part < inputs.n_obs:
        result[PART_KEY] = (np.arange(inputs.n_obs) < inputs.n_part).astype(np.float64)
    if inputs.log_prob_true is not None:
        result["nltp"] = -inputs.log_prob_true
        if inputs.prior_log_prob is not None:
            result["nltp_prior"] = -inputs.prior_log_prob
    return result


def _score_block(inputs: ScoringInputs, rows: slice, uniform: Array, joint_uniform: Array) -> dict[str, Array]:
    block = draw_block(inputs, rows)
    theta_true, width = inputs.theta_true[rows], inputs.high - inputs.low
    scores = {
        **_moments(block, theta_true, width),
        **_order_statistics(block, theta_true, width),
        "rank": randomised_rank(block, theta_true, uniform),
        "energy_score": energy_score(
            (block.theta - inputs.low) / width, block.weight, (theta_true - inputs.low) / width
        ),
        "ess": block.ess,
        "outside_prior_share": _outside_share(block, inputs.low, inputs.high),
        **_joint_ranks(inputs, rows, block, joint_uniform),
    }
    for name in {"rank", *pair_keys(inputs.theta_true.shape[1]), *JOINT_RANKS} & scores.keys():
        scores[name][~block.equal & (block.ess < MIN_ESS)] = np.nan
    for value in scores.values():
        value[~block.usable] = np.nan
    scores["ess"][~block.usable] = 0.0
    scores["nan_draw_share"] = block.nan_share
    return scores


def _joint_ranks(inputs: ScoringInputs, rows: slice, block: DrawBlock, uniform: Array) -> dict[str, Array]:
    """Ranks by quantities of all parameters, for those that the inputs allow."""
    theta_true = inputs.theta_true[rows]
    ranks = _part_ranks(inputs, rows, block, uniform)
    if theta_true.shape[1] > 1:
        by_pair = pair_ranks(block, theta_true, uniform[:, len(JOINT_RANKS) :])
        ranks |= dict(zip(pair_keys(theta_true.shape[1]), by_pair.T.copy(), strict=True))
    if inputs.reference_point is not None:
        width = inputs.high - inputs.low
        ranks["tarp_rank"] = tarp_rank(block, theta_true, inputs.reference_point[rows], width, uniform[:, 2])
    return ranks


def _part_ranks(inputs: ScoringInputs, rows: slice, block: DrawBlock, uniform: Array) -> dict[str, Array]:
    """What densities and likelihoods of draws give, NaN for spectra that are not in their part."""
    part = slice(rows.start, max(rows.start, min(rows.stop, inputs.n_part)))
    n_rows = part.stop - part.start
    if n_rows < len(block.theta):
        block = block.head(n_rows)
    if inputs.part_draw is not None:
        block = take_draws(block, inputs.part_draw[part])
    ranks: dict[str, Array] = {}
    if inputs.log_prob is not None and inputs.log_prob_true is not None:
        ranks["log_prob_rank"] = rank_of(inputs.log_prob[part], inputs.log_prob_true[part], block, uniform[:n_rows, 0])
    if inputs.log_likelihood is not None and inputs.log_likelihood_true is not None:
        ranks["log_likelihood_rank"] = rank_of(
            inputs.log_likelihood[part], inputs.log_likelihood_true[part], block, uniform[:n_rows, 1]
        )
    if inputs.log_likelihood is not None and inputs.log_likelihood_peak is not None and inputs.n_bin is not None:
        ranks["predictive_p"] = predictive_p_value(
            inputs.log_likelihood[part], inputs.log_likelihood_peak[part], inputs.n_bin[part], block.weight
        )
    for value in ranks.values():
        value[~block.usable] = np.nan
    return {key: np.append(value, np.full(len(uniform) - n_rows, np.nan)) for key, value in ranks.items()}


def _moments(block: DrawBlock, theta_true: Array, width: Array) -> dict[str, Array]:
    mean = np.einsum("od,odp->op", block.weight, block.theta)
    deviation = block.theta - mean[:, None, :]
    variance = np.einsum("od,odp,odp->op", block.weight, deviation, deviation)
    sd = np.sqrt(variance)
    # Rounding leaves a spread of about 1e-16 of the value in constant draws; that is no spread.
    has_spread = sd > 1e-12 * (width + np.abs(mean))
    z = np.divide(mean - theta_true, sd, out=np.full_like(sd, np.nan), where=has_spread)
    one_draw = (block.ess < 1.0 + 1e-9)[:, None]
    sd = np.where(one_draw, np.nan, np.where(has_spread, sd, 0.0))
    return {"mean": mean, "sd": sd, "z": z, "contraction": 1.0 - 12.0 * (sd / width) ** 2}


def _order_statistics(block: DrawBlock, theta_true: Array, width: Array) -> dict[str, Array]:
    draws = sort_draws(block)
    median = quantile(draws, 0.5)
    q025, q16, q84, q975 = (quantile(draws, level) for level in (0.025, 0.16, 0.84, 0.975))
    error = median - theta_true
    return {
        "median": median,
        "q025": q025,
        "q16": q16,
        "q84": q84,
        "q975": q975,
        "error": error,
        "squared_error": error**2,
        "absolute_error": np.abs(error),
        "range_error": np.abs(error) / width,
        "crps": crps(draws, theta_true),
        "interval_score_68": interval_score(q16, q84, theta_true, 0.68),
        "interval_score_95": interval_score(q025, q975, theta_true, 0.95),
    }


def _outside_share(block: DrawBlock, low: Array, high: Array) -> Array:
    slack = BOX_TOLERANCE * (high - low)
    outside = ((block.theta < low - slack) | (block.theta > high + slack)).any(axis=-1)
    return np.einsum("od,od->o", block.weight, outside)
