"""Builds the site from many records: copies of finished runs with their scores moved a little, other seeds and budgets.

Usage: python bench/report.py RUNS [--records 1000] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from exobench.provenance import code_version, hardware
from exobench.report.page import build_page
from exobench.results import RECORD, SCORES

BUDGETS = (1_000, 10_000, 100_000, 1_000_000)
SEEDS = 5
KEPT = (RECORD, SCORES, "scalars.csv")


def perturbed(source: Path, target: Path, copy: int, rng: np.random.Generator) -> None:
    """Copies a run as one of another seed and budget, its energy scores moved by a few per cent."""
    target.mkdir(parents=True)
    for name in KEPT:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    content = json.loads((source / RECORD).read_text(encoding="utf-8"))
    content["seed"], content["budget"] = copy % SEEDS, BUDGETS[copy // SEEDS % len(BUDGETS)]
    content["config"]["budget"] = content["budget"]
    content["config"]["method"]["variant"] = copy // (SEEDS * len(BUDGETS))
    (target / RECORD).write_text(json.dumps(content), encoding="utf-8")
    if content["status"] == "ok":
        with h5py.File(target / SCORES, "r+") as file:
            file["energy_score"][...] = file["energy_score"][()] * rng.uniform(0.97, 1.1)


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    return sum(os.times()[:4])


def make_records(runs: Path, n_records: int, folder: Path) -> None:
    """Copies of the finished runs in turn, until there are so many."""
    found = sorted(runs.glob(f"*/*/*/*/{RECORD}"))
    if not found:
        raise SystemExit(f"{runs} holds no finished run; name a folder of runs, such as reports/benchmark.")
    rng = np.random.default_rng(0)
    for number in range(n_records):
        source = found[number % len(found)].parent
        copy, (task, method, key, seed) = number // len(found), source.relative_to(runs).parts
        perturbed(source, folder / task / method / f"{key}{seed}{copy:03d}" / str(copy % SEEDS), copy, rng)


def timed_build(runs: Path, site: Path) -> dict[str, float]:
    """Wall and processor time."""
    wall, used = time.perf_counter(), processor_seconds()
    build_page(runs, site)
    return {"seconds": time.perf_counter() - wall, "processor_seconds": processor_seconds() - used}


def main() -> None:
    """Makes the records, then times two builds: the second finds what the first left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="where the result is kept as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        many, site = Path(folder) / "runs", Path(folder) / "site"
        make_records(given.runs, given.records, many)
        result = {
            "records": given.records,
            "first": timed_build(many, site),
            "second": timed_build(many, site),
            "bytes": sum(path.stat().st_size for path in site.rglob("*") if path.is_file()),
            "versions": code_version(),
            "hardware": hardware("cpu"),
        }
    print(json.dumps(result, indent=1))
    if given.out is not None:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
