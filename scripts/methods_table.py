"""One table of all methods from run records: ``python scripts/methods_table.py RUNS_FOLDER --task hotjupiter``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from exobench.results import RunRecord, all_records
from exobench.terminal import find_score, format_score, scores_on

PER_PARAMETER = ("hit_rate_10", "coverage_68")


def chosen(runs: Path, task: str, budget: int | None, seed: int) -> list[RunRecord]:
    """Finished records of one task: the one with most test spectra for each method."""
    best: dict[str, RunRecord] = {}
    for record in all_records(runs):
        fits = record["task"] == task and record["seed"] == seed and budget in (None, record["budget"])
        if not fits or record["status"] != "ok":
            continue
        other = best.get(record["method"])
        if other is None or other["n_test"] < record["n_test"]:
            best[record["method"]] = record
    ids = {record["task_id"] for record in best.values()}
    if len(ids) > 1:
        raise SystemExit(f"records of {len(ids)} task_ids lie in {runs}: {', '.join(sorted(ids))}; they must not mix.")
    return list(best.values())


def table(records: list[RunRecord], n_obs: int) -> str:
    """Markdown: joint scores and cost, best energy score first, on the first n_obs test spectra."""
    lines = [
        f"| method ({n_obs} spectra) | energy score | nltp | calibration | track | training, s | a posterior, s |",
        "|---|" + "---|" * 6,
    ]
    rows = []
    for record in records:
        scores = scores_on(record, n_obs)
        energy, density = find_score(scores, "energy_score"), find_score(scores, "nltp")
        cost, badge = record["cost"], record["calibration"]["status"] if record["n_test"] == n_obs else "see record"
        cells = [format_score(energy, ".4f"), format_score(density, ".2f"), badge, record["track"]]
        cells += [f"{cost['training_seconds']:.0f}", f"{cost['seconds_per_posterior']:.2g}"]
        rows.append((energy.value, f"| {record['method']} | {' | '.join(cells)} |"))
    return "\n".join(lines + [text for _, text in sorted(rows, key=lambda row: row[0])])


def parameter_table(records: list[RunRecord], n_obs: int, metric: str) -> str:
    """Markdown: one score of each parameter."""
    names = [parameter["name"] for parameter in records[0]["parameters"]]
    lines = [f"| {metric} ({n_obs} spectra) | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for record in records:
        scores = scores_on(record, n_obs)
        cells = [format_score(find_score(scores, metric, name), ".3f") for name in names]
        lines.append(f"| {record['method']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--task", default="hotjupiter")
    parser.add_argument("--budget", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-obs", type=int, default=None, help="spectra; default: the most that all records have")
    parser.add_argument("--out", type=Path, default=None, help="also write the records' paths and commits as JSON")
    arguments = parser.parse_args()
    budget = None if arguments.budget is None else int(arguments.budget)
    records = chosen(arguments.runs, arguments.task, budget, arguments.seed)
    if not records:
        raise SystemExit(f"no finished record of {arguments.task} in {arguments.runs}.")
    n_obs = arguments.n_obs or min(record["n_test"] for record in records)
    records = [record for record in records if record["n_test"] >= n_obs]
    print(table(records, n_obs), *(parameter_table(records, n_obs, m) for m in PER_PARAMETER), sep="\n\n")
    if arguments.out is not None:
        facts = [
            {
                key: record[key]
                for key in ("method", "task_id", "n_test", "seed", "budget", "versions", "hardware", "cost")
            }
            for record in records
        ]
        arguments.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
