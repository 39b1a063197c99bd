"""Table and figure of the README from a run record: ``python scripts/readme_results.py RUN_FOLDER FIGURE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from exobench.results import RunRecord, read_record
from exobench.terminal import find_score, format_score, scores_on

COLUMNS = (
    ("hit_rate_10", "within 10 % of the range", ".2f"),
    ("skill", "skill", ".2f"),
    ("crps", "CRPS", ".3g"),
    ("coverage_68", "68 % interval holds", ".2f"),
    ("coverage_95", "95 % interval holds", ".2f"),
)


def table(record: RunRecord) -> str:
    """The scores of one record as Markdown."""
    scores = scores_on(record, record["n_test"])
    lines = [f"| parameter | {' | '.join(title for _, title, _ in COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for parameter in record["parameters"]:
        cells = [format_score(find_score(scores, metric, parameter["name"]), digits) for metric, _, digits in COLUMNS]
        unit = "" if parameter["unit"] == "dex" else f" ({parameter['unit']})"
        lines.append(f"| {parameter['name']}{unit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(record: RunRecord, path: Path) -> None:
    """Posterior medians with 68 % bars against the truth, one panel a parameter."""
    values = record.per_spectrum()
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots(2, 4).ravel()
    for column, (axis, parameter) in enumerate(zip(axes, record["parameters"], strict=False)):
        truth, median = values["theta_true"][:, column], values["median"][:, column]
        bars = [median - values["q16"][:, column], values["q84"][:, column] - median]
        style = {"fmt": ".", "color": "#0072b2", "ecolor": "#56b4e9", "markersize": 3, "elinewidth": 0.6}
        axis.errorbar(truth, median, yerr=bars, **style)
        ends = [parameter["low"], parameter["high"]]
        axis.plot(ends, ends, color="#d55e00", linewidth=1)
        axis.set(title=parameter["label"], xlabel="truth", ylabel="posterior median")
    for axis in axes[len(record["parameters"]) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Prints the table and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("figure", type=Path)
    arguments = parser.parse_args()
    record = read_record(arguments.run)
    draw(record, arguments.figure)
    energy = find_score(scores_on(record, record["n_test"]), "energy_score")
    print(table(record))
    print(f"\nenergy score {format_score(energy, '.4f')}; commit {record['versions']['commit']}")
    print(f"trained {record['cost']['training_seconds']:.0f} s, {record['hardware']['processor']}")


if __name__ == "__main__":
    main()
