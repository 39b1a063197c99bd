"""How far a method is from the limit: its expected scores beside those of the exact posterior, spectrum by spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.aggregate import resample_counts
from exobench.metrics.resampling import draw_weights
from exobench.metrics.statistics import average
from exobench.progress import track
from exobench.reference.exact_row import LEVEL, LIMIT, METHOD, N_BOOTSTRAP
from exobench.reference.expected import BEST, MEDIANS, PERCENTS, expected_of_answer
from exobench.reference.spectra import StoredDraws, run_name, stored_draws
from exobench.results import RunRecord, all_records, read_arrays
from exobench.text_table import aligned

Array = NDArray[np.float64]

CLAIM = 0.99
"""Share of the limit from which on a method counts as having reached it, by the lower end of the interval."""
MAX_DRAWS = 2000
"""Draws of a method that enter its expected energy score and CRPS."""

HELP = """usage: python -m exobench.reference gap RUN [RUN ...] [exact=FOLDER] [out=gap.json] [paths.runs=...]

How far finished runs are from the limit: scores that each method's answer has on average over the exact posterior of
every spectrum, paired with those of the exact posterior itself. No truth enters. Shown is the share of the limit that
a method reaches (hit rates and skill: method/limit; energy score and CRPS, where lower is better: limit/method) with
the 95 % interval of a bootstrap over spectra; "99 %" stands only where the lower end of that interval passes 0.99. The
limit "best" of hit rates is found on the draws that it is scored on, and so is never too low.

settings, with their defaults:
  exact=       folder of a record "exact"; default: that of most spectra among the runs of the same task_id
  n_obs=       spectra; default: all that both have
  out=gap.json
  paths.runs=  where records "exact" are looked for; default: EXOBENCH_RUNS, else ./runs
