"""From per-spectrum arrays to scores with bootstrap standard errors; works on any subset of the spectra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.calibration import MISSING_SHARE
from exobench.metrics.catalogue import METRICS
from exobench.metrics.inputs import check_box
from exobench.metrics.metric import Metric
from exobench.metrics.per_spectrum import PART_KEY, PART_KEYS, WHY_NO_RANK
from exobench.metrics.quantities import with_pairs
from exobench.metrics.score import Score
from exobench.metrics.statistics import SpectrumTable

Array = NDArray[np.float64]

_ABSENT = {
    "nltp": "the method gives no density",
    "nltp_prior": "the prior's density at the truths was not given",
    "pair_rank": "one parameter has no pairs",
    "log_prob_rank": "the density of the draws was not given",
    "log_likelihood_rank": "the likelihood of truths and draws was not given",
    "tarp_rank": "the spectra were not given",
    "predictive_p": "the likelihood of the draws was not given",
}

_WHY_MISSING = {
    "rank": WHY_NO_RANK,
    "pair_rank": WHY_NO_RANK,
    "log_prob_rank": f"{WHY_NO_RANK}, or a density that is NaN",
    "log_likelihood_rank": f"{WHY_NO_RANK}, or a likelihood that is NaN",
    "tarp_rank": WHY_NO_RANK,
    "predictive_p": "no finite draw, or a likelihood that is NaN",
    "z": "no spread of the draws, or no finite draw",
    "sd": "fewer than two finite draws",
    "contraction": "fewer than two finite draws",
    "crps": "fewer than two finite draws",
    "energy_score": "fewer than two finite draws",
    "nltp": "a density that is NaN",
    "nltp_prior": "a prior density that is NaN",
    "nan_draw_share": "no draw at all",
}

# Counts held at a time: 16 MiB of float64.
_BLOCK_COUNTS = 2_000_000


def aggregate(
    per_spectrum: Mapping[str, Array],
    names: Sequence[str],
    low: Array,
    high: Array,
    n_obs: int | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    metrics: Sequence[Metric] = METRICS,
) -> list[Score]:
    """Averages per-spectrum arrays over spectra.

    Args:
        per_spectrum: what `exobench.metrics.per_spectrum.per_spectrum` returned, or its arrays read from a file.
        names: parameter names.
        low: lower ends of the prior's box, (param,).
        high: upper ends, (param,).
        n_obs: use the first n_obs spectra only (test sets are nested); all by default.
        n_bootstrap: resamples of spectra behind each standard error.
        seed: of the resamples; the same for every score, so tables can be computed again.
        metrics: the scores wanted.

    Returns:
        One score for each metric, and for each parameter where the metric has one, in the order of the list.

    Raises:
        ExobenchError: if arrays differ in length, n_obs exceeds it, or the box does not fit the names.
    """
    table = _table(per_spectrum, tuple(names), np.asarray(low, np.float64), np.asarray(high, np.float64), n_obs)
    if n_bootstrap < 2:
        raise ExobenchError(f"n_bootstrap={n_bootstrap} must be at least 2.")
    plans = [_plan(metric, table) for metric in metrics]
    errors = _standard_errors(metrics, plans, n_bootstrap, seed)
    remark = _remark(table)
    scores: list[Score] = []
    for metric, plan, error in zip(metrics, plans, errors, strict=True):
        scores += _scores(metric, plan, error, table, tuple(names), remark)
    return scores


def resample_counts(n_obs: int, n_bootstrap: int, seed: int) -> Iterator[Array]:
    """How often each spectrum occurs in each bootstrap resample, in blocks (resample, obs)."""
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK_COUNTS // n_obs)
    for start in range(0, n_bootstrap, step):
        n_rows = min(step, n_bootstrap - start)
        index = rng.integers(0, n_obs, size=(n_rows, n_obs))
        index += np.arange(n_rows)[:, None] * n_obs
        counts = np.bincount(index.ravel(), minlength=n_rows * n_obs)
        yield counts.reshape(n_rows, n_obs).astype(np.float64)


class _Plan:
    """What one metric is computed from: a table without gaps, or a reason for each parameter why not.

    Attributes:
        table: spectra that it rests on.
        n_known: spectra that it could rest on, if none lacked a value.
        reasons: why a parameter has no value.
        available: whether there is anything to compute from.
    """

    def __init__(
        self, table: SpectrumTable, reasons: list[str | None], available: bool = True, n_known: int | None = None
    ) -> None:
        self.table, self.reasons, self.available = table, reasons, available
        self.n_known = table.n_obs if n_known is None else n_known

    @property
    def runs(self) -> bool:
        return self.available and any(reason is None for reason in self.reasons)


def _table(
    per_spectrum: Mapping[str, Array], names: tuple[str, ...], low: Array, high: Array, n_obs: int | None
) -> SpectrumTable:
    if "theta_true" not in per_spectrum:
        raise ExobenchError("per-spectrum arrays lack 'theta_true'.")
    total, n_param = per_spectrum["theta_true"].shape
    if not len(names) == len(low) == len(high) == n_param:
        raise ExobenchError(f"names, low and high must have {n_param} entries, as the per-spectrum arrays have.")
    check_box(names, low, high)
    for key, value in per_spectrum.items():
        if value.shape not in ((total,), (total, n_param)):
            raise ExobenchError(
                f"per-spectrum array '{key}' has shape {value.shape}; ({total},) or ({total}, {n_param})."
            )
    if n_obs is not None and not 1 <= n_obs <= total:
        raise ExobenchError(f"n_obs={n_obs}: there are {total} spectra.")
    return SpectrumTable(with_pairs(per_spectrum, n_param), low, high).take(slice(n_obs))


def _plan(metric: Metric, table: SpectrumTable) -> _Plan:
    """Decides where a metric has a value; whole spectra are left out only where the metric allows it."""
    width = len(table.low) if metric.per_parameter else 1
    for key in metric.requires:
        if key not in table.values:
            reason = _ABSENT.get(key, f"the record has no per-spectrum array '{key}'")
            return _Plan(table, [reason] * width, available=False)
    if PART_KEY in table.values and set(metric.requires) & set(PART_KEYS):
        table = table.take(table[PART_KEY] > 0.0)
        if table.n_obs == 0:
            return _Plan(table, ["none of these spectra is in the part that this was computed for"] * width, False)
    reasons: list[str | None] = [None] * width
    if metric.undefined_for is not None:
        reasons = [metric.undefined_for(*ends) for ends in zip(table.low, table.high, strict=True)]
    for key in metric.requires:
        missing = np.isnan(table[key])
        if metric.may_miss:
            rows = np.asarray(missing if missing.ndim == 1 else missing.any(axis=1))
            if rows.sum() <= MISSING_SHARE * table.n_obs:
                return _Plan(table.take(~rows), reasons, n_known=table.n_obs)
        if missing.ndim == 2 and not metric.per_parameter:
            missing = np.asarray(missing.any(axis=1))
        gaps = np.broadcast_to(missing.sum(axis=0), (width,))
        why = _WHY_MISSING.get(key, "no finite draw")
        texts = [f"undefined for {gap} of {table.n_obs} spectra: {why}" if gap else None for gap in gaps]
        reasons = [old or new for old, new in zip(reasons, texts, strict=True)]
    return _Plan(table, reasons)


def _standard_errors(
    metrics: Sequence[Metric], plans: Sequence[_Plan], n_bootstrap: int, seed: int
) -> list[Array | None]:
    """Bootstrap standard errors; metrics on the same spectra share their resamples."""
    errors: list[Array | None] = [None] * len(metrics)
    wanted: dict[int, list[int]] = {}
    for index, (metric, plan) in enumerate(zip(metrics, plans, strict=True)):
        if metric.resampled and plan.runs and plan.table.n_obs > 1:
            wanted.setdefault(plan.table.n_obs, []).append(index)
    for n_obs, members in wanted.items():
        parts: dict[int, list[Array]] = {index: [] for index in members}
        for counts in resample_counts(n_obs, n_bootstrap, seed):
            for index in members:
                with np.errstate(invalid="ignore"):
                    parts[index].append(metrics[index].statistic(plans[index].table, counts))
        for index in members:
            with np.errstate(invalid="ignore"):
                errors[index] = np.atleast_1d(np.concatenate(parts[index]).std(axis=0, ddof=1))
    return errors


def _scores(
    metric: Metric, plan: _Plan, error: Array | None, table: SpectrumTable, names: tuple[str, ...], remark: str | None
) -> list[Score]:
    parameters: tuple[str | None, ...] = names if metric.per_parameter else (None,)
    n_obs = plan.table.n_obs
    if not plan.available:
        return [
            Score(metric.name, parameter, None, None, n_obs, "not available", reason)
            for parameter, reason in zip(parameters, plan.reasons, strict=True)
        ]
    values = np.full(len(parameters), np.nan)
    if plan.runs:
        with np.errstate(invalid="ignore"):
            values = np.atleast_1d(metric.statistic(plan.table, np.ones((1, n_obs)))[0])
    remarks = [remark] if remark else []
    if plan.n_known < table.n_obs:
        remarks.append(f"computed for {plan.n_known} of {table.n_obs} spectra")
    if n_obs < plan.n_known:
        remarks.append(f"{plan.n_known - n_obs} of {plan.n_known} spectra left out: {_WHY_MISSING[metric.requires[0]]}")
    remark = "; ".join(remarks) or None
    scores = []
    for column, parameter in enumerate(parameters):
        value, reason = float(values[column]), plan.reasons[column]
        if reason is not None or not np.isfinite(value):
            reason = reason or metric.not_finite
            scores.append(Score(metric.name, parameter, None, None, n_obs, "undefined", reason))
            continue
        spread = None if error is None or not np.isfinite(error[column]) else float(error[column])
        scores.append(Score(metric.name, parameter, value, spread, n_obs, "ok", remark))
    return scores


def _remark(table: SpectrumTable) -> str | None:
    """What a reader must know about draws that were left out."""
    share = table.values.get("nan_draw_share")
    if share is None or not np.nansum(share) > 0.0:
        return None
    affected = int(np.sum(share > 0.0))
    return f"draws that are not finite were left out: {100 * np.nanmean(share):.3g} %, in {affected} spectra"
