"""How often the truth lies in the intervals of retrieved spectra, and how long a retrieval takes.

``python bench/retrieval.py RUN --out reports/bench_retrieval.json`` writes simulated test spectra of a finished run's
task as TauREx .dat files, reads and retrieves each as ``python -m exobench.retrieve`` does, and counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exobench.data.choice import DataChoice
from exobench.data.source import TestSpectra, open_data
from exobench.places import Places
from exobench.progress import track
from exobench.provenance import code_version, hardware
from exobench.retrieve.answer import Retrieval
from exobench.retrieve.read import read_spectrum
from exobench.retrieve.simulate import write_spectrum

Array = NDArray[np.float64]


def retrieved(retrieval: Retrieval, test: TestSpectra, rows: range, n_draws: int) -> dict[str, Array]:
    """Writes, reads and retrieves each spectrum: the ends of its intervals (obs, param) and its seconds (obs,)."""
    found: dict[str, list[Array | float]] = {}
    task = retrieval.run.task
    with tempfile.TemporaryDirectory() as folder:
        for row in track(rows, "retrievals", unit="spectrum"):
            path = Path(folder) / f"{row}.dat"
            write_spectrum(path, task, row, test.theta_true[row], test.x[row], test.sigma[row])
            start = time.perf_counter()
            answer = retrieval.answer(read_spectrum(path), n_draws=n_draws, seed=row)
            found.setdefault("seconds", []).append(time.perf_counter() - start)
            found.setdefault("unlike_training", []).append(float(answer.warning is not None))
            for name, value in answer.intervals().items():
                found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def coverage(low: Array, high: Array, truth: Array) -> dict[str, object]:
    """Share of truths inside, of each parameter and in the mean; its error is that of the spectra's own shares."""
    inside = ((truth >= low) & (truth <= high)).astype(float)
    return {
        "mean": inside.mean(),
        "standard_error": inside.mean(axis=1).std(ddof=1) / np.sqrt(len(inside)),
        "by_parameter": inside.mean(axis=0).tolist(),
        "standard_error_by_parameter": (inside.std(axis=0, ddof=1) / np.sqrt(len(inside))).tolist(),
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--n", type=int, default=500, help="spectra")
    parser.add_argument("--first", type=int, default=0, help="the first one's number in the test set")
    parser.add_argument("--draws", type=int, default=2000, help="of each")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    retrieval = Retrieval.open(given.run)
    task, rows = retrieval.run.task, range(given.first, given.first + given.n)
    data = Places.resolve().data
    test = open_data(task, data, n_train=0, n_validation=0, n_test=rows.stop, workers=1, choice=DataChoice()).test
    found, truth = retrieved(retrieval, test, rows, given.draws), test.theta_true[rows.start : rows.stop]
    record = retrieval.run.record
    result = {
        "task": task.name,
        "task_id": task.task_id,
        "run": {"method": record["method"], "config_hash": record["config_hash"], "seed": record["seed"]},
        "n_spectra": len(rows),
        "first": rows.start,
        "n_draws": given.draws,
        "parameters": list(task.parameters.names),
        "inside_95": coverage(found["low_95"], found["high_95"], truth),
        "inside_68": coverage(found["low_68"], found["high_68"], truth),
        "median_width_68": np.median(found["high_68"] - found["low_68"], axis=0).tolist(),
        "called_unlike_training": found["unlike_training"].mean(),
        "seconds_a_spectrum": {"median": np.median(found["seconds"]), "largest": found["seconds"].max()},
        "versions": code_version(),
        "hardware": hardware("cpu"),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
