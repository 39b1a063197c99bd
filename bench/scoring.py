"""What each test of calibration sees, and how fast the scores are.

``python bench/scoring.py power --out reports/power_table`` writes power_table.json and .csv;
``python bench/scoring.py speed --out reports/bench_scoring.json`` times all scores but C2ST.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.metrics import (
    ScoringInputs,
    aggregate,
    calibration_verdict,
    peak_rss_bytes,
    per_spectrum,
    reference_points,
)
from exobench.metrics.calibration import holm, ks_uniform
from exobench.metrics.draws import draw_block, randomised_rank
from exobench.metrics.quantities import pair_ranks, pairs_of, rank_of, tarp_rank

Array = NDArray[np.float64]

N_PARAM, N_DRAWS = 4, 200
LEVEL = 0.01
POWER_WANTED = 0.95
SIZES = {1000: 200, 4000: 50}
"""Spectra, and repetitions at that number."""
_A_JOB = 25
BOX = 8.0

_DISTANCE = np.abs(np.subtract.outer(np.arange(N_PARAM), np.arange(N_PARAM)))
NOISE = 0.2 * 0.6**_DISTANCE
"""Covariance of the spectrum x = theta + noise, theta standard normal: the posterior is Gaussian in closed form."""


@dataclass(frozen=True)
class Answer:
    """A Gaussian posterior as some method states it: mean of each spectrum (obs, param) and one covariance."""

    mean: Array
    covariance: Array

    def draws(self, n_draws: int, rng: np.random.Generator) -> Array:
        """Draws, (obs, draw, param)."""
        z = rng.standard_normal((len(self.mean), n_draws, N_PARAM))
        return self.mean[:, None, :] + z @ np.linalg.cholesky(self.covariance).T

    def log_prob(self, theta: Array) -> Array:
        """Log density up to a constant of theta (obs, ..., param)."""
        mean = self.mean.reshape(len(self.mean), *[1] * (theta.ndim - 2), N_PARAM)
        return minus_half_square(theta - mean, self.covariance)


def minus_half_square(difference: Array, covariance: Array) -> Array:
    """-d^T C^-1 d/2 of differences (..., param)."""
    whitened = difference @ np.linalg.cholesky(np.linalg.inv(covariance))
    return -0.5 * np.einsum("...p,...p->...", whitened, whitened)


def exact(x: Array) -> Answer:
    """The posterior of x under the standard normal prior."""
    covariance = np.linalg.inv(np.eye(N_PARAM) + np.linalg.inv(NOISE))
    return Answer(x @ np.linalg.solve(NOISE, covariance), 0.5 * (covariance + covariance.T))


def _changed(answer: Answer, *, width: float = 1.0, bias: float = 0.0) -> Answer:
    """Scales the width and moves the mean by a share of each standard deviation."""
    return Answer(answer.mean + bias * np.sqrt(np.diag(answer.covariance)), width**2 * answer.covariance)


def _without_correlation(answer: Answer) -> Answer:
    return Answer(answer.mean, np.diag(np.diag(answer.covariance)))


def _flipped(answer: Answer) -> Answer:
    """Correlations of neighbours have the wrong sign: every other parameter's deviations are mirrored."""
    sign = np.where(np.arange(N_PARAM) % 2, -1.0, 1.0)
    return Answer(answer.mean, np.outer(sign, sign) * answer.covariance)


DEFECTS: Mapping[str, Callable[[Answer], Answer]] = {
    "none (exact)": lambda answer: answer,
    "narrow x0.9": lambda answer: _changed(answer, width=0.9),
    "wide x1.1": lambda answer: _changed(answer, width=1.1),
    "bias 0.3 sd": lambda answer: _changed(answer, bias=0.3),
    "bias 0.3 sd, width x1.044": lambda answer: _changed(answer, bias=0.3, width=float(np.sqrt(1.09))),
    "correlation flipped": _flipped,
    "correlation dropped": _without_correlation,
    "prior": lambda answer: Answer(np.zeros_like(answer.mean), np.eye(N_PARAM)),
}