"""


@dataclass(frozen=True)
class Gap:
    """One score of one method beside the limit.

    Attributes:
        metric: name.
        of: what the limit is of: ``"posterior"``, ``"median"`` or ``"best"``.
        parameter: None for a joint score.
        method: expected score of the method.
        limit: of the exact posterior.
        gap: limit minus method, or method minus limit where lower is better: below zero by Monte-Carlo noise alone.
        gap_low: lower end of its 95 % interval.
        gap_high: upper end.
        share: of the limit that is reached.
        share_low: lower end of its interval.
        share_high: upper end.
        reached: whether share_low is at least `CLAIM`.
    """

    metric: str
    of: str
    parameter: str | None
    method: float
    limit: float
    gap: float
    gap_low: float
    gap_high: float
    share: float
    share_low: float
    share_high: float
    reached: bool


def find_exact(runs: Path, task_id: str) -> RunRecord:
    """The record "exact" of most spectra among the runs of a task_id.

    Raises:
        ExobenchError: if there is none.
    """
    found = [r for r in all_records(runs) if r["method"] == METHOD and r["task_id"] == task_id and r["status"] == "ok"]
    if not found:
        raise ExobenchError(
            f"{runs} holds no record 'exact' of task_id {task_id}; make it with 'python -m exobench.reference exact', "
            "or name its folder: exact=FOLDER."
        )
    return max(found, key=lambda record: int(record["n_test"]))


def gaps(record: RunRecord, exact: RunRecord, n_obs: int | None = None) -> list[Gap]:
    """Every gap of one run.

    Args:
        record: a finished run with stored draws.
        exact: a record made by `exobench.reference.exact_row`.
        n_obs: first spectra that are compared; all that both have by default.

    Raises:
        ExobenchError: if the two are of different tasks or spectra.
    """
    if record["task_id"] != exact["task_id"]:
        raise ExobenchError(f"{record.folder} is of task_id {record['task_id']}, the exact row of {exact['task_id']}.")
    limit = read_arrays(exact.folder / LIMIT)
    truth = stored_draws(exact, len(limit["energy_score"]))
    answer = stored_draws(record, len(truth.theta))
    n = min(len(answer.theta), len(truth.theta), n_obs or len(truth.theta))
    if n < 2 or not np.allclose(answer.theta_true[:n], truth.theta_true[:n], rtol=1e-6, atol=1e-9):
        raise ExobenchError(f"{record.folder} and {exact.folder} do not hold the same two or more test spectra.")
    low, high = (np.array([p[end] for p in exact["parameters"]]) for end in ("low", "high"))
    median = record.per_spectrum()["median"][:n]
    rows = [_expected(row, truth, answer, median[row], low, high) for row in track(range(n), "expected scores")]
    ours = {name: np.stack([each[name] for each in rows]) for name in rows[0]}
    names = [str(parameter["name"]) for parameter in exact["parameters"]]
    return _all_gaps(ours, {name: values[:n] for name, values in limit.items()}, names)


def _expected(
    row: int, truth: StoredDraws, answer: StoredDraws, median: Array, low: Array, high: Array
) -> dict[str, Array]:
    sides = []
    for draws in (truth.spectrum(row).finite(), answer.spectrum(row).finite()):
        if len(draws.theta) < 2:
            raise ExobenchError(f"{answer.name}: spectrum {row} has fewer than two draws that count.")
        weight = draw_weights(draws.theta, draws.log_weight)
        sides.append(((draws.theta - low) / (high - low), weight))
    (u, weight), (other, other_weight) = sides
    other, other_weight = other[:MAX_DRAWS], other_weight[:MAX_DRAWS] / other_weight[:MAX_DRAWS].sum()
    return expected_of_answer(u, weight, other, other_weight, (median - low) / (high - low))


def _all_gaps(ours: Mapping[str, Array], limit: Mapping[str, Array], names: Sequence[str]) -> list[Gap]:
    found = _gaps("energy_score", "posterior", ours["energy_score"][:, None], limit["energy_score"][:, None], (None,))
    found += _gaps("crps", "posterior", ours["crps"], limit["crps"], names)
    for of in (MEDIANS, BEST):
        skill, best = (1.0 - 12.0 * values for values in (ours["squared_error"], limit[f"squared_error_{of}"]))
        found += _gaps("skill", of, skill, best, names)
    for percent in PERCENTS:
        for of in (MEDIANS, BEST):
            key = f"hit_rate_{percent}"
            found += _gaps(key, of, ours[key], limit[f"{key}_{of}"], names)
    return found


def _gaps(metric: str, of: str, ours: Array, limit: Array, names: Sequence[str | None]) -> list[Gap]:
    """Paired over spectra: every resample takes the same spectra of both."""
    lower_is_better = metric in ("energy_score", "crps")
    means = [
        np.concatenate([average(values, counts) for counts in resample_counts(len(ours), N_BOOTSTRAP, 0)])
        for values in (ours, limit)
    ]
    found = []
    for column, name in enumerate(names):
        a, b = float(ours[:, column].mean()), float(limit[:, column].mean())
        gap, gap_resampled = (a - b, means[0] - means[1]) if lower_is_better else (b - a, means[1] - means[0])
        top, bottom = ((b, a), (means[1], means[0])) if lower_is_better else ((a, b), (means[0], means[1]))
        share = top[0] / top[1] if top[1] > 0.0 else float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = bottom[0][:, column] / bottom[1][:, column]
        tails = [0.5 * (1.0 - LEVEL), 0.5 * (1.0 + LEVEL)]
        gap_low, gap_high = np.quantile(gap_resampled[:, column], tails)
        # A limit of zero or below (a skill) leaves no share of it.
        defined = bool((bottom[1][:, column] > 0.0).all())
        share_low, share_high = np.quantile(ratios, tails) if defined else (np.nan, np.nan)
        found.append(
            Gap(
                metric,
                of,
                name,
                a,
                b,
                float(gap),
                float(gap_low),
                float(gap_high),
                share if defined else float("nan"),
                float(share_low),
                float(share_high),
                bool(share_low >= CLAIM),
            )
        )
    return found


def gap_document(record: RunRecord, exact: RunRecord, found: Sequence[Gap]) -> dict[str, Any]:
    """JSON-able; a share that is undefined is null."""
    rows = [
        {
            key: (None if isinstance(value, float) and not np.isfinite(value) else value)
            for key, value in vars(gap).items()
        }
        for gap in found
    ]
    return {"run": run_name(record), "exact": run_name(exact), "claim": CLAIM, "gaps": rows}


def gap_table(record: RunRecord, found: Sequence[Gap], names: Sequence[str]) -> str:
    """Shares of the limit with their intervals: one line a score, one column a parameter."""
    lines = [[run_name(record), "limit of", *names]]
    rows: dict[tuple[str, str], list[Gap]] = {}
    for gap in found:
        rows.setdefault((gap.metric, gap.of), []).append(gap)
    lines += [[metric, of, *map(_cell, cells)] for (metric, of), cells in rows.items()]
    return "\n".join(aligned(lines))


def _cell(gap: Gap) -> str:
    if not np.isfinite(gap.share_low):
        return "undefined"
    return f"{gap.share:.3f} [{gap.share_low:.3f}, {gap.share_high:.3f}]{' 99 %' if gap.reached else ''}"
