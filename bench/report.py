"""Builds the site from many records: copies of finished runs with their scores moved a little, other seeds and budgets.

Usage: python bench/report.py RUNS FOLDER [--records 1000]
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import h5py
import numpy as np

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


def main() -> None:
    """Makes the records where they are missing, then builds the site twice and prints the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    given = parser.parse_args()
    many, site = given.folder / "runs", given.folder / "site"
    if not many.is_dir():
        found = sorted(given.runs.glob(f"*/*/*/*/{RECORD}"))
        rng = np.random.default_rng(0)
        for number in range(given.records):
            source = found[number % len(found)].parent
            copy, (task, method, key, seed) = number // len(found), source.relative_to(given.runs).parts
            perturbed(source, many / task / method / f"{key}{seed}{copy:03d}" / str(copy % SEEDS), copy, rng)
    shutil.rmtree(site, ignore_errors=True)
    timed = {}
    for name in ("first", "second"):
        wall, used = time.perf_counter(), time.process_time()
        build_page(many, site)
        timed[name] = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - used}
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    print(json.dumps({"records": given.records, "bytes": size, **timed}, indent=1))


if __name__ == "__main__":
    main()