TESTS = (
    "marginal SBC (KS, Holm)",
    "marginal SBC and coverage (badge)",
    "SBC of pairwise products (Holm)",
    "SBC of log-likelihood rank",
    "SBC of log q",
    "TARP, points from x",
    "TARP, points that ignore x",
)


def p_values(n_obs: int, defect: str, rng: np.random.Generator) -> dict[str, float]:
    """One data set, one defect, all tests."""
    theta_true = rng.standard_normal((n_obs, N_PARAM))
    x = theta_true + rng.standard_normal((n_obs, N_PARAM)) @ np.linalg.cholesky(NOISE).T
    answer = DEFECTS[defect](exact(x))
    low, high = np.full(N_PARAM, -BOX), np.full(N_PARAM, BOX)
    names = tuple(f"theta_{k + 1}" for k in range(N_PARAM))
    theta = answer.draws(N_DRAWS, rng)
    block = draw_block(ScoringInputs(names, ("",) * N_PARAM, low, high, theta_true, theta), slice(None))
    uniform = rng.random((n_obs, 4 + N_PARAM + len(pairs_of(N_PARAM))))
    ranks = randomised_rank(block, theta_true, uniform[:, 4 : 4 + N_PARAM])
    log_likelihood = minus_half_square(theta - x[:, None], NOISE), minus_half_square(theta_true - x, NOISE)
    seeing, blind = reference_points(x, theta_true, low, high), rng.uniform(-3.0, 3.0, size=theta_true.shape)
    verdict = calibration_verdict(ranks, names)
    return {
        TESTS[0]: _holm_p(ranks),
        TESTS[1]: 1.0 if verdict.smallest_p is None else verdict.smallest_p,
        TESTS[2]: _holm_p(pair_ranks(block, theta_true, uniform[:, 4 + N_PARAM :])),
        TESTS[3]: _one_p(rank_of(*log_likelihood, block, uniform[:, 0])),
        TESTS[4]: _one_p(rank_of(answer.log_prob(theta), answer.log_prob(theta_true), block, uniform[:, 1])),
        TESTS[5]: _one_p(tarp_rank(block, theta_true, seeing, high - low, uniform[:, 2])),
        TESTS[6]: _one_p(tarp_rank(block, theta_true, blind, high - low, uniform[:, 3])),
    }


def _holm_p(ranks: Array) -> float:
    return float(holm(ks_uniform(ranks)[1]).min())


def _one_p(ranks: Array) -> float:
    return float(ks_uniform(ranks[:, None])[1][0])


def _rejections(defect: str, n_obs: int, first: int, last: int) -> dict[str, int]:
    """How often each test rejects in some repetitions."""
    counts = dict.fromkeys(TESTS, 0)
    for repetition in range(first, last):
        rng = np.random.default_rng([n_obs, tuple(DEFECTS).index(defect), repetition])
        for test, p_value in p_values(n_obs, defect, rng).items():
            counts[test] += p_value < LEVEL
    return counts


def power_table(sizes: Mapping[int, int], workers: int) -> list[dict[str, object]]:
    """One row for each test and defect: rejections at each number of spectra, and a verdict in words."""
    found: dict[tuple[str, str, int], int] = {}
    jobs = [
        (defect, n_obs, first, min(first + _A_JOB, repetitions))
        for defect in DEFECTS
        for n_obs, repetitions in sizes.items()
        for first in range(0, repetitions, _A_JOB)
    ]
    with ProcessPoolExecutor(workers) as pool:
        for (defect, n_obs, _, last), counts in zip(jobs, pool.map(_rejections, *zip(*jobs, strict=True)), strict=True):
            for test, count in counts.items():
                found[test, defect, n_obs] = found.get((test, defect, n_obs), 0) + count
            print(f"{defect}, {n_obs} spectra: {last} of {sizes[n_obs]}", flush=True)
    return [_row(test, defect, found, sizes) for test in TESTS for defect in DEFECTS]


