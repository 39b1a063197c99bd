"""Finished runs against each other on the test spectra that they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exobench.errors import ExobenchError
from exobench.metrics.calibration import holm
from exobench.metrics.catalogue import find_metric
from exobench.metrics.ranking import LEVEL, Ranking, rank_methods
from exobench.metrics.score import METRICS_VERSION
from exobench.progress import track
from exobench.results import SCORES, RunRecord

Array = NDArray[np.float64]

PRIMARY = "energy_score"
JOINT = {PRIMARY: PRIMARY, "nltp": "nltp"}
"""Metrics of all parameters together, and the per-spectrum array that each is the mean of."""
EACH = {"crps": "crps", "mae": "absolute_error", "interval_score_95": "interval_score_95"}
HITS = {"hit_rate_10": 0.10, "hit_rate_1": 0.01}
"""Metrics that are shares of spectra whose error is below a part of the prior's range."""
FEWEST = 2
_N_BOOTSTRAP = 400


@dataclass(frozen=True)
class Difference:
    """One score of one run beside another's, over the same spectra.

    Attributes:
        first: number of a run.
        second: number of the other.
        metric: a score that is a mean over spectra.
        parameter: None for a joint score.
        values: of the first and of the second.
        difference: of the two, first minus second.
        standard_error: of the difference, over spectra.
        p_value: two-sided, after Holm's correction over all differences of the comparison.
        better: number of the run that is better beyond doubt, None where that is not shown.
    """

    first: int
    second: int
    metric: str
    parameter: str | None
    values: tuple[float, float]
    difference: float
    standard_error: float
    p_value: float
    better: int | None


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Several runs of one task.

    Attributes:
        records: in the order given.
        n_obs: test spectra that all have.
        differences: of every pair and score.
        gaps: why scores are missing.
        ranking: by the energy score, corrected over pairs alone; None where it is not known for every spectrum.
    """

    records: tuple[RunRecord, ...]
    n_obs: int
    differences: tuple[Difference, ...]
    gaps: tuple[str, ...]
    ranking: Ranking | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return {
            "task": self.records[0]["task"],
            "task_id": self.records[0]["task_id"],
            "n_obs": self.n_obs,
            "level": LEVEL,
            "runs": [run_facts(record) for record in self.records],
            "ranks": None if self.ranking is None else self.ranking.ranks.tolist(),
            "differences": [asdict(each) for each in self.differences],
            "gaps": list(self.gaps),
        }


def run_facts(record: RunRecord) -> dict[str, Any]:
    """What a comparison says of one run."""
    keys = ("method", "seed", "budget", "n_test", "n_draws", "config", "calibration", "cost", "hardware")
    return {"run": str(record.folder)} | {key: record.content.get(key) for key in keys}


def compare_runs(records: Sequence[RunRecord]) -> RunComparison:
    """Compares every pair of runs by scores that are means over spectra.

    Each difference is tested by a paired t, and a paired bootstrap must agree (`exobench.metrics.ranking`); p-values
    are corrected after Holm over all pairs, scores and parameters together, so that the chance of counting any
    difference that is none stays below `LEVEL`.

    Args:
        records: two or more.

    Raises:
        ExobenchError: they are not of one task_id and metrics version, have no scores, are one run, or their test
            spectra are not the same.
    """
    _check(records)
    n_obs = min(int(record["n_test"]) for record in records)
    tables = [_arrays(record, n_obs) for record in records]
    for record, table in zip(records, tables, strict=True):
        if not np.allclose(table["theta_true"], tables[0]["theta_true"], rtol=1e-6, atol=1e-9):
            raise ExobenchError(f"the test spectra of {records[0].folder} and {record.folder} are not the same.")
    names = [str(parameter["name"]) for parameter in records[0]["parameters"]]
    columns, gaps = _columns(tables, records, names)
    jobs = [(pair, key) for key in columns for pair in combinations(range(len(records)), 2)]
    found = [_difference(*pair, *key, columns[key]) for pair, key in track(jobs, "comparing", "differences")]
    primary = columns.get((PRIMARY, None))
    return RunComparison(
        tuple(records), n_obs, tuple(_corrected(found)), tuple(gaps), rank_methods(primary) if primary else None
    )


def _check(records: Sequence[RunRecord]) -> None:
    if len(records) < FEWEST:
        raise ExobenchError(f"a comparison needs two runs or more; got {len(records)}.")
    for record in records:
        if record["status"] != "ok":
            raise ExobenchError(f"{record.folder} has no scores: it {_why(record)}.")
        if record["metrics_version"] != METRICS_VERSION:
            raise ExobenchError(
                f"{record.folder} was scored by metrics version {record['metrics_version']}, this is "
                f"{METRICS_VERSION}; run it again with rerun=true."
            )
    first = records[0]
    for record in records[1:]:
        if record["task_id"] != first["task_id"]:
            raise ExobenchError(
                f"{first.folder} is of task {first['task']} ({first['task_id']}) and {record.folder} of task "
                f"{record['task']} ({record['task_id']}); only runs of one task_id can be compared."
            )
    folders = [record.folder.resolve() for record in records]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise ExobenchError(f"{records[place].folder} is given twice.")


def _why(record: RunRecord) -> str:
    return f"was {record['status']} ({record.content.get('reason') or 'the record gives no reason'})".rstrip(".")


def _arrays(record: RunRecord, n_obs: int) -> dict[str, Array]:
    arrays = record.per_spectrum()
    for key in ("theta_true", PRIMARY):
        if key not in arrays or len(arrays[key]) < n_obs:
            raise ExobenchError(
                f"{record.folder / SCORES} lacks '{key}' of {n_obs} spectra; run it again with rerun=true."
            )
    return {name: values[:n_obs] for name, values in arrays.items()}


Key = tuple[str, str | None]


def _columns(
    tables: Sequence[Mapping[str, Array]], records: Sequence[RunRecord], names: Sequence[str]
) -> tuple[dict[Key, list[Array]], list[str]]:
    """Per-spectrum scores of all runs (obs,), by metric and parameter, and why others are missing."""
    columns: dict[Key, list[Array]] = {}
    gaps = []
    for metric, parameter, values in _wanted(tables, names):
        lacking = [
            _name(record) for record, each in zip(records, values, strict=True) if each is None or _holes(each) > 0
        ]
        if lacking:
            what = metric if parameter is None else f"{metric} of {parameter}"
            gaps.append(f"{what}: not known for every spectrum of {', '.join(lacking)}")
        else:
            columns[metric, parameter] = [each for each in values if each is not None]
    return columns, gaps


def _wanted(
    tables: Sequence[Mapping[str, Array]], names: Sequence[str]
) -> list[tuple[str, str | None, list[Array | None]]]:
    wanted: list[tuple[str, str | None, list[Array | None]]] = []
    for metric, key in JOINT.items():
        wanted.append((metric, None, [table.get(key) for table in tables]))
    for metric in (*EACH, *HITS):
        for column, name in enumerate(names):
            wanted.append((metric, name, [_each(table, metric, column) for table in tables]))
    return wanted


def _each(table: Mapping[str, Array], metric: str, column: int) -> Array | None:
    values = table.get(EACH.get(metric, "range_error"))
    if values is None:
        return None
    own = values[:, column]
    if metric not in HITS:
        return own
    return np.where(np.isfinite(own), (own <= HITS[metric]).astype(np.float64), np.nan)


def _holes(values: Array) -> int:
    return int(np.sum(~np.isfinite(values)))


def _name(record: RunRecord) -> str:
    return "/".join(record.folder.absolute().parts[-3:])


def _difference(first: int, second: int, metric: str, parameter: str | None, scores: Sequence[Array]) -> Difference:
    """One difference with its own p-value, to be corrected with all others."""
    a, b = scores[first], scores[second]
    higher = bool(find_metric(metric).higher_is_better)
    found = rank_methods([a, b], higher_is_better=higher, n_bootstrap=_N_BOOTSTRAP)
    better = first if found.better[0, 1] else second if found.better[1, 0] else None
    return Difference(
        first,
        second,
        metric,
        parameter,
        (float(a.mean()), float(b.mean())),
        float(found.difference[0, 1]),
        float(found.standard_error[0, 1]),
        float(found.p_value[0, 1]),
        better,
    )


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    if not found:
        return []
    adjusted = holm(np.array([each.p_value for each in found]))
    return [
        Difference(**{**vars(each), "p_value": float(p), "better": each.better if p < LEVEL else None})
        for each, p in zip(found, adjusted, strict=True)
    ]