def _row(
    test: str, defect: str, found: Mapping[tuple[str, str, int], int], sizes: Mapping[int, int]
) -> dict[str, object]:
    row: dict[str, object] = {"test": test, "defect": defect}
    verdict = None
    for n_obs, repetitions in sizes.items():
        rejected = found[test, defect, n_obs]
        row |= {f"rejected_{n_obs}": rejected, f"repetitions_{n_obs}": repetitions}
        power = rejected / repetitions
        if verdict is None and power >= POWER_WANTED:
            verdict = f"seen at {n_obs}"
    largest = max(sizes)
    share = found[test, defect, largest] / sizes[largest]
    # At the level, 6 of 200 and 3 of 50 are still rejections by chance (probability 0.985 and more).
    row["verdict"] = "exact" if defect.startswith("none") else verdict or ("blind" if share <= 0.06 else "weak")
    return row


def write_power(rows: list[dict[str, object]], out: Path, seconds: float) -> None:
    """Writes the table as JSON and CSV."""
    facts = {
        "level": LEVEL,
        "n_draws": N_DRAWS,
        "n_param": N_PARAM,
        "power_wanted": POWER_WANTED,
        "seconds": round(seconds),
    }
    out.with_suffix(".json").write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def speed(n_obs: int = 1000, n_draws: int = 2000, n_param: int = 7) -> dict[str, float]:
    """Seconds and memory of all scores but C2ST."""
    rng = np.random.default_rng(0)
    names = tuple(f"theta_{k + 1}" for k in range(n_param))
    low, high = np.full(n_param, -BOX), np.full(n_param, BOX)
    centre = rng.uniform(-3, 3, size=(n_obs, n_param))
    theta_true = centre + rng.standard_normal((n_obs, n_param))
    theta = (centre[:, None] + rng.standard_normal((n_obs, n_draws, n_param))).astype(np.float32)
    density = -0.5 * np.sum((theta - centre[:, None]) ** 2, axis=-1)
    truth = -0.5 * np.sum((theta_true - centre) ** 2, axis=-1)
    start, cpu_start = time.perf_counter(), time.process_time()
    inputs = ScoringInputs(
        names,
        ("",) * n_param,
        low,
        high,
        theta_true,
        theta,
        log_prob_true=truth,
        prior_log_prob=np.full(n_obs, -n_param * np.log(2 * BOX)),
        log_prob=density,
        log_likelihood_true=truth,
        log_likelihood=density,
        log_likelihood_peak=np.zeros(n_obs),
        n_bin=np.full(n_obs, float(n_param)),
        reference_point=reference_points(centre, theta_true, low, high),
    )
    arrays = per_spectrum(inputs, np.random.default_rng(1))
    middle = time.perf_counter()
    scores = aggregate(arrays, names, low, high)
    end = time.perf_counter()
    return {
        "n_obs": n_obs,
        "n_draws": n_draws,
        "n_param": n_param,
        "n_scores": len(scores),
        "not_ok": sum(score.status != "ok" for score in scores),
        "seconds_per_spectrum_arrays": round(middle - start, 2),
        "seconds_aggregate": round(end - middle, 2),
        "seconds": round(end - start, 2),
        "cpu_seconds": round(time.process_time() - cpu_start, 2),
        "peak_gib": round(peak_rss_bytes() / 2**30, 3),
    }


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("power", "speed"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes of the power table")
    arguments = parser.parse_args()
    start = time.perf_counter()
    if arguments.what == "power":
        rows = power_table(SIZES, arguments.workers)
        write_power(rows, arguments.out, time.perf_counter() - start)
        for row in rows:
            print(*row.values(), sep=", ")
        return
    result = speed()
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
